"""The rounds of a job: look, let parts find out what is due, look on, and publish.

What is found first is worked on first, so that somebody who begins with a million files sees the
first of them within a minute. A round does about as much work as all before it, and with its
parts go live views of what is known by then, whenever what is new in them is worth their making.

``State`` is what one round leaves for the next; a round that is tried again writes the same rows
again, which changes nothing. A file that was tried in vain is due in the next run.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from daemon.handlers.contract import MOST_PARTS, Note, Output, Part, Result, Split, Task
from daemon.handlers.library.catalogue import PLACED, Catalogue
from daemon.handlers.library.ends import RemovalRules
from daemon.handlers.library.options import Options, Request
from daemon.handlers.library.results import LACKS, Results
from daemon.handlers.library.runs import Look, Scope
from daemon.handlers.library.views import write_views
from daemon.handlers.library.work import (
    ROWS,
    UNSUPPORTED,
    Stage,
    analysis_of,
    cut,
    done,
    list_name,
    sound_of,
)
from daemon.text import count

_STATE = "state.json"
_FIRST_S, _LONGEST_S = 20.0, 600.0
"""The work of the first round with parts, and of the longest: what somebody asks for waits so long,
divided by the slots."""
_GLANCE = 2_000
"""New files after which there is a view for the first time."""
_AT_ONCE = 8
"""Parts of a short round: few machines have more slots."""
_SHORTEST_S = 5.0
"""Of a part; its worker takes a fifth of a second to start."""
_NEW_S, _VIEW_S = 0.004, 0.000_5
"""What a new file is worth, in seconds of work; what a file takes in views, times ten."""
_SAYS_S = 2.0
_MOST_OF_A_CODE = 20


class State(BaseModel):
    """What a round leaves for the next one."""

    model_config = ConfigDict(extra="forbid")

    gen: int
    began_ms: int
    looks: int = 0
    """How often it was looked on."""
    ended: bool = False
    """All was looked at."""
    stage: Stage | None = None
    """What the parts that are at work do."""
    since_ms: int = 0
    """When they were made."""
    rate: tuple[Stage, float] | None = None
    """What the round before did, and how many files a second."""
    done: dict[Stage, int] = {}
    """How many files each stage was done for."""
    given_up: bool = False
    """No part of a round could be done: this run asks for no more."""
    tried: bool = False
    """The recogniser was asked for the files of one part."""
    silent: bool = False
    """It answered nothing."""
    worked_s: float = 0.0
    """The work of all rounds, as far as it could be told."""
    unseen_s: float = 0.0
    """That of which no view tells."""
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
            self._gather(state.stage)
        if not state.looks:
            self._look_on()
        while True:
            for stage in self._wanted():
                if (split := self._parts(stage)) is not None:
                    return split
            if state.ended:
                return None
            self._look_on()

    def _wanted(self) -> Iterator[Stage]:
        """Yield what is to be found out: after a first glance tags alone, and all in the end."""
        state = self.state
        early = ("tags",) if state.looks == 1 else ("tags", "decode")
        for stage in self.stages:
            late = not state.ended and stage not in early
            if not (state.given_up or late or self._is_silent(stage)):
                yield stage

    def _is_silent(self, stage: Stage) -> bool:
        return stage == "transcript" and self.state.silent

    def _look_on(self) -> None:
        state, look = self.state, self._begun()
        first = self.options.first_look
        most_new = (min(first, _GLANCE), first, 1 << 62)[min(state.looks, 2)]
        state.looks += 1
        state.gen = look.begin()  # another one, when another job has looked since
        state.ended = look.go(most_new, self._rules(), _Pace(self._task, look))
        state.unseen_s += _NEW_S * look.told.new
        for note in look.told.notes:
            self._note(*note)
        self._add_due()

    def _rules(self) -> RemovalRules:
        after_ms = round(self.options.removed_after_h * 3_600_000)
        return RemovalRules(after_ms, self.options.most_removed)

    def _add_due(self) -> None:
        """Note what is due beside what is new: options that were widened, hashes grown old."""
        execute = self._catalogue.execute
        lacks = {stage: LACKS[stage] for stage in self.stages[1:]}
        granted = self._task.grants is None or "ffmpeg" in self._task.grants.programs
        if "decode" in lacks and self.options.foreign and granted:
            lacks["decode"] += f" OR trouble = '{UNSUPPORTED}'"
        with self._catalogue.transaction():
            for stage, where in lacks.items():
                execute(
                    f"""UPDATE file SET due = ?, due_gen = 0 WHERE due IS NULL AND state = 'here'
                    AND content IN (SELECT content FROM meta WHERE {where})""",  # noqa: S608
                    (stage,),
                )
            if self.options.verify_days and "decode" in self.stages:
                before_ms = self._now_ms - round(self.options.verify_days * 86_400_000)
                execute(
                    """UPDATE file SET due = 'decode', due_gen = 0 WHERE due IS NULL
                    AND state = 'here' AND verified_ms < ?""",
                    (before_ms,),
                )

    def _parts(self, stage: Stage) -> Split | None:
        """Return the parts of a round; by hand all of a stage is done here, in turn."""
        task, state, by_hand = self._task, self.state, self._task.kept is None
        most_s = min(max(_FIRST_S, state.worked_s), _LONGEST_S)
        made = cut(
            self._catalogue,
            stage,
            task.workdir,
            gen=state.gen,
            settled_ns=(state.began_ms - round(self.options.settle_s * 1000)) * 1_000_000,
            part_s=min(self.options.part_s, max(_SHORTEST_S, most_s / _AT_ONCE)),
            most_s=math.inf if by_hand else most_s,
            within=self._begun().within(),
            most_parts=1 if stage == "transcript" and not state.tried else MOST_PARTS,
        )
        if not made:
            return None
        if by_hand:
            self._do(stage, made)
            return None if self._is_silent(stage) else self._parts(stage)
        state.worked_s += (work_s := sum(part.weight for part in made))
        state.stage, state.since_ms = stage, self._now_ms
        files = self._catalogue.number("SELECT count(*) FROM file")
        split = Split(
            made,
            at_once=self.options.transcript.at_once if stage == "transcript" else 0,
            **self._progress(stage, sum(int(str(part.options["files"])) for part in made)),
            views=write_views(task, self._catalogue) if state.unseen_s >= _VIEW_S * files else (),
            gives_way=not self._request.under,
        )
        state.unseen_s = work_s + (0.0 if split.views else state.unseen_s)
        (task.workdir / _STATE).write_text(state.model_dump_json(), "utf-8")
        return split

    def _progress(self, stage: Stage, files: int) -> dict[str, Any]:
        """Say what is left to do, how fast it goes, and which share of it a round does."""
        within, values = self._begun().within()
        left = self._catalogue.number(
            f"SELECT count(*) FROM {PLACED} WHERE due = ? AND state = 'here' AND ({within})",  # noqa: S608
            stage,
            *values,
        )
        of, rate = self.state.rate or (None, 0.0)
        more = f", {rate:.1f} a second" if of == stage else ""
        done = self.state.done.get(stage, 0)
        self.state.done[stage] = done + files
        share = done / (done + left), (done + files) / (done + left)
        return {"stage": f"{stage}: {count(left, 'file')} left{more}", "share": share}

    def _do(self, stage: Stage, made: Sequence[Part]) -> None:
        task, before = self._task, self.state.written
        for place in range(len(made)):
            share = partial(_shared, task, stage, place, len(made))
            listed, rows = task.workdir / list_name(stage, place), task.workdir / ROWS
            for note in work(task, stage, listed, rows, share):
                self._note(note.code, note.message)
            self._merge(stage, listed, rows)
            rows.unlink()
            listed.unlink()
        self._ended(stage, before)

    def _gather(self, stage: Stage) -> None:
        """Write down what the parts of the last round found out."""
        task, state = self._task, self.state
        assert task.carried is not None  # noqa: S101 - there was a plan
        before, files = state.written, 0
        for place, ended in enumerate(task.parts):
            for note in ended.notes:
                self._note(str(note["code"]), str(note["message"]))
            rows = ended.folder / ROWS if ended.outcome == "done" else None
            files += self._merge(stage, task.carried / list_name(stage, place), rows)
        self._ended(stage, before)
        state.given_up = all(ended.outcome != "done" for ended in task.parts)
        state.rate = stage, 1_000 * files / max(1, self._now_ms - state.since_ms)
        state.stage = None

    def _merge(self, stage: Stage, listed: Path, rows: Path | None) -> int:
        """Write the rows of a part, if it has made some; return how many files it was given."""
        results = Results(self._catalogue, self.state.gen, self.stages, self._now_ms, self._note)
        files = results.merge(stage, listed, rows)
        self.state.written += results.written
        return files

    def _ended(self, stage: Stage, before: int) -> None:
        """Ask a recogniser no more that answered nothing of a first part: it is away."""
        if stage == "transcript":
            self.state.tried = True
            self.state.silent = self.state.written == before

    def _note(self, code: str, message: str) -> None:
        if (code, message) not in self._said:
            self._said.add((code, message))
            self.state.notes.append((code, message))

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
