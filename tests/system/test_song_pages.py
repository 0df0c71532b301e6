"""The pages of songs in a real browser: sorted, filtered, played and reached by keyboard."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soundfile

from dsp.report.batch_page import Score, Song, Summary, page_parts
from dsp.report.song_page import song_page
from tests.support.analysed import example
from tests.support.browser import NAMES, browsing
from tests.support.contrast import contrast, luminance
from tests.support.surroundings import needs

pytestmark = needs(*NAMES, debian="chromium")

KEYS = ("8B", "9B", "8A", "2A")
HOSTILE = ["</script><script>alert(1)</script>", "evil\u202egnp", "l\nine", "\udcff", "x" * 250,
           "javascript:alert(1)", '"><img src=x onerror=alert(1)>']  # fmt: skip
AUDIO = "document.querySelector('audio')"


@cache
def _example():
    return example().model_dump(mode="json", by_alias=True)


def song(number, bpm, camelot="8B", name=None, size=1000, **truth):
    """Return a row; its tag says half its tempo."""
    data = dict(_example())  # what is not changed is shared: thousands of rows are asked for
    for section, key, value in (("tempo", "bpm", bpm), ("key", "camelot", camelot)):
        data[section] = data[section] | {key: data[section][key] | {"value": value}}
    data["tags"] = data["tags"] | {"bpm": str(bpm / 2), "title": None, "artist": f"Artist {number}"}
    data["file"] = data["file"] | {"bytes": size}
    name = name or f"Song {number:04}.wav"
    return Song(name, folder=name, analysis=data, truth=truth)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("songs")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def batch(browser, folder):
    """Return a function that opens a page of these songs."""

    def opened(songs, **more):
        failed = sum(one.error is not None for one in songs)
        summary = Summary("Crates", len(songs), failed, 60.0 * len(songs), **more)
        path = folder / "index.html"
        path.write_text("".join(page_parts(songs, summary)), "utf-8")
        browser.forget()
        browser.open(path)
        return browser

    return opened


@pytest.fixture
def songs():
    some = [song(n, 90.0 + 10 * n, KEYS[n % 4]) for n in range(8)]
    return [*some, Song("Broken.wav", error=("INPUT_DAMAGED", "Broken.wav is damaged"))]


def names(page):
    return page.ask("[...document.querySelectorAll('tbody th a, tbody th span:first-child')]"
                    ".filter(e => !e.children.length).map(e => e.title)")  # fmt: skip


def fill(page, field, value):
    page.ask(
        f"(e => {{ if (e.type === 'checkbox') e.checked = true; else e.value = {json.dumps(value)};"
        f" e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.getElementById({json.dumps(field)}))"
    )


def numbers(page):
    return [int(name.split()[1][:4]) for name in names(page) if name.startswith("Song")]


def test_failed_songs_stand_first(batch, songs):
    """What needs a person is not found on the last page."""
    page = batch(songs)

    assert "Broken.wav" == names(page)[0]
    assert "INPUT_DAMAGED" in page.ask("document.querySelector('tbody tr').textContent")


def test_heading_sorts_and_sorts_the_other_way(batch, songs):
    """Failed songs have no tempo, and stand last either way."""
    page = batch(songs)
    page.resize(1400)
    page.click("th.bpm button")
    up = names(page)
    page.click("th.bpm button")
    down = names(page)

    assert list(range(8)) == [int(n.split()[1][:4]) for n in up[:-1]]
    assert up[:-1][::-1] == down[:-1]
    assert up[-1] == down[-1] == "Broken.wav"
    assert "descending" == page.ask("document.querySelector('th.bpm').ariaSort")


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"search": "artist 3"}, [3]),
        ({"from": "120", "to": "140"}, [3, 4, 5]),
        ({"key": "8B"}, [0, 4]),
        ({"key": "8B", "near": "on"}, [0, 1, 2, 4, 5, 6]),
        ({"search": "nobody"}, []),
    ],
)
def test_filters_leave_what_they_say(batch, songs, fields, left):
    """Words, a range of tempi, a key and the keys that mix with it."""
    page = batch(songs)
    for field, value in fields.items():
        fill(page, field, value)

    assert left == numbers(page)
    assert f"{len(left)} of 9 songs." == page.ask("document.getElementById('count').textContent")


def test_old_tempo_stands_beside_the_new_with_its_ratio(batch, songs):
    """The tag says half, and the page says so."""
    page = batch(songs)
    fill(page, "sort", "bpm")

    assert ["45", "2 ×"] == page.ask(
        "[...document.querySelector('tbody .tagbpm').children].map(e => e.textContent)"
    )


def test_key_of_a_tag_is_understood_in_every_spelling(batch):
    """What programs write for one and the same key is the same key."""
    spelt = {
        "8A": ["Am", "A minor", "a min", "08A", "8a", "1m"],
        "8B": ["C", "C major", "Cmaj", "1d"],
        "1A": ["G#m", "Abm", "A♭ minor", "6m"],
        "11A": ["F♯m", "Gbm"],
        "3B": ["Db", "C#"],
    }
    songs = []
    for camelot, tags in spelt.items():
        for tag in tags:
            one = song(len(songs), 100.0, camelot)
            one.analysis["tags"]["key"] = tag
            songs.append(one)
    page = batch(songs)

    assert ["same"] * len(songs) == page.ask(
        "[...document.querySelectorAll('td.tagkey')].map(e => e.lastElementChild.textContent)"
    )


def test_keys_are_spelt_as_wanted(batch, songs):
    """A DJ reads the wheel first, a musician the name."""
    page = batch(songs, key_names="camelot")
    fill(page, "sort", "bpm")

    assert "8B" == page.ask("document.querySelector('td.tonality').firstChild.textContent")


def test_keyboard_is_enough(batch, songs):
    """A slash searches, an arrow goes to the rows and on, enter opens the song's page."""
    page = batch(songs)
    page.ask("document.body.focus()")
    page.press("/", text="/")
    typed = page.ask("document.activeElement.id + document.activeElement.value")
    page.press("ArrowDown")
    page.press("ArrowDown")
    chosen = page.ask("document.activeElement.querySelector('th').textContent")

    assert "search" == typed
    assert chosen.startswith("Song 0000.wav")
    assert 1 == page.ask("document.querySelectorAll('tbody tr[tabindex=\"0\"]').length")


def test_tab_stops_once_in_the_rows(batch):
    """5,000 rows do not stand between a keyboard and the player."""
    page = batch([song(n, 100.0) for n in range(300)])
    stops = []
    for _ in range(40):
        page.press("Tab")
        stops.append(page.ask("document.activeElement.closest('tbody') ? 'row' :"
                              " document.activeElement.id"))  # fmt: skip
        if stops[-1] == "pick":
            break

    assert 1 == stops.count("row")
    assert "pick" == stops[-1]


def test_last_of_5000_songs_is_one_key_away(batch):
    """Only rows that are looked at are in the page; the end is reached all the same."""
    page = batch([song(n, 100.0) for n in range(5_000)])
    page.ask("document.querySelector('tbody tr').focus()")
    page.press("End")
    page.until("document.activeElement.dataset.at === '4999'", event="scroll")

    assert "Song 4999.wav" in names(page)
    assert "5001" == page.ask("document.getElementById('table').getAttribute('aria-rowcount')")
    assert page.ask("document.querySelectorAll('tbody tr').length") < 300
    assert page.ask("(b => b.top >= 0 && b.bottom <= innerHeight)"
                    "(document.activeElement.getBoundingClientRect())")  # fmt: skip


def test_paper_holds_every_song_that_is_left(batch):
    """Printed, the rows that were not drawn are drawn."""
    page = batch([song(n, 100.0) for n in range(1_000)])
    page.ask("dispatchEvent(new Event('beforeprint'))")
    page.print_media()

    assert 1_000 == len(names(page))
    assert not page.ask("[...document.querySelectorAll('button')].some(e => e.offsetHeight)")


def test_hostile_names_are_shown_and_do_nothing(batch):
    """No alert, no request, no address outside of the folder."""
    page = batch([song(n, 100.0, name=name) for n, name in enumerate(HOSTILE)])
    links = page.ask("[...document.querySelectorAll('tbody a')].map(a => a.href)")
    shown = names(page)

    assert HOSTILE[0] == shown[0]
    assert "evil\\u202egnp" == shown[1]
    assert all(link.startswith(page.ask("new URL('.', location).href")) for link in links)
    assert 1 == len([url for url in page.requests if not url.startswith("data:")])
    assert [] == page.complaints


def test_name_of_a_song_stands_before_its_folder(batch):
    """A long path is cut at its end; the name is what people look for."""
    twin = replace(song(1, 100.0, name="Artist/Album/Two.flac"), same_as="Artist/One.flac")
    page = batch([song(0, 100.0, name="Artist/One.flac"), twin])
    told = page.ask("[...document.querySelectorAll('tbody th')].map(e => [...e.children]"
                    ".map(one => one.textContent))")  # fmt: skip

    assert [
        ["One.flac", "Artist 0 · Artist"],
        ["Two.flac", "Artist 1 · the same as Artist/One.flac · Artist/Album"],
    ] == told


@pytest.mark.parametrize("width", [320, 390, 800, 1400])
def test_batch_fits_the_screen(batch, songs, width):
    """Nothing is wider than the screen, and no row is higher than its place."""
    named = [*songs, song(9, 100.0, name="x" * 250), song(10, 100.0, name="y y " * 60)]
    page = batch(named, scores=[Score("Tempo right", "84 %", "80 %", "88 %", 106)])
    page.resize(width)
    heights = page.ask("[...document.querySelectorAll('tbody tr')].map(r =>"
                       " [r.clientHeight, Math.max(...[...r.children].map(c =>"
                       " c.offsetTop + c.offsetHeight - r.offsetTop))])")  # fmt: skip

    assert width == page.ask("document.documentElement.scrollWidth")
    assert all(inside <= height for height, inside in heights)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_the_batch_can_be_read(batch, songs, scheme):
    """4.5:1 and more in both looks, soft words, marks and the chosen row included."""
    page = batch(songs)
    page.prefer(scheme)
    page.ask("document.querySelector('tbody tr').focus()")
    pairs = page.ask(
        "[...document.querySelectorAll('tbody tr')].flatMap(r => [...r.querySelectorAll('span, a')]"
        ".filter(e => e.textContent).map(e => [getComputedStyle(e).color,"
        " getComputedStyle(r.ariaSelected === 'true' ? r : document.getElementById('table'))"
        ".backgroundColor]))"
    )

    assert pairs
    assert all(contrast(luminance(a), luminance(b)) >= 4.5 for a, b in pairs)


@pytest.fixture(scope="module")
def sound(folder):
    path = folder / "crate" / "Café.wav"
    path.parent.mkdir()
    time_s = np.arange(4 * 22_050) / 22_050
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 440 * time_s), 22_050)
    return path


def give(page, *paths):
    node = page._call("Runtime.evaluate", expression="document.getElementById('pick')")
    page._call("DOM.setFileInputFiles", files=[str(path) for path in paths],
               objectId=node["result"]["objectId"])  # fmt: skip


def test_space_plays_the_file_of_the_row(batch, sound):
    """Shown its folder, the page finds a song by name and size, and plays it from disk."""
    size = sound.stat().st_size
    page = batch([song(0, 100.0, name="a/Café.wav", size=size)])
    give(page, sound.parent)
    page.until("document.getElementById('said').textContent.startsWith('1 of 1')", event="change")
    page.ask("document.querySelector('tbody tr').focus()")
    page.press(" ", text=" ")
    page.until(f"{AUDIO}.currentTime > 0.1", event="timeupdate", of=AUDIO)
    outside = [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))]

    assert "Pause" == page.ask("document.getElementById('play').textContent")
    assert [] == outside
    assert [] == page.complaints


def test_song_that_is_not_there_is_named(batch, sound):
    """Another file of that name is not played for it."""
    page = batch([song(0, 100.0, name="Café.wav", size=7)])
    give(page, sound.parent)
    page.until("document.getElementById('said').textContent.startsWith('0 of 1')", event="change")
    page.ask("document.querySelector('tbody tr').focus()")
    page.press(" ", text=" ")

    assert "is not in that folder" in page.ask("document.getElementById('said').textContent")


@pytest.fixture
def analysis(browser, folder):
    pairs = np.tile(np.array([[-90, 80]], np.int8), (15_504, 1))
    path = folder / "analysis.html"
    data = example().model_dump(mode="json", by_alias=True)
    path.write_text(song_page(data, pairs, up="../index.html"), "utf-8")
    browser.forget()
    browser.open(path)
    return browser


def test_page_of_a_song_asks_for_nothing_but_itself(analysis):
    """Moved through and looked at, it requests its own file and no other."""
    analysis.click("#seek", across=0.5)

    assert 1 == len([url for url in analysis.requests if not url.startswith("data:")])
    assert [] == analysis.complaints


def test_waveform_of_a_song_is_its_time(analysis):
    """A click in the middle goes to the middle, and arrows go on from there."""
    analysis.click("#seek", across=0.5)
    analysis.press("ArrowRight")

    assert "1:35 of 3:00" == analysis.ask("document.getElementById('seek').ariaValueText")


def test_zoomed_waveform_shows_beats(analysis):
    """Where a downbeat is, the strip has the colour of bars from top to bottom."""
    where = analysis.ask(
        "(c => { const p = c.getContext('2d'); return [...Array(c.width).keys()].filter(x =>"
        " { const d = p.getImageData(x, 1, 1, 1).data; return d[3] === 255 && d[2] > d[0] + 40 }"
        ").length"
        " })(document.getElementById('zoom'))"
    )

    assert where >= 5


def test_song_plays_from_the_file_it_is_shown_with_clicks(analysis, sound):
    """The file is chosen, the clicks are on, and the position moves."""
    give(analysis, sound)
    analysis.click("#clicks")
    analysis.click("#play")
    analysis.until(f"{AUDIO}.currentTime > 0.4", event="timeupdate", of=AUDIO)

    assert "another size" in analysis.ask("document.getElementById('trouble').textContent")
    assert [] == analysis.complaints


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_page_of_a_song_fits_the_screen(analysis, width):
    """Nothing but what scrolls by itself is wider than the screen."""
    analysis.resize(width)

    assert width == analysis.ask("document.documentElement.scrollWidth")


def test_page_of_a_song_is_a_document_to_a_screen_reader(analysis):
    """Landmarks, one first heading, named pictures, tables with heads."""
    tree = analysis.accessible()
    pictures = [name for role, name in tree if role == "image"]

    assert {"main", "navigation", "banner"} <= {role for role, _ in tree}
    assert ("slider", "Position in the song") in tree
    assert 4 <= len(pictures)
    assert all(pictures)
