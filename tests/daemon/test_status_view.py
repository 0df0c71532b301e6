"""How a spool and a drop look to people and to tools, and how a drop is followed."""

import json

import pytest

from daemon.cli.follow import follow, jobs_called
from daemon.cli.spool_reader import StatusFile, find_status, pulse_of, statuses
from daemon.cli.status_view import bar, code_of, detail, overview, overview_json
from daemon.cli.submit_command import results_of
from daemon.errors import BadInput, Unavailable
from tests.support.desks import DeskSpool
from tests.support.spools import HOSTILE, done, drop, failed


@pytest.fixture
def spool(tmp_path):
    return DeskSpool(tmp_path)


def drawn(spool):
    return overview(spool.root, pulse_of(spool.root), statuses(spool.reader))


def told_of(spool, name):
    told = find_status(spool.reader, name)
    return detail(spool.root, pulse_of(spool.root), told)


def test_overview_of_an_empty_spool_says_what_to_do(spool):
    """Nothing runs and nothing is there: two commands help."""
    text = drawn(spool)

    assert f"soundspool does not run on {spool.root}. Start it: soundspool run" in text
    assert "soundspool submit PATH" in text


def test_overview_shows_what_runs_and_how_far_it_is(spool):
    """From the heartbeat, which is fresher than the status files."""
    spool.beat()

    assert "Midnight Train  mix  [########....]  62%  analyzing spectrum 36 s left" in drawn(spool)


def test_overview_leaves_out_failures_that_were_cleared_away(spool):
    """Their drop is in failed/ no more; their status says how it was, to who asks by name."""
    spool.tell(failed("Broken Take", job="j1"))
    spool.tell(failed("Cleared Take", job="j2"))
    spool.fail("Broken Take")

    assert "Broken Take" in drawn(spool)
    assert "Cleared Take" not in drawn(spool)
    assert "INPUT_TRUNCATED" in told_of(spool, "Cleared Take")


def test_overview_shows_failures_with_what_to_do(spool):
    """The code, the message, the remedy and the command."""
    spool.tell(failed("Broken Take"))

    text = drawn(spool)

    assert "INPUT_TRUNCATED: drums.wav has 52,428 of 105,884 bytes" in text
    assert "soundspool retry 'Broken Take'" in text


def test_overview_shows_warnings_of_the_daemon(spool):
    """A degraded pool is the first thing to know."""
    spool.beat(pool={"degraded": "no worker starts"})

    assert "! Nothing can run: no worker starts" in drawn(spool)


def test_overview_holds_no_control_characters(spool):
    """Whatever a drop is called, it cannot steer the terminal."""
    spool.beat()
    spool.tell(drop("queued", HOSTILE), "hostile")
    spool.tell(failed(HOSTILE), "hostile too")

    assert drawn(spool).replace("\n", "").isprintable()


def test_overview_json_holds_every_status_as_it_is(spool):
    """Tools get the documents themselves, and where they lie."""
    spool.beat()
    path = spool.tell(done())

    found = json.loads(overview_json(spool.root, pulse_of(spool.root), statuses(spool.reader)))

    assert "alive" == found["daemon"]["life"]
    assert [{"status_file": str(path), **done()}] == found["drops"]


def test_detail_shows_results_as_paths(spool):
    """They can be pasted."""
    spool.tell(done("Blue Hour"))

    assert str(spool.root / "outbox/mix/Blue Hour/final_mix.wav") in told_of(spool, "Blue Hour")


def test_detail_shows_which_rule_holds_a_drop_back(spool):
    """With its end, when it has one."""
    wait = {
        "reason": "settling",
        "until": "2999-11-20T21:45:03Z",
        "detail": "quiet for 1 of 2 s",
        "position": None,
    }
    spool.tell(drop("receiving", wait=wait))

    assert "quiet for 1 of 2 s, until 2999-11-20T21:45:03Z" in told_of(spool, "Song")


def test_detail_shows_how_much_of_a_file_has_come(spool):
    """Bytes seen and bytes expected."""
    spool.tell(drop("receiving", inputs=[{"path": "a.wav", "bytes": 5, "bytes_expected": 9}]))

    assert "a.wav, 5 of 9 bytes" in told_of(spool, "Song")


def test_detail_of_a_live_drop_warns_when_the_daemon_is_down(spool):
    """What the file says may be old."""
    spool.tell(drop("running", job="j1"))

    assert "The daemon does not run" in told_of(spool, "Song")


def test_detail_holds_no_control_characters(spool):
    """Names, messages, paths."""
    inputs = [{"path": HOSTILE, "bytes": 5, "bytes_expected": 9}]
    error = {"code": "X", "class": None, "message": HOSTILE, "hint": HOSTILE, "stage": None}
    spool.tell(failed(HOSTILE, inputs=inputs, error=error), "hostile")

    assert told_of(spool, "hostile").replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("document", "alive", "code"),
    [
        (done(), False, 0),
        (failed(), True, 1),
        (drop("skipped"), True, 0),
        (drop("running"), True, 0),
        (drop("running"), False, 3),
    ],
)
def test_code_of_a_drop(spool, document, alive, code):
    """1: it failed; 3: it would go on, but no daemon runs."""
    if alive:
        spool.beat()
    path = spool.tell(document)

    assert code == code_of(StatusFile(path, document), pulse_of(spool.root))


def test_bar_is_text():
    """It needs no terminal."""
    assert "[######......]  50%" == bar(0.5)


def test_follow_ends_with_the_final_status(spool):
    """Each look is yielded; after the last nothing comes."""
    spool.beat()
    script = iter([drop("running", job="j1"), done("Song", job="j1")])
    spool.tell(drop("queued", job="j1"))

    looks = follow(spool.reader, "mix", "Song", between=lambda: spool.tell(next(script)))

    assert ["queued", "running", "done"] == [told.document["state"] for told in looks]


def test_follow_waits_for_the_first_sighting(spool):
    """A drop that was not seen yet has no status."""
    spool.beat()

    looks = follow(spool.reader, "mix", "Song", between=lambda: spool.tell(done("Song")))

    assert ["done"] == [told.document["state"] for told in looks]


def test_follow_passes_over_earlier_drops_of_the_name(spool):
    """A second "Song" is not answered with the first one's result."""
    spool.beat()
    spool.tell(done("Song", job="j1"))
    known = jobs_called(spool.reader, "mix", "Song")

    looks = follow(
        spool.reader,
        "mix",
        "Song",
        known,
        between=lambda: spool.tell(done("Song", job="j2"), "Song (2)"),
    )

    assert ["j2"] == [told.document["job"] for told in looks]


def test_follow_goes_along_when_the_status_is_renamed(spool):
    """A label that was taken meanwhile gives way to another."""
    spool.beat()
    first = spool.tell(drop("running", job="j1"))

    def rename():
        first.unlink()
        spool.tell(done("Song", job="j1"), "Song (2)")

    states = [told.label for told in follow(spool.reader, "mix", "Song", between=rename)]

    assert ["Song", "Song (2)"] == states


def test_follow_stops_when_the_daemon_is_down(spool):
    """Nothing would ever come."""
    with pytest.raises(Unavailable, match="DAEMON_DOWN"):
        list(follow(spool.reader, "mix", "Song", between=lambda: None))


def test_follow_stops_at_a_file_that_the_inbox_leaves_alone(spool):
    """Nor would it here."""
    spool.beat()

    with pytest.raises(BadInput, match=r"leaves 'notes\.txt' alone: not audio"):
        list(follow(spool.reader, "mix", "notes.txt", between=lambda: None))


def test_results_of_a_duplicate_are_those_of_its_original(spool):
    """A person who waited for a mix is shown one."""
    spool.tell(done("Blue Hour", job="j1"))
    twin = done("Again", job="j2", duplicate_of="j1", output_folder=None, outputs=())
    path = spool.tell(twin)

    [master, _] = results_of(spool.reader, StatusFile(path, twin))

    assert spool.root / "outbox/mix/Blue Hour/final_mix.wav" == master
