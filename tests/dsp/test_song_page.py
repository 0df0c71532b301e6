"""The page of a song: what stands in it, whatever the song and its names."""

import base64
import json
import re

import numpy as np
import pytest

from dsp.report import song_charts
from dsp.report.song_page import TITLES, song_page
from dsp.report.svg import percent
from tests.support.analysed import absent, estimated, example, figure
from tests.support.pages import HOSTILE, Read

OUTLINE = np.tile(np.array([[-100, 90]], np.int8), (15_504, 1))


def document(**fields):
    return example(**fields).model_dump(mode="json", by_alias=True)


def chart(data, title):
    return next(c for c in song_charts.pictures(data) if c.title == title)


def test_hostile_names_change_no_element_of_the_page():
    """File, tags, warnings: a name is text wherever it stands."""
    pages = []
    for name in ("song.flac", HOSTILE):
        data = document(
            tags={"title": name, "artist": name, "album": name, "bpm": name, "key": name},
            warnings=[{"code": "INPUT_DAMAGED", "message": name}],
        )
        data["file"]["name"] = name
        pages.append(Read(song_page(data, OUTLINE)).elements)

    assert pages[0] == pages[1]


def test_figure_that_does_not_exist_says_why():
    """A dash alone tells nobody whether the song or the program is at fault."""
    data = document()
    data["tempo"] |= {"bpm": absent("BPM", "no steady beat"), "curve": [], "candidates": []}
    data["key"] |= {"name": absent(why="not tonal"), "second": None}
    words = " ".join(Read(song_page(data, OUTLINE)).words)

    assert "no steady beat" in words
    assert "not tonal" in words


def test_calibrated_figure_shows_what_it_was_before():
    """Raw values stay beside the calibrated ones."""
    data = document()
    data["energy"]["score"] = figure(0.7, source="calibrated") | {"raw": 0.55}

    assert "0.55 before calibration" in " ".join(Read(song_page(data, OUTLINE)).words)


def test_every_figure_of_the_document_has_words():
    """What is added to the document is named for people too."""
    shown = Read(song_page(document(), OUTLINE)).words

    assert not {w for w in shown if re.fullmatch(r"[a-z]+(_[a-z]+)+", w.strip())}
    assert set(TITLES.values()) <= {word.strip() for word in shown}


@pytest.mark.parametrize(("p", "words"), [(0.9999, "99 %"), (0.0, "1 %"), (0.534, "53 %")])
def test_estimate_is_never_called_certain(p, words):
    """Nothing that was estimated is 100 % or 0 %."""
    assert words == percent(p)


def test_script_gets_beats_and_an_outline_on_the_time_of_the_file():
    """The zoomed picture lays beats over the pairs: both count from frame 0."""
    page = song_page(document(), OUTLINE)
    told = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    pairs = np.frombuffer(base64.b64decode(told["pairs"]), np.int8).reshape(-1, 2)

    assert document()["beats"] == told["beats"]
    assert len(OUTLINE) == len(pairs)
    assert 180.0 == pytest.approx(len(pairs) * told["seconds_per_pair"], abs=0.02)


def test_quiet_song_fills_its_picture():
    """40 dB below full scale it is still a waveform, not a line."""
    page = song_page(document(), np.tile(np.array([[-1, 1], [0, 0]], np.int8), (700, 1)))
    path = re.search(r'class="shape" d="M0 ([\d.]+)L', page)[1]

    assert 0.0 == float(path)


def test_long_song_makes_no_large_page():
    """Ten hours weigh as much as one."""
    sizes = [len(song_page(document(), np.tile(OUTLINE, (hours * 20, 1)))) for hours in (1, 10)]

    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


def test_song_without_music_has_no_pictures_of_it():
    """Silence has a loudness curve, and neither tempo nor chroma."""
    data = document(beats=[], downbeats=[], sections=[])
    data["tempo"] |= {"bpm": absent("BPM"), "curve": [], "candidates": []}
    data["curves"]["chroma"]["values"] = []

    assert ["Loudness over time"] == [c.title for c in song_charts.pictures(data)]
    assert song_page(data, np.zeros((0, 2), np.int8))


def test_step_of_the_tempo_is_drawn_as_a_step():
    """100 to 120 BPM at the middle: the curve jumps at the middle of the picture."""
    data = document()
    data["tempo"]["curve"] = [[t, 100.0 if t < 90 else 120.0] for t in range(0, 180, 2)]
    data["tempo"]["bpm"] = estimated(110.0, "BPM", 0.9)
    path = next(x.path for x in chart(data, "Tempo over time").lines if x.style == "master")
    points = [tuple(map(float, p.split())) for p in path[1:].split("L")]
    jump = next(n for n in range(1, len(points)) if points[n][1] != points[n - 1][1])

    assert 500.0 == pytest.approx(points[jump][0], abs=1.0)


def test_chroma_shades_each_moment_once():
    """A cell has one shade, and the strongest pitches the darkest."""
    lines = chart(document(), "Chroma over time").lines

    assert {"chroma-0": 2, "chroma-1": 2, "chroma-2": 1, "chroma-3": 2} == {
        line.style: line.path.count("M") for line in lines
    }
