"""The watchers of all inboxes, and whether the jobs of an inbox may be started."""

import pytest

from daemon.config.models import Config
from daemon.intake.observations import Looked
from daemon.supervisor.startup import PATIENCE_S
from daemon.supervisor.supervisor import Supervisor
from tests.support.clocks import FakeClock


@pytest.fixture
def daemon(tmp_path):
    """A daemon whose watchers have not looked yet."""
    made = Supervisor(Config.model_validate({"root": tmp_path / "spool"}), clock=FakeClock())
    made._watchers._unseen_until_s = made._clock.monotonic_s() + PATIENCE_S
    yield made
    made.close(clean=True)


def test_jobs_wait_until_their_inbox_was_seen(daemon):
    """It may turn out to be paused, or to want one of them cancelled."""
    assert "not been scanned" in daemon._watchers.closed("mix")
    assert [] == daemon._dispatcher._obstacles.open()

    daemon._watchers.reports.put(Looked("mix", frozenset()))
    daemon._watchers.next_report()
    assert ("", ["mix"]) == (daemon._watchers.closed("mix"), daemon._dispatcher._obstacles.open())


def test_inbox_that_does_not_answer_holds_its_jobs_up_only_so_long(daemon):
    """They are in work/ and need it no more."""
    daemon._clock.advance(PATIENCE_S + 1.0)

    assert "" == daemon._watchers.closed("mix")


def test_request_to_cancel_is_removed_once_its_job_has_ended(daemon):
    """Not before: a crash must not swallow it. A closed inbox keeps it for the next start."""
    removed = []

    class Watcher:
        remove_request = staticmethod(removed.append)

    daemon._watchers.request_cancel("job", "mix", "Song.cancel")
    daemon._watchers.finish_cancel("another")
    assert [] == removed
    daemon._watchers.watchers["mix"] = Watcher
    daemon._watchers.finish_cancel("job")
    daemon._watchers.finish_cancel("job")
    daemon._watchers.remove_request("gone", "x.cancel")
    del daemon._watchers.watchers["mix"]

    assert ["Song.cancel"] == removed
