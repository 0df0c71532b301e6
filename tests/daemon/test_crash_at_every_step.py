"""Whatever step the daemon dies at, the next run finishes the job, once.

A first life keeps a copy of its spool before and after each step, commits of the queue among
them: what kill -9 would leave there. From each copy a second life starts, and must come to the
same end as if nothing had been. A new step is covered the day it is written.
"""

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from daemon.config.models import Config
from daemon.files import Files
from daemon.intake.observations import Admitted
from daemon.layout import reason_beside
from daemon.supervisor import completion
from daemon.supervisor.supervisor import Supervisor
from daemon.supervisor.watchers import Watchers
from daemon.text import output_name
from tests.support.counting import count
from tests.support.files import OtherDevice, SnapshotFiles
from tests.support.lives import Life, WarmPool, config_for
from tests.support.spools import schema
from tests.support.truth import (
    broken_sentences,
    drop_song,
    rows,
    states,
    statuses,
    write_wav,
)

BY_TIME = frozenset({"write heartbeat", "write status progress"})
"""Steps whose number depends on how fast the machine is: only their first is died at."""

STATUS = jsonschema.Draft202012Validator(schema("status-1.json"))


@dataclass(frozen=True)
class Scenario:
    """What is dropped, and what must have become of it in the end."""

    state: str
    name: str = "Song"
    settings: str = ""
    beside: bool = False
    """One file with its settings and its marker beside it, not a folder."""
    wish: bool = False
    """Somebody wants it cancelled."""
    before: str = ""
    """A drop of the same content that was done before."""
    across: bool = False
    """Inbox, work, outbox, archive and failed lie on different file systems."""
    error: str = ""

    def drop(self, root: Path) -> None:
        """Drop it, whole and marked."""
        _drop(root, self.name, self.settings.format(root=root), beside=self.beside)
        if self.wish:
            (root / "inbox" / "mix" / f"{self.name}.cancel").touch()


ROUND = ("Song", "Second", "Third")
"""Drops that come to each step of their way in one round."""

SCENARIOS = {
    "folder": Scenario("done"),
    "longest name": Scenario("done", "x" * 255),
    "longest name, bad": Scenario("failed", "x" * 255, "how: bad_input\n", error="UNCOUNTABLE"),
    "file with settings": Scenario("done", "track.wav", "seconds: 0.05\n", beside=True),
    "across file systems": Scenario("done", "track.wav", "seconds: 0\n", beside=True, across=True),
    "across file systems, bad": Scenario(
        "failed", "x.wav", "how: bad_input\n", beside=True, across=True, error="UNCOUNTABLE"
    ),
    "bad input": Scenario("failed", settings="how: bad_input\n", error="UNCOUNTABLE"),
    "refused at the door": Scenario("failed", settings="priority: now\n", error="SETTINGS_INVALID"),
    "nothing to do": Scenario("skipped", settings="how: nothing\n"),
    "cancelled": Scenario("cancelled", wish=True),
    "duplicate": Scenario("done", before="Original"),
    "split": Scenario("done", settings="parts: 3\n"),
    "split, two rounds": Scenario("done", settings="parts: 2\nrounds: 2\n"),
    "split, one part bad": Scenario("done", settings="parts: 2\nbad_part: 0\n"),
    "split, stop": Scenario(
        "failed", settings="parts: 3\nbad_part: 0\non_failure: stop\n", error="UNCOUNTABLE"
    ),
    "split, cancelled": Scenario(
        "cancelled", settings="parts: 3\ncancel_by: {root}/inbox/mix/Song.cancel\n"
    ),
}


def _config(root: Path) -> Config:
    """Return a configuration in which each job holds all there is of something."""
    config = config_for(root, resources={"places": 1})
    mix = config.inboxes["mix"].model_copy(update={"needs": {"places": 1}})
    return config.model_copy(update={"inboxes": {"mix": mix}})


class SnapshotsAcross(OtherDevice, SnapshotFiles):
    pass


class FilesAcross(OtherDevice, Files):
    pass


RARE = frozenset(
    {"longest name, bad", "across file systems, bad", "split, one part bad"}
    | {"split, two rounds", "split, stop", "split, cancelled", "nothing to do"}
    | {"longest name", "file with settings"}
)
"""What others of a kind come close to: tried before a release."""


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=name, marks=[pytest.mark.slow] if name in RARE else [])
        for name, scenario in SCENARIOS.items()
    ],
)
def test_next_run_finishes_the_job_once(fleeting, pool, scenario):
    """Whatever step the daemon dies at, the next run finishes the job, once."""
    root, wrong = fleeting / "spool", {}
    deaths = _deaths(scenario, root, pool)
    assert [] == list(_problems(scenario, root))
    for death, left in deaths.items():
        _bring_back(left, root)
        if problems := _second_life(scenario, root, pool):
            wrong[death] = problems
        if len(wrong) == 3:  # enough to see what is wrong
            break

    assert {} == wrong
    assert len(deaths) > 10


def test_next_run_finishes_each_job_of_a_round_once(fleeting, pool, monkeypatch):
    """Also when several jobs share a step, its sync and its commit."""
    monkeypatch.setattr(completion, "_GATHERING_S", 60.0)
    _hear_all_at_once(monkeypatch)
    root, wrong = fleeting / "spool", {}
    (root / "inbox" / "mix").mkdir(parents=True)
    for name in ROUND:
        drop_song(root, name)
    files = SnapshotFiles(root, root.parent, BY_TIME)
    Life(_config(root), files, pool).live(Life.at_rest)
    for death, left in files.snapshots.items():
        _bring_back(left, root)
        Life(_config(root), Files(), pool).live(Life.at_rest)
        if problems := [*broken_sentences(root), *_problems_of_round(root)]:
            wrong[death] = problems

    assert {} == wrong
    deaths = list(files.snapshots)
    assert deaths.index("after admit.in (3)") < deaths.index("after admit.drop (1)")
    assert deaths.index("after publish result (3)") < deaths.index("after archive drop (1)")


def _hear_all_at_once(monkeypatch) -> None:
    """Have the loop hear of nothing before the whole round has been admitted."""
    heard, hear, arrived = Watchers._heard, Supervisor._hear, []

    def count_and_hear(watchers, report):
        heard(watchers, report)
        arrived.extend([report] if isinstance(report, Admitted) else [])

    def hear_later(supervisor, **more):
        if len(arrived) >= len(ROUND):
            hear(supervisor, **more)

    monkeypatch.setattr(Watchers, "_heard", count_and_hear)
    monkeypatch.setattr(Supervisor, "_hear", hear_later)


def _problems_of_round(root: Path):
    """Yield what is not as it must be in the end."""
    if dict.fromkeys(ROUND, "done") != (told := states(root)):
        yield f"statuses: {told}"
    if sorted(ROUND) != (found := sorted(row["name"].decode() for row in rows(root))):
        yield f"rows: {found}"
    if left := sorted(path.name for path in (root / "work" / "mix").iterdir()):
        yield f"left in work: {left}"
    for name in ROUND:
        if len(list(root.glob(f"archive/mix/*/{name}"))) != 1:
            yield f"{name} was not archived once"
        yield from _torn_result(root, name, name)


def test_queued_job_says_so_after_a_restart(fleeting, pool):
    """A job that died between its row and its status is not called receiving for ever."""
    root = fleeting / "spool"
    deaths = _deaths(SCENARIOS["folder"], root, pool)
    _bring_back(deaths["after commit adopt (1)"], root)
    Life(_config(root), Files(), pool).live(lambda _: True)

    assert "queued" == statuses(root)["Song"]["state"]


def test_sighting_does_not_outlive_its_drop(fleeting, pool):
    """A drop that went while no daemon looked has no status any more."""
    config = config_for(fleeting)
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    half = fleeting / "inbox" / "mix" / "half.wav"
    half.write_bytes(b"")
    Life(config, Files(), pool).live(lambda _: "half.wav" in statuses(fleeting))
    half.unlink()

    Life(config, Files(), pool).live(lambda _: not statuses(fleeting))


def _deaths(scenario: Scenario, root: Path, pool: WarmPool) -> dict[str, Path]:
    """Live once; return what a crash would have left at each step."""
    (root / "inbox" / "mix").mkdir(parents=True)
    if scenario.before:
        _drop(root, scenario.before)
        Life(_config(root), Files(), pool).live(Life.at_rest)
    scenario.drop(root)
    files = (SnapshotsAcross if scenario.across else SnapshotFiles)(root, root.parent, BY_TIME)
    Life(_config(root), files, pool).live(Life.at_rest)
    return files.snapshots


def _bring_back(snapshot: Path, root: Path) -> None:
    shutil.rmtree(root)
    snapshot.rename(root)


def _second_life(scenario: Scenario, root: Path, pool: WarmPool) -> list[str]:
    corpse = list(broken_sentences(root))
    files = FilesAcross() if scenario.across else Files()
    try:
        Life(_config(root), files, pool).live(Life.at_rest)
    except AssertionError as restless:
        return [*corpse, str(restless)]
    return [*corpse, *_problems(scenario, root)]


def _drop(root: Path, name: str, settings: str = "", *, beside: bool = False) -> None:
    inbox, staged = root / "inbox" / "mix", root / "staged"
    staged.mkdir()
    if beside:
        write_wav(staged / name, b"\1\2" * 900)
        (staged / f"{name}.job.yaml").write_text(settings)
        (staged / f"{name}.done").touch()
    else:
        (staged / name).mkdir()
        write_wav(staged / name / "a.wav", b"\1\2" * 900)
        write_wav(staged / name / "b.wav", b"\1\2" * 1_200)
        if settings:
            (staged / name / "job.yaml").write_text(settings)
        (staged / name / ".done").touch()
    for path in sorted(staged.iterdir(), reverse=True):
        path.rename(inbox / path.name)
    staged.rmdir()


def _problems(scenario: Scenario, root: Path):
    """Yield what is not as it must be in the end."""
    yield from broken_sentences(root)
    expected = {scenario.name: scenario.state} | (
        {scenario.before: "done"} if scenario.before else {}
    )
    found = Counter((row["name"].decode(), row["state"]) for row in rows(root))
    if Counter(expected.items()) != found:
        yield f"rows: {found}"
    told = statuses(root)
    for status in told.values():
        STATUS.validate(status)
    states = {status["name"]: status["state"] for status in told.values()}
    if expected != states or len(told) != len(states):
        yield f"statuses: {states}"
    errors = {status["error"]["code"] for status in told.values() if status["error"]}
    if errors != ({scenario.error} if scenario.error else set()):
        yield f"errors: {errors}"
    for kind in ("inbox", "work"):
        if left := sorted(path.name for path in (root / kind / "mix").iterdir()):
            yield f"left in {kind}: {left}"
    results = sorted(path.name for path in (root / "outbox" / "mix").iterdir() if path.is_dir())
    label = output_name(scenario.name)
    wanted = [scenario.before or label] if scenario.state == "done" else []
    # A twin that a crash hid is no loss: the job runs again, and has a result of its own.
    if results not in (wanted, sorted({*wanted, label}) if scenario.before else wanted):
        yield f"results: {results}"
    yield from _misplaced_drop(scenario, root)
    for result in results:
        yield from _torn_result(root, result, scenario.before or scenario.name)


def _misplaced_drop(scenario: Scenario, root: Path):
    kept = list(root.glob(f"archive/mix/*/{scenario.name}"))
    aside = list(root.glob(f"failed/mix/{scenario.name}"))
    where = kept if scenario.state in ("done", "skipped") else aside
    if len(where) != 1 or len(kept) + len(aside) != 1:
        yield f"the drop lies in {[str(path.relative_to(root)) for path in kept + aside]}"
    elif [900 * 2 + 44] != [one["bytes"] for one in count(where[0])][:1]:
        yield "the drop is not what was dropped"
    if where == aside and where and not os.path.lexists(reason_beside(where[0])):
        yield "a drop was set aside without its reason"


def _torn_result(root: Path, label: str, name: str):
    (drop,) = root.glob(f"archive/mix/*/{name}")
    if count(drop) != json.loads((root / "outbox" / "mix" / label / "count.json").read_text()):
        yield "the result is not that of the drop"
