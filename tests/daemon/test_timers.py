"""The daemon's own timer: a scan is dropped when it is due, once, whatever happens meanwhile."""

import errno
import json
import os
import shutil
from contextlib import contextmanager

import pytest

from daemon.config.models import Config
from daemon.files import Files
from daemon.handlers.contract import Declaration
from daemon.intake.hints import Hints
from daemon.jobs.job import Ending, Outcome
from daemon.supervisor.supervisor import Supervisor
from daemon.supervisor.timers import CONTENT, Timers
from tests.support.clocks import FakeClock
from tests.support.daemons import until
from tests.support.files import SnapshotFiles
from tests.support.jobs import new_job
from tests.support.lives import HANDLER, Life, config_for
from tests.support.truth import broken_sentences, drop_song, rows, statuses

HOUR_S = 3600.0
EVERY_S = 6 * HOUR_S
STEPS = ("drop scan", "mark scan", "note_scan", "commit adopt", "claim")
"""Those between a scan that is due and a job that runs."""


class Desk:
    """Stands for the watcher of an inbox: it drops when it gets to it."""

    scans_taken = 0

    def __init__(self) -> None:
        self.dropped, self.asked, self.content = [], [], None

    def drop(self, name, content, done, scans_taken):
        assert content
        assert self.scans_taken == scans_taken
        self.content = content
        self.asked.append((name, done))

    def answer(self):
        for name, done in self.asked:
            self.dropped.append(name)
            done()
        self.asked.clear()


@pytest.fixture
def daemon(tmp_path):
    """A daemon with an inbox that is scanned every six hours; nothing of it runs."""
    inbox = {"every_s": EVERY_S, "handler": HANDLER}
    asked = {"root": tmp_path / "spool", "inboxes": {"mix": inbox}}
    made = Supervisor(Config.model_validate(asked), clock=FakeClock())
    made._pool.handlers[HANDLER] = Declaration(accepts={".scan"})
    yield made
    made.close(clean=True)


def timers(daemon, desk):
    """Return the timers of a daemon that has just started."""
    return Timers(daemon._opened, daemon._pool, {"mix": desk})


def ticks(daemon, desk, found, *seconds):
    """Return what is dropped at each of some moments, each so long after the one before."""
    dropped = []
    for wait_s in seconds:
        daemon._clock.advance(wait_s)
        before = len(desk.dropped)
        for _ in range(3):
            found.tick()
            desk.answer()
        dropped.append(len(desk.dropped) - before)
    return dropped


def test_scan_is_dropped_at_once_and_then_again_and_again(daemon):
    """The first one need not be waited for; its name tells when it was dropped, in UTC."""
    desk = Desk()
    found = ticks(daemon, desk, timers(daemon, desk), 0, 1, EVERY_S - 2, 1, EVERY_S)

    assert [1, 0, 0, 1, 1] == found
    assert "scan 20261120T214501Z.scan" == desk.dropped[0]


def test_scans_that_were_missed_are_made_up_for_once(daemon):
    """A machine that was off for a week does not scan 28 times when it is back."""
    desk = Desk()
    ticks(daemon, desk, timers(daemon, desk), 0)
    daemon._clock.advance(7 * 24 * HOUR_S)

    assert [1, 0, 0, 1] == ticks(daemon, desk, timers(daemon, desk), 0, 1, EVERY_S - 2, 1)


def test_restart_does_not_put_a_scan_off(daemon):
    """Nor forward: the next one is due from the last one's time, which is written down."""
    desk = Desk()
    ticks(daemon, desk, timers(daemon, desk), 0)

    assert [0] == ticks(daemon, desk, timers(daemon, desk), EVERY_S - 1)
    assert [1] == ticks(daemon, desk, timers(daemon, desk), 1)


def test_clock_that_is_set_back_puts_a_scan_off_by_no_more_than_its_period(daemon):
    """Set forward it scans once too early, and set back again it goes on from there."""
    desk, found = Desk(), None
    found = timers(daemon, desk)
    assert [1, 1] == ticks(daemon, desk, found, 0, 1_000 * HOUR_S)
    daemon._clock.now_ms -= round(1_000_000 * HOUR_S)

    assert [0, 0, 1] == ticks(daemon, desk, found, 0, EVERY_S - 1, 1)


def test_scan_is_skipped_while_one_waits_or_is_at_work(daemon):
    """What was due then is not made up for: a scan that takes long is not followed by the next."""
    desk = Desk()
    found = timers(daemon, desk)
    daemon._store.adopt(new_job("scan", name="scan by hand.scan"))
    assert [0] == ticks(daemon, desk, found, 0)
    daemon._store.claim()
    assert [0] == ticks(daemon, desk, found, EVERY_S)
    daemon._store.finish("scan", 1, Ending(Outcome.NOTHING_TO_DO))

    assert [0, 1] == ticks(daemon, desk, found, EVERY_S - 1, 1)


def test_hint_brings_a_scan_of_what_moved_and_puts_none_off(daemon, fleeting):
    """Once a minute at the most, not while one waits; what the timer drops looks at everything."""
    desk, hints = Desk(), Hints({"music": fleeting}, daemon._clock)
    (fleeting / "b").mkdir()
    watching = {}
    found = Timers(daemon._opened, daemon._pool, {"mix": desk}, watching)
    watching["mix"] = hints  # they come when inboxes are opened
    ticks(daemon, desk, found, 0)
    hints.start()
    until(lambda: hints.watching == 2, "it watches")
    (fleeting / "b/x.wav").touch()
    until(lambda: hints._moved, "something moved")
    daemon._store.adopt(new_job("scan", name="scan by hand.scan"))
    assert [0, 0] == ticks(daemon, desk, found, 1, 60)
    daemon._store.claim()
    daemon._store.finish("scan", 1, Ending(Outcome.NOTHING_TO_DO))

    assert [0, 1, 0] == ticks(daemon, desk, found, 58, 2, 60)
    assert {"under": ["music/b"]} == json.loads(desk.content)
    assert [0, 1] == ticks(daemon, desk, found, EVERY_S - 182, 1)
    assert CONTENT == desk.content
    hints.ask_to_stop()


def test_watcher_that_ends_before_it_dropped_is_followed_by_the_next(daemon):
    """A reload replaces it; one that hangs is asked once, not in each round."""
    hanging, desk = Desk(), Desk()
    watchers = {"mix": hanging}
    found = Timers(daemon._opened, daemon._pool, watchers)
    for _ in range(3):
        found.tick()
    assert 1 == len(hanging.asked)
    watchers["mix"] = desk
    found.tick()

    assert 1 == len(desk.asked)


def test_handler_that_takes_no_scans_gets_none(daemon):
    """They would lie in its inbox for ever; a warning says so."""
    daemon._pool.handlers[HANDLER] = Declaration()
    desk = Desk()
    found = timers(daemon, desk)

    assert [0] == ticks(daemon, desk, found, 0)
    assert ["SCAN_NOT_TAKEN"] == [code for code, _ in found.warnings()]


class FullAtFirst(Files):
    """A disk with no room for a new file, until something else is over."""

    def __init__(self, until) -> None:
        self.until, self.refused = until, 0

    @contextmanager
    def _step(self, name):
        if name == "drop scan" and not self.until():
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield


def test_scan_that_cannot_be_dropped_keeps_no_other_drop_waiting(fleeting, pool):
    """A disk that is full takes no new file; what people dropped is taken, and the scan later."""
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_song(root, "Song")
    files = FullAtFirst(lambda: statuses(root).get("Song", {}).get("state") == "done")
    Life(scanned(root), files, pool).live(lambda life: len(rows(root)) == 2 and life.at_rest())

    assert files.refused > 0
    assert {"done"} == {one["state"] for one in statuses(root).values()}


def scanned(root):
    """Return a configuration whose inbox is scanned every six hours."""
    config = config_for(root)
    inbox = config.inboxes["mix"].model_copy(update={"every_s": EVERY_S})
    return config.model_copy(update={"inboxes": {"mix": inbox}})


def test_one_scan_is_done_whatever_step_the_daemon_dies_at(fleeting, pool):
    """Dropped by the watcher, noted by the loop: between the two, what was dropped is found."""
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    config = scanned(root)

    def over(life):
        watchers = life.supervisor._watchers
        return watchers.timers._last_ms and HANDLER in pool.handlers and life.at_rest()

    by_time = frozenset({"write heartbeat", "write status progress", "commit note_start"})
    files = SnapshotFiles(root, root.parent, by_time)
    Life(config, files, pool).live(over)
    wrong = {}
    for death, left in files.snapshots.items():
        if not any(
            step in death
            for step in ("drop scan", "mark scan", "note_scan", "commit adopt", "claim")
        ):
            continue
        shutil.rmtree(root)
        left.rename(root)
        Life(config, Files(), pool).live(over)
        found = [*broken_sentences(root), *(one["state"] for one in statuses(root).values())]
        if found != ["done"] or len(rows(root)) != 1 or list((root / "inbox" / "mix").iterdir()):
            wrong[death] = found

    assert {} == wrong
    assert {"after drop scan (1)", "after commit note_scan (1)"} <= files.snapshots.keys()
