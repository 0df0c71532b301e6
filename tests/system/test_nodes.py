"""A daemon with nodes: what ran on one that dies runs elsewhere, and nothing begins twice."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemons import read_json, until
from tests.support.nodes import COMMAND
from tests.support.truth import drop_song, states

MARK = "SPOOL_OF_THE_TEST"


@pytest.fixture
def journal(daemon):
    """The beginnings of attempts that a daemon with nodes of its own has noted."""
    path = daemon.root.with_name("journal")
    daemon.environment[MARK] = str(daemon.root)
    daemon.settings["inboxes"]["mix"] |= {
        "handler": "tests.support.journal",
        "options": {"journal": str(path)},
    }
    return lambda: path.read_text().splitlines() if path.exists() else []


def with_nodes(daemon, **launch):
    nodes = {
        name: {"launch": [*command], "slots": 1, "lost_s": 3.0} for name, command in launch.items()
    }
    daemon.settings["pool"] |= {"slots": 1, "nodes": nodes}


def nodes_of(root):
    return {one["name"]: one for one in read_json(root / "daemon.json")["pool"]["nodes"]}


def processes(daemon, word):
    """Return the processes with this word that the daemon has started, its workers left out."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            marked = f"{MARK}={daemon.root}".encode() in (place / "environ").read_bytes()
            if marked and word.encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def lost_attempts(root):
    """Return code and place of what has ended as interrupted."""
    return [
        (attempt["error"]["code"], attempt["node"])
        for path in (root / "outbox" / "mix").glob("*.status.json")
        for attempt in json.loads(path.read_text())["attempts"]
        if attempt["outcome"] == "interrupted"
    ]


def test_jobs_of_a_killed_node_run_elsewhere_at_no_cost(daemon, journal):
    """Each drop is done, no (job, attempt) has begun twice, and the loss stands in the history."""
    with_nodes(daemon, east=COMMAND, west=COMMAND)
    daemon.start()
    until(lambda: all(n["free"] for n in nodes_of(daemon.root).values()), "both nodes have joined")
    held = daemon.root.with_name("held")
    held.touch()
    for number in range(6):
        drop_song(daemon.root, f"song-{number}", f"held_by: {held}\n")
    until(lambda: len(journal()) == 3, "one job runs at home, and one on each node")
    for pid in processes(daemon, COMMAND[2]):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(journal()) >= 5, "what the nodes had lost has begun again")
    held.unlink()
    wanted = {f"song-{number}": "done" for number in range(6)}
    until(lambda: states(daemon.root) == wanted, "all are done")
    assert 0 == daemon.stop()

    assert len(journal()) == len(set(journal()))
    assert [("NODE_LOST", "east"), ("NODE_LOST", "west")] == sorted(lost_attempts(daemon.root))
    assert [] == processes(daemon, COMMAND[2])
