"""What the allocator is told."""

import ctypes

import pytest

from dsp.mixing.memory import given_back_between


@pytest.mark.parametrize("library", [None, object()], ids=["this one", "not of GNU"])
def test_progress_is_told_as_it_was_on_any_system(monkeypatch, library):
    """An allocator that knows nothing of it is left alone."""
    if library:
        monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    told = []
    report = given_back_between(lambda *progress: told.append(progress))

    for progress in (("one", 0.1), ("one", 0.2), ("other", 0.3)):
        report(*progress)

    assert [("one", 0.1), ("one", 0.2), ("other", 0.3)] == told
