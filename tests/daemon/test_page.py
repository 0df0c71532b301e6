"""The front page: what it says, that names cannot hurt it, and when it is written."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from daemon.outbox.overview import WAITING, life, overview_of
from daemon.outbox.page import NAME, REFRESH_S, SHARE, FrontPage, page
from daemon.text import age_s, shown, size, span
from tests.support.clocks import FakeClock
from tests.support.files import RecordingFiles
from tests.support.spools import HOSTILE, NOW_MS, daemon_json, done, drop, failed, state

SPOTLESS = {"\n", "\r", "\t"}
"""Control characters that a template may hold."""


class Read(HTMLParser):
    """What a browser would see: words, elements with their attributes, scripts."""

    def __init__(self, text):
        super().__init__()
        self.words, self.elements, self._inside = "", [], None
        self.scripts, self.styles = [], []
        self.feed(text)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):  # noqa: ARG002 - the parser's signature
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "style":
            self.styles.append(data)
        else:
            self.words += data

    def links(self):
        return [attrs["href"] for tag, attrs in self.elements if tag == "a"]


def read(documents=(), **changes):
    return Read(page(state(**changes), documents, now_ms=NOW_MS))


# What it says


def test_page_tells_what_runs_and_how_far():
    """A running job shows its name, stage, progress, remaining time and repeated attempt."""
    seen = read()
    progress = next(attrs for tag, attrs in seen.elements if tag == "progress")

    assert "Midnight Train mix 62 % analyzing spectrum attempt 2 36 s left" in seen.words
    assert "0.625" == progress["value"]


@pytest.mark.parametrize(
    ("expected", "drop_state", "wait"),
    [
        ("waits for a slot, number 4", "queued", {"reason": "slot", "position": 4}),
        (
            "will be tried again: attempt 1 ended: disk full; not before 2026-11-20 22:00:00 UTC",
            "queued",
            {
                "reason": "retry",
                "until": "2026-11-20T22:00:00.000Z",
                "detail": "attempt 1 ended: disk full",
            },
        ),
        ("the inbox is paused", "queued", {"reason": "paused"}),
        ("arriving: quiet for 2 s", "receiving", {"reason": "settling", "detail": "quiet for 2 s"}),
        (
            "not whole yet: 10 of 20 bytes",
            "receiving",
            {"reason": "incomplete", "detail": "10 of 20 bytes"},
        ),
        ("waits for the disk", "receiving", {"reason": "disk", "detail": ""}),
        ("handler h is gone", "queued", {"reason": "paused", "detail": "handler h is gone"}),
        ("waits for memory", "receiving", {"reason": "memory"}),
        ("being taken in", "receiving", None),
        (
            "a reason from the future: why",
            "queued",
            {"reason": "a reason from the future", "detail": "why"},
        ),
    ],
)
def test_page_tells_why_a_drop_waits(expected, drop_state, wait):
    """Each reason has its words; one that is not known is shown as it is."""
    assert f"Song mix {expected}" in read([drop(drop_state, wait=wait)]).words


def test_page_shows_who_waits_in_the_order_of_the_queue():
    """The next one stands first, what is still arriving last."""
    drops = [
        drop("receiving", "Arriving"),
        drop("queued", "Second", wait={"reason": "slot", "position": 2}),
        drop("queued", "First", wait={"reason": "slot", "position": 1}),
    ]
    names = [one.name for one in overview_of(state(), drops).waiting]

    assert ["First", "Second", "Arriving"] == names


def test_page_tells_the_next_step_of_a_failure():
    """Without a hint of its own, a code's remedy is the next step; the command is ready."""
    words = read([failed("Broken Take")]).words

    assert "drums.wav has 52,428 of 105,884 bytes (INPUT_TRUNCATED)" in words
    assert "Next: Copy it again from where it is whole" in words
    assert "soundspool retry 'Broken Take'" in words


def test_page_prefers_the_hint_of_the_failure_itself():
    """Who raised the error knows better than the table."""
    error = {"code": "INPUT_TRUNCATED", "message": "m", "hint": "Ask Ada for the stems."}

    assert "Next: Ask Ada for the stems." in read([failed(error=error)]).words


def test_page_links_the_report_of_a_result():
    """The link leads from the spool's root to the report, whatever the name holds."""
    links = read([done("50 % off? #1")]).links()

    assert "outbox/mix/50%20%25%20off%3F%20%231/report.html" == links[0]


@pytest.mark.parametrize(
    ("expected", "headline", "measured"),
    [
        ("−14.02 LUFS · range 6.1 LU", ["integrated_lufs", "range_lu"],
         {"integrated_lufs": -14.0213, "range_lu": 6.1}),
        ("words 1200 · speech 12 min · language de", ["words", "speech_s", "language"],
         {"words": 1200, "speech_s": 720.4, "language": "de", "secret": 1}),
        ("", ["integrated_lufs"], {"integrated_lufs": None}),
        ("a 1 · b 2 · c 3", [], {"a": 1, "b": 2, "c": 3, "d": 4}),
    ],
)  # fmt: skip
def test_page_shows_the_measurements_that_the_handler_names(expected, headline, measured):
    """Each with the unit that its name ends with; others are left to the report."""
    inboxes = {"mix": {**state()["inboxes"]["mix"], "headline": headline}}
    seen = overview_of(state(inboxes=inboxes), [done(measurements=measured)])

    assert expected == seen.results[0].notes


def test_page_links_nothing_for_a_duplicate():
    """Whose result is gone; it names the job that had it."""
    twin = done(output_folder=None, duplicate_of="20261120-1")
    seen = read([twin])

    assert ["results.html"] == seen.links()
    assert "the same as job 20261120-1" in seen.words


def test_two_mixes_of_a_song_do_not_look_alike():
    """Each has the number of its folder."""
    seen = overview_of(state(), [done("Song"), done("Song", output_folder="Song (2)")])

    assert {"Song", "Song (2)"} == {one.name for one in seen.results}


def test_result_links_the_one_before_and_says_what_changed():
    """Two mixes of a song, and the folder of the other, whatever it is called."""
    before = {"job": "x", "output_folder": "So<b>ng", "changed": ["preset loud → apple", "<i>"]}
    page = read([done("Song", output_folder="Song (2)", before=before)])

    assert "outbox/mix/So%3Cb%3Eng/" in page.links()
    assert "preset loud → apple · <i>" in page.words


def test_page_links_the_result_that_a_duplicate_shares():
    """Under the name that it has in the outbox."""
    seen = read([done("Again", output_folder="Blue Hour", duplicate_of="20261120-1")])

    assert "outbox/mix/Blue%20Hour/report.html" == seen.links()[0]
    assert "the same as Blue Hour" in seen.words


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (
            "Nothing can run: no worker starts: no numpy",
            {"pool": {**state()["pool"], "degraded": "no worker starts: no numpy"}},
        ),
        (
            "The handler studio cannot be imported: No module",
            {"pool": {**state()["pool"], "unusable_handlers": {"studio": "No module"}}},
        ),
        (
            "The inbox mix cannot be watched: not mounted",
            {"inboxes": {"mix": {**state()["inboxes"]["mix"], "problem": "not mounted"}}},
        ),
        ("The disk is full", {"disk": {"free_mb": 600, "reserved_mb": 100, "reserve_mb": 512}}),
        ("Old. (SQLITE_OLD)", {"warnings": [{"code": "SQLITE_OLD", "message": "Old."}]}),
    ],
)
def test_page_says_what_needs_attention(expected, changes):
    """Whatever keeps drops from being worked on stands at the top, in a sentence."""
    assert expected in read(**changes).words
    assert not overview_of(state(), []).attention


def test_page_says_when_the_queue_will_be_empty():
    """By what jobs took so far, for as many at once as there are slots."""
    told = {**state(), "running": [], "pool": {"slots": 2}}
    depth = {"queued": {"normal": 8}, "running": 0, "receiving": 2}
    told |= {"queue": {"depth": depth}}
    told["totals"] = {"handlers": {"mix": {"attempts": 4, "seconds": 480.0}}}

    assert (("Running", "0"), ("Waiting", "10, done in about 10 min"), ("Failed", "1")) == (
        overview_of(told, [failed()]).figures
    )


@pytest.mark.parametrize(
    ("share", "told"),
    [
        ("", "inbox/mix"),
        ("smb://nas/audio/", "smb://nas/audio/inbox/mix"),
        (r"\\nas\audio", r"\\nas\audio\inbox\mix"),
    ],
)
def test_page_names_the_inbox_as_people_reach_it(share, told):
    """Not by its path on the server."""
    seen = read(share=share, running=[])

    assert told in seen.words
    assert "inbox/mix/" in seen.links()
    assert "/srv/soundspool" not in seen.words


def test_page_tells_failures_first():
    """Then what runs, what waits, and what is done."""
    text = page(state(), [failed(), drop("queued"), done()], now_ms=NOW_MS)
    places = [text.index(f'<h2 id="{one}"') for one in ("failed", "running", "waiting", "health")]

    assert sorted(places) == places


def test_page_of_all_results_lists_a_thousand():
    """The front page lists the latest, and leads there."""
    many = [done(f"Song {number}") for number in range(1_000)]
    every = Read(page(state(), many, now_ms=NOW_MS, all_results=True))

    assert 1_000 == sum(tag == "li" for tag, _ in every.elements)
    assert "index.html" in every.links()
    assert len(page(state(), many, now_ms=NOW_MS)) < 60_000


def test_page_names_how_many_rows_it_leaves_out():
    """A long queue is cut, not hidden."""
    many = [drop("queued", f"Song {n}") for n in range(WAITING + 7)]

    assert "And 7 more" in read(many).words


def test_page_folds_long_lists_and_leaves_nothing_out():
    """Each list has its share of the page; the rest of it is there, folded, and counted."""
    text = page(state(), [failed(f"Take {n:02}") for n in range(SHARE + 3)], now_ms=NOW_MS)
    before, folded = text.split('<details id="more-failed">')
    folded, _ = folded.split("</details>")

    assert SHARE == before.count("<bdi>Take")
    assert 3 == folded.count("<bdi>Take")
    assert "<summary>3 more</summary>" in folded


def test_page_of_a_daemon_from_another_version_still_stands():
    """Fields that are missing cost their own line and nothing else."""
    assert "Nothing." in Read(page({}, [{"state": "queued"}], now_ms=NOW_MS)).words


# Down


def test_page_knows_when_it_was_written():
    """With JavaScript its age is told and judged; without, it says when it was written."""
    seen = read()
    life_of_page = next(attrs for _, attrs in seen.elements if attrs.get("id") == "life")

    assert "2026-11-20T21:45:01.000Z" == life_of_page["data-written"]
    assert 3 * REFRESH_S == float(life_of_page["data-down-after-s"])
    assert "As of 2026-11-20 21:45:01 UTC" in seen.words
    assert '<noscript><meta http-equiv="refresh"' in page(state(), [], now_ms=NOW_MS)


def test_page_of_a_stopped_daemon_says_so_without_javascript():
    """A clean stop is written down, with the command that ends it."""
    words = read(phase="stopped").words

    assert "The daemon was stopped." in words
    assert "systemctl start soundspool" in words


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        ("absent", None),
        ("alive", daemon_json(heartbeat="2026-11-20T21:44:55.000Z")),
        ("down", daemon_json(heartbeat="2026-11-20T21:44:54.900Z")),
        ("down", daemon_json(heartbeat="yesterday")),
        ("stopped", daemon_json(phase="stopped")),
    ],
)
def test_life_ends_after_three_periods(expected, body):
    """A heartbeat older than three periods of 2 s: down, unless it was stopped."""
    assert expected == life(body, NOW_MS)


# Names are not ours


def page_of(name):
    """Return a page with a name in every place that others fill."""
    error = {"code": name, "message": name, "hint": name}
    running = [{**state()["running"][0], "name": name, "stage": name, "inbox": name}]
    inbox = {**state()["inboxes"]["mix"], "problem": name, "left_alone": {name: name}}
    return page(
        state(
            running=running,
            inboxes={name: {**inbox, "path": name}},
            warnings=[{"code": name, "message": name}],
            phase=name,
            version=name,
        ),
        [
            drop("queued", name, wait={"reason": name, "detail": name, "until": name}),
            failed(name, error=error),
            done(name, output_folder=name, duplicate_of=name),
        ],
        now_ms=NOW_MS,
    )


def test_page_of_hostile_names_has_the_elements_of_any_page():
    """No name opens an element, an attribute or a script."""
    plain, hostile = Read(page_of("a\x1b")), Read(page_of(HOSTILE))

    assert [(tag, [*attrs]) for tag, attrs in plain.elements] == [
        (tag, [*attrs]) for tag, attrs in hostile.elements
    ]
    assert plain.scripts == hostile.scripts


def test_page_of_hostile_names_can_be_encoded_and_holds_no_control_character():
    """Escapes, turned reading directions and lone surrogates are written out."""
    text = page_of(HOSTILE).encode("utf-8").decode("utf-8")

    assert not {char for char in text if not char.isprintable()} - SPOTLESS
    assert "7*7" in text  # a name is no template


def test_page_links_stay_inside_the_spool():
    """Each part of a path is quoted on its own: a name cannot climb or leave."""
    links = Read(page_of(HOSTILE)).links()

    assert links
    assert all(
        re.fullmatch(r"results\.html|(outbox|failed)/mix/([\w.%~-]+/(report\.html)?)?", link)
        for link in links
    )


def test_page_offers_no_command_that_cannot_be_typed():
    """A name that is not shown as it is would name another drop."""
    assert not overview_of(state(), [failed(HOSTILE)]).failed[0].commands
    assert not overview_of(state(), [failed("x\ufffd", name_base64="eP8=")]).failed[0].commands


def test_page_lets_its_own_script_and_style_act_and_no_other():
    """The policy names the hashes of the one script and style; nothing is loaded."""
    seen = read()
    policy = next(a["content"] for _, a in seen.elements if "default-src" in a.get("content", ""))
    sources = [a[key] for tag, a in seen.elements for key in ("src", "action") if key in a]

    assert "default-src 'none'" in policy
    assert f"script-src '{hash_of(seen.scripts)}'" in policy
    assert f"style-src '{hash_of(seen.styles)}'" in policy
    assert [] == sources


def hash_of(texts):
    """Return the name of the only one of these texts, as a page's policy says it."""
    (text,) = texts
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("plain", "plain"),
        ("日本語 é", "日本語 é"),
        (r"\x1b[2J", "\x1b[2J"),
        (r"a\nb", "a\nb"),
        (r"\u202egnp.exe", "\u202egnp.exe"),
        (r"\udcff", "\udcff"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_shown_writes_out_what_a_screen_must_not_get(expected, text):
    """Letters of all scripts stay; control characters and direction marks are written out."""
    assert expected == shown(text)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        ("–", None),
        ("0 s", -3.0),
        ("59 s", 59.4),
        ("1 min", 59.6),
        ("2 h 05 min", 7_500.0),
        ("3 days", 3 * 86_400.0),
    ],
)
def test_span_has_at_most_two_units(expected, seconds):
    """A length of time is as exact as a person needs it."""
    assert expected == span(seconds)


@pytest.mark.parametrize(("expected", "mb"), [("512 MiB", 512), ("1.5 GiB", 1536)])
def test_size_has_the_unit_that_suits_it(expected, mb):
    """Mebibytes become gibibytes at 1,024."""
    assert expected == size(mb)


def test_age_of_what_is_no_time_is_unknown():
    """A damaged document costs its age, not the page."""
    assert 1.0 == age_s("2026-11-20T21:45:00.000Z", NOW_MS)
    assert age_s("soon", NOW_MS) is None
    assert age_s(None, NOW_MS) is None


# When it is written


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def front(tmp_path, clock):
    return FrontPage(tmp_path, files=RecordingFiles(), clock=clock)


def test_front_is_written_once_while_nothing_changes(front, clock):
    """An idle daemon does not draw the same page again; ages alone are no news."""
    inbox = {**state()["inboxes"]["mix"], "last_scan_age_s": 9.0}
    clock.advance(2)

    assert front.write(state(), [])
    assert not front.write(state(inboxes={"mix": inbox}), [])


def test_front_is_written_at_once_when_something_changes(front):
    """Progress is seen with the next heartbeat."""
    front.write(state(), [])

    assert front.write(state(), [done()])


def test_front_is_written_for_its_age_alone(front, clock):
    """Its readers must be able to tell an idle daemon from a dead one."""
    front.write(state(), [])
    clock.advance(REFRESH_S)

    assert front.write(state(), [])


def test_front_lists_no_failure_that_was_cleared_away(front, tmp_path):
    """Taking the drop out of failed/ is all that a person has to do; another of its name stays."""
    folder = tmp_path / "failed" / "mix"
    (folder / "Broken Take (2)").mkdir(parents=True)

    front.write(state(), [failed(job="j1"), failed("Cleared Take", job="j2")])

    words = Read((tmp_path / NAME).read_text()).words
    assert "Broken Take" in words
    assert "Cleared Take" not in words


@pytest.mark.parametrize("name", ["S" * 250, "\ud800x"], ids=["cut", "no name"])
def test_front_lists_failures_of_which_it_cannot_tell_whether_they_lie_there(front, tmp_path, name):
    """A name that was cut, or that no file can have, is no sign that it was dealt with."""
    (tmp_path / "failed" / "mix").mkdir(parents=True)

    front.write(state(), [failed(name, job="j1")])

    assert "INPUT_TRUNCATED" in (tmp_path / NAME).read_text()


def test_front_lists_failures_while_their_folder_is_away(front, tmp_path):
    """A failed/ that is not mounted is no sign that a failure was dealt with."""
    front.write(state(), [failed(job="j1")])

    assert "Broken Take" in Read((tmp_path / NAME).read_text()).words


def test_front_is_one_named_step(tmp_path, clock):
    """It is replaced whole: a browser never loads half of it."""
    files = RecordingFiles()
    FrontPage(tmp_path, files=files, clock=clock).write(state(), [done(HOSTILE)])

    assert ["write front page"] == files.steps
    assert [NAME] == [path.name for path in tmp_path.iterdir()]
