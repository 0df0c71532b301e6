"""Loudness as broadcasters measure it: LUFS and LU, by EBU R 128.

Theory of operation
-------------------
Sound is K-weighted (a shelf for the head, a high-pass for the ear), squared, and summed over
short *steps* per channel. Everything else is arithmetic on those steps: a momentary window is
400 ms of them, a short-term window 3 s, the integrated loudness the mean of the 400 ms blocks
that pass two gates. So one pass over the samples serves every question, and the planner can
ask them again for gains that were never rendered.

Rules
-----
Rule 1: the floor of every loudness is ``FLOOR_LUFS``; −inf and NaN are never returned. Sound
shorter than the window asked for has not been measured yet and reads the floor.

Rule 2: steps begin at absolute frame ``round(k · rate_hz · step_s)`` and each is summed frame by
frame, so no result depends on how the stream was cut into blocks.

Rule 3: a mono file is one channel, not two: it reads 3 LU below the same sound on two.

References
----------
ITU-R BS.1770-5 (K-weighting, channel weights, gates); EBU Tech 3341 v4 (windows, update
rates); EBU Tech 3342 v4 (loudness range).
"""

from array import array
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import Block, Curve
from dsp.errors import ParameterError
from dsp.sums import moving_sum
from dsp.units import SILENCE

Energy: TypeAlias = NDArray[np.float64]
"""K-weighted mean square per step, full scale ±1.0."""

FLOOR_LUFS = -70.0
"""The floor of every loudness: the absolute gate of BS.1770, below which nothing counts."""

STEP_S = 0.01
"""Step of ``LoudnessMeter``. The momentary maximum of Tech 3341 case 13 needs windows every
10 ms; windows every 100 ms miss bursts of 400 ms."""

MOMENTARY_S, SHORT_TERM_S, HOP_S = 0.4, 3.0, 0.1

_PART_STEPS = 65_536

# BS.1770-5, annex 1, tables 1 and 2 give K-weighting at 48 kHz only. These analogue parameters
# reproduce both tables to 1e-14 (test_k_weighting_is_the_standards_at_48_khz) and carry it to
# any rate.
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_MIDDLE = 0.4996667741545416  # share of the shelf's dB at its corner
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
_TABLE_RATE_HZ = 48_000

_OFFSET_LUFS = -0.691  # BS.1770-5, equation 2: a 997 Hz sine at 0 dBFS in one channel reads −3.01
_RELATIVE_GATE_LU = -10.0
_RANGE_GATE_LU = -20.0  # Tech 3342
_RANGE_PERCENTILES = 0.10, 0.95  # Tech 3342

# BS.1770-5, table 4, by the azimuth of the loudspeaker: 1.41 between 60° and 120°, 0 for LFE.
_SIDE = 1.41
_CHANNEL_WEIGHTS = (
    (1.0,),
    (1.0, 1.0),
    (1.0, 1.0, 1.0),
    (1.0, 1.0, _SIDE, _SIDE),  # L R Ls Rs
    (1.0, 1.0, 1.0, _SIDE, _SIDE),  # L R C Ls Rs
    (1.0, 1.0, 1.0, 0.0, _SIDE, _SIDE),  # L R C LFE Ls Rs: the order of WAVE
    (1.0, 1.0, 1.0, 0.0, 1.0, _SIDE, _SIDE),  # L R C LFE Cs Ls Rs
    (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, _SIDE, _SIDE),  # L R C LFE Lb Rb Ls Rs
)

# −500 dB added to the input. The high-pass takes it out again, but the filters never decay into
# denormals, which cost ten times the CPU; testing for silence would make blocks show.
_BIAS = 1e-25


def k_weighting_sos(rate_hz: int) -> NDArray[np.float64]:
    """Return the K-weighting filter as ``(2, 6)`` second-order sections.

    The table at 48 kHz leaves the high-pass 0.043 dB above unity far from its corner. Other rates
    keep that gain, so that a sound reads the same loudness at every rate; many meters keep the
    table's numerator 1, −2, 1 instead and differ by up to 0.02 LU at 96 kHz. Below 20 kHz the
    shelf is squeezed under half the rate: 1 kHz reads 0.1 LU low at 11,025 Hz, 0.2 at 8 kHz.
    """
    return np.array([_shelf(rate_hz), _high_pass(rate_hz)])


def _shelf(rate_hz: int) -> list[float]:
    k = np.tan(np.pi * _SHELF_HZ / rate_hz)
    high = 10.0 ** (_SHELF_DB / 20.0)
    middle = high**_SHELF_MIDDLE
    a0 = 1.0 + k / _SHELF_Q + k * k
    b = (
        high + middle * k / _SHELF_Q + k * k,
        2.0 * (k * k - high),
        high - middle * k / _SHELF_Q + k * k,
    )
    a = (a0, 2.0 * (k * k - 1.0), 1.0 - k / _SHELF_Q + k * k)
    return [float(c / a0) for c in b + a]


def _high_pass(rate_hz: int) -> list[float]:
    def a_of(rate_hz: int) -> tuple[float, float, float]:
        k = np.tan(np.pi * _HIGH_PASS_HZ / rate_hz)
        return 1.0 + k / _HIGH_PASS_Q + k * k, 2.0 * (k * k - 1.0), 1.0 - k / _HIGH_PASS_Q + k * k

    a0, a1, a2 = a_of(rate_hz)
    gain = a_of(_TABLE_RATE_HZ)[0] / a0
    return [gain, -2.0 * gain, gain, 1.0, a1 / a0, a2 / a0]


def channel_weights(channels: int) -> NDArray[np.float64]:
    """Return the standard's weight of every channel, for 1 to 8 channels in WAVE order.

    Four channels are L R Ls Rs, five L R C Ls Rs; six and more have their LFE in the fourth
    place, and it does not count.

    Raises
    ------
    ParameterError
        There is no such layout.
    """
    if not 1 <= channels <= len(_CHANNEL_WEIGHTS):
        raise ParameterError(f"channels must be 1 to {len(_CHANNEL_WEIGHTS)}, got {channels}")
    return np.array(_CHANNEL_WEIGHTS[channels - 1])


class StepEnergies:
    """K-weighted mean square per step and channel, of a stream.

    Parameters
    ----------
    rate_hz : int
        8 to 192 kHz.
    channels : int
    step_s : float
        Length of a step; at least one frame.
    """

    def __init__(self, rate_hz: int, channels: int, *, step_s: float) -> None:
        if rate_hz * step_s < 1.0:
            raise ParameterError(f"step_s must be at least one frame, got {step_s}")
        self._step_frames = rate_hz * step_s
        self._sos = k_weighting_sos(rate_hz)
        self._state = np.zeros((len(self._sos), channels, 2))
        self._sums, self._filled = np.zeros(channels), 0
        """Of the step that has begun."""
        self._steps = 0
        self._energies: list[Energy] = [np.zeros((0, channels))]

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        more = int((self._filled + len(block)) / self._step_frames) + 3
        edges = np.rint((self._steps + np.arange(more)) * self._step_frames).astype(np.int64)
        energy = np.empty((more - 1, len(self._sums)))
        done, self._filled = kernels.energies(
            *(block, self._sos, self._state, _BIAS),
            *(self._sums, self._filled, np.diff(edges), energy),
        )
        energy = energy[:done]
        energy[energy < SILENCE**2] = 0.0
        self._energies.append(energy)
        self._steps += done

    def energies(self) -> Energy:
        """Return the mean squares of the whole steps so far, ``(steps, channels)``.

        Channels are unweighted. What lies below −300 dB is exactly zero.
        """
        self._energies = [np.concatenate(self._energies)]
        return self._energies[0].copy()

    def taken(self) -> Energy:
        """Return the same, and forget them."""
        taken = np.concatenate(self._energies)
        self._energies = [taken[:0].copy()]
        return taken


class LoudnessMeter:
    """Every EBU R 128 reading of a stream.

    Curves hold one LUFS value per ``HOP_S``; value ``i`` is the window that begins at
    ``i * HOP_S`` and needs all its frames, so a curve is empty until the first window is full.

    Parameters
    ----------
    rate_hz : int
        8 to 192 kHz.
    channels : int
        1 to 8, laid out as ``channel_weights`` says.
    """

    energy_step_s = STEP_S
    """Of what ``energy`` returns."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._weights = channel_weights(channels)
        self._steps = StepEnergies(rate_hz, channels, step_s=STEP_S)
        self._energy = array("d")

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        self._steps.update(block)
        self._energy.frombytes((self._steps.taken() * self._weights).sum(axis=1).tobytes())

    def energy(self) -> Energy:
        """Return the channel-weighted sums of mean squares, ``(steps,)``.

        No copy: to be let go before more is heard.
        """
        return np.frombuffer(self._energy)

    def integrated_lufs(self) -> float:
        """Return the gated loudness of everything so far."""
        return integrated_lufs(self.energy(), step_s=self.energy_step_s)

    def range_lu(self) -> float:
        """Return the loudness range in LU, 0 at the least."""
        return range_lu(self.energy(), step_s=self.energy_step_s)

    def momentary_lufs(self) -> Curve:
        """Return the loudness of windows of 400 ms over time."""
        return sliding_lufs(
            self.energy(), step_s=self.energy_step_s, window_s=MOMENTARY_S, hop_s=HOP_S
        )

    def short_term_lufs(self) -> Curve:
        """Return the loudness of windows of 3 s over time."""
        return sliding_lufs(
            self.energy(), step_s=self.energy_step_s, window_s=SHORT_TERM_S, hop_s=HOP_S
        )

    def momentary_max_lufs(self) -> float:
        """Return the loudest 400 ms, looked for every 10 ms."""
        return self._max_lufs(MOMENTARY_S)

    def short_term_max_lufs(self) -> float:
        """Return the loudest 3 s, looked for every 10 ms."""
        return self._max_lufs(SHORT_TERM_S)

    def _max_lufs(self, window_s: float) -> float:
        """Return the loudest window; part by part, since hours have millions."""
        highest, further = 0.0, round(window_s / STEP_S) - 1
        for start in range(0, len(self._energy), _PART_STEPS):
            part = self.energy()[start : start + _PART_STEPS + further]
            windows = _sliding_mean(part, step_s=STEP_S, window_s=window_s, hop_s=STEP_S)
            highest = max(highest, float(windows.max(initial=0.0)))
        return lufs_of(highest)


def lufs_of(energy: float) -> float:
    """Return the loudness of a channel-weighted mean square, ``FLOOR_LUFS`` at the least."""
    return float(_lufs_of(np.array(energy)))


def sliding_lufs(energy: Energy, *, step_s: float, window_s: float, hop_s: float) -> Curve:
    """Return the loudness of every window of ``window_s``, one per ``hop_s``.

    Parameters
    ----------
    energy : (steps,) float64
        Channel-weighted sums of mean squares.
    step_s, window_s, hop_s : float
        Windows and hops are taken to the nearest whole number of steps.

    Returns
    -------
    (windows,) float64
        LUFS; empty when the sound is shorter than a window.
    """
    return _lufs_of(_sliding_mean(energy, step_s=step_s, window_s=window_s, hop_s=hop_s))


def integrated_lufs(energy: Energy, *, step_s: float) -> float:
    """Return the gated loudness of BS.1770-5.

    Parameters
    ----------
    energy : (steps,) float64
        Channel-weighted sums of mean squares.
    step_s : float
        Length of a step; 100 ms, or what divides it.

    Returns
    -------
    float
        LUFS; ``FLOOR_LUFS`` when nothing passes the absolute gate.
    """
    blocks = _sliding_mean(energy, step_s=step_s, window_s=MOMENTARY_S, hop_s=HOP_S)
    return lufs_of(_mean(_gated(blocks, _RELATIVE_GATE_LU)))


def range_lu(energy: Energy, *, step_s: float) -> float:
    """Return the loudness range of EBU Tech 3342, in LU.

    Parameters
    ----------
    energy : (steps,) float64
        Channel-weighted sums of mean squares.
    step_s : float
        Length of a step; 100 ms, or what divides it.

    Returns
    -------
    float
        0 at the least, and when fewer than two windows of 3 s pass the gates.
    """
    windows = _sliding_mean(energy, step_s=step_s, window_s=SHORT_TERM_S, hop_s=HOP_S)
    gated = np.sort(_lufs_of(_gated(windows, _RANGE_GATE_LU)))
    if not len(gated):
        return 0.0
    low, high = (round((len(gated) - 1) * share) for share in _RANGE_PERCENTILES)
    return float(gated[high] - gated[low])


def _sliding_mean(energy: Energy, *, step_s: float, window_s: float, hop_s: float) -> Energy:
    """Return the mean of every window, each summed anew: running sums keep loud parts' errors."""
    window, hop = round(window_s / step_s), round(hop_s / step_s)
    return moving_sum(energy, np.full(window, 1.0 / window), hop=hop)


def _gated(energy: Energy, gate_lu: float) -> Energy:
    """Return what lies above the absolute gate and ``gate_lu`` under the mean of that."""
    audible = energy[energy > _energy_of(FLOOR_LUFS)]
    gate = _mean(audible) * 10.0 ** (gate_lu / 10.0)
    return np.asarray(audible[audible > gate])


def _mean(energy: Energy) -> float:
    return float(energy.mean()) if len(energy) else 0.0


def _lufs_of(energy: Energy) -> Energy:
    return np.asarray(_OFFSET_LUFS + 10.0 * np.log10(np.maximum(energy, _energy_of(FLOOR_LUFS))))


def _energy_of(lufs: float) -> float:
    return float(10.0 ** ((lufs - _OFFSET_LUFS) / 10.0))
