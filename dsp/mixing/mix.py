"""The whole way of a mix: a folder of stems in, a finished song beside its report out.

Theory of operation
-------------------
*Analyse, plan, render, master.* Stems are streamed twice and never held; what a song costs
in memory does not grow with its length. Every decision is in ``mix.yaml``; every number
that was measured is in ``report.json``.

The stages that tools know are reported as the work passes them. Rendering processes the
tracks and sums them in one go, so the first half of it is reported as
``processing_tracks`` and the second as ``mixing``.

Failures
--------
``AudioFormatError``: the drop's fault, with a stable code. ``ParameterError``: the
settings'. Either leaves nothing but work files, which are removed.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, Probe
from dsp.mixing.align.align import Placement, TimingCues, align
from dsp.mixing.comparison import KEPT, Comparison, compared, kept_of
from dsp.mixing.content import content_of
from dsp.mixing.copies import Copies
from dsp.mixing.evidence import told_roles
from dsp.mixing.memory import given_back_between
from dsp.mixing.plan import Plan, plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.reference import reference_of
from dsp.mixing.render.deliverables import Deliveries, deliver, stem_paths, wanted_of
from dsp.mixing.render.master import Mastered, master
from dsp.mixing.render.mixdown import Rendered, render
from dsp.mixing.render.platforms import lossy_peaks_dbtp, platforms_of
from dsp.mixing.render.preview import Preview
from dsp.mixing.render.verify import Verified
from dsp.mixing.report_data import report_of, warnings_of
from dsp.mixing.roles import PROFILES, roles_of
from dsp.mixing.sheet_text import text_of
from dsp.mixing.source import Resources
from dsp.mixing.stem_analysis import Analysis, analyse, analyse_all
from dsp.mixing.stems import Stems, Warned, by_found_names, find_stems, heard_once
from dsp.report.page import page_parts

OnProgress = Callable[[str, float], None]

STAGES = {
    "loading_stems": 0.10,
    "aligning_stems": 0.25,
    "processing_tracks": 0.50,
    "mixing": 0.65,
    "mastering": 0.80,
    "exporting": 0.90,
    "complete": 1.00,
}
"""The steps of progress that tools show, and where each begins; not the ``Stages`` of the recall
sheet, which are what can be switched off."""

_PREVIEW = "preview.ogg"
_OF_OUR_OWN = Limits(rate_hz_max=1 << 20, channels=2, frames=1 << 62)
"""The master is heard again; what may come in does not bind what goes out."""


@dataclass(frozen=True)
class Mixed:
    """What a mix made, and what is worth saying about it."""

    outputs: Mapping[str, str]
    """Role → file in the output folder."""
    figures: Mapping[str, Mapping[str, object]]
    """Role → what was measured, of those that sound."""
    heard: Verified
    warnings: tuple[tuple[str, str], ...]
    """``(code, sentence)``."""
    inputs: tuple[Mapping[str, object], ...]


def mix(
    source: Path,
    out: Path,
    settings: Settings,
    *,
    report: OnProgress,
    resources: Resources | None = None,
) -> Mixed:
    """Mix a folder of stems, or one file, into ``out``.

    Parameters
    ----------
    source : Path
        Read only.
    out : Path
        An existing folder; work files come and go in it.
    settings : Settings
        What the person asked for; a recall sheet is one way.
    report : callable
        Told the stage and the progress, 0..1.
    resources : Resources
        What may be used. The result does not depend on the number of threads.

    Raises
    ------
    AudioFormatError
        The stems cannot be used.
    ParameterError
        The settings name what is not there.
    """
    report = _rising(given_back_between(report))
    report("loading_stems", STAGES["loading_stems"])
    with closing(Copies(out)) as copies:
        means = replace(resources or Resources(), copies=copies)
        stems = find_stems(source, means, settings)
        settings = by_found_names(settings, [probe.name for probe in stems.probes])
        decided, placements, inputs, repeated = _decided(stems, settings, means, report)
        probes = [probe for probe in stems.probes if probe.name in decided.sheet.stems]
        rendered, mastered, delivered, comparison = _made_sound(decided, probes, out, means, report)
    report("exporting", STAGES["exporting"])
    warnings = (
        *stems.warnings,
        *repeated,
        *warnings_of(decided, placements, mastered),
        *delivered.warnings(),
    )
    data = report_of(decided, placements, rendered, mastered, warnings)
    data.update(_afterwards(mastered, delivered, means.threads), compared=comparison.told)
    papers = _write_papers(out, data, mastered, comparison, song=source.name)
    report("complete", STAGES["complete"])
    return Mixed(
        outputs={"master": mastered.path.name, **papers, **delivered.outputs()},
        figures={
            "master": {**measurements_of(mastered.heard), **_balance_of(data)},
            **{one.role: measurements_of(one.heard) for one in delivered.masters},
        },
        heard=mastered.heard,
        warnings=warnings,
        inputs=inputs,
    )


def _afterwards(mastered: Mastered, delivered: Deliveries, threads: int) -> dict[str, Any]:
    """Return what the report says of where the master goes, and of the files beside it."""
    return {
        "platforms": platforms_of(mastered.heard),
        "lossy_peaks_dbtp": lossy_peaks_dbtp(mastered.path, mastered.heard, _OF_OUR_OWN, threads),
        "deliverables": [
            {"file": one.path, **measurements_of(one.heard)} for one in delivered.masters
        ],
    }


def _rising(report: OnProgress) -> OnProgress:
    """Return a report whose progress never falls: the master may need more than one pass."""
    highest = 0.0

    def rising(stage: str, progress: float) -> None:
        nonlocal highest
        highest = max(highest, progress)
        report(stage, highest)

    return rising


def _decided(
    stems: Stems, settings: Settings, resources: Resources, report: OnProgress
) -> tuple[Plan, dict[str, Placement], tuple[Mapping[str, object], ...], tuple[Warned, ...]]:
    """Return the plan, where the stems belong, what was read, and what is heard once only.

    What was heard of the stems is let go here: rendering needs the room.
    """
    analyses = _analysed(stems.probes, settings, resources, report)
    # It is heard once only, and needs no copy.
    song = stems.reference and analyse(stems.reference, resources=replace(resources, copies=None))
    report("aligning_stems", STAGES["aligning_stems"])
    inputs = tuple(
        {
            "path": file.name,
            "bytes": file.path.stat().st_size,
            "sha256": sha256,
            "frames": analysis.frames,
            "rate_hz": file.rate_hz,
            "channels": file.channels,
        }
        for analysis in (*analyses, *([song] if song else []))
        for file, sha256 in zip(analysis.probe.files, analysis.sha256, strict=True)
    )
    analyses, repeated = heard_once(analyses, settings)
    placements = _placed(analyses, settings)
    reference = reference_of(song) if song else None
    return plan(analyses, placements, settings, reference), placements, inputs, repeated


def _analysed(
    probes: Sequence[Probe], settings: Settings, resources: Resources, report: OnProgress
) -> list[Analysis]:
    """Return what was found in the stems."""
    low, high = STAGES["loading_stems"], STAGES["aligning_stems"]
    analyses = analyse_all(
        probes,
        resources=resources,
        onsets=settings.stages.align and settings.align in ("rhythm", "first_onset"),
        voices=_voices(probes, settings),
        report=lambda part: report("loading_stems", low + part * (high - low)),
    )
    if all(analysis.silent or content_of(analysis) == "offset" for analysis in analyses):
        raise AudioFormatError(
            "INPUT_SILENT",
            "every stem is silent from beginning to end",
            hint="Check the export of your session: tracks may have been muted.",
        )
    return analyses


def _voices(probes: Sequence[Probe], settings: Settings) -> set[str]:
    """Return the names of stems that are voices, as far as settings and names tell."""
    wanted = settings.overrides().get("stems", {})
    told = roles_of([probe.name for probe in probes])
    roles = {name: wanted.get(name, {}).get("role") or found.role for name, found in told.items()}
    return {name for name, role in roles.items() if role in PROFILES and PROFILES[role].voice}


def _placed(analyses: Sequence[Analysis], settings: Settings) -> dict[str, Placement]:
    """Return where every stem belongs in time."""
    told = told_roles(analyses, settings.overrides().get("stems", {}))
    stems = [
        TimingCues(
            name=a.probe.name,
            role=told[a.probe.name].role,
            rate_hz=a.probe.rate_hz,
            frames=a.frames,
            flux=a.flux,
            wave=a.wave,
            start_s=a.probe.start_s,
        )
        for a in analyses
    ]
    mode = settings.align if settings.stages.align else "off"
    return {placement.name: placement for placement in align(stems, mode=mode)}


def _made_sound(
    decided: Plan, probes: Sequence[Probe], out: Path, resources: Resources, report: OnProgress
) -> tuple[Rendered, Mastered, Deliveries, Comparison]:
    """Return the rendered and the finished mix, what else was asked for, and what is compared.

    The work files between them are gone.
    """
    wanted = wanted_of(decided.sheet)
    low, middle, high = STAGES["processing_tracks"], STAGES["mixing"], STAGES["mastering"]

    def rendering(part: float) -> None:
        progress = low + part * (high - low)
        report("processing_tracks" if progress < middle else "mixing", progress)

    rendering(0.0)
    stems, solos = stem_paths(decided.sheet, out), stem_paths(decided.sheet, out, "preview")
    speakers = stem_paths(decided.sheet, out, "speakers")
    rendered = render(
        decided,
        probes,
        out,
        resources=resources,
        report=rendering,
        parts={one.heard for one in wanted if one.heard is not None},
        stem_files=stems,
        speaker_files=speakers,
        excerpts=kept_of(solos),
    )
    rate_hz, passage = decided.sheet.rate_hz, rendered.plain.passage
    threads = resources.threads
    files = 1 + len(wanted)
    span = (STAGES["exporting"] - high) / files
    try:
        mastered = master(
            rendered,
            decided.sheet,
            out / f"final_mix.{decided.sheet.format}",
            limits=_OF_OUR_OWN,
            report=lambda part: report("mastering", high + part * span),
            preview=lambda: Preview(out / _PREVIEW, rate_hz, (out / KEPT, passage)),
        )
        masters = deliver(
            rendered,
            wanted,
            mastered.sheet,
            out,
            limits=_OF_OUR_OWN,
            report=lambda part: report("mastering", high + (1 + part * len(wanted)) * span),
        )
        paths = (*stems.values(), *speakers.values(), *solos.values())
        delivered = Deliveries(tuple(masters), paths)
        make_up_db = mastered.sheet.master.make_up_db or 0.0
        comparison = compared(
            rendered.plain, out, solos, rate_hz=rate_hz, make_up_db=make_up_db, threads=threads
        )
    finally:
        rendered.remove()
    return rendered, mastered, delivered, comparison


def _write_papers(
    out: Path, data: Mapping[str, Any], mastered: Mastered, comparison: Comparison, *, song: str
) -> dict[str, str]:
    """Write the recall sheet and the reports; return them by role."""
    sheet = text_of(mastered.sheet)
    _write(out / "mix.yaml", [sheet])
    _write(out / "report.json", [json.dumps(data, indent=1, allow_nan=False), "\n"])
    played = (out / _PREVIEW, *comparison.sounds)
    with ExitStack() as stack:
        sounds = [stack.enter_context(path.open("rb")) for path in played]
        _write(out / "report.html", page_parts(data, sheet=sheet, sounds=sounds, name=song))
    for path in played:
        path.unlink()
    return {"report": "report.html", "data": "report.json", "sheet": "mix.yaml"}


def _write(path: Path, parts: Iterable[str]) -> None:
    """Write a text; return when it is on the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _balance_of(data: Mapping[str, Any]) -> dict[str, float]:
    """Return the lead's distance to the rest, where there is one."""
    found = data["balance"]["lead_to_rest_lu"]
    return {} if found is None else {"lead_to_rest_lu": found}


def measurements_of(heard: Verified) -> dict[str, Any]:
    """Return what a status file says about the master."""
    return {
        "integrated_lufs": round(heard.integrated_lufs, 2),
        "true_peak_dbtp": round(heard.true_peak_dbtp, 2),
        "range_lu": round(heard.range_lu, 2),
        "frames": heard.frames,
        "rate_hz": heard.rate_hz,
        "channels": 2,
        "duration_s": round(heard.frames / heard.rate_hz, 3),
    }
