"""A daemon with nodes: what ran on one that dies runs elsewhere, and nothing begins twice."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.support.daemons import read_json, until
from tests.support.nodes import COMMAND
from tests.support.truth import drop_song, states


def nodes_of(root):
    return {one["name"]: one for one in read_json(root / "daemon.json")["pool"]["nodes"]}


def node_processes():
    """Return the processes of nodes that this test run has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if COMMAND[2].encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def test_jobs_of_a_killed_node_run_elsewhere_at_no_cost(daemon):
    """Each drop is done, no (job, attempt) has begun twice, and the loss stands in the history."""
    journal = daemon.root.with_name("journal")
    daemon.settings["inboxes"]["mix"]["handler"] = "tests.support.journal"
    daemon.settings["inboxes"]["mix"]["options"] = {"journal": str(journal)}
    daemon.settings["pool"] |= {
        "slots": 1,
        "nodes": {
            name: {"launch": [*COMMAND], "slots": 1, "lost_s": 2.0} for name in ("east", "west")
        },
    }
    daemon.start()
    until(lambda: all(n["free"] for n in nodes_of(daemon.root).values()), "both nodes have joined")
    held = daemon.root.with_name("held")
    held.touch()
    for number in range(6):
        drop_song(daemon.root, f"song-{number}", f"held_by: {held}\n")

    def begun():
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    until(lambda: len(begun()) == 3, "one job runs at home, and one on each node")
    running = read_json(daemon.root / "daemon.json")["running"]
    for pid in node_processes():
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(begun()) >= 5, "what the nodes had lost has begun again")
    held.unlink()
    wanted = {f"song-{number}": "done" for number in range(6)}
    until(lambda: states(daemon.root) == wanted, "all are done")
    assert 0 == daemon.stop()

    assert {None, "east", "west"} >= {one["node"] for one in running}
    assert len(begun()) == len(set(begun()))
    lost = [
        (attempt["error"]["code"], attempt["node"] in ("east", "west"))
        for path in (daemon.root / "outbox" / "mix").glob("*.status.json")
        for attempt in json.loads(path.read_text())["attempts"]
        if attempt["outcome"] == "interrupted"
    ]
    assert [("NODE_LOST", True)] * 2 == lost
    assert [] == node_processes()
