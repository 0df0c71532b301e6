"""Call a build of the kernels with arguments that are wrong in every way that Python allows.

    python tests/fuzz/fuzz_kernels.py BINARY CALLS

Made for a build that watches itself (-fsanitize=address,undefined), which ends the process at the
first access that is out of bounds. ``test_kernels.py`` does so.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.kernels import CASES, GOOD, KINDS, cut, loaded, sounds

REFUSED = (TypeError, ValueError, BufferError, OverflowError, MemoryError)
NUMBERS = (0, 1, -1, 2, 3, 15, 16, 17, 255, -1202, 1 << 31, -(1 << 31), 1 << 62, 1 << 63, 0.5)


def resized(array, rng):
    shape = tuple(rng.choice((0, 1, 2, 3, 7, 16, 40)) for _ in array.shape)
    return np.resize(array, shape) if array.size else array


def filled(array, rng):
    if array.dtype.kind == "f":
        return np.full_like(array, rng.choice((np.nan, np.inf, -np.inf, 1e38, 1e-40)))
    return np.full_like(array, rng.choice((0, 1, 5, 8, np.iinfo(array.dtype).max)))


WAYS = (
    resized,
    filled,
    lambda array, rng: array[:: rng.choice((-3, -2, -1, 2, 3))],
    lambda array, _: array.T,
    lambda array, _: np.broadcast_to(array[:1], array.shape),
)


def mutated(argument, rng):
    """Return an argument of another length, another step, another number."""
    if isinstance(argument, np.ndarray):
        return rng.choice(WAYS)(argument, rng)
    return rng.choice(NUMBERS) if isinstance(argument, (int, float)) else argument


def main():
    """Run every kernel as it is meant to be, then otherwise."""
    engine, calls, rng = loaded(Path(sys.argv[1])), int(sys.argv[2]), random.Random(1)
    for case in CASES:
        for kind in KINDS:
            for channels in case.channels:
                blocks = cut(sounds(kind, 2_001, channels), (0, 1, 15, 17, 333), "FC")
                case.run(engine, blocks)
    ends = Counter()
    for _ in range(calls):
        name = rng.choice(list(GOOD))
        arguments = GOOD[name](engine)
        for place in range(len(arguments)):
            if rng.random() < 0.3:
                arguments[place] = mutated(arguments[place], rng)
        try:
            getattr(engine, name)(*arguments)
        except REFUSED:
            ends["refused"] += 1
        else:
            ends["taken"] += 1
    print(*(f"{count} {end}" for end, count in sorted(ends.items())))


if __name__ == "__main__":
    main()
