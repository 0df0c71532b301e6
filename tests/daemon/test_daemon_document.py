"""How the daemon fares, in its own words."""

import pytest

from daemon.config.models import Config
from daemon.intake.observations import Health
from daemon.supervisor.supervisor import Supervisor
from tests.support.clocks import FakeClock


@pytest.fixture
def document(tmp_path):
    """The document of a daemon that does not go round."""
    supervisor = Supervisor(Config.model_validate({"root": tmp_path / "spool"}), clock=FakeClock())
    yield supervisor._document
    supervisor.close(clean=True)


def seen(document, problem=""):
    """Return the health of an inbox that was scanned just now."""
    return Health("mix", "events", document._clock.monotonic_s(), problem=problem)


def test_inbox_that_is_not_looked_at_is_in_trouble(document):
    """A watcher that hangs in its file system cannot say so itself."""
    health = seen(document)
    document._clock.advance(31.0)

    assert "not looked at for 31 s" in document._inbox(health)["problem"]


def test_trouble_is_logged_when_it_begins_and_when_it_ends(document, capsys):
    """Two lines for a night without the file server."""
    for problem in ("", "gone", "gone", ""):
        document._inbox(seen(document, problem))

    said = capsys.readouterr().out.splitlines()
    assert ["inbox in trouble", "inbox well again"] == [
        words
        for line in said
        for words in ("inbox in trouble", "inbox well again")
        if words in line
    ]
