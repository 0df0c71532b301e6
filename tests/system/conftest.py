"""What the tests of a real daemon share."""

import pytest

from tests.support.daemons import Daemon, settings_for


@pytest.fixture
def daemon(tmp_path):
    """A daemon on the disk of the test: not started, and ended with it."""
    with Daemon(tmp_path / "spool", settings_for(tmp_path / "spool")) as made:
        yield made
