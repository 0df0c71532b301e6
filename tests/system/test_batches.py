"""The real daemon with batches under way, killed again and again, and one whose queue is lost."""

import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, settings_for, until
from tests.support.parts import broken
from tests.support.truth import broken_sentences, drop_folder, states, statuses, torn_outputs

PARTS = 12
BATCHES = {
    "Plain": (f"parts: {PARTS}\nseconds: 0.05\n", "done"),
    "Twice": (f"parts: {PARTS}\nrounds: 2\nat_once: 1\nseconds: 0.05\n", "done"),
    "One bad": (f"parts: {PARTS}\nbad_part: 3\nseconds: 0.05\n", "done"),
}


@pytest.fixture
def daemon(tmp_path):
    settings = settings_for(tmp_path / "spool", resources={"places": 2})
    settings["inboxes"]["mix"]["needs"] = {"places": 1}
    with Daemon(tmp_path / "spool", settings) as found:
        (found.root / "inbox" / "mix").mkdir(parents=True)
        yield found


_IDLE_HOLDERS = "SELECT id FROM job JOIN holding ON job.id = holding.job WHERE state <> 'running'"


def _drop(root: Path, kind: str, number: int) -> str:
    name = f"{kind} {number}"
    drop_folder(root, name, {"a.wav": name.encode() * 200}, BATCHES[kind][0])
    return name


def _queue(root: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{root / 'state' / 'queue.sqlite3'}?mode=ro", uri=True)


def _look(root: Path) -> list[str]:
    """Return what is wrong in the spool of a daemon that has just been killed."""
    with closing(_queue(root)) as db:
        rules = [f"{rule}: {row}" for rule, row in broken(db).items()]
        rules += [f"holds and does not run: {row}" for row in db.execute(_IDLE_HOLDERS)]
    return [*rules, *broken_sentences(root), *torn_outputs(root)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_kill_at_any_moment_of_three_batches_loses_no_part(daemon, kills):
    """The rows keep their rules at each death; every batch ends once, with all its parts."""
    dice, dropped = random.Random(kills), {}
    daemon.start()
    for _ in range(kills):
        under_way = [name for name in dropped if states(daemon.root).get(name) != "done"]
        kinds = {name.rpartition(" ")[0] for name in under_way}
        for kind in BATCHES.keys() - kinds:
            name = _drop(daemon.root, kind, len(dropped))
            dropped[name] = BATCHES[kind][1]
        time.sleep(dice.uniform(0.0, 0.6))  # the moment of death is random
        daemon.kill()
        assert [] == _look(daemon.root)
        daemon.start()
    until(daemon.at_rest, "all is done", PATIENCE_S + kills)
    assert 0 == daemon.stop()

    assert dropped == states(daemon.root)
    assert [] == _look(daemon.root)
    for name, told in statuses(daemon.root).items():
        failed = int(name.startswith("One bad"))
        ended = (told["parts"]["done"], told["parts"]["failed"])
        assert (PARTS - failed, failed) == ended, name
        assert 1 == len(list(daemon.root.glob(f"archive/mix/*/{name}"))), name


def test_batch_begins_anew_when_the_queue_is_lost(daemon):
    """Its drop is still there; what its parts had made is derived again."""
    _drop(daemon.root, "Twice", 0)
    daemon.start()
    until(lambda: _round(daemon.root) == "round 2", "its second round is under way")
    daemon.kill()
    assert list(daemon.root.glob("work/mix/*/in"))
    for file in (daemon.root / "state").glob("queue.sqlite3*"):
        file.unlink()
    daemon.start()
    until(daemon.at_rest, "all is done")
    assert 0 == daemon.stop()

    assert {"Twice 0": "done"} == states(daemon.root)
    assert PARTS == statuses(daemon.root)["Twice 0"]["parts"]["done"]
    assert [] == _look(daemon.root)


def _round(root: Path) -> str | None:
    try:
        return (statuses(root).get("Twice 0", {}).get("stage") or {}).get("name")
    except (FileNotFoundError, json.JSONDecodeError):  # it is being replaced
        return None
