"""The page of a library of 20,000 files in a real browser: searched, walked and played."""

import numpy as np
import pytest
import soundfile

from dsp.report.library_page import Entry, Summary, page_parts
from tests.support.browser import NAMES, browsing
from tests.support.surroundings import needs

pytestmark = [needs(*NAMES, debian="chromium"), pytest.mark.slow]

FILES = 20_000
AUDIO = "document.querySelector('audio')"
COUNT = "document.getElementById('count').textContent"
TITLES = "[...document.querySelectorAll('.row .name span:first-child')].map(one => one.textContent)"


def typed(text):
    return (
        f"(one => {{ one.value = {text!r}; one.dispatchEvent(new Event('input')) }})"
        "(document.getElementById('search'))"
    )


def folder_button(text):
    return (
        f"[...document.querySelectorAll('#folders button')].find(one => one.textContent"
        f".startsWith({text!r})).click()"
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Give a browser with the page open; the first file of all is there, and sounds."""
    folder = tmp_path_factory.mktemp("library")
    music = folder / "Album <b>#1%41" / "Nacht & Träume.wav"
    music.parent.mkdir()
    soundfile.write(music, np.random.default_rng(1).uniform(-0.1, 0.1, 96_000), 48_000)

    def entries():
        peaks = bytes(range(200))
        yield Entry("music/A", music.name, bytes(music), 1, seconds=2.0, peaks=peaks, lufs=-20.0)
        for number in range(1, FILES):
            name = f"{number:05}.wav"
            where = f"music/{'日本語' if number % 2 else 'Packs'}/{number // 100:03}"
            artist = "</script><script>alert(1)</script>" if number == 7 else None
            yield Entry(where, name, f"/none/{name}".encode(), number, artist=artist,
                        seconds=float(number), peaks=peaks)  # fmt: skip

    path = folder / "library.html"
    with path.open("w", encoding="utf-8") as page:
        page.writelines(page_parts(entries(), Summary("Library", FILES)))
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(path)
        yield browser
        assert [] == [text for text in browser.complaints if "FILE_NOT_FOUND" not in text]


def test_search_and_folders_find_one_file_of_twenty_thousand(library):
    """Few rows are in the page at a time; words and folders narrow it down, and nothing runs."""
    assert f"{FILES} files." == library.ask(COUNT)
    assert library.ask("document.querySelectorAll('.row').length") < 200

    library.ask(typed("14242"))
    assert ["14242.wav"] == library.ask(TITLES)
    library.ask(typed(""))
    library.ask(folder_button("日本語"))
    assert f"{FILES // 2} of {FILES} files." == library.ask(COUNT)
    library.ask(folder_button("143"))
    assert f"50 of {FILES} files." == library.ask(COUNT)
    library.ask(typed("alert(1)"))
    assert f"0 of {FILES} files." == library.ask(COUNT)
    library.ask(folder_button("All"))
    assert ["00007.wav"] == library.ask(TITLES)
    library.ask(typed(""))


def test_waveform_is_drawn_and_plays_from_where_it_is_clicked(library):
    """The file is found by its address, whatever signs are in it; a click jumps into it."""
    library.ask("document.getElementById('sort').value = ''; scrollTo(0, 0)")
    row = ".row[data-number='0']"
    ink = (
        f"(pen => pen.getImageData(390, 0, 8, 80).data.filter((v, i) => i % 4 === 3 && v).length)"
        f"(document.querySelector({row!r} + ' canvas').getContext('2d'))"
    )
    assert library.ask(ink) > 100

    library.click(f"{row} canvas", across=0.5)
    library.until(f"{AUDIO}.currentTime > 0.9", event="timeupdate", of=AUDIO)
    library.ask(f"{AUDIO}.pause()")

    assert "Nacht & Träume.wav" in library.ask("document.getElementById('said').textContent")
    assert library.ask(f"document.querySelector({row!r}).className") == "row on"


def test_file_that_is_not_there_says_so(library):
    """On another computer nothing plays, and the page says why."""
    library.ask(typed("00042"))
    library.click(".row[data-number='42'] button")
    said = "document.getElementById('said').textContent"
    library.until(f"{said}.includes('cannot be played')", event="error", of=AUDIO)
