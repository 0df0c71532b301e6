"""What meters read, as figures.

Rule 1: digital silence before the first sound is not part of the song: only outline and
silences are told of it. So silence put in front changes no reading; loudness meters that begin
with the file differ by some hundredths of a LU there.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.bandwidth import BandwidthMeter
from dsp.analysis.document import Bandwidth, Levels, Loudness, ReplayGain
from dsp.analysis.features import Features
from dsp.analysis.figure import Figure, Why
from dsp.analysis.outline import OutlineMeter, SilenceMeter
from dsp.audio import Block
from dsp.measure.levels import LevelMeter, TruePeakMeter
from dsp.measure.long_loudness import LongLoudnessMeter
from dsp.measure.loudness import MOMENTARY_S, SHORT_TERM_S
from dsp.units import ratio_of

FLOOR_DB = -120.0
"""The floor of every peak and level in a document: below the noise of any recording."""

SILENT_LUFS = -70.0
"""A song that never passes the absolute gate of BS.1770 is silent."""

_REPLAYGAIN_LUFS = -18.0  # ReplayGain 2.0


class Meters:
    """All that listens to the one stream.

    Parameters
    ----------
    rate_hz, channels : int
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.lead_frames = self.frames = 0
        """Of digital silence before the first sound, and in all."""
        self.loudness = LongLoudnessMeter(rate_hz, channels)
        self.levels = LevelMeter(channels)
        self.true_peak = TruePeakMeter(rate_hz, channels)
        self.silence = SilenceMeter()
        self.outline = OutlineMeter(channels)
        self.bandwidth = BandwidthMeter(rate_hz)
        self.features = Features(rate_hz)

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        mono = mono_of(block)
        self.features.feed(mono)
        self.silence.update(block)
        self.outline.update(block)
        lead = self._lead(block)
        if lead < len(block):
            for meter in (self.loudness, self.levels, self.true_peak):
                meter.update(block[lead:])
            self.bandwidth.update(mono[lead:])

    @property
    def lead_s(self) -> float:
        """Digital silence before the first sound."""
        return self.lead_frames / self.rate_hz

    def _lead(self, block: Block) -> int:
        """Return how many frames of this block are silence before the first sound."""
        lead = 0
        if self.lead_frames == self.frames:
            sounding = np.flatnonzero(block.any(axis=1))
            lead = int(sounding[0]) if len(sounding) else len(block)
            self.lead_frames += lead
        self.frames += len(block)
        return lead


def mono_of(block: Block) -> NDArray[np.float32]:
    """Return the mean of the channels, the same when the first two are swapped."""
    total = block[:, 0].copy()
    for channel in block.T[1:]:
        total += channel
    total *= np.float32(1 / block.shape[1])
    return total


def loudness_of(meters: Meters) -> Loudness:
    """Return the loudness figures; ``None`` where the song is shorter than their window."""
    meter = meters.loudness
    silent = meters.lead_frames == meters.frames
    duration_s = meters.frames / meters.rate_hz - (0.0 if silent else meters.lead_s)
    true_peak_dbtp, sample_peak_dbfs = true_peak_dbtp_of(meters), _sample_peak_dbfs(meters)
    integrated = _windowed(meter.integrated_lufs(), "LUFS", MOMENTARY_S, duration_s)
    plr = absent("dB", integrated.why or "silent")
    if integrated.value is not None and integrated.value > SILENT_LUFS:
        plr = measured(true_peak_dbtp - meter.integrated_lufs(), "dB")
    return Loudness(
        integrated_lufs=integrated,
        range_lu=_windowed(meter.range_lu(), "LU", SHORT_TERM_S, duration_s),
        momentary_max_lufs=_windowed(meter.momentary_max_lufs(), "LUFS", MOMENTARY_S, duration_s),
        short_term_max_lufs=_windowed(
            meter.short_term_max_lufs(), "LUFS", SHORT_TERM_S, duration_s
        ),
        true_peak_dbtp=measured(true_peak_dbtp, "dBTP"),
        sample_peak_dbfs=measured(sample_peak_dbfs, "dBFS"),
        plr_db=plr,
    )


def replaygain_of(loudness: Loudness) -> ReplayGain:
    """Return the gain to −18 LUFS; the album is for who knows the other songs."""
    plr, lufs = loudness.plr_db, loudness.integrated_lufs.value
    peak_dbtp = loudness.true_peak_dbtp.value
    gain, peak = absent("dB", plr.why or "silent"), absent("", plr.why or "silent")
    if plr.why is None and lufs is not None and peak_dbtp is not None:
        gain = measured(_REPLAYGAIN_LUFS - lufs, "dB")
        peak = measured(ratio_of(peak_dbtp), digits=6)
    return ReplayGain(
        track_gain_db=gain,
        track_peak=peak,
        album_gain_db=absent("dB", "one song"),
        album_peak=absent("", "one song"),
    )


def levels_of(meters: Meters, rate_hz: int, channels: int) -> Levels:
    """Return what shows the faults of a file."""
    meter, silence = meters.levels, meters.silence
    dc = meter.dc()
    correlation: Figure[float] = measured(meter.correlation(), digits=3)
    if channels == 1 or silence.head is None:
        correlation = absent("", "one channel" if channels == 1 else "silent")
    crest = measured(meter.crest_factor_db(), "dB")
    if silence.head is None:
        crest = absent("dB", "silent")
    head = silence.tail if silence.head is None else silence.head
    return Levels(
        dc=measured(dc[np.abs(dc).argmax()], digits=6),
        clipped_runs=Figure(value=meter.clipped_runs(), unit=""),
        clipped_frames=Figure(value=meter.clipped_frames(), unit=""),
        correlation=correlation,
        rms_dbfs=measured(max(FLOOR_DB, meter.pooled_rms_dbfs()), "dBFS"),
        crest_factor_db=crest,
        silence_head_s=measured(head / rate_hz, "s", 3),
        silence_tail_s=measured(silence.tail / rate_hz, "s", 3),
        silence_longest_s=measured(silence.longest / rate_hz, "s", 3),
    )


def bandwidth_of(meters: Meters, why: Why | None) -> Bandwidth:
    """Return where the spectrum ends, or why that cannot be told."""
    found = None if why else meters.bandwidth.edge()
    if found is None:
        reason: Why = why or "silent"
        return Bandwidth(
            edge_hz=absent("Hz", reason),
            drop_db=absent("dB", reason),
            residue_dbfs=absent("dBFS", reason),
            evidence=Figure(value=None, unit="", source="estimated", why=reason),
        )
    return Bandwidth(
        edge_hz=measured(found.edge_hz, "Hz", 0),
        drop_db=measured(found.drop_db, "dB", 1),
        residue_dbfs=measured(found.residue_dbfs, "dBFS", 1),
        evidence=Figure(value=found.evidence, unit="", source="estimated"),
    )


def true_peak_dbtp_of(meters: Meters) -> float:
    """Return the true peak of the loudest channel."""
    return max(FLOOR_DB, meters.true_peak.true_peak_dbtp())


def measured(value: float, unit: str = "", digits: int = 2) -> Figure[float]:
    """Return a figure of what a meter read."""
    return Figure(value=round(float(value), digits) + 0.0, unit=unit)


def absent(unit: str, why: Why) -> Figure[float]:
    """Return a figure that does not exist."""
    return Figure(value=None, unit=unit, why=why)


def _windowed(value: float, unit: str, window_s: float, duration_s: float) -> Figure[float]:
    return absent(unit, "too short") if duration_s < window_s else measured(value, unit)


def _sample_peak_dbfs(meters: Meters) -> float:
    return max(FLOOR_DB, float(meters.levels.sample_peak_dbfs().max()))
