"""The ``analyze`` handler: songs in, their figures out.

A drop is one song, or a folder of songs. A song that was analysed before, under any name, is
read from the folder that this inbox's jobs share; the others of a folder are its parts, and the
last round writes the table. A song that cannot be analysed is a row and a warning, as long as
another one can.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.batch import Plan, Song, examined, groups_of, parts_of, songs_in
from daemon.handlers.batch_result import Batch
from daemon.handlers.beside import calibration_in, truth_in
from daemon.handlers.contract import Note, Output, Result, Split, Task
from daemon.handlers.song import SongOptions, analysed, input_of, measurements_of, write_documents
from daemon.handlers.song_cache import Cache, Entry, entry_at, write_entry
from daemon.handlers.tagged import write_tagged
from dsp.analysis.calibration import Calibration
from dsp.containers.identify import AUDIO_SUFFIXES

ACCEPTS = AUDIO_SUFFIXES
JUDGE = "any"
HEADLINE = ("songs", "bpm", "key", "integrated_lufs")
STAGES = ("list", "analyse", "write")
KEEPS = True

_PLAN = "plan.json"
_FAILED = "failed.json"
_FAILURES = TypeAdapter(dict[str, tuple[str, str]])
_LAST_ROUND = 2
"""Groups, then the songs of those that failed, one by one."""
_MOST_NOTES = 100
"""The table has a row for each song; a status is to be read."""
_HASHED, _LISTED, _ANALYSED, _FOUND = 0.04, 0.05, 0.95, 0.955
"""Progress when the songs have been hashed, looked up and analysed; when all have been read."""


class Options(SongOptions):
    """The settings of an analysis."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "default"
    """Results of one never answer another's."""
    force: bool = False
    """Analyse again, and replace what is kept."""
    key_names: Literal["classic", "camelot", "open_key"] = "classic"
    """Which spelling stands first."""
    calibration: Calibration | None = None
    """For all drops of an inbox; the ``calibration.yaml`` of a drop goes before it."""
    cache_mb: Annotated[float, Field(ge=0)] = 1024.0
    """What is kept at the most."""


def handle(task: Task) -> Result | Split:
    """Analyse the drop, or say which parts do.

    Raises
    ------
    BadInput
        No song can be used; the code is that of most of them.
    NothingToDo
        There is no song.
    """
    cache = _cache(task)
    if not task.source.is_dir():
        return _single(task, cache)
    if task.round:
        plan = _gathered(task)
        missing = [] if task.round >= _LAST_ROUND else _missing(plan, task, cache)
        plan.groups = [[place] for place in missing]
    else:
        plan = _planned(task, cache)
        plan.groups = groups_of(plan.songs, _missing(plan, task, cache))
    if plan.groups and task.kept is not None:
        return _split(task, plan, cache)
    with _by_hand(task, plan, cache) as folders:
        return _whole(task, plan, cache, folders)


def part(task: Task) -> Result:
    """Analyse the songs of a part; each is kept as soon as it is whole."""
    cache = _cache(task)
    songs = [Song.model_validate(song) for song in task.part["songs"]]
    failed: dict[str, tuple[str, str]] = {}
    whole = sum(song.seconds for song in songs) or 1.0
    before = 0.0
    for song in songs:

        def report(share: float, before: float = before, seconds: float = song.seconds) -> None:
            task.report("analyse", (before + share * seconds) / whole)

        try:
            _analyse(task, song, cache, task.workdir, report)
        except BadInput as error:
            if len(songs) == 1:
                raise
            failed[song.sha256] = (error.code, error.message)
        before += song.seconds
    (task.workdir / _FAILED).write_bytes(_FAILURES.dump_json(failed))
    names = sorted(path.name for path in task.workdir.iterdir())
    return Result(tuple(Output(name, "data") for name in names))


def _cache(task: Task) -> Cache:
    options: Options = task.options
    return Cache(task.kept, options.namespace, options.of_numbers())


def _find(cache: Cache, sha256: str, newer_than: float = 0.0) -> Entry | None:
    """Return what is kept of a song; what is no entry is made again."""
    try:
        return cache.find(sha256, newer_than)
    except ValueError:
        return None


def _analyse(
    task: Task, song: Song, cache: Cache, folder: Path, report: Callable[[float], None]
) -> None:
    """Put the entry of a song into a folder."""
    # An attempt before this one may have got as far as this song.
    planned = (task.carried / _PLAN).stat().st_mtime if task.carried else time.time()
    entry = _find(cache, song.sha256, planned if task.options.force else 0.0)
    if entry is None:
        path = task.source / song.name
        entry = Entry.of(analysed(task, path, song.name, report, song.sha256))
        cache.put(entry)
    write_entry(entry, folder / f"{song.sha256}.json")


def _single(task: Task, cache: Cache) -> Result:
    """Analyse a drop that is one song."""
    options: Options = task.options
    (song,) = examined(task.source.parent, [task.source.name], lambda _: None)
    entry = None if options.force else _find(cache, song.sha256)
    cached = entry is not None
    if entry is None:

        def report(share: float) -> None:
            task.report("analyse", share)

        entry = Entry.of(analysed(task, task.source, song.name, report, song.sha256))
        cache.put(entry)
        cache.prune(options.cache_mb)
    made = entry.analysed(song.name, cached=cached)
    notes = [Note(note.code, note.message) for note in made.analysis.warnings]
    outputs = [*write_documents(made, task.workdir, Path(), options)]
    if options.tags == "copy":
        tagged, why = write_tagged(made.analysis, task.source, task.workdir, Path())
        outputs += tagged
        notes += [Note("TAGS_NOT_WRITTEN", f"no copy with tags: {why}")] if why else []
    return Result(
        outputs=tuple(outputs),
        measurements=measurements_of(made.analysis),
        notes=tuple(notes),
        inputs=(input_of(made.analysis),),
    )


def _planned(task: Task, cache: Cache) -> Plan:
    """Return the songs of a folder, and which of them are known."""
    names = songs_in(task.source)
    if not names:
        raise NothingToDo("NO_AUDIO", f"there is no song in {task.name!r}", "Put songs into it.")
    songs = examined(task.source, names, lambda share: task.report("list", _HASHED * share))
    plan = Plan(songs=[])
    for place, song in enumerate(songs):
        task.report("list", _HASHED + (_LISTED - _HASHED) * place / len(songs))
        try:
            known = not task.options.force and cache.find(song.sha256) is not None
        except ValueError as error:
            known = False
            message = f"what was kept of {song.name} {error}; it is analysed again"
            plan.notes.append(("CACHE_DAMAGED", message))
        plan.songs.append(song.model_copy(update={"cached": known}))
    return plan


def _gathered(task: Task) -> Plan:
    """Return the plan of the round before, with what its parts did not bring about."""
    assert task.carried is not None  # noqa: S101 - it is there in every round but the first
    plan = Plan.model_validate_json((task.carried / _PLAN).read_bytes())
    for group, ended in zip(plan.groups, task.parts, strict=True):
        if ended.outcome == "done":
            plan.failed |= _FAILURES.validate_json((ended.folder / _FAILED).read_bytes())
        elif len(group) == 1:
            error = ended.error or {}
            told = str(error.get("code", "INTERNAL")), str(error.get("message", ended.outcome))
            plan.failed[plan.songs[group[0]].sha256] = told
    return plan


def _folders(task: Task) -> list[Path]:
    """Return where parts and plans have left entries."""
    ended = [one.folder for one in task.parts if one.outcome == "done"]
    return [*ended, *([task.carried] if task.carried else [])]


def _missing(plan: Plan, task: Task, cache: Cache) -> list[int]:
    """Return the places of songs that are neither known nor failed; of equal ones, the first."""
    seen = set(plan.failed)
    missing = []
    left = {path.name for folder in _folders(task) for path in folder.iterdir()}
    for place, song in enumerate(plan.songs):
        if song.sha256 in seen:
            continue
        seen.add(song.sha256)
        if (
            f"{song.sha256}.json" not in left
            and not song.cached
            and (not task.round or _find(cache, song.sha256) is None)
        ):
            missing.append(place)
    return missing


def _split(task: Task, plan: Plan, cache: Cache) -> Split:
    """Leave the plan, and what is known, for the rounds to come; return the parts."""
    known = _lookup(_folders(task), cache)
    for sha256 in {song.sha256 for song in plan.songs if song.cached or task.round}:
        if (entry := known(sha256)) is not None:  # the cache may be pruned meanwhile
            write_entry(entry, task.workdir / f"{sha256}.json")
    (task.workdir / _PLAN).write_text(plan.model_dump_json(), "utf-8")
    packed = task.source.is_relative_to(task.workdir)
    return Split(tuple(parts_of(plan, packed=packed)))


def _lookup(folders: list[Path], cache: Cache) -> Callable[[str], Entry | None]:
    where = {path.name: path for folder in folders for path in folder.iterdir()}

    def known(sha256: str) -> Entry | None:
        path = where.get(f"{sha256}.json")
        return entry_at(path, sha256) if path else _find(cache, sha256)

    return known


@contextmanager
def _by_hand(task: Task, plan: Plan, cache: Cache) -> Iterator[list[Path]]:
    """Give the folders with entries; without a daemon the parts are done here, in turn."""
    if not plan.groups:
        yield _folders(task)
        return
    whole = sum(song.seconds for song in plan.songs) or 1.0
    before = 0.0
    with tempfile.TemporaryDirectory(dir=task.workdir, prefix=".entries-") as made:
        for song in (plan.songs[place] for group in plan.groups for place in group):

            def report(share: float, before: float = before, song: Song = song) -> None:
                task.report_piece(song.name, share)
                share = min(1.0, (before + share * song.seconds) / whole)
                task.report("analyse", _LISTED + (_ANALYSED - _LISTED) * share)

            report(0.0)
            try:
                _analyse(task, song, cache, Path(made), report)
            except BadInput as error:
                plan.failed[song.sha256] = (error.code, error.message)
            report(1.0)
            before += song.seconds
        yield [Path(made)]


def _whole(task: Task, plan: Plan, cache: Cache, folders: list[Path]) -> Result:
    """Write everything that is said of a folder."""
    options: Options = task.options
    known = _lookup(folders, cache)

    def entry(sha256: str) -> Entry:
        if (found := known(sha256)) is None:
            raise RuntimeError(f"the analysis of {sha256} is lost")
        return found

    for place, song in enumerate(plan.songs):
        task.report("write", _ANALYSED + (_FOUND - _ANALYSED) * place / len(plan.songs))
        if song.sha256 not in plan.failed and known(song.sha256) is None:
            plan.failed[song.sha256] = ("INTERNAL", "the part that was to analyse it failed")
    failed = [song for song in plan.songs if song.sha256 in plan.failed]
    if len(failed) == len(plan.songs):
        codes = Counter(code for code, _ in (plan.failed[song.sha256] for song in failed))
        code = codes.most_common(1)[0][0]
        message = next(text for said, text in plan.failed.values() if said == code)
        raise BadInput(code, f"no song can be used; {message}")
    notes = [Note(code, message) for code, message in plan.notes]
    for song in failed:
        code, message = plan.failed[song.sha256]
        notes.append(Note("SONG_FAILED", f"{song.name}: {code}: {message}"))
    if (more := len(notes) - _MOST_NOTES) > 0:
        notes[_MOST_NOTES:] = [Note("SONG_FAILED", f"{more} more; the table names them")]
    batch = Batch(
        task.name, task.source, task.workdir, plan, entry, options, options.key_names, notes=notes
    )
    batch.truth = truth_in(task.source, [song.name for song in plan.songs], notes)
    batch.calibration = calibration_in(task.source, options.calibration, notes)
    outputs = batch.written(lambda share: task.report("write", _FOUND + (1 - _FOUND) * share))
    cache.prune(options.cache_mb)
    done = len(plan.songs) - len(failed)
    counts = {"songs": done, "failed": len(failed), "cached": sum(s.cached for s in plan.songs)}
    return Result(tuple(outputs), counts, tuple(notes))
