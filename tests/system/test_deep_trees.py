"""Folders deeper than Python's stack, under paths longer than any call takes."""

import pytest

from tests.support.daemons import Daemon, settings_for, until
from tests.support.files import DEEP, bottom_of, dig
from tests.support.surroundings import memory_disk, needs_root
from tests.support.truth import drop_song, states, statuses, write_wav

pytestmark = pytest.mark.usefixtures("emptied")


@pytest.fixture
def daemon(tmp_path):
    """A daemon on a spool; it has not been started."""
    settings = settings_for(tmp_path / "spool")
    settings["budgets"]["failures"] = 1
    with Daemon(tmp_path / "spool", settings) as made:
        yield made


def all_are(daemon, **expected):
    until(lambda: states(daemon.root) == expected, f"they are {expected}")


def test_deep_rest_of_a_failed_attempt_is_removed(daemon):
    """The attempt's own failure is all that happens."""
    daemon.start()
    drop_song(daemon.root, "Deep", "deep: true\nhow: badly\n")
    drop_song(daemon.root, "Song")
    all_are(daemon, Deep="failed", Song="done")

    until(daemon.at_rest, "work is empty")
    assert 0 == daemon.stop()


def test_deep_rest_of_a_killed_daemon_is_removed(daemon):
    """The next start comes up, and the job has its next attempt."""
    daemon.start()
    drop_song(daemon.root, "Deep", "deep: true\nseconds: 2\n")
    until(lambda: next(iter(statuses(daemon.root).values()), {}).get("progress"), "it works")
    daemon.kill()
    daemon.start()
    drop_song(daemon.root, "Song")
    all_are(daemon, Deep="done", Song="done")

    until(daemon.at_rest, "work is empty")
    assert 0 == daemon.stop()


@needs_root
@pytest.mark.parametrize("across", [False, True], ids=["same device", "other device"])
def test_deep_drop_fails_whole_with_its_code(daemon, across):
    """It lies in failed/ with the reason, whatever disk it came from."""
    folder = daemon.root / "inbox" / "mix"
    folder.mkdir(parents=True)
    with memory_disk(folder, "size=64m") if across else memory_disk(daemon.root / "no", "size=1m"):
        daemon.start()
        dig(folder / "Deep")
        write_wav(folder / "Song.wav", b"Song" * 200)
        all_are(daemon, **{"Deep": "failed", "Song.wav": "done"})
        error = statuses(daemon.root)["Deep"]["error"]

        assert "TOO_DEEP" == error["code"]
        assert error["hint"]
        assert (DEEP, "bottom.wav") == bottom_of(daemon.root / "failed" / "mix" / "Deep")
        until(lambda: not list(folder.iterdir()), "nothing is left in the inbox")
        assert 0 == daemon.stop()
