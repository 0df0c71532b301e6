"""No inotify instance, no descriptor: scans go on without events."""

import os
import resource
from contextlib import contextmanager

from daemon.cli.diagnose import inbox_checks
from daemon.intake.watcher import Watch


@contextmanager
def few_descriptors():
    """Let the next two descriptors be the last; libraries open more for a watch."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = os.dup(0)
    os.close(last)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_watch_that_cannot_be_had_is_no_error(tmp_path):
    """It is said, and tried again at the next scan."""
    watch = Watch(tmp_path, lambda: None)

    with few_descriptors():
        assert not watch.check()
    try:
        assert watch.check()
    finally:
        watch.stop()


def test_check_without_a_watch_is_a_warning(tmp_path):
    """The same limit met by ``soundspool check``."""
    with few_descriptors():
        found = inbox_checks.events("mix", tmp_path)

    assert "warning" == found.verdict
