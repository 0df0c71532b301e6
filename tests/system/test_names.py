"""Names of every kind, through a real daemon and out of every door it has."""

import copy
import json
import os
import re
import subprocess
import sys
from base64 import b64decode

import pytest

from tests.support.containers import noise_bytes
from tests.support.daemons import PATIENCE_S, ROOT, Daemon, settings_for, until

NAMES = {
    "newline": b"first\nphase=stopped level=error",
    "undecodable": b"caf\xe9 \xff",
    "composed": "Beyonc\u00e9".encode(),
    "decomposed": "Beyonce\u0301".encode(),
    "longest": b"n" * 255,
    "longest in letters": "\u00fc".encode() * 127,
    "device": b"CON",
    "device with suffix": b"aux.wav.stems",
    "option": b"--help",
    "right to left": "song\u202egnp.exe".encode(),
    "terminal": b"\x1b[2J\x1b]0;owned\x07red\x1b[31m",
    "markup": b"<script>alert(1)<!-- & '\"",
    "template": b"{{ 7*7 }} {% raw %} ${HOME} $(id) %s {0}",
    "spaces": b" two  spaces ",
    "dots": b"...song...",
    "suffix of ours": b"Song.status.json",
    "unseen": "so\u200bng\u2028x".encode(),
}
ENDS_WELL = [name for name in NAMES if name != "dots"]  # that one is hidden: left alone
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
STEM = b"-rf \x1b[31m\n\xff\xe2\x80\xae.wav"


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    """A spool through which every name went, once well, once badly, and one all the way.

    Badly is refused at the door: a worker that fails is followed by a new one, which costs most.
    """
    root = tmp_path_factory.mktemp("names") / "spool"
    settings = settings_for(root)
    counting = settings["inboxes"]["mix"]
    mixing = counting | {"handler": "daemon.handlers.mix"}
    # Copies, because YAML would write a second mention as an alias, which is refused.
    settings["inboxes"] = copy.deepcopy({"well": counting}) | copy.deepcopy({"badly": counting})
    settings["inboxes"]["mix"] = copy.deepcopy(mixing)
    daemon = Daemon(root, settings)
    daemon.start()
    try:
        _drop_all(root)
        yield root
        assert 0 == daemon.stop()
    finally:
        daemon.process.kill()
        daemon.process.wait(PATIENCE_S)


def _drop_all(root):
    """Drop every name, and wait until nothing is left to do."""
    for number, name in enumerate(NAMES.values()):
        sound = noise_bytes("wav", 0.1 + 0.01 * number)  # no two alike: no duplicates
        drop(root / "inbox" / "well", name, b"a.wav", sound)
        drop(root / "inbox" / "badly", name, b"a.wav", sound, "priority: now\n")
    drop(root / "inbox" / "mix", NAMES["terminal"] + NAMES["undecodable"], STEM, noise_bytes("wav"))
    wanted = 2 * len(ENDS_WELL) + 1
    until(lambda: len(told(root)) >= wanted and all(ended(root)), "all have ended")
    until(lambda: b"owned" in (root / "index.html").read_bytes(), "the front page is drawn")


def drop(inbox, name, stem, sound, settings=""):
    """Make a folder elsewhere, and rename it in."""
    aside = inbox.parent.parent / "aside"
    aside.mkdir()
    (aside / os.fsdecode(stem)).write_bytes(sound)
    if settings:
        (aside / "job.yaml").write_text(settings)
    aside.rename(inbox / os.fsdecode(name))


def names_in(folder):
    """Return the names of all that lies in a folder, as bytes."""
    return {os.fsencode(path.name) for path in folder.iterdir()}


def told(root, inbox="*"):
    paths = (root / "outbox").glob(f"{inbox}/*.status.json")
    return [json.loads(path.read_bytes().decode("ascii")) for path in paths if path.is_file()]


def ended(root):
    return [one["terminal"] for one in told(root)]


def raw_name(status):
    """Return the bytes that the drop was called."""
    if status["name_base64"]:
        return b64decode(status["name_base64"])
    return status["name"].encode()


def soundspool(root, *words):
    config = str(root.with_name("spool.yaml"))
    done = subprocess.run(
        [sys.executable, "-m", "daemon", words[0], "--config", config, *words[1:]],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def unsafe_in(text):
    return sorted({char.encode("unicode_escape").decode() for char in UNSAFE.findall(text)})


@pytest.mark.parametrize("inbox", ["well", "badly"])
def test_every_name_is_handled_and_known_again(spool, inbox):
    """Each drop ends as its handler said; its status has its name, byte for byte."""
    found = {raw_name(one): one["state"] for one in told(spool, inbox)}

    expected = "done" if inbox == "well" else "failed"
    assert {NAMES[kind]: expected for kind in ENDS_WELL} == found


def test_results_have_names_that_every_system_takes(spool):
    """No device, no control character, no direction, no end that Windows drops; none shared."""
    results = [path for path in (spool / "outbox" / "well").iterdir() if path.is_dir()]

    assert len(ENDS_WELL) == len({path.name.casefold() for path in results})
    for path in results:
        assert [] == unsafe_in(path.name)
        assert not re.match(r"(con|aux)(\.|$)", path.name, re.IGNORECASE)
        assert path.name == path.name.rstrip(". ")
        assert not set('<>:"|?*\\') & set(path.name)
        assert (path / "count.json").is_file()


def test_hidden_name_is_left_alone(spool):
    """It lies where it was put."""
    assert {NAMES["dots"]} == names_in(spool / "inbox" / "well")


def test_failed_drops_keep_their_names_and_have_their_reason(spool):
    """Beside each drop lies an .error.json in ASCII that names it."""
    folder = spool / "failed" / "badly"
    reasons = [path for path in folder.iterdir() if path.name.endswith(".error.json")]

    assert {NAMES[kind] for kind in ENDS_WELL} == {
        name for name in names_in(folder) if not name.endswith(b".error.json")
    }
    assert len(ENDS_WELL) == len(reasons)
    for path in reasons:
        assert "SETTINGS_INVALID" == json.loads(path.read_bytes().decode("ascii"))["code"]


def test_log_keeps_one_line_each(spool):
    """No name begins a line, colours one, or turns its direction."""
    log = spool.with_name("spool.log").read_bytes().decode("utf-8")

    assert "queued" in log
    assert [] == unsafe_in(log)
    assert not any(line.startswith("phase=stopped") for line in log.splitlines())


def test_events_are_ascii_and_one_a_line(spool):
    """Every line is a document."""
    lines = (spool / "events.jsonl").read_bytes().decode("ascii").splitlines()

    assert len(lines) > len(NAMES)
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_front_page_shows_names_as_text(spool):
    """No markup of a name's own, no control character, no direction."""
    page = (spool / "index.html").read_text("utf-8")

    assert [] == unsafe_in(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "{{ 7*7 }}" in page
    assert "<bdi>49" not in page


def test_metrics_and_heartbeat_are_safe(spool):
    """What other programs read."""
    for path in (spool / "metrics.prom", spool / "daemon.json"):
        if path.exists():
            assert [] == unsafe_in(path.read_text("utf-8"))


@pytest.mark.parametrize("words", [("status",), ("top", "--once")])
def test_overviews_are_safe_on_a_terminal(spool, words):
    """No escape of a name reaches it."""
    code, out, _ = soundspool(spool, *words)

    assert 0 == code
    assert [] == unsafe_in(out)


@pytest.mark.parametrize("kind", ["newline", "terminal", "right to left", "option", "longest"])
def test_status_of_one_name_is_found_and_safe(spool, kind):
    """By the name as it is on disk, whatever it looks like."""
    code, out, err = soundspool(spool, "status", "--inbox", "well", "--", os.fsdecode(NAMES[kind]))

    assert (0, "") == (code, err)
    assert [] == unsafe_in(out)


def test_undecodable_name_is_found_as_well(spool):
    """The shell hands it over byte for byte."""
    name = os.fsdecode(NAMES["undecodable"])

    assert 0 == soundspool(spool, "status", "--inbox", "well", "--", name)[0]


def test_report_of_a_mix_shows_hostile_stems_as_text(spool):
    """The report of a whole mix; the sheet keeps names as they are, but for what acts."""
    (status,) = told(spool, "mix")

    assert "done" == status["state"], status["error"]
    folder = spool / "outbox" / "mix" / status["output_folder"]
    for name in ("report.html", "report.json"):
        assert [] == unsafe_in((folder / name).read_text("utf-8")), name
    assert "\x1b" not in (folder / "mix.yaml").read_text("utf-8")


def test_retry_finds_every_failed_name(spool):
    """Moved back by command, they fail once more; nothing is lost on the way."""
    names = [os.fsdecode(NAMES[kind]) for kind in ENDS_WELL]

    code, _, err = soundspool(spool, "retry", "--inbox", "badly", "--", *names)

    assert 0 == code
    assert [] == unsafe_in(err)
    until(lambda: len(names_in(spool / "failed" / "badly")) == 2 * len(names), "all failed again")
