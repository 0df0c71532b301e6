"""The real daemon with jobs that share two gpus, killed again and again."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, read_json, settings_for, until
from tests.support.nodes import COMMAND
from tests.support.truth import broken_sentences, drop_song, states

MARK = "SPOOL_OF_THE_TEST"


def nodes_of(daemon, word="--stdio"):
    """Return the nodes of this test's daemon, by a word of their command."""
    mark, found = f"{MARK}={daemon.root}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if {word.encode(), b"--stdio"} <= {*words} and mark in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


@pytest.mark.timeout(3600)
@pytest.mark.slow
@pytest.mark.parametrize(("kills", "nodes"), [(10, 0), (100, 0), (15, 2)])
def test_kill_at_any_moment_lets_nothing_be_held_twice(daemon, tmp_path, kills, nodes):
    """The kernel's locks say so; every job ends once, and nothing is held in the end.

    With nodes, these have all gpus, and are killed, too.
    """
    locks, dice = tmp_path / "locks", random.Random(kills)
    locks.mkdir()
    (daemon.root / "inbox" / "mix").mkdir(parents=True)
    mix = settings_for(daemon.root)["inboxes"]["mix"] | {
        "handler": "tests.support.sharing",
        "options": {"locks": str(locks), "seconds": 0.05},
        "needs": {"gpu": 1},
    }
    daemon.settings |= {
        "inboxes": {"mix": mix},
        "resources": {"gpu": [] if nodes else [0, 1]},
        "pool": {"slots": 4, "confine": False},
    }
    if nodes:
        daemon.environment[MARK] = str(daemon.root)
        daemon.settings["pool"]["nodes"] = {
            f"node-{gpu}": {
                "launch": [*COMMAND, "--resource", f"gpu={gpu}"],
                "slots": 2,
                "lost_s": 3.0,
            }
            for gpu in range(nodes)
        }
    daemon.start()
    for number in range(kills):
        drop_song(daemon.root, f"Whole {number}")
        drop_song(daemon.root, f"Split {number}", "parts: 3\n")
        time.sleep(dice.uniform(0.0, 0.6))  # the moment of death is random
        if nodes and number % 3:  # fewer times than a node is set aside for
            for pid in nodes_of(daemon, f"gpu={number % 3 - 1}"):
                os.kill(pid, signal.SIGKILL)
            continue
        daemon.kill()
        until(lambda: not nodes_of(daemon), "its nodes have left")
        daemon.start()
    until(daemon.at_rest, "all is done", PATIENCE_S + kills)
    assert 0 == daemon.stop()

    assert not (locks / "held twice").exists(), (locks / "held twice").read_text()
    assert {"gpu-0", "gpu-1"} == {path.name for path in locks.iterdir()}
    assert {"done"} == {*states(daemon.root).values()}
    assert 2 * kills == len(states(daemon.root))
    assert [] == read_json(daemon.root / "daemon.json")["resources"]["gpu"]["held"]
    assert not [one for one in broken_sentences(daemon.root) if not one.startswith("a published")]
