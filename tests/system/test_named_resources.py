"""The real daemon with jobs that share two gpus, killed again and again."""

import random
import time

import pytest

from tests.support.daemons import PATIENCE_S, read_json, settings_for, until
from tests.support.truth import broken_sentences, drop_song, states


@pytest.mark.timeout(3600)
@pytest.mark.slow
@pytest.mark.parametrize("kills", [10, 100])
def test_kill_at_any_moment_lets_nothing_be_held_twice(daemon, tmp_path, kills):
    """The kernel's locks say so; every job ends once, and nothing is held in the end."""
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
        "resources": {"gpu": [0, 1]},
        "pool": {"slots": 4, "confine": False},
    }
    daemon.start()
    for number in range(kills):
        drop_song(daemon.root, f"Whole {number}")
        drop_song(daemon.root, f"Split {number}", "parts: 3\n")
        time.sleep(dice.uniform(0.0, 0.6))  # the moment of death is random
        daemon.kill()
        daemon.start()
    until(daemon.at_rest, "all is done", PATIENCE_S + kills)
    assert 0 == daemon.stop()

    assert not (locks / "held twice").exists(), (locks / "held twice").read_text()
    assert {"gpu-0", "gpu-1"} == {path.name for path in locks.iterdir()}
    assert {"done"} == {*states(daemon.root).values()}
    assert 2 * kills == len(states(daemon.root))
    assert [] == read_json(daemon.root / "daemon.json")["resources"]["gpu"]["held"]
    assert not [one for one in broken_sentences(daemon.root) if not one.startswith("a published")]
