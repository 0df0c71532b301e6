"""Kernels: how many times faster the compiled ones are than the plain ones, side by side.

    python benchmarks/kernels.py

Each pair works on the same sound in turn; the figure is the ratio of the smallest CPU times.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dsp.audio import BLOCK_FRAMES
from dsp.kernels import _compiled
from tests.support.kernels import CASES, PLAIN, sounds

ROUNDS = 15


def least_s(call: Callable[[], object]) -> float:
    """Return the smallest CPU time of some calls."""

    def once() -> float:
        began = time.process_time()
        call()
        return time.process_time() - began

    return min(once() for _ in range(ROUNDS))


def main() -> None:
    """Measure and print."""
    print(f"{'kernel':24}{'channels':>9}{'ns/frame':>10}{'times':>7}")
    for case in CASES:
        for channels in case.channels:
            blocks = [sounds("noise", BLOCK_FRAMES, channels)]
            compiled, plain = (
                least_s(partial(case.run, engine, blocks)) for engine in (_compiled, PLAIN)
            )
            nanoseconds = compiled / BLOCK_FRAMES * 1e9
            print(f"{case.name:24}{channels:9}{nanoseconds:10.1f}{plain / compiled:7.1f}")


if __name__ == "__main__":
    main()
