"""The rounds of a job: look, then let parts find out what is due, look on, and publish.

What is found first is worked on first, so that somebody who begins with a million files sees the
first of them within a minute. ``State`` is what one round leaves for the next; a round that is
tried again writes the same rows again, which changes nothing.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from daemon.handlers.contract import MOST_PARTS, EndedPart, Note, Output, Result, Split, Task
from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.ends import RemovalRules
from daemon.handlers.library.options import Options, Request
from daemon.handlers.library.results import LACKS, Results
from daemon.handlers.library.runs import Look, Scope
from daemon.handlers.library.work import ROWS, Stage, analysis_of, cut, done, sound_of

_STATE = "state.json"
_FIRST = "first tags"
"""So few that whoever begins with a large library need not wait for the tags of all."""
_FIRST_S, _FIRST_PARTS = 10.0, 2
_STEPS = (
    "look",
    _FIRST,
    "tags",
    "decode",
    "look on",
    "tags",
    "decode",
    "follow",
    "transcript",
    "transcript",
)
_SAYS_S = 2.0
_MOST_OF_A_CODE = 20


class State(BaseModel):
    """What a round leaves for the next one."""

    model_config = ConfigDict(extra="forbid")

    gen: int
    began_ms: int
    todo: list[str] = list(_STEPS)
    ended: bool = False
    """All was looked at."""
    stage: Stage | None = None
    """What the parts that are at work do."""
    tried: bool = False
    """The recogniser was asked for the files of one part."""
    written: int = 0
    """Rows that parts brought."""
    notes: list[tuple[str, str]] = []


class Rounds:
    """One attempt at a round."""

    def __init__(self, task: Task, request: Request, catalogue: Catalogue, now_ms: int) -> None:
        self._task, self._request, self._catalogue = task, request, catalogue
        self.options: Options = task.options
        self._now_ms = now_ms
        self.roots = roots_of(task)
        self.stages = self.options.stages()
        self._look: Look | None = None
        if task.round and task.carried is not None:
            self.state = State.model_validate_json((task.carried / _STATE).read_bytes())
        else:
            self.state = State(gen=self._begun().begin(), began_ms=now_ms)
        self._said = set(self.state.notes)

    def _begun(self) -> Look:
        if self._look is None:
            self._look = Look(
                self._catalogue,
                self.roots,
                Scope(self._request.folders(), self._request.full, self._request.accept_removals),
                exclude=self.options.exclude,
                now_ms=self._now_ms,
                job=self._task.workdir.parent.name if self._task.kept else "",
            )
        return self._look

    def go(self) -> Split | None:
        """Do what is next until parts are to work, or nothing is left."""
        state = self.state
        if state.stage:
            before = state.written
            for ended in self._task.parts:
                self._merge(state.stage, ended)
            self._ended(state.stage, said_something=state.written > before)
            state.stage = None
        while state.todo:
            step = state.todo.pop(0)
            if step in {"look", "look on"}:
                self._go_on(self.options.first_look if step == "look" else 1 << 62)
            elif (split := self._parts(step)) is not None:
                return split
        return None

    def _go_on(self, most_new: int) -> None:
        state = self.state
        look = self._begun()
        if not state.ended:
            look.begin()
            state.ended = look.go(most_new, self._rules(), _Pace(self._task, look))
            for note in look.told.notes:
                self._note(*note)
            self._add_due()
        if state.ended:
            state.todo = [step for step in state.todo if step != "look on"]

    def _rules(self) -> RemovalRules:
        after_ms = round(self.options.removed_after_h * 3_600_000)
        return RemovalRules(after_ms, self.options.most_removed)

    def _add_due(self) -> None:
        """Note what is due beside what is new: options that were widened, hashes grown old."""
        execute = self._catalogue.execute
        with self._catalogue.transaction():
            for stage in self.stages[1:]:
                execute(
                    f"""UPDATE file SET due = ?, due_gen = 0 WHERE due IS NULL AND state = 'here'
                    AND content IN (SELECT content FROM meta WHERE {LACKS[stage]})""",  # noqa: S608
                    (stage,),
                )
            if self.options.verify_days and "decode" in self.stages:
                before_ms = self._now_ms - round(self.options.verify_days * 86_400_000)
                execute(
                    """UPDATE file SET due = 'decode', due_gen = 0 WHERE due IS NULL
                    AND state = 'here' AND verified_ms < ?""",
                    (before_ms,),
                )

    def _parts(self, step: str) -> Split | None:
        """Return the parts of a stage; by hand they are done here, in turn."""
        stage = next((one for one in self.stages if one == step.removeprefix("first ")), None)
        if stage is None:
            return None
        task, state = self._task, self.state
        part_s, most_parts = self.options.part_s, MOST_PARTS
        if step == _FIRST:
            part_s, most_parts = min(part_s, _FIRST_S), _FIRST_PARTS
        elif stage == "transcript" and not state.tried:
            most_parts = 1
        settled_ns = (state.began_ms - round(self.options.settle_s * 1000)) * 1_000_000
        made = cut(
            self._catalogue,
            stage,
            task.workdir,
            gen=state.gen,
            settled_ns=settled_ns,
            part_s=part_s,
            within=self._begun().within(),
            most_parts=most_parts,
        )
        if not made:
            return None
        if task.kept is not None:
            state.stage = stage
            (task.workdir / _STATE).write_text(state.model_dump_json(), "utf-8")
            at_once = self.options.transcript.at_once if stage == "transcript" else 0
            return Split(made, at_once=at_once)
        results = self._results()
        for place, one in enumerate(made):
            share = partial(_shared, task, stage, place, len(made))
            rows = task.workdir / ROWS
            for note in work(task, stage, task.workdir / str(one.options["list"]), rows, share):
                self._note(note.code, note.message)
            results.merge(stage, rows)
            rows.unlink()
            (task.workdir / str(one.options["list"])).unlink()
        state.written += results.written
        self._ended(stage, said_something=results.written > 0)
        return None

    def _results(self) -> Results:
        return Results(self._catalogue, self.state.gen, self.stages, self._now_ms, self._note)

    def _note(self, code: str, message: str) -> None:
        if (code, message) not in self._said:
            self._said.add((code, message))
            self.state.notes.append((code, message))

    def _ended(self, stage: Stage, *, said_something: bool) -> None:
        """Ask a recogniser no more that answered nothing of a first part: it is away."""
        if stage == "transcript":
            self.state.tried = True
            if not said_something:
                self.state.todo = [step for step in self.state.todo if step != stage]

    def _merge(self, stage: Stage, ended: EndedPart) -> None:
        for note in ended.notes:
            self._note(str(note["code"]), str(note["message"]))
        if ended.outcome == "done" and (rows := ended.folder / ROWS).is_file():
            results = self._results()
            results.merge(stage, rows)
            self.state.written += results.written

    def notes(self) -> tuple[Note, ...]:
        """Return what is to be said: of each code the first ones, and how many more there are."""
        by_code: dict[str, list[str]] = {}
        for code, message in self.state.notes:
            by_code.setdefault(code, []).append(message)
        told = []
        for code, messages in by_code.items():
            told += [Note(code, message) for message in messages[:_MOST_OF_A_CODE]]
            if (more := len(messages) - _MOST_OF_A_CODE) > 0:
                told.append(Note(code, f"and {more} more"))
        return tuple(told)


class _Pace:
    """Says how far a scan is, and how fast."""

    def __init__(self, task: Task, look: Look) -> None:
        self._report, self._told = task.report, look.told
        self._known = look.catalogue.number("SELECT count(*) FROM file WHERE state = 'here'")
        self._began_s = self._said_s = time.monotonic()

    def __call__(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s < _SAYS_S:
            return
        self._said_s = now_s
        files = self._told.files
        rate = files / (now_s - self._began_s)
        # Of a first scan nobody knows the end; the share still grows.
        share = files / max(self._known, files + max(1.0, rate))
        self._report(f"look: {files} files, {rate:.0f} a second", share)


def _shared(task: Task, stage: str, place: int, parts: int, share: float) -> None:
    task.report(stage, (place + share) / parts)


def work(
    task: Task,
    stage: Stage,
    listed: Path,
    rows: Path,
    report: Callable[[float], None],
) -> tuple[Note, ...]:
    """Do a part; return what there is to say of it."""
    options: Options = task.options
    roots = roots_of(task)
    if stage == "transcript":
        from daemon.handlers.library.transcripts import Transcriber  # noqa: PLC0415 - loads NumPy

        said = Transcriber(task)
        done(stage, listed, roots, rows, hear=said, report=report)
        return (said.note,) if said.note else ()
    hear = partial(
        analysis_of if stage == "follow" else sound_of, limits=task.limits, foreign=options.foreign
    )
    done(stage, listed, roots, rows, hear=hear, report=report)
    return ()


def roots_of(task: Task) -> Mapping[str, Path]:
    """Return the roots: of an inbox those that it reads, by hand the folder that is named."""
    return task.roots or {"library": task.source}


def part(task: Task) -> Result:
    """Do a part of a round; its rows are its output."""
    assert task.carried is not None  # noqa: S101 - a part has a plan
    stage: Stage = task.part["stage"]
    listed = task.carried / os.path.basename(str(task.part["list"]))  # noqa: PTH119 - a name
    report = partial(_shared, task, stage, 0, 1)
    notes = work(task, stage, listed, task.workdir / ROWS, report)
    return Result((Output(ROWS, "data"),), notes=notes)
