"""Every processor, to be held to the laws: one line each."""

from collections.abc import Callable
from dataclasses import dataclass

from dsp.processors.compressor import Compressor, DeEsser, KeyedBand, Ride
from dsp.processors.denoise import Denoiser
from dsp.processors.eq import Band, Equaliser
from dsp.processors.gain import Gain
from dsp.processors.limiter import Limiter
from dsp.processors.low_limiter import LowLimiter
from dsp.processors.processor import Processor
from dsp.processors.saturation import Saturation
from dsp.processors.stereo import Pan, Width

_CURVE = (
    Band("high_pass", 60.0),
    Band("low_shelf", 200.0, 3.0),
    Band("peak", 3_000.0, -4.0, 2.0),
    Band("high_shelf", 30_000.0, 2.0),
)
_PANEL = {"ratio": 3.0, "knee_db": 6.0, "attack_ms": 2.0, "release_ms": 40.0}
_KEY = (0.0, 1.0, 0.0, 0.5, 1.0, 1.0, 0.0)


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
    Case(
        "compressor",
        lambda r, c: Compressor(
            **_PANEL, threshold_db=-20.0, make_up_db=3.0, link=1.0, rate_hz=r, channels=c
        ),
    ),
    Case(
        "compressor half linked",
        lambda r, c: Compressor(
            **_PANEL, threshold_db=-20.0, link=0.5, detector_hz=150.0, rate_hz=r, channels=c
        ),
    ),
    Case(
        "compressor that never acts",
        lambda r, c: Compressor(**_PANEL, threshold_db=200.0, rate_hz=r, channels=c),
    ),
    Case(
        "denoiser",
        lambda r, c: Denoiser(
            noise_db=(-10.0,) * 5 + (-30.0,) * 5, reduction_db=12.0, rate_hz=r, channels=c
        ),
    ),
    Case(
        "de-esser",
        lambda r, c: DeEsser(
            hz=6_500.0,
            q=1.2,
            threshold_db=-20.0,
            ratio=4.0,
            range_db=8.0,
            attack_ms=1.0,
            release_ms=30.0,
            rate_hz=r,
            channels=c,
        ),
    ),
    Case(
        "keyed band",
        lambda r, c: KeyedBand(
            hz=2_500.0,
            q=1.4,
            depth_db=6.0,
            key=_KEY,
            key_step_s=0.013,
            attack_ms=2.0,
            release_ms=5.0,
            rate_hz=r,
            channels=c,
        ),
    ),
    Case("ride", lambda r, c: Ride((0.0, -6.0, 3.0), step_s=0.017, rate_hz=r, channels=c)),
    Case("ride that is flat", lambda r, c: Ride((0.0, 0.0), step_s=0.1, rate_hz=r, channels=c)),
    Case(
        "low limiter",
        lambda r, c: LowLimiter(
            hz=200.0,
            limit_db=-9.0,
            range_db=12.0,
            look_ahead_ms=3.0,
            release_ms=20.0,
            rate_hz=r,
            channels=c,
        ),
    ),
    Case("limiter", lambda r, c: Limiter(ceiling_dbtp=-1.0, gain=1.8, rate_hz=r, channels=c)),
    Case(
        "limiter that never acts",
        lambda r, c: Limiter(ceiling_dbtp=120.0, rate_hz=r, channels=c),
    ),
]
