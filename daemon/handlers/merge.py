"""The ``merge`` handler: recorded chunks in, one recording out.

Theory of operation
-------------------
Three passes. The first looks at headers and puts the chunks in order; the second hears each chunk,
a block at a time, and finds how it joins the one before; the third writes. Only after the second
is it known which chunks can be used, so nothing is written that a later one could make wrong.

Rules
-----
Rule 1: a chunk that cannot be used is left out, named and counted; ``strict`` makes it a failure.
A silent one is used: it is time. Only when nothing sounds is there nothing to do.

Rule 2: which chunks are whole is found out here and not at the inbox (``JUDGE = "none"``): a
recorder that died left its last chunk short, and no more of it will come.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.contract import Note, Output, Result, Task
from daemon.handlers.merging.chunks import Chunk, chunks_of, with_headers
from daemon.handlers.merging.documents import ChunkRow, Manifest
from daemon.handlers.merging.listening import Heard, Listener
from daemon.handlers.merging.order import Order, ordered
from daemon.handlers.merging.writing import (
    LEAST_LUFS,
    Planned,
    Target,
    Written,
    planned,
    target_of,
    written,
)
from daemon.text import count, display, figure
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.containers.junk import composed
from dsp.formats.reader import Limits
from dsp.report.merge_page import merge_page

ACCEPTS = AUDIO_SUFFIXES
JUDGE = "none"
HEADLINE = ("duration_s", "chunks", "skipped", "integrated_lufs")
STAGES = ("look", "listen", "write")

_LOOKED, _LISTENED = 0.1, 0.5
"""Progress at the ends of the first two stages."""
_MOST_NOTES = 100
"""The manifest has them all; a status is to be read."""
_MOST_INPUTS = 2_000
"""A result is one message."""
_TOLERANCE_LU = 0.1


class Options(BaseModel):
    """The settings of a merge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Annotated[tuple[str, ...], Field(max_length=20_000)] = ()
    """The chunks by name; empty: as stamps, times, numbers or names have it."""
    gap: Literal["keep", "close"] | Annotated[float, Field(ge=0, le=3_600)] = "keep"
    """``keep``: time stamps make silence; ``close``: none; or seconds between any two."""
    longest_gap_s: Annotated[float, Field(ge=0, le=86_400)] = 3_600.0
    """Of ``keep``; what is longer is closed."""
    format: Literal["wav", "flac", "opus", "mp3"] = "wav"
    level: Annotated[float, Field(ge=-40, le=-6)] | None = None
    """LUFS that the whole is brought to, with true peaks at −1 dBTP at the most."""
    strict: bool = False
    """A chunk that cannot be used, or not wholly, fails the job."""


def handle(task: Task) -> Result:
    """Merge the drop.

    Raises
    ------
    BadInput
        ``order`` cannot be followed; no chunk is of a format that can be read here; or, with
        ``strict``, a chunk cannot be used.
    NothingToDo
        No chunk can be used, or nothing sounds in any.
    """
    options: Options = task.options
    limits = Limits(**task.limits)
    files = chunks_of(
        task.source, ACCEPTS, limits, lambda share: task.report("look", _LOOKED * share)
    )
    chunks = with_headers(files, options.order, task.workdir, limits)
    refused = [(one, one.fault.code, one.fault.message) for one in chunks if one.fault]
    _hold(options, refused)
    usable = [one for one in chunks if one.probe]
    order = _order(task, files, usable) if usable else None
    if order is None:
        _hold_to_what_is_read(chunks)
        raise NothingToDo("NOTHING_TO_MERGE", _nothing(task, refused))
    heard = Listener(order, options.gap, options.longest_gap_s, limits).hear(
        [usable[place] for place in order.places],
        lambda share: task.report("listen", _LOOKED + (_LISTENED - _LOOKED) * share),
    )
    heard.skipped[:0] = refused
    cut = [(one.chunk, "INPUT_TRUNCATED", "is cut short") for one in heard.used if one.survey.cut]
    _hold(options, heard.skipped + cut)
    if not heard.used:
        raise NothingToDo("NOTHING_TO_MERGE", _nothing(task, heard.skipped))
    if all(one.survey.silent for one in heard.used):
        text = f"nothing sounds in any chunk of {display(task.name)!r}"
        raise NothingToDo("NOTHING_TO_MERGE", text)
    target = target_of(heard.used, options.format)
    plan = planned(heard.used, target)
    made = written(
        plan,
        target,
        task.workdir,
        level=options.level,
        limits=limits,
        report=lambda share: task.report("write", _LISTENED + (1.0 - _LISTENED) * share),
    )
    for path in task.workdir.glob(".stream-*"):
        path.unlink()
    return _result(task, order, heard, plan=plan, target=target, made=made)


_Skipped = Sequence[tuple[Chunk, str, str]]


def _hold(options: Options, skipped: _Skipped) -> None:
    """Fail a strict job over the first of the chunks that cannot be used; a duplicate can."""
    for chunk, code, text in skipped:
        if options.strict and code != "CHUNK_DUPLICATE":
            name = display(chunk.name)
            raise BadInput(code, text if name in text else f"{name} {text}", path=name)


def _hold_to_what_is_read(chunks: Sequence[Chunk]) -> None:
    """Fail over a recording in a format that is not read here: it is there, and is wanted."""
    for chunk in chunks:
        if chunk.fault and chunk.fault.code == "INPUT_NOT_SUPPORTED":
            fault = chunk.fault
            raise BadInput(fault.code, fault.message, fault.hint, path=display(chunk.name))


def _nothing(task: Task, skipped: _Skipped) -> str:
    codes = ", ".join(sorted({code for _, code, _ in skipped}))
    return f"no chunk of {display(task.name)!r} can be used{': ' if codes else ''}{codes}"


def _order(task: Task, files: Sequence[Chunk], usable: Sequence[Chunk]) -> Order:
    """Return the order; a list may name chunks that cannot be used."""
    left_out = {composed(one.name) for one in files} - {composed(one.name) for one in usable}
    wanted = [name for name in task.options.order if composed(name) not in left_out]
    return ordered([one.named for one in usable], wanted)


def _result(
    task: Task,
    order: Order,
    heard: Heard,
    *,
    plan: Sequence[Planned],
    target: Target,
    made: Written,
) -> Result:
    rows = _rows(heard, plan, target)
    notes = _notes(order, heard, plan) + _off_target(made.lufs, task.options.level)
    duration_s = made.frames / target.rate_hz
    document = Manifest(
        title=display(task.name),
        file=target.file,
        order=order.rule,
        rate_hz=target.rate_hz,
        channels=target.channels,
        bits=target.bits,
        frames=made.frames,
        duration_s=round(duration_s, 6),
        exact=made.exact,
        chunks=tuple(rows),
    )
    figures: dict[str, object] = {
        "duration_s": round(duration_s, 3),
        "chunks": sum(len(one.used.chunk.pieces) or 1 for one in plan),
        "skipped": sum(len(chunk.pieces) or 1 for chunk, _, _ in heard.skipped),
    }
    if made.lufs is not None and made.true_peak_dbtp is not None:
        figures["integrated_lufs"] = round(made.lufs, 2)
        figures["true_peak_dbtp"] = round(made.true_peak_dbtp, 2)
    (task.workdir / "manifest.json").write_text(document.model_dump_json(indent=1) + "\n", "utf-8")
    page = merge_page(
        document.model_dump(mode="json"),
        made.outline,
        figures=_words(target, figures),
        warnings=[note.message for note in notes],
    )
    (task.workdir / "report.html").write_text(page, "utf-8")
    inputs = tuple(
        {
            "path": display(one.used.chunk.name),
            "bytes": one.used.chunk.bytes,
            "sha256": one.used.chunk.sha256,
            "frames": one.used.survey.frames,
            "rate_hz": one.piece.probe.rate_hz,
            "channels": one.piece.probe.channels,
        }
        for one in plan[:_MOST_INPUTS]
    )
    outputs = (
        Output(target.file, "recording", figures),
        Output("manifest.json", "data"),
        Output("report.html", "report"),
    )
    return Result(outputs, figures, tuple(notes), inputs)


def _words(target: Target, figures: dict[str, object]) -> list[tuple[str, str]]:
    width = "" if target.bits is None else f" · {target.bits} bit"
    told = [
        ("Chunks", str(figures["chunks"])),
        ("Left out", str(figures["skipped"])),
        ("Format", f"{target.rate_hz / 1000:g} kHz{width}"),
    ]
    if "integrated_lufs" in figures:
        told.append(("Loudness", figure("lufs", figures["integrated_lufs"])))
        told.append(("True peak", figure("dbtp", figures["true_peak_dbtp"])))
    return told


def _rows(heard: Heard, plan: Sequence[Planned], target: Target) -> list[ChunkRow]:
    """Return a row for each file: those that are used in order, then the others by name."""
    rows: list[ChunkRow] = []
    for one in plan:
        chunk, join, probe = one.used.chunk, one.piece.join, one.piece.probe
        row = ChunkRow(
            name=display(chunk.name),
            sha256=chunk.sha256,
            bytes=chunk.bytes,
            place=len(rows) + 1,
            start_frame=one.start,
            start_s=round(one.start / target.rate_hz, 6),
            frames=one.length,
            rate_hz=probe.rate_hz,
            channels=probe.channels,
            subtype=probe.subtype,
            join=join.kind,
            silence_frames=join.silence,
            skipped_frames=join.skip,
            crossfade_frames=join.crossfade,
            exact=one.used.seam.exact if join.kind == "overlap" else None,
            silent=one.used.survey.silent,
            code="INPUT_TRUNCATED" if one.used.survey.cut else "",
        )
        rows.append(row)
        for piece in chunk.pieces[1:]:
            rows.append(
                ChunkRow(
                    name=display(piece.name),
                    sha256=piece.sha256,
                    bytes=piece.bytes,
                    place=len(rows) + 1,
                    start_frame=row.start_frame,
                    start_s=row.start_s,
                    join="bytes",
                    code="CHUNK_HEADERLESS",
                )
            )
    for chunk, code, message in sorted(heard.skipped, key=lambda each: each[0].name):
        rows += [
            ChunkRow(
                name=display(one.name),
                sha256=one.sha256,
                bytes=one.bytes,
                code=code,
                message=message,
            )
            for one in chunk.pieces or (chunk,)
        ]
    return rows


def _off_target(lufs: float | None, level: float | None) -> list[Note]:
    if lufs is None or level is None or abs(lufs - level) <= _TOLERANCE_LU:
        return []
    found = figure("lufs", round(lufs, 1))
    short = "; the recording is too quiet or too short" if lufs < LEAST_LUFS else ""
    return [Note("TARGET_NOT_REACHED", f"the level is {found}, {level:g} was asked for{short}")]


def _notes(order: Order, heard: Heard, plan: Sequence[Planned]) -> list[Note]:
    notes = [
        Note(code, text) if code == "CHUNK_DUPLICATE" else Note("CHUNK_SKIPPED", f"{code}: {text}")
        for _, code, text in heard.skipped
    ]
    for one in plan:
        if one.used.chunk.pieces:
            pieces = count(len(one.used.chunk.pieces) - 1, "chunk")
            text = f"{pieces} without a header put behind the bytes of"
            notes.append(Note("CHUNK_HEADERLESS", f"{text} {display(one.used.chunk.name)}"))
    notes += heard.notes
    if len(notes) > _MOST_NOTES:
        more = f"and {len(notes) - _MOST_NOTES} more, which manifest.json names"
        notes[_MOST_NOTES:] = [Note("CHUNK_SKIPPED", more)]
    if order.rule == "names" and len(order.places) > 1:
        text = "neither time stamps nor numbers order all chunks; their names do"
        notes.insert(0, Note("ORDER_GUESSED", text))
    return notes
