"""Which files of a drop are the stems of the song, and which are heard once only.

Rules
-----
1. Names match whatever the form of their accents: a Mac decomposes them, a keyboard does not.
2. What lies beside the stems and is none (``junk``) is passed over in silence; what may have been
   meant is named in a warning.
3. A copy that a sync tool made is left out by its name, and the same bytes are heard once, unless
   the settings name the file: who names it, means it. So are clicks and finished mixes.
4. A file called ``reference`` is no stem: the master is to resemble it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.containers.junk import composed, copies_among, files_in, kind_of, said_of_copy
from dsp.errors import AudioFormatError, ParameterError
from dsp.formats.reader import Probe
from dsp.mixing.pairs import paired
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.reference import is_reference
from dsp.mixing.roles import roles_of
from dsp.mixing.source import Resources
from dsp.mixing.stem_analysis import Analysis

NOT_STEMS = ("job.yaml", "mix.yaml", "report.json", "report.html")
"""Settings and what an earlier mix left: neither stems nor worth a warning."""

Warned = tuple[str, str]
"""Code and sentence."""


@dataclass(frozen=True)
class Stems:
    """The stems of a drop."""

    probes: tuple[Probe, ...]
    warnings: tuple[Warned, ...]
    reference: Probe | None = None
    """A finished song that the master is to resemble."""


def find_stems(source: Path, resources: Resources, settings: Settings) -> Stems:
    """Return the stems of a folder in the order of their names, or the one file.

    Files that are not audio are warned about inside a folder, as long as audio is left.

    Raises
    ------
    AudioFormatError
        ``NO_AUDIO``, or what is wrong with a stem.
    """
    if not source.is_dir():
        return Stems((resources.probe(source, source.name),), ())
    paths = {path.relative_to(source).as_posix(): path for path in files_in(source)}
    named = {composed(name) for name in settings.stems}
    audio = [name for name, path in paths.items() if path.suffix.lower() in AUDIO_SUFFIXES]
    copies = {c: of for c, of in copies_among(audio).items() if composed(c) not in named}
    warnings = [("CONFLICT_COPY", said_of_copy(copy, of)) for copy, of in copies.items()]
    probes = []
    for name, path in paths.items():
        nothing = name not in audio and not path.stat().st_size
        if nothing or name in copies or name in NOT_STEMS or kind_of(path.name) == "arriving":
            continue
        try:
            probes.append(resources.probe(path, name))
        except AudioFormatError as error:
            if error.code != "INPUT_NOT_AUDIO":
                raise
            warnings.append((error.code, error.message))
    if not probes:
        raise AudioFormatError(
            "NO_AUDIO",
            f"there is no audio in {source.name!r}",
            hint="Put WAV, AIFF, FLAC, Ogg, Opus or MP3 files into the folder and drop it again.",
        )
    aids = _aids_among([probe.name for probe in probes], named)
    stems = [probe for probe in probes if probe.name not in aids]
    references = [p for p in probes if p.name in aids and is_reference(p.name)]
    reference = references[0] if references and settings.stages.reference else None
    warnings += [
        ("STEM_SET_ASIDE", f"{name} was not mixed: {why}")
        for name, why in aids.items()
        if reference is None or name != reference.name
    ]
    return Stems(tuple(paired(stems, named)), tuple(warnings), reference)


def _aids_among(names: Sequence[str], named: Collection[str]) -> dict[str, str]:
    """Return the clicks, references and finished mixes beside stems, and what tells them."""
    aids = {
        name: told.why
        for name, told in roles_of(names).items()
        if told.aside and composed(name) not in named
    }
    return aids if len(aids) < len(names) else {}


def by_found_names(settings: Settings, names: Iterable[str]) -> Settings:
    """Return the settings with each stem under the name that its file has (rule 1).

    Raises
    ------
    ParameterError
        Two of the settings' names are one.
    """
    found = {composed(name): name for name in names}
    stems = {found.get(composed(name), name): wanted for name, wanted in settings.stems.items()}
    if len(stems) < len(settings.stems):
        raise ParameterError("stems: two names differ only in the form of their accents")
    return settings.model_copy(update={"stems": stems}) if stems else settings


def heard_once(
    analyses: Sequence[Analysis], settings: Settings
) -> tuple[list[Analysis], tuple[Warned, ...]]:
    """Return the stems without those whose bytes another one has, and the warnings (rule 3)."""
    again: set[str] = set()
    first: dict[tuple[str, ...], str] = {}
    warnings: list[Warned] = []
    for analysis in sorted(analyses, key=lambda one: one.probe.name not in settings.stems):
        name = analysis.probe.name
        same = first.setdefault(analysis.sha256, name)
        if same != name and not analysis.silent and name not in settings.stems:
            again.add(name)
            warnings.append(
                ("STEM_REPEATED", f"{name} holds the same bytes as {same}; it was mixed once")
            )
    return [one for one in analyses if one.probe.name not in again], tuple(warnings)
