"""What was measured and why it was decided, as plain data for ``report.json``.

Everything in it is rounded, finite and small: curves have at most ``CURVE_POINTS`` points.
A figure that does not exist (the lead's distance where there is no lead) is ``None``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.formats.reader import Probe
from dsp.kernels import ENGINE
from dsp.measure.loudness import integrated_lufs
from dsp.measure.spectrum import THIRD_OCTAVES_HZ
from dsp.mixing.align.align import Placement
from dsp.mixing.align.stamps import stamps_of
from dsp.mixing.content import silent_side
from dsp.mixing.plan import Plan
from dsp.mixing.reference import Reference
from dsp.mixing.render.master import Mastered
from dsp.mixing.render.mixdown import Rendered
from dsp.mixing.render.strip import TrackMeters
from dsp.mixing.render.verify import Verified
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.tone import MASTER_TARGET_DB, OCTAVES_HZ, target_distance_db
from dsp.mixing.track import Track
from dsp.processors.compressor import Reduction
from dsp.stem_roles import LEADS
from dsp.units import power_db_of, power_dbs_of

SCHEMA = 1
CURVE_POINTS = 1_000
TRACK_POINTS = 400

_TARGET_TOLERANCE_LU = 0.1
_EIGHT_BITS = frozenset({"PCM_U8", "PCM_S8", "ULAW", "ALAW"})
_LEAST_RATE_HZ = 32_000
"""Of what sounds whole to most people."""
_LOSS_MAX_DB = 3.0


def report_of(
    decided: Plan,
    placements: Mapping[str, Placement],
    rendered: Rendered,
    mastered: Mastered,
    warnings: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Return the report of a mix."""
    heard, sheet = mastered.heard, mastered.sheet
    return {
        "schema": SCHEMA,
        "soundspool": sheet.soundspool,
        "kernels": ENGINE,
        "preset": sheet.preset,
        "duration_s": round(heard.frames / heard.rate_hz, 3),
        "rate_hz": heard.rate_hz,
        "format": sheet.format,
        "bits": sheet.bits,
        "master": _master(heard, mastered),
        "premaster": {
            "integrated_lufs": _number(rendered.loudness.integrated_lufs()),
            "range_lu": _number(rendered.loudness.range_lu()),
        },
        "balance": _balance(decided, rendered),
        "reference": _reference(decided.reference),
        "spectrum": _spectrum(decided, rendered, heard),
        "waveform": _waveform(heard),
        "curves": _curves(heard),
        "reductions": _reductions(rendered, mastered),
        "stems": [_stem(track, placements, decided, rendered) for track in decided.tracks],
        "warnings": [{"code": code, "message": message} for code, message in warnings],
    }


def _number(value: float, digits: int = 2) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _numbers(values: NDArray[Any] | Sequence[float], digits: int = 2) -> list[float]:
    return [round(float(value), digits) for value in np.nan_to_num(np.asarray(values))]


def thinned(curve: NDArray[Any], points: int) -> NDArray[np.float64]:
    """Return at most ``points`` values: of each stretch the one furthest from zero."""
    values = np.asarray(curve, np.float64)
    if len(values) <= points:
        return values
    cuts = np.array_split(values, points)
    return np.asarray([cut[np.argmax(np.abs(cut))] for cut in cuts])


def _averaged(curve: NDArray[Any], points: int) -> NDArray[np.float64]:
    values = np.asarray(curve, np.float64)
    if len(values) <= points:
        return values
    return np.asarray([cut.mean() for cut in np.array_split(values, points)])


def _master(heard: Verified, mastered: Mastered) -> dict[str, Any]:
    sheet = mastered.sheet.master
    return {
        "target_lufs": sheet.target_lufs,
        "ceiling_dbtp": sheet.ceiling_dbtp,
        "integrated_lufs": _number(heard.integrated_lufs),
        "momentary_max_lufs": _number(heard.momentary_max_lufs),
        "short_term_max_lufs": _number(heard.short_term_max_lufs),
        "range_lu": _number(heard.range_lu),
        "true_peak_dbtp": _number(heard.true_peak_dbtp),
        "true_peaks_dbtp": _numbers(heard.true_peaks_dbtp),
        "sample_peaks_dbfs": _numbers(heard.sample_peaks_dbfs),
        "rms_dbfs": _numbers(heard.rms_dbfs),
        "crest_factor_db": _number(heard.crest_factor_db),
        "plr_db": _number(heard.plr_db),
        "correlation": _number(heard.correlation),
        "fold_down_loss_db": _number(heard.fold_down_loss_db),
        "make_up_db": sheet.make_up_db,
        "passes": mastered.passes,
    }


def _balance(decided: Plan, rendered: Rendered) -> dict[str, Any]:
    """Return the distances between roles as wanted, and as they arrived at the sum."""
    wanted = decided.loudness_lufs
    tracks = [t for t in decided.tracks if t.name in rendered.tracks and t.name in wanted]
    lead = max((wanted[t.name] for t in tracks if t.role in LEADS), default=None)
    loud = {t.name: integrated_lufs(rendered.tracks[t.name].energy, step_s=STEP_S) for t in tracks}
    leads = [loud[t.name] for t in tracks if t.role in LEADS]
    return {
        "kept": decided.sheet.balance_why,
        "lead_to_rest_lu": lead_to_rest(tracks, rendered.tracks, decided.lead_active),
        "lead_to_rest_planned_lu": decided.lead_to_rest_lu,
        "lead_to_rest_bands_db": lead_to_rest_bands(tracks, rendered.tracks),
        "masked": [
            {"hz": m.hz, "excess_db": m.excess_db, "better_db": m.better_db} for m in decided.masked
        ],
        "roles": [
            {
                "stem": track.name,
                "role": track.role,
                "wanted_lu": None if lead is None else _number(wanted[track.name] - lead),
                "loudness_lufs": _number(loud[track.name]),
                "to_lead_lu": _number(loud[track.name] - max(leads)) if leads else None,
            }
            for track in tracks
        ],
    }


def lead_to_rest(
    tracks: Sequence[Track], meters: Mapping[str, TrackMeters], active: NDArray[np.bool_]
) -> float | None:
    """Return the lead's loudness against the rest's at the sum, while the lead sounds."""
    lead, rest = 0.0, 0.0
    for track in tracks:
        energy = meters[track.name].energy
        steps = min(len(energy), len(active))
        power = float(energy[:steps][active[:steps]].sum())
        lead, rest = (lead + power, rest) if track.role in LEADS else (lead, rest + power)
    return _number(power_db_of(lead / rest)) if lead > 0 and rest > 0 else None


def lead_to_rest_bands(tracks: Sequence[Track], meters: Mapping[str, TrackMeters]) -> list[float]:
    """Return the same per third octave, in dB; empty without a lead or a rest."""
    sums = {True: np.zeros(len(THIRD_OCTAVES_HZ)), False: np.zeros(len(THIRD_OCTAVES_HZ))}
    for track in tracks:
        sums[track.role in LEADS] += meters[track.name].bands_under_lead
    if not (sums[True].any() and sums[False].any()):
        return []
    return _numbers(power_dbs_of(sums[True]) - power_dbs_of(sums[False]), 1)


def _reference(song: Reference | None) -> dict[str, Any] | None:
    if song is None:
        return None
    return {
        "name": song.name,
        "integrated_lufs": _number(song.loudness_lufs),
        "crest_factor_db": _number(song.crest_factor_db),
        "side_share": _number(song.side_share, 3),
    }


def _spectrum(decided: Plan, rendered: Rendered, heard: Verified) -> dict[str, Any]:
    before = power_dbs_of(rendered.spectrum.mean_powers())
    target_db = MASTER_TARGET_DB
    if decided.reference is not None:
        target_db = decided.reference.spectrum_db - decided.reference.spectrum_db.max()
    distance = target_distance_db(10.0 ** (heard.bands_db / 10.0), target_db)
    sums = sum(t.spectrum * float(t.active.mean()) for t in decided.tracks if len(t.active))
    as_recorded = power_dbs_of(sums)
    return {
        "hz": _numbers(np.asarray(THIRD_OCTAVES_HZ), 1),
        "stems_db": _numbers(as_recorded, 1),
        "before_db": _numbers(before, 1),
        "after_db": _numbers(heard.bands_db, 1),
        "target_db": _numbers(target_db, 1),
        "octaves_hz": list(OCTAVES_HZ),
        "octave_distance_db": [None if np.isnan(d) else round(float(d), 1) for d in distance],
    }


def _waveform(heard: Verified) -> dict[str, Any]:
    shape = heard.shape
    return {
        "low": _numbers(shape.low, 3),
        "high": _numbers(shape.high, 3),
        "rms": _numbers(shape.rms, 4),
        "correlation": _numbers(_averaged(shape.correlation, CURVE_POINTS), 2),
    }


def _curves(heard: Verified) -> dict[str, Any]:
    return {
        "momentary_lufs": _numbers(_averaged(heard.momentary_lufs, CURVE_POINTS), 1),
        "short_term_lufs": _numbers(_averaged(heard.short_term_lufs, CURVE_POINTS), 1),
        "energy_dbfs": _numbers(
            power_dbs_of(_averaged(np.square(heard.shape.rms, dtype=np.float64), CURVE_POINTS)), 1
        ),
    }


def _reduction(reduction: Reduction, points: int) -> dict[str, Any]:
    return {
        "mean_db": _number(reduction.mean_db),
        "max_db": _number(reduction.max_db),
        "curve_db": _numbers(thinned(reduction.curve_db(), points), 1),
    }


def _reductions(rendered: Rendered, mastered: Mastered) -> dict[str, Any]:
    stages = {**rendered.reductions, "limiter": mastered.reduction}
    return {name: _reduction(reduction, CURVE_POINTS) for name, reduction in stages.items()}


def _stem(
    track: Track, placements: Mapping[str, Placement], decided: Plan, rendered: Rendered
) -> dict[str, Any]:
    analysis, placement = track.analysis, placements[track.name]
    meters = rendered.tracks.get(track.name)
    row: dict[str, Any] = {
        "name": track.name,
        "container": analysis.probe.container,
        "rate_hz": analysis.probe.rate_hz,
        "channels": analysis.probe.channels,
        "duration_s": round(analysis.duration_s, 3),
        "loudness_lufs": _number(track.loudness_lufs, 1),
        "sample_peak_dbfs": _number(analysis.sample_peak_dbfs, 1),
        "crest_factor_db": _number(analysis.crest_factor_db, 1),
        "correlation": _number(analysis.correlation),
        "active_share": _number(float(track.active.mean()) if len(track.active) else 0.0),
        "alignment": {
            "lag_ms": placement.lag_ms,
            "confidence": _number(placement.confidence),
            "moved": placement.moved,
            "why": placement.why,
        },
        "strip": decided.sheet.stems[track.name].model_dump(mode="json"),
    }
    if meters is not None:
        row["spectrum_db"] = _numbers(power_dbs_of(meters.bands), 1)
        row["scope_dbfs"] = _numbers(power_dbs_of(_averaged(meters.energy, TRACK_POINTS)), 1)
        row["reductions"] = {
            name: _reduction(reduction, TRACK_POINTS)
            for name, reduction in meters.reductions.items()
        }
    return row


def warnings_of(
    decided: Plan, placements: Mapping[str, Placement], mastered: Mastered
) -> list[tuple[str, str]]:
    """Return what a person should know, as ``(code, sentence)``."""
    found: list[tuple[str, str]] = []
    for track in decided.tracks:
        found += _stem_warnings(track, placements[track.name])
        if track.doubt:
            text = f"{track.name} is taken for {track.role} ({track.role_why}), but {track.doubt}"
            found.append(("ROLE_DOUBTED", text))
    by_stamp = decided.sheet.stages.align and decided.sheet.align in ("auto", "stamps")
    stamps = stamps_of([track.analysis.probe.start_s for track in decided.tracks])
    if by_stamp and stamps.doubt:
        found.append(("STAMPS_IGNORED", f"{stamps.doubt}; they were not used"))
    master, heard = mastered.sheet.master, mastered.heard
    missed = heard.integrated_lufs - master.target_lufs
    if abs(missed) > _TARGET_TOLERANCE_LU:
        why = mastered.why_missed or "the settings fix the gain into the limiter"
        text = f"the master has {heard.integrated_lufs:.1f} LUFS: {why}"
        found.append(("TARGET_NOT_REACHED", text))
    if heard.fold_down_loss_db > _LOSS_MAX_DB:
        loss = heard.fold_down_loss_db
        found.append(("MONO_LOSS", f"the mix loses {loss:.1f} dB when played in mono"))
    return found


def _stem_warnings(track: Track, placement: Placement) -> list[tuple[str, str]]:
    analysis, name = track.analysis, track.name
    clipped, nonfinite = analysis.clipped_frames, analysis.nonfinite
    found = []
    if analysis.silent:
        found.append(("STEM_SILENT", f"{name} is silent from beginning to end"))
    if track.content == "noise":
        text = f"{name} holds nothing but idle noise; it was left as it is"
        found.append(("STEM_ONLY_NOISE", text))
    if track.content == "offset":
        found.append(
            ("STEM_SILENT", f"{name} holds nothing but a constant offset; it was left out")
        )
    if not track.profile.pan and (side := silent_side(analysis)):
        text = f"the {side} channel of {name} is silent; a {track.role} belongs in the centre"
        found.append(("STEM_ONE_SIDED", text))
    if clipped:
        found.append(
            ("STEM_CLIPPED", f"{name} is clipped in {clipped} places; it was used as it is")
        )
    if nonfinite:
        text = f"{name} holds {nonfinite} samples that are not numbers; they were silenced"
        found.append(("STEM_NOT_FINITE", text))
    if analysis.probe.channels > 2 and not analysis.probe.speakers:  # noqa: PLR2004 - stereo
        text = f"{name} has {analysis.probe.channels} channels and does not say which is which"
        found.append(("CHANNELS_UNKNOWN", f"{text}; they were taken for pairs of left and right"))
    if wild := analysis.wild:
        samples = "1 sample" if wild.count == 1 else f"{wild.count} samples"
        text = (
            f"{name} has {samples} far above all neighbours, the first at {wild.first_s:.3f} s, "
            f"up to {wild.highest_dbfs:+.0f} dBFS; a straight line replaces each"
        )
        found.append(("SAMPLES_WILD", text))
    found += _poor(analysis.probe)
    if placement.moved:
        way = "earlier" if placement.lag_ms > 0 else "later"
        why = placement.why.removeprefix("moved: ")
        text = f"{name} was moved {abs(placement.lag_ms):.0f} ms {way}: {why}"
        found.append(("STEM_MOVED", text))
    return found


def _poor(probe: Probe) -> list[tuple[str, str]]:
    """Return a warning of what the format of a stem lacks."""
    lacks = []
    if any(file.subtype in _EIGHT_BITS for file in probe.files):
        lacks.append("has 8 bits a sample, whose noise is heard in soft passages")
    if probe.rate_hz < _LEAST_RATE_HZ:
        lacks.append(f"has nothing above {probe.rate_hz / 2000.0:g} kHz")
    return [("LOW_QUALITY", f"{probe.name} {' and '.join(lacks)}")] if lacks else []
