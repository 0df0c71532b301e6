"""Every processor, to be held to the laws: one line each."""

from collections.abc import Callable
from dataclasses import dataclass

from dsp.process.eq import Band, Equaliser
from dsp.process.gain import Gain
from dsp.process.processor import Processor
from dsp.process.saturation import Saturation
from dsp.process.stereo import Pan, Width

_CURVE = (
    Band("high_pass", 60.0),
    Band("low_shelf", 200.0, 3.0),
    Band("peak", 3_000.0, -4.0, 2.0),
    Band("high_shelf", 30_000.0, 2.0),
)


@dataclass(frozen=True)
class Case:
    """A processor as it is used."""

    name: str
    make: Callable[[int, int], Processor]
    """``(rate_hz, channels)`` to a new one."""
    channels: tuple[int, ...] = (1, 2)
    treats_sides_alike: bool = True
    """Swapping left and right of the input swaps those of the output."""


PROCESSORS = [
    Case("gain", lambda _, __: Gain(-4.5)),
    Case("equaliser", lambda r, c: Equaliser(_CURVE, rate_hz=r, channels=c)),
    Case("equaliser without bands", lambda r, c: Equaliser((), rate_hz=r, channels=c)),
    Case("pan", lambda _, c: Pan(-0.3, channels=c), treats_sides_alike=False),
    Case("width", lambda r, _: Width(1.4, lows_mono_hz=120.0, rate_hz=r), channels=(2,)),
    Case("width of one", lambda r, _: Width(1.0, lows_mono_hz=0.0, rate_hz=r), channels=(2,)),
    Case("saturation", lambda r, c: Saturation(drive_db=9.0, mix=0.7, rate_hz=r, channels=c)),
    Case("saturation at rest", lambda r, c: Saturation(drive_db=0.0, rate_hz=r, channels=c)),
]
