"""A daemon with nodes: what ran on one that dies runs elsewhere, and nothing begins twice."""

import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemons import read_json, until
from tests.support.nodes import COMMAND
from tests.support.truth import drop_song, states

MARK = "SPOOL_OF_THE_TEST"
PIPED = ["sh", "-c", 'cat | setsid "$@" | cat', "sh", *COMMAND]
"""Of which the two that pass bytes on can be stopped: the cable is cut."""


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


def nodes_to_hit(root):
    """Return the nodes when one is at work, or none will be for minutes."""
    nodes = nodes_of(root).values()
    idle = all((node["problem"] or {}).get("code") == "NODE_SUSPECT" for node in nodes)
    return nodes if idle or any(node["jobs"] for node in nodes) else None


def unfinished(root, songs):
    """Return which of them are not done."""
    return {*songs} - {name for name, state in states(root).items() if state == "done"}


def heartbeat(root):
    return read_json(root / "daemon.json")["heartbeat"]


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


def kill(word, *signals):
    """Return a fault: send signals to one process, and whatever follows follows."""

    def strike(daemon, chance):
        if found := processes(daemon, word):
            pid = chance.choice(found)
            for number in signals:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    return strike


def kill_the_daemon(daemon, _):
    daemon.kill()
    daemon.start()


FAULTS = {
    "node killed": (kill(COMMAND[2], signal.SIGKILL), 6),
    "node stopped": (kill(COMMAND[2], signal.SIGSTOP), 2),
    "node ended": (kill(COMMAND[2], signal.SIGTERM), 3),
    "cable cut": (kill("cat", signal.SIGSTOP), 3),
    "cable put back": (kill("cat", signal.SIGCONT), 3),
    "node woken": (kill(COMMAND[2], signal.SIGCONT), 2),
    "launcher killed": (kill("cat", signal.SIGKILL), 2),
    "daemon killed": (kill_the_daemon, 1),
}
"""What is done, and how often beside the others."""
_LOOK_S, _IN_HAND = 0.1, 12
"""Drops that keep all machines at work."""


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_every_drop_ends_once_whatever_happens_to_nodes(daemon, journal):
    """A hundred faults by chance while two hundred drops or more pass."""
    faults = int(os.environ.get("FAULTS_OF_THE_TEST", "100"))
    chance, counts, songs = random.Random(13), Counter(), []
    with_nodes(daemon, east=COMMAND, west=PIPED, north=PIPED)
    daemon.start()
    names, weights = list(FAULTS), [weight for _, weight in FAULTS.values()]
    while counts.total() < faults:
        while len(songs) < 2 * counts.total() + 2 or len(unfinished(daemon.root, songs)) < _IN_HAND:
            songs.append(f"song-{len(songs)}")
            drop_song(daemon.root, songs[-1], "seconds: 1.0\n")
        nodes = until(
            lambda: nodes_to_hit(daemon.root) or not unfinished(daemon.root, songs),
            "a node is at work",
            600.0,
            _LOOK_S,
        )
        if nodes is True:
            continue
        idle = not any(node["jobs"] for node in nodes)
        name = "daemon killed" if idle else chance.choices(names, weights)[0]
        FAULTS[name][0](daemon, chance)
        counts[name] += 1
        begun, told = len(journal()), heartbeat(daemon.root)
        until(
            lambda begun=begun: len(journal()) > begun or not unfinished(daemon.root, songs),
            "another attempt begins",
            600.0,
            _LOOK_S,
        )
        until(
            lambda told=told: read_json(daemon.root / "daemon.json")["heartbeat"] > told, "a beat"
        )
    for word in ("cat", COMMAND[2]):
        for pid in processes(daemon, word):
            os.kill(pid, signal.SIGCONT)
    wanted = dict.fromkeys(songs, "done")
    until(lambda: states(daemon.root) == wanted, "all are done", 1_800.0, _LOOK_S)
    assert 0 == daemon.stop()

    sys.stdout.write(
        f"{len(songs)} drops, {len(journal())} attempts, {counts.total()} faults: {counts}"
    )
    assert len(journal()) == len(set(journal()))
    assert {"NODE_LOST"} >= {code for code, node in lost_attempts(daemon.root) if node}
    until(lambda: not processes(daemon, COMMAND[2]), "every node has left")
