"""The report in a real browser: it plays, it is reached by keyboard, it asks for nothing."""

import shutil
from pathlib import Path

import pytest

from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from tests.support.browser import NAMES, browsing
from tests.support.contrast import contrast, luminance
from tests.support.sessions import make_session
from tests.support.surroundings import needs

pytestmark = needs(*NAMES, debian="chromium")

SECONDS = 8.0
AUDIO = "document.querySelector('audio')"
PLAYING = f"!{AUDIO}.paused"
MIX, PLAIN = (f"document.getElementById('compare-{name}')" for name in ("mix", "plain"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mix")
    session = make_session(folder / "Night Train", seconds=SECONDS)
    (session / "pad.aiff").rename(session / f"pad_{'very_long_name' * 6}.aiff")
    (folder / "out").mkdir()
    mix(session, folder / "out", Settings(also=[{"stems": "preview"}]), report=lambda *_: None)
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, report):
    browser.forget()
    browser.open(report)
    browser.until(f"{AUDIO}.readyState >= 1", event="loadedmetadata", of=AUDIO)
    return browser


def position(page):
    return page.ask(f"{AUDIO}.currentTime")


def test_page_asks_for_nothing_but_itself(page, report):
    """Opened, played and searched, the page requests its own file and no other."""
    page.click("#play")
    page.click("#seek", across=0.75)
    page.press("Escape")
    asked = [url for url in page.requests if not url.startswith("data:")]

    assert [report.as_uri()] == asked


def test_click_in_the_middle_of_the_waveform_goes_to_the_middle_of_the_song(page):
    """The waveform is the time axis."""
    page.click("#seek", across=0.5)

    assert SECONDS / 2 == pytest.approx(position(page), abs=0.1)


def test_pictures_over_time_share_the_cursor_of_the_waveform(page):
    """A click into one of them goes there, and every cursor follows."""
    page.click(".over", across=0.25)
    lefts = page.ask(
        "[...document.querySelectorAll('.head')].map(head => parseFloat(head.style.left))"
    )

    assert SECONDS / 4 == pytest.approx(position(page), abs=0.1)
    assert 4 == len(lefts)
    assert max(lefts) - min(lefts) < 0.001


def test_front_page_is_linked_from_an_outbox_only(page, report, tmp_path):
    """A mix by hand has none above it."""
    hidden = "document.getElementById('home').hidden"
    assert page.ask(hidden)

    inside = tmp_path / "outbox/mix/Night Train"
    inside.mkdir(parents=True)
    page.open(Path(shutil.copy(report, inside / "report.html")))
    assert not page.ask(hidden)


AUDIBLE = (
    "[...document.querySelectorAll('audio')].filter(a => !a.paused && !a.muted).map(a => a.id)"
)


def test_comparison_switches_while_it_plays(page):
    """What is chosen is heard, alone, from where the other one was, and the song is silent."""
    page.click("#play")
    page.until(PLAYING, event="playing", of=AUDIO)
    page.click("#compare-play")
    page.until(f"{MIX}.currentTime > 0.3", event="timeupdate", of=MIX)
    page.click("[data-sound=compare-plain]")
    page.until(f"{MIX}.muted", event="timeupdate", of=MIX)

    assert ["compare-plain"] == page.ask(AUDIBLE)
    assert page.ask(f"{PLAIN}.currentTime") > 0.2

    page.click("#compare-play")
    assert [] == page.ask(AUDIBLE)
    assert not page.ask(PLAYING)


def test_stem_is_heard_from_the_file_beside_the_page(page, report):
    """It is asked for when it is chosen, and not before; where it is missing, the page says so."""
    trouble = "document.getElementById('compare-trouble')"
    page.click("#compare-play")
    page.until(f"{MIX}.currentTime > 0.1", event="timeupdate", of=MIX)
    page.click("[data-file*=bass]")
    page.until(f"{MIX}.muted", event="timeupdate", of=MIX)
    asked = [url.rpartition("/")[2] for url in page.requests if url.endswith(".ogg")]
    assert ["bass.ogg"] == asked

    (report.parent / "solos/keys.ogg").unlink()
    page.click("[data-file*=keys]")
    page.ask(
        f"new Promise(done => {{ const look = () => {{ if ({trouble}.textContent) done(true) }};"
        f" new MutationObserver(look).observe({trouble}, {{childList: true}}); look() }})"
    )
    assert "solos/keys.ogg" in page.ask(f"{trouble}.textContent")


def test_button_plays_and_pauses(page):
    """It plays, says "Pause", pauses, and says "Play"."""
    button = "document.querySelector('#play').textContent"
    page.click("#play")
    page.until(f"{button} === 'Pause'", event="playing", of=AUDIO)
    page.click("#play")
    page.until(f"{button} === 'Play'", event="pause", of=AUDIO)

    assert not page.ask(PLAYING)


def test_playing_moves_the_song_on(page):
    """The copy inside the page is sound that this browser decodes."""
    page.click("#play")
    page.until(f"{AUDIO}.currentTime > 0.2", event="timeupdate", of=AUDIO)

    assert page.ask(PLAYING)


@pytest.mark.parametrize(
    ("keys", "expected_s"),
    [(["ArrowRight"], 5.0), (["ArrowRight", "ArrowLeft"], 0.0), (["End"], SECONDS - 0.05)],
)
def test_keys_move_through_the_song(page, keys, expected_s):
    """Arrows go five seconds, End goes to the end, as on any slider."""
    page.ask("document.querySelector('#seek').focus()")
    for key in keys:
        page.press(key)

    assert expected_s == pytest.approx(position(page), abs=0.1)


def test_slider_tells_its_position_in_words(page):
    """What a screen reader says is a time, not a number of seconds."""
    page.click("#seek", across=0.5)
    slider = "document.querySelector('#seek')"

    assert "0:04 of 0:08" == page.ask(f"{slider}.getAttribute('aria-valuetext')")


def test_space_on_the_waveform_plays(page):
    """The keyboard alone is enough to listen."""
    page.ask("document.querySelector('#seek').focus()")
    page.press(" ", text=" ")
    page.until(PLAYING, event="playing", of=AUDIO)

    assert page.ask(PLAYING)


def test_tab_reaches_the_player_and_every_stem(page):
    """Whatever can be clicked can be reached; the first stop skips to the report."""
    stops = []
    while len(stops) < 40 and (not stops or stops[-1] != "sheet"):
        page.press("Tab")
        stops.append(
            page.ask(
                "document.activeElement.id || document.activeElement.className"
                " || document.activeElement.tagName"
            )
        )

    assert "unseen skip" == stops[0]
    assert 5 == stops.count("SUMMARY")
    assert {"play", "seek", "all", "copy", "sheet"} <= set(stops)


def test_page_complains_of_nothing(page):
    """No exception, no message on the console, nothing that the policy of the page refused."""
    page.click("#all")
    page.click("#copy")

    assert [] == page.complaints


def test_copy_says_what_it_did(page):
    """The whole recall sheet is selected and copied, and the page says so."""
    page.click("#copy")

    assert "Copied." == page.ask("document.querySelector('#copied').textContent")
    assert page.ask("getSelection().toString()").lstrip().startswith("# The recall sheet")


def test_open_all_opens_every_stem(page):
    """And then offers to close them."""
    page.click("#all")

    assert page.ask("[...document.querySelectorAll('details')].every(d => d.open)")
    assert "Close all" == page.ask("document.querySelector('#all').textContent")


def test_dark_and_light_are_two_looks_with_readable_text(page):
    """Text stands 7:1 against its ground in both, soft text 4.5:1."""
    looks = {}
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        looks[scheme] = page.ask(
            "['body', '.figures div', '.soft', '.figures dt'].map(s =>"
            " { const e = document.querySelector(s), c = getComputedStyle(e);"
            " return [c.color, c.backgroundColor] })"
        )
    assert looks["light"] != looks["dark"]
    for look in looks.values():
        ground, panel = luminance(look[0][1]), luminance(look[1][1])
        assert contrast(luminance(look[0][0]), ground) >= 7.0
        assert contrast(luminance(look[2][0]), ground) >= 4.5
        assert contrast(luminance(look[3][0]), panel) >= 4.5


@pytest.mark.parametrize("width", [320, 360, 768])
def test_page_fits_a_narrow_screen(page, width):
    """Nothing but what scrolls by itself is wider than the screen, strips included."""
    page.resize(width)
    page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")

    assert width == page.ask("document.documentElement.scrollWidth")


def test_words_of_the_pictures_stay_in_the_pictures(page):
    """No label is cut at the edge of its figure, on a phone and on a desk."""
    outside = (
        "[...document.querySelectorAll('figure text, .player text')].filter(t => {"
        " const a = t.getBoundingClientRect();"
        " const b = t.closest('figure, .player').getBoundingClientRect();"
        " return a.width && (a.left < b.left || a.right > b.right) }).map(t => t.textContent)"
    )
    found = {}
    for width in (360, 1100):
        page.resize(width)
        found[width] = page.ask(outside)

    assert {360: [], 1100: []} == found


def test_page_is_a_document_to_a_screen_reader(page):
    """Landmarks, named pictures, a named slider; the song is the first heading."""
    tree = page.accessible()
    headings = [name for role, name in tree if role == "heading"]
    pictures = [name for role, name in tree if role == "image"]

    assert "Night Train" == headings[0]
    assert {"main", "navigation", "banner"} <= {role for role, _ in tree}
    assert ("slider", "Position in the song") in tree
    assert 5 <= len(pictures)
    assert all(pictures)


def test_tables_name_their_rows_and_columns(page):
    """Every table cell belongs to a header in both directions."""
    page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    tables = page.ask(
        "[...document.querySelectorAll('table')].map(t =>"
        " [t.querySelectorAll('th[scope=col]').length, t.rows[0].cells.length,"
        "  t.querySelectorAll('tbody th[scope=row]').length, t.tBodies[0].rows.length])"
    )

    assert tables
    assert all(columns == cells and heads == rows for columns, cells, heads, rows in tables)


def test_paper_shows_every_strip_and_no_button(page):
    """Printed, stems are open whether or not they were, and nothing asks to be pressed."""
    page.print_media()
    shown = page.ask(
        "[[...document.querySelectorAll('.strip')].every(e => e.offsetHeight > 0),"
        " [...document.querySelectorAll('button')].some(e => e.offsetHeight > 0)]"
    )

    assert [True, False] == shown
