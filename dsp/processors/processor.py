"""What every processor promises.

The laws
--------
1. *Blocks do not show*: processing a then b equals processing a+b, bit for bit.
2. *Length is kept*: as many frames out as in. ``latency`` says how many frames the output
   is late; rendering takes it out in one place, so no other code shifts samples.
3. *The input is not touched.*
4. *Silence in, exact silence out* once ``tail_s`` has passed; *finite in, finite out*.
5. *Reset is rebirth*: after ``reset`` a processor equals a new one.

``tests/dsp/test_processor_laws.py`` runs every law on every processor.

A processor is made for one rate and channel count. Blocks may have any length, zero
included. Gains that move live on control hops of ``HOP_FRAMES`` anchored at the absolute
frame 0 of the stream, with straight lines between.
"""

from typing import Protocol

from dsp.audio import Block


class Processor(Protocol):
    """A stateful transformation of blocks."""

    latency: int
    """Frames by which the output is late."""

    tail_s: float
    """Seconds after the last sound until the output is exactly zero."""

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)`` of output for this input."""
        ...

    def reset(self) -> None:
        """Forget everything heard so far."""
        ...
