"""What is kept of songs: by content, by options, and never trusted."""

import os
from dataclasses import replace

import numpy as np
import pytest

from daemon.handlers.song_cache import Cache, Entry, entry_at
from dsp.analysis.options import AnalysisOptions
from dsp.analysis.song import Analysed
from tests.support.analysed import example

SHA256 = "5f" * 32
OUTLINE = np.array([[-3, 4], [-128, 127]], np.int8)
BLOCKS = np.array([0, 3, 5])


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "kept", "default", AnalysisOptions())


def entry(**fields):
    return Entry.of(Analysed(example(**fields), OUTLINE, BLOCKS))


def path_of(cache):
    (path,) = cache.folder.rglob("*.json")
    return path


def test_entry_comes_back_under_the_name_that_the_file_has_now(cache):
    """A warning that names the file goes with it; the outline is the same."""
    note = {"code": "SAMPLES_WILD", "message": "Keep On.flac has 3 samples"}
    cache.put(entry(warnings=[note]))
    made = cache.find(SHA256).analysed("B/New.flac", cached=True)

    assert ("B/New.flac", "cache") == (made.analysis.file.name, made.analysis.analysis.source)
    assert "B/New.flac has 3 samples" == made.analysis.warnings[0].message
    assert OUTLINE.tolist() == made.outline.tolist()


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "mine"},
        {"options": AnalysisOptions(sections="off")},
        {"options": AnalysisOptions(tempo={"range": (86, 172)})},
        {"folder": None},
    ],
)
def test_other_namespace_or_options_find_nothing(cache, other):
    """A result answers only what was asked."""
    cache.put(entry())

    assert replace(cache, **other).find(SHA256) is None


def test_incomplete_analysis_is_not_kept(cache):
    """The file may be whole the next time."""
    cache.put(entry(complete=False))

    assert cache.find(SHA256) is None


@pytest.mark.parametrize("how", ["cut", "html", "link", "pipe", "folder", "other file", "outline"])
def test_what_is_no_entry_is_refused(cache, tmp_path, how):
    """An earlier worker decoded foreign bytes, and may have written anything."""
    cache.put(entry())
    path = path_of(cache)
    text = path.read_text()
    path.unlink()
    if how == "link":
        (tmp_path / "elsewhere").write_text(text)
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    else:
        path.write_text(
            {
                "cut": text[:-10],
                "html": "<html>",
                "other file": text.replace(SHA256, "6f" * 32),
                "outline": text.replace('"outline":"', '"outline":"A'),
            }[how]
        )

    with pytest.raises(ValueError, match=r"."):
        cache.find(SHA256)
    cache.put(entry())


def test_entry_is_replaced_by_a_good_one(cache):
    """What was damaged is whole after the next analysis."""
    cache.put(entry())
    path_of(cache).write_text("{}")
    cache.put(entry())

    assert entry_at(path_of(cache), SHA256) is not None


def test_least_recently_used_goes_first(cache):
    """What was asked for stays, however old it is."""
    for place, letter in enumerate("abc"):
        cache.put(entry(file=example().file.model_dump() | {"sha256": letter * 64}))
        (path,) = cache.folder.rglob(f"{letter * 64}.*")
        os.utime(path, (1_000 + place, 500 + place))
    size = path.stat().st_size
    cache.find("a" * 64)
    cache.prune(2.5 * size / 2**20)

    assert cache.find("b" * 64) is None
    assert cache.find("a" * 64)
    assert cache.find("c" * 64)


def test_entry_older_than_asked_for_is_not_taken(cache):
    """``force`` takes nothing that was there before the plan."""
    cache.put(entry())
    os.utime(path_of(cache), (1_000, 1_000))

    assert cache.find(SHA256, newer_than=2_000) is None
    assert cache.find(SHA256, newer_than=500)
