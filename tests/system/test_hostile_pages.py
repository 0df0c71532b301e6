"""Both pages in a real browser, with a hostile text in every field that others fill."""

import io

import numpy as np
import pytest
import soundfile

from daemon.outbox.page import page as front_page
from daemon.text import shown
from dsp.report.page import page_parts
from tests.support.browser import NAMES, browsing
from tests.support.reports import cut, report, stem_row
from tests.support.spools import NOW_MS, done, drop, failed, state
from tests.support.surroundings import needs

pytestmark = needs(*NAMES, debian="chromium")

ATTACKS = {
    "element": "<img src=x onerror=window.ran=1><script>window.ran=1</script>",
    "way out": "--></title></style></script></code></a><script>window.ran=1</script>",
    "attribute": "\" onmouseover='window.ran=1' autofocus onfocus=window.ran=1 x=\"'",
    "template": "{{ 7*7 }}{% raw %}{# #}${7*7}&lt;b&gt;",
    "link": "javascript:window.ran=1",
    "controls": "\x1b[2J\u202egnp.\udcff\u2028\0",
}


def front(text):
    """Return the front page with this text as drop, inbox, stage, warning, error and path."""
    error = {"code": text, "class": text, "message": text, "hint": text, "stage": text}
    running = {**state()["running"][0], "name": text, "inbox": text, "label": text, "stage": text}
    inbox = {
        **state()["inboxes"]["mix"],
        "path": text,
        "problem": text,
        "mode": "polling",
        "polling_because": text,
        "left_alone": {text: text},
    }
    pool = {**state()["pool"], "degraded": text, "unusable_handlers": {text: text}}
    outputs = [{"path": text, "role": "report", "bytes": 1, "sha256": text}]
    documents = [
        drop("receiving", text, wait={"reason": "settling", "detail": text}),
        drop("queued", text, wait={"reason": text, "detail": text, "until": text}),
        failed(text, error=error),
        done(text, output_folder=text, outputs=outputs, duplicate_of=text),
        done(text, warnings=[{"code": text, "message": text}], measurements={}),
        {**drop("skipped", text), "inbox": text, "finished": f"3{text}", "job": text},
    ]
    told = state(
        running=[running],
        inboxes={text: inbox},
        pool=pool,
        warnings=[{"code": text, "message": text}],
        phase=text,
        version=text,
    )
    return front_page(told, documents, now_ms=NOW_MS)


def mix_report(text):
    """Return the report of a mix with this text as song, stem, reason, warning and sheet."""
    row = stem_row(
        text,
        container=text,
        strip={"room": [cut(250.0)], "role_why": text, "pan_why": text},
        alignment={"why": text},
    )
    data = report(
        row,
        warnings=[{"code": text, "message": text}, {"code": "STEM_MOVED", "message": text}],
        balance={"masked": [{"hz": 250.0, "excess_db": 3.0, "better_db": 2.0}]},
        preset=text,
        soundspool=text,
    )
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(4_800), 48_000, format="OGG")
    sound.seek(0)
    return "".join(page_parts(data, sheet=f"stems: {text}", sounds=[sound], name=text))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


def looked_at(browser, path, text):
    """Return what a browser makes of a page: its elements with their attributes, and its words."""
    path.write_text(text, "utf-8")
    browser.forget()
    browser.open(path)
    elements = browser.ask(
        "[...document.querySelectorAll('*')].map(e => e.tagName + ' '"
        " + e.getAttributeNames().filter(name => e.tagName != 'TIME' || name != 'title'))"
    )  # a title comes from our own script, where a browser takes the text for a time
    return elements, browser.ask("document.documentElement.textContent")


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("page", [front, mix_report], ids=["front page", "report"])
def test_hostile_text_is_shown_and_not_run(browser, tmp_path, page, attack):
    """It adds no element and no attribute, runs nothing, asks for nothing, and can be read."""
    # A name that cannot be typed as it is shown is offered no command.
    like = "harmless" if ATTACKS[attack].isprintable() else "harm\x01less"
    harmless, _ = looked_at(browser, tmp_path / "harmless.html", page(like))
    elements, words = looked_at(browser, tmp_path / "hostile.html", page(ATTACKS[attack]))

    assert harmless == elements
    assert shown(ATTACKS[attack]) in words
    assert browser.ask("window.ran === undefined")
    assert [(tmp_path / "hostile.html").as_uri()] == [
        url for url in browser.requests if not url.startswith("data:")
    ]
    assert not [said for said in browser.complaints if "Content Security Policy" in said]
