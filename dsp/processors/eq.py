"""A static equaliser: bands in series.

Rules
-----
Rule 1: a band at or above 0.95 of half the rate cannot be built faithfully. What would act
there and above (peak, notch, high shelf, low-pass) is dropped: there is nothing for it to
act on. What would act below (low shelf, high-pass, band-pass) is held at that limit.

Rule 2: a peak or shelf of 0 dB is dropped. With no band left the equaliser is the identity,
bit for bit.

Rule 3: ``sections_of`` is the only way from bands to filters, so that the response that was
planned with is the response that is heard.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.audio import Block
from dsp.processors import filters
from dsp.processors.filters import Cascade, Kind, Sections, biquad

HIGHEST = 0.95
"""The highest corner, as a part of half the rate: above, the bilinear transform squeezes
whatever is left of a band's upper side into nothing."""

_ACTS_BELOW = ("low_shelf", "high_pass", "band_pass")
_HAS_GAIN = ("peak", "low_shelf", "high_shelf")


class Shape(Protocol):
    """What a band is, whoever wrote it down."""

    @property
    def kind(self) -> Kind: ...
    @property
    def hz(self) -> float: ...
    @property
    def gain_db(self) -> float: ...
    @property
    def q(self) -> float: ...


@dataclass(frozen=True)
class Band:
    """One band."""

    kind: Kind
    hz: float
    gain_db: float = 0.0
    q: float = 0.7071


def sections_of(bands: Iterable[Shape], rate_hz: float) -> Sections:
    """Return ``(sections, 6)``, one per band that acts at this rate, in their order."""
    limit = HIGHEST * rate_hz / 2.0
    rows = [
        biquad(band.kind, hz=min(band.hz, limit), q=band.q, gain_db=band.gain_db, rate_hz=rate_hz)
        for band in bands
        if (band.hz < limit or band.kind in _ACTS_BELOW)
        and (band.gain_db != 0.0 or band.kind not in _HAS_GAIN)
    ]
    return np.asarray(rows, np.float64).reshape(-1, 6)


def response_db(bands: Iterable[Shape], hz: ArrayLike, rate_hz: float) -> NDArray[np.float64]:
    """Return the gain of an equaliser at some frequencies, in dB, shaped as ``hz``."""
    return filters.response_db(sections_of(bands, rate_hz), hz, rate_hz)


class Equaliser:
    """Bands in series.

    Parameters
    ----------
    bands : iterable of Band
        Anything with ``kind hz gain_db q`` will do.
    rate_hz : float
    channels : int

    Raises
    ------
    ParameterError
        A band's ``hz`` or ``q`` is not above 0.
    """

    latency = 0

    def __init__(self, bands: Iterable[Shape], *, rate_hz: float, channels: int) -> None:
        self._cascade = Cascade(sections_of(bands, rate_hz), channels)
        self.tail_s = self._cascade.tail_frames / rate_hz

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        return self._cascade.process(block)

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._cascade.reset()
