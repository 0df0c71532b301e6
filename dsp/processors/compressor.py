"""Dynamics: compressor, de-esser, keyed band and ride.

Theory of operation
-------------------
All four are a gain that moves on the control grid. They differ in what moves it and in what
it moves:

============  ==============================  =====================
              moved by                        moves
============  ==============================  =====================
Compressor    the sound's own level           the sound
DeEsser       the level of one band           that band, down only
KeyedBand     a key given beforehand          that band, down only
Ride          a curve given beforehand        the sound
============  ==============================  =====================

Rules
-----
Rule 1: no latency. A detector answers one hop late instead (see ``hops``), and keys and
curves, which are on the stream's own time, stay where they are.

Rule 2: levels are peaks of the samples per hop; thresholds are dBFS of a sine's peak.

Rule 3: beyond its end a key or a curve keeps its last value.

References
----------
D. Giannoulis, M. Massberg, J. D. Reiss, Digital dynamic range compressor design - a
tutorial and analysis, JAES 60(6), 2012.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp.audio import HOP_FRAMES, Block
from dsp.errors import ParameterError
from dsp.processors.control_rate import HopPeaks, Ramp, steps_of
from dsp.processors.dynamic_bands import DeEsser, KeyedBand
from dsp.processors.envelope import Ballistics, panel_of, reduction_curve_db, static_reduction_db
from dsp.processors.eq import Band, Equaliser
from dsp.processors.gain_reduction import Reduction
from dsp.units import ratios_of

__all__ = [
    "Compressor",
    "DeEsser",
    "KeyedBand",
    "Reduction",
    "Ride",
    "reduction_curve_db",
    "static_reduction_db",
]


class Compressor:
    """Make loud passages softer: feed-forward, in the log domain, soft knee.

    Parameters
    ----------
    threshold_db, ratio, knee_db : float
        See ``static_reduction_db``.
    attack_ms, release_ms : float
        See ``Ballistics``; to both comes up to a hop and a half for the detector.
    make_up_db : float
    link : float
        0: channels on their own; 1: all follow the one that is reduced most.
    detector_hz : float
        Corner of a high-pass ahead of the detector, 12 dB per octave; 0: it hears everything.
    rate_hz : float
    channels : int

    Raises
    ------
    ParameterError
    """

    latency = 0
    tail_s = 0.0

    def __init__(
        self,
        *,
        threshold_db: float,
        ratio: float,
        knee_db: float,
        attack_ms: float,
        release_ms: float,
        make_up_db: float = 0.0,
        link: float = 1.0,
        detector_hz: float = 0.0,
        rate_hz: float,
        channels: int,
    ) -> None:
        self._panel = panel_of(threshold_db, ratio, knee_db)
        if not 0.0 <= link <= 1.0:
            raise ParameterError(f"link must lie in 0...1, got {link:g}")
        self._make_up_db = make_up_db
        self._link = link
        self._rows = 1 if link == 1.0 else channels
        heard = [Band("high_pass", detector_hz)] if detector_hz else []
        self._heard = Equaliser(heard, rate_hz=rate_hz, channels=channels)
        self._peaks = HopPeaks(channels, linked=self._rows == 1)
        self._ballistics = Ballistics(
            attack_ms=attack_ms,
            release_ms=release_ms,
            hop_s=HOP_FRAMES / rate_hz,
            rows=self._rows,
        )
        self.reduction = Reduction(rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._heard.reset()
        self._peaks.reset()
        self._ballistics.reset()
        self.reduction.reset()
        self._ramp = Ramp(ratios_of(np.full((self._rows, 2), self._make_up_db)))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        peaks = self._peaks.push(self._heard.process(block))
        reduction_db, active = self._ballistics.reduce(peaks, self._panel, self._link)
        self.reduction.update(reduction_db, active)
        return self._ramp.reduced(block, reduction_db, self._make_up_db)


class Ride:
    """Move the whole sound along a slow, planned curve; 0 dB passes it as it is.

    Parameters
    ----------
    curve_db : (steps,) array
        The gain in the middle of each step, straight lines between, from the first frame.
    step_s : float
    rate_hz : float
    channels : int
    """

    latency = 0
    tail_s = 0.0

    def __init__(
        self, curve_db: ArrayLike, *, step_s: float, rate_hz: float, channels: int
    ) -> None:
        del channels  # all move alike
        self._reduction_db = -steps_of(curve_db)
        self._hops_per_step = step_s * rate_hz / HOP_FRAMES
        self.reset()

    def reset(self) -> None:
        """Go back to the first frame."""
        self._border = 0
        self._ramp = Ramp(ratios_of(-self._next(2)))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        reduction_db = self._next(self._ramp.completed_by(len(block)))
        return self._ramp.reduced(block, reduction_db, 0.0)

    def _next(self, borders: int) -> NDArray[np.float64]:
        """Return the reductions of the next borders between hops, ``(1, borders)``."""
        out = np.empty((1, borders))
        kernels.steps(self._reduction_db, self._border, self._hops_per_step, 1, out[0])
        self._border += borders
        return out
