"""The sum of the strips: in order, and never far ahead."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
import pytest

from dsp.audio import BLOCK_FRAMES
from dsp.mixing.render.mixdown import _sums


class Log:
    """Who was asked for a block, and how many blocks were made at most before one was summed."""

    def __init__(self):
        self.lock, self.made, self.summed, self.most = Lock(), 0, 0, 0


class Ramp:
    """A strip that sends its number, and refuses to be asked twice at once."""

    def __init__(self, number, log):
        self.number, self.log, self.busy = number, log, False

    def read(self, frames):
        assert not self.busy
        self.busy = True
        with self.log.lock:
            self.log.made += 1
            self.log.most = max(self.log.most, self.log.made - self.log.summed)
        self.busy = False
        return np.full((frames, 2), self.number, np.float32)


@pytest.mark.parametrize(("strips", "ahead"), [(0, 8), (1, 8), (5, 8), (24, 8), (24, 1)])
def test_sum_is_that_of_all_strips_and_few_blocks_wait_for_it(strips, ahead):
    """Every block is whole, and no more blocks are made ahead of the sum than was allowed."""
    log = Log()
    frames = 3 * BLOCK_FRAMES + 17
    found = []
    with ThreadPoolExecutor(3) as pool:
        ramps = {str(n): Ramp(n, log) for n in range(strips)}
        sums = _sums(ramps, frames, [frozenset(ramps)], (pool, ahead), lambda *_: None)
        for start, (total,) in sums:
            log.summed += strips
            found.append((start, len(total), float(total.min()), float(total.max())))

    sent = sum(range(strips))
    lengths = [BLOCK_FRAMES] * 3 + [17]
    starts = [n * BLOCK_FRAMES for n in range(4)]
    assert [(s, n, sent, sent) for s, n in zip(starts, lengths, strict=True)] == found
    assert strips + min(strips, ahead) >= log.most
