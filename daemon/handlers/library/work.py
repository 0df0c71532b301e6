"""What is to be found out of files: cut into parts by the work it takes, and done in them.

A part is given a list of files, reads them below the roots, and leaves one row for each. It
writes no catalogue.

Rule: a file is opened below its root without following a link, and one whose size or time is not
what the plan saw is left for the next run.
"""

import base64
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

from daemon.handlers.contract import MOST_PARTS, Part
from daemon.handlers.library.catalogue import PLACED, Catalogue, as_bytes, as_text
from daemon.handlers.library.tree import Tree, int64, quick_id, sha256_of
from dsp.containers.identify import read_header

Stage: TypeAlias = Literal["tags", "decode", "follow", "transcript"]

ROWS = "rows.jsonl"
UNSUPPORTED = "INPUT_NOT_SUPPORTED"
"""Another worker may hear it: one that may start ``ffmpeg``."""

_TAGS_S = 0.004
"""Of a file; what a disk takes to find its head and its tail."""
_REAL_TIME = {"tags": 1e9, "decode": 250.0, "follow": 80.0, "transcript": 5.0}
"""Seconds of sound that are done in one."""
_BYTES_PER_S = 20_000
_READ_BYTES_PER_S = 100e6
_ONCE = """AND file.id IN
    (SELECT min(id) FROM file WHERE due IN ('follow', 'transcript') GROUP BY content, due)"""
"""Of files that are alike, one is enough."""
_MOST_FILES = 20_000
"""Of a part."""


def cut(
    catalogue: Catalogue,
    stage: Stage,
    workdir: Path,
    *,
    gen: int,
    settled_ns: int,
    part_s: float,
    most_s: float = math.inf,
    within: tuple[str, Sequence[object]] = ("1", ()),
    most_parts: int = MOST_PARTS,
) -> tuple[Part, ...]:
    """Write the lists of what is due into the work directory; return the parts.

    Parameters
    ----------
    catalogue : Catalogue
    stage : str
    workdir : Path
    gen : int
        The run: what it found itself goes first; what it has tried in vain is left out.
    settled_ns : int
        What was written later is left for another run, but for what was found before this one.
    part_s : float
        The work of a part, as far as it can be told.
    most_s : float
        That of all of them.
    within : tuple of (str, sequence)
        What is asked for: a condition in SQL, and its values.
    most_parts : int
    """
    rows = catalogue.rows(_due(stage, within[0]), stage, gen, settled_ns, *within[1])
    parts: list[Part] = []
    for files, work_s in _groups(rows, stage, part_s):
        name = list_name(stage, len(parts))
        (workdir / name).write_text("".join(map(_line, files)), "utf-8")
        first = as_text(files[0]["name"]).encode("utf-8", "replace").decode()
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        options = {"stage": stage, "list": name, "files": len(files)}
        parts.append(
            Part(
                name=f"{stage}: {first[:150]}{more}",
                options=options,
                reads=(name,),
                audio_s=work_s * (_REAL_TIME[stage] if stage != "tags" else 1.0),
                weight=max(work_s, 0.01),
            )
        )
        most_s -= work_s
        if len(parts) == most_parts or most_s <= 0:
            break
    return tuple(parts)


def _due(stage: Stage, within: str) -> str:
    """Return SQL: what is due, of a stage, in a run, and not younger than a time."""
    return f"""SELECT file.id, root.name AS root, folder.path AS folder, file.name, file.size,
        mtime_ns, content.sha256, coalesce(duration_s, declared_s) AS seconds,
        peaks IS NOT NULL OR meta.trouble <> '{UNSUPPORTED}' AS heard FROM {PLACED}
        LEFT JOIN content ON content.id = file.content LEFT JOIN meta ON meta.content = content.id
        WHERE due = ?1 AND state = 'here' AND due_gen <> -?2 AND (due_gen < ?2 OR mtime_ns <= ?3)
        AND ({within}) {_ONCE if stage in {"follow", "transcript"} else ""}
        ORDER BY due_gen DESC, file.id"""  # noqa: S608 - constants of ours


def list_name(stage: Stage, place: int) -> str:
    """Return the name of a part's list."""
    return f"{stage}-{place:04}.jsonl"


def _groups(rows: Iterable[Any], stage: Stage, part_s: float) -> Iterator[tuple[list[Any], float]]:
    files: list[Any] = []
    work_s = 0.0
    for row in rows:
        files.append(row)
        seconds = row["seconds"] or row["size"] / _BYTES_PER_S
        work_s += _TAGS_S + seconds / _REAL_TIME[stage]
        if stage == "decode":
            work_s += row["size"] / _READ_BYTES_PER_S
        if work_s >= part_s or len(files) >= _MOST_FILES:
            yield files, work_s
            files, work_s = [], 0.0
    if files:
        yield files, work_s


def _line(row: Any) -> str:  # noqa: ANN401 - a row
    told = {name: row[name] for name in ("id", "root", "size", "mtime_ns")}
    told |= {name: as_text(row[name]) for name in ("folder", "name")}
    told["known"] = row["sha256"].hex() if row["sha256"] and row["heard"] else None
    return json.dumps(told) + "\n"  # as ASCII: names may hold what is no UTF-8


def done(
    stage: Stage,
    listed: Path,
    roots: Mapping[str, Path],
    rows: Path,
    *,
    hear: Callable[[Path, str, Callable[[float], None]], Mapping[str, object]],
    report: Callable[[float], None],
) -> None:
    """Do a part: read its list, and write a row for each file as soon as it is known.

    Parameters
    ----------
    stage : str
    listed : Path
        What ``cut`` wrote.
    roots : mapping
        Names and places.
    rows : Path
        The file to write.
    hear : function
        What is said of a sound, for ``decode`` and ``follow``: of its path, its name and a
        function that is told the share that is done.
    report : function of the share that is done
    """
    lines = listed.read_text("utf-8").splitlines()
    with ExitStack() as stack:
        trees = {name: stack.enter_context(Tree(path)) for name, path in roots.items()}
        out = stack.enter_context(rows.open("w", encoding="utf-8"))
        for place, line in enumerate(lines):
            asked = json.loads(line)
            before, share = place / len(lines), 1 / len(lines)

            def progress(heard: float, before: float = before, share: float = share) -> None:
                report(before + share * heard)

            if (tree := trees.get(asked["root"])) is not None:
                row = _row(stage, asked, tree, hear, progress)
                out.write(json.dumps(row | {"id": asked["id"]}) + "\n")
            report(before + share)


def _row(
    stage: Stage,
    asked: Mapping[str, Any],
    tree: Tree,
    hear: Callable[[Path, str, Callable[[float], None]], Mapping[str, object]],
    progress: Callable[[float], None],
) -> dict[str, object]:
    folder, name = as_bytes(asked["folder"]), as_bytes(asked["name"])
    try:
        with tree.opened(folder, name) as fd:
            told = os.fstat(fd)
            if (told.st_size, int64(told.st_mtime_ns)) != (asked["size"], asked["mtime_ns"]):
                return {"error": "changed meanwhile"}
            if stage == "tags":
                return _tags(fd, told.st_size)
            sha256 = sha256_of(fd).hex() if stage == "decode" else None
            if stage == "decode" and sha256 == asked["known"]:
                return {"sha256": sha256}
            here, _, _ = tree.enter(folder)
            path = Path(f"/proc/self/fd/{here}") / os.fsdecode(name)
            return {"sha256": sha256, **hear(path, asked["name"], progress)}
    except OSError as error:
        return {"error": error.strerror or "cannot be read"}


def _tags(fd: int, size: int) -> dict[str, object]:
    from dsp.analysis.tags import every_tag, length_s  # noqa: PLC0415 - a scan does without

    header = read_header(fd, size, to_end=False)  # its decode will tell
    with os.fdopen(os.dup(fd), "rb") as file:
        tags, declared_s = every_tag(file), header.seconds()
        if declared_s is None and header.container == "mp4":
            file.seek(0)
            declared_s = length_s(file)
    return {
        "quick": quick_id(fd, size).hex(),
        "tags": tags,
        "declared_s": declared_s,
        "rate_hz": header.format.rate_hz,
        "channels": header.format.channels,
    }


def sound_of(
    path: Path,
    name: str,
    progress: Callable[[float], None],
    *,
    limits: Mapping[str, int],
    foreign: bool,
) -> dict[str, object]:
    """Return what ``decode`` says of a sound."""
    from dsp.analysis.brief import brief_of  # noqa: PLC0415 - loads NumPy
    from dsp.errors import AudioFormatError  # noqa: PLC0415
    from dsp.formats.reader import Limits  # noqa: PLC0415

    try:
        brief = brief_of(
            path, name=name, limits=Limits(**limits), foreign=foreign, on_progress=progress
        )
    except AudioFormatError as error:
        return {"trouble": error.code}
    return {
        **{name: getattr(brief, name) for name in ("duration_s", "rate_hz", "channels")},
        **{name: getattr(brief, name) for name in ("integrated_lufs", "sample_peak_dbfs")},
        "peaks": base64.b64encode(brief.peaks).decode(),
        "audio_md5": brief.audio_md5.hex(),
        "trouble": brief.trouble or None,
    }


def analysis_of(
    path: Path,
    name: str,
    progress: Callable[[float], None],
    *,
    limits: Mapping[str, int],
    foreign: bool,
) -> dict[str, object]:
    """Return what ``follow`` says of a sound: the figures of ``analyze``."""
    from dsp.analysis.options import AnalysisOptions  # noqa: PLC0415 - loads NumPy
    from dsp.analysis.song import analyse  # noqa: PLC0415
    from dsp.errors import AudioFormatError  # noqa: PLC0415
    from dsp.formats.reader import Limits  # noqa: PLC0415

    try:
        made = analyse(
            path,
            AnalysisOptions(),
            progress,
            name=name,
            limits=Limits(**limits),
            foreign=foreign,
            sha256="0" * 64,  # the catalogue has it
        )
    except AudioFormatError as error:
        return {"follow": {"trouble": error.code}}
    told = made.analysis
    figures = {
        "bpm": told.tempo.bpm.value,
        "key": told.key.name.value,
        "energy": told.energy.score.value,
        "danceability": told.danceability.score.value,
        "true_peak_dbtp": told.loudness.true_peak_dbtp.value,
        "range_lu": told.loudness.range_lu.value,
    }
    return {"follow": figures}
