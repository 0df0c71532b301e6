"""What several test modules ask for."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from daemon import trees
from daemon.clock import Clock
from daemon.config.models import Pool as PoolSettings
from tests.support.lives import HANDLER, ROOT, WarmPool

# The same examples each time, however long one takes: what fails, fails for a reason. To look for
# more, as before a release: ``--hypothesis-profile=default``.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def fleeting(tmp_path):
    """Give a folder in memory, where there is one: for what does not ask what a disk keeps."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def emptied(tmp_path):
    """Remove what a test leaves and pytest cannot: trees deeper than Python's stack."""
    yield
    for left in tmp_path.iterdir():
        trees.remove(left)


@pytest.fixture(scope="module")
def pool():
    """Give warm workers to all daemons of a module, one after the other."""
    settings = PoolSettings(slots=1, confine=False, recycle_jobs=10_000)
    warm = WarmPool(settings, Clock(), handlers=[HANDLER], handler_paths=[ROOT])
    yield warm
    warm.end()
