"""The front page in a real browser: what a reload must not take away."""

import pytest

from daemon.outbox.page import SHARE
from daemon.outbox.page import page as front_page
from tests.support.browser import NAMES, browser_path, browsing
from tests.support.spools import NOW_MS, done, failed, state

pytestmark = pytest.mark.skipif(
    browser_path() is None, reason=f"needs a browser: one of {', '.join(NAMES)}"
)
LISTS = "[...document.querySelectorAll('details')].map(list => [list.id, list.open])"


def test_list_that_was_unfolded_stays_so_over_a_reload(tmp_path):
    """The page reloads itself every few seconds; a person reads on."""
    many = range(SHARE + 1)
    documents = [*(failed(f"Take {n}") for n in many), *(done(f"Song {n}") for n in many)]
    path = tmp_path / "index.html"
    path.write_text(front_page(state(), documents, now_ms=NOW_MS), "utf-8")
    with browsing(tmp_path / "profile") as page:
        page.open(path)
        assert [["more-failed", False], ["more-last-results", False]] == page.ask(LISTS)

        page.click("#more-failed summary")
        page.until("sessionStorage.getItem('unfolded')", event="toggle", of="byId('more-failed')")
        page.open(path)

        assert [["more-failed", True], ["more-last-results", False]] == page.ask(LISTS)


def test_search_finds_a_row_that_is_folded_and_hides_the_others(tmp_path):
    """Every word must be there; what a person typed survives a reload."""
    documents = [done(f"Song {n}") for n in range(SHARE * 4)]
    path = tmp_path / "index.html"
    path.write_text(front_page(state(), documents, now_ms=NOW_MS), "utf-8")
    shown = (
        "rows.filter(row => row.checkVisibility()).map(row => row.querySelector('bdi').textContent)"
    )
    with browsing(tmp_path / "profile") as page:
        page.open(path)
        page.ask("words.value = '17 song', search()")

        assert ["Song 17"] == page.ask(shown)

        page.open(path)
        assert ["Song 17"] == page.ask(shown)


def test_failure_that_was_hidden_can_be_shown_again(tmp_path):
    """It is hidden in one browser only, and stays counted."""
    path = tmp_path / "index.html"
    documents = [failed("A", job="j1"), failed("B", job="j2")]
    path.write_text(front_page(state(), documents, now_ms=NOW_MS), "utf-8")
    shown = "failures.filter(row => row.checkVisibility()).length"
    with browsing(tmp_path / "profile") as page:
        page.open(path)
        page.click("button.dismiss")
        page.open(path)

        assert 1 == page.ask(shown)
        assert page.ask("hidden.textContent").strip().startswith("1 hidden in this browser")

        page.click("#dismissed button")
        assert 2 == page.ask(shown)
