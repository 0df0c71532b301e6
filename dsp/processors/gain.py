"""A fixed gain."""

import numpy as np

from dsp.audio import Block
from dsp.units import ratio_of


class Gain:
    """Multiply by a constant; 0 dB passes the block through as it is."""

    latency = 0
    tail_s = 0.0

    def __init__(self, gain_db: float) -> None:
        self._gain = np.float32(ratio_of(gain_db))

    def process(self, block: Block) -> Block:
        """Return the block, scaled."""
        return block if self._gain == 1.0 else block * self._gain

    def reset(self) -> None:
        """Forget nothing: there is nothing to forget."""
