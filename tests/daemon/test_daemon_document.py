"""How the daemon fares, in its own words."""

import pytest

from daemon.config.models import Budgets, Config
from daemon.intake.observations import Health
from daemon.jobs.store import open_store
from daemon.supervisor.daemon_document import DaemonDocument
from tests.support.clocks import FakeClock


@pytest.fixture
def vitals(tmp_path):
    clock = FakeClock()
    store = open_store(tmp_path / "queue.sqlite3", clock, Budgets())
    yield DaemonDocument(Config(root=tmp_path), store, clock)
    store.close(clean=True)


def seen(vitals, problem=""):
    """Return the health of an inbox that was scanned just now."""
    return Health("mix", "events", vitals._clock.monotonic_s(), problem=problem)


def test_inbox_that_is_not_looked_at_is_in_trouble(vitals):
    """A watcher that hangs in its file system cannot say so itself."""
    health = seen(vitals)
    vitals._clock.advance(31.0)

    assert "not looked at for 31 s" in vitals._inbox(health)["problem"]


def test_trouble_is_logged_when_it_begins_and_when_it_ends(vitals, capsys):
    """Two lines for a night without the file server."""
    for problem in ("", "gone", "gone", ""):
        vitals._inbox(seen(vitals, problem))

    said = capsys.readouterr().out.splitlines()
    assert ["inbox in trouble", "inbox well again"] == [
        words
        for line in said
        for words in ("inbox in trouble", "inbox well again")
        if words in line
    ]
