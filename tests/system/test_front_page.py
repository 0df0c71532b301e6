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
