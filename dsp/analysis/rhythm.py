"""The rhythm of a song, whole: tempo and what else it might be, beats, bars, how steady.

Rules
-----
Rule 1: the BPM of a song is what its beats say, (beats − 1) over their time: songs whose tempo
steps or drifts come out right, and no grid shows.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.bars import bars_of
from dsp.analysis.beats import track
from dsp.analysis.features import FRAMES_PER_S, Evidence
from dsp.analysis.onsets import beat_strength, envelopes
from dsp.analysis.tempo import FASTEST_BPM, SLOWEST_BPM, Candidate, candidates

SHORTEST_S = 6.0
FEWEST_BEATS = 8

_STEADY = 0.01
_STEADY_SHARE = 0.95


@dataclass(frozen=True)
class Rhythm:
    """What is known of the rhythm of a song."""

    candidates: list[Candidate]
    """At most four; the first is the tempo."""
    beats_s: list[float]
    """Seconds from the first frame of the file, to the millisecond, ascending."""
    meter: int
    """Beats per bar: 2, 3 or 4."""
    meter_p: float
    first_downbeat: int
    """Number of the beat that the first whole bar begins with."""
    curve: list[tuple[float, float]]
    """Seconds and BPM of every whole bar."""

    @property
    def bpm(self) -> float:
        """The mean tempo of the song: beats − 1 over their time."""
        return self.candidates[0].bpm

    @property
    def downbeats_s(self) -> list[float]:
        """The beats that begin a bar."""
        return self.beats_s[self.first_downbeat :: self.meter]

    @property
    def range_bpm(self) -> tuple[float, float]:
        """The slowest and the fastest bar; the tempo where no bar is whole."""
        tempi = [bpm for _, bpm in self.curve] or [self.bpm]
        return min(tempi), max(tempi)

    @property
    def stable(self) -> bool:
        """Whether 95 % of the bars are within 1 % of the tempo."""
        tempi = np.array([bpm for _, bpm in self.curve])
        within = np.abs(tempi / self.bpm - 1) <= _STEADY
        return bool(len(tempi) and within.mean() >= _STEADY_SHARE)


def rhythm_of(
    evidence: Evidence,
    cents: float,
    bpm_range: tuple[float, float] = (SLOWEST_BPM, FASTEST_BPM),
) -> Rhythm | None:
    """Return the rhythm; ``None`` under ``SHORTEST_S`` of sound or ``FEWEST_BEATS`` beats.

    Parameters
    ----------
    evidence : Evidence
    cents : float
        How the song is tuned, for its harmony.
    bpm_range : (low, high)
        What the tempo is sought in, BPM.
    """
    envelope = envelopes(evidence.rises)
    if evidence.sound_s < SHORTEST_S or not envelope.any():
        return None
    found = candidates(envelope, bpm_range)
    beats = track(beat_strength(envelope), found[0].bpm)
    if len(beats) < FEWEST_BEATS:
        return None
    bars = bars_of(beats, envelope, evidence.pitch, cents)
    seconds = evidence.offset_s + beats / FRAMES_PER_S
    return Rhythm(
        candidates=_refined(found, seconds),
        beats_s=np.round(seconds, 3).tolist(),
        meter=bars.meter,
        meter_p=bars.p,
        first_downbeat=bars.first,
        curve=_curve(seconds[bars.first :: bars.meter], bars.meter),
    )


def _refined(found: list[Candidate], seconds: NDArray[np.float64]) -> list[Candidate]:
    """Return the candidates, the first as its beats say, its relatives with it."""
    bpm = 60 * (len(seconds) - 1) / (seconds[-1] - seconds[0])
    ratio = float(bpm) / found[0].bpm
    return [replace(one, bpm=one.bpm * ratio) if one.relation or not k else one
            for k, one in enumerate(found)]  # fmt: skip


def _curve(downbeats_s: NDArray[np.float64], meter: int) -> list[tuple[float, float]]:
    tempi = 60 * meter / np.diff(downbeats_s)
    return [(round(at, 3), round(bpm, 2))
            for at, bpm in zip(downbeats_s.tolist(), tempi.tolist(), strict=False)]  # fmt: skip
