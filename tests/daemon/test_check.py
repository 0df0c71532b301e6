"""What ``check`` and ``explain`` find out before and after something goes wrong."""

import json

import pytest

from daemon.cli.diagnose.doctor import findings, run_doctor
from daemon.cli.diagnose.explain import explain_command, explanation
from daemon.cli.diagnose.findings import table
from daemon.config.models import load
from daemon.errors import BadInput
from tests.support.containers import noise_bytes
from tests.support.desks import DeskSpool
from tests.support.spools import drop


@pytest.fixture
def spool(tmp_path):
    return DeskSpool(tmp_path)


def told(config, verdict):
    found = findings(config, quick=True)
    return {one.what: one.text for one in found if one.verdict == verdict}


def problems(spool, config=""):
    spool.config.write_text("root: spool\n" + config)
    return told(spool.config, "problem")


def explained(spool, asked, between=lambda: None):
    return explanation(spool.board, load(spool.config), str(asked), between=between)


def test_check_finds_nothing_wrong_with_a_plain_spool(spool):
    """Default configuration, own folders, a local disk."""
    assert {} == problems(spool)


def test_check_leaves_nothing_behind(tmp_path):
    """Folders that it had to make go again."""
    config = tmp_path / "config.yaml"
    config.write_text("root: deep/down/spool\n")

    list(findings(config, quick=True))

    assert [config] == list(tmp_path.iterdir())


def test_check_names_the_place_of_a_wrong_setting(spool):
    """File, line, column, key, and the nearest known one."""
    text = problems(spool, "pool:\n  slotz: 2\n")["configuration"]

    assert f"{spool.config}:3:3: pool.slotz: unknown key; did you mean slots?" == text


def test_check_stops_at_a_configuration_that_cannot_be_used(spool):
    """What depends on it is not guessed."""
    spool.config.write_text("[")

    assert ["sqlite", "configuration"] == [one.what for one in findings(spool.config, quick=True)]


@pytest.mark.parametrize("path", ["spool/outbox/in", "spool", ".", "spool/inbox/mix/deeper"])
def test_check_refuses_an_inbox_in_or_around_another_folder(spool, path):
    """Results would be drops, or drops results."""
    config = f"inboxes:\n  mix: {{}}\n  other: {{path: {path}}}\n"

    assert "must not" in problems(spool, config)["layout"]


def test_check_refuses_an_inbox_that_is_another_by_a_link(spool):
    """Compared by what the names lead to."""
    (spool.root.parent / "alias").symlink_to(spool.root / "outbox")

    found = problems(spool, "inboxes:\n  other: {path: alias}\n")

    assert "must not lie in each other" in found["layout"]


def test_check_finds_a_handler_that_cannot_be_imported(spool):
    """As a worker would, but now."""
    found = problems(spool, "inboxes:\n  mix: {handler: no.such.module}\n")

    assert "no.such.module cannot be imported" in found["handler of mix"]


def test_check_holds_the_options_against_the_handler(spool):
    """Else every job of this inbox would fail."""
    found = problems(spool, "inboxes:\n  mix: {options: {no_such_option: 1}}\n")

    assert "no_such_option: unknown key" in found["handler of mix"]


def test_check_finds_handlers_in_the_configured_folders(spool, tmp_path):
    """A handler of one's own lies where handler_paths says."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "checked_handler.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Options:\n    pass\n"
    )
    config = "handler_paths: [mine]\ninboxes:\n  mix: {handler: checked_handler}\n"

    assert {} == problems(spool, config)


def test_check_finds_a_folder_that_is_a_file(spool):
    """And says which."""
    (spool.root / "failed" / "mix").rmdir()
    (spool.root / "failed").rmdir()
    (spool.root / "failed").touch()

    assert str(spool.root / "failed") in problems(spool)["failed"]


def test_check_finds_too_little_room(spool):
    """More is to stay free than there is."""
    assert "kept back" in problems(spool, "disk: {reserve_mb: 1000000000}\n")["disk"]


def test_check_warns_of_a_private_folder_that_is_open(spool):
    """Unfinished work is nobody's business."""
    (spool.root / "work").chmod(0o755)

    warned = told(spool.config, "warning")

    assert "open to others (755); chmod 700 it" in warned["work"]


def test_check_exits_78_when_the_daemon_could_not_work(spool, capsys):
    """The exit code that systemd does not restart after."""
    spool.config.write_text("nothing: 1\n")

    assert 78 == run_doctor(spool.config, quick=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["usable"] is False


def test_check_prints_a_line_for_each_finding(spool):
    """The verdict leads."""
    lines = table(list(findings(spool.config, quick=True))).splitlines()

    assert {"ok", "warning"} >= {line.split()[0] for line in lines}


def test_explain_tells_the_rule_and_the_time_left(spool):
    """A file that was just copied in has to lie still."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav"))

    found = explained(spool, spool.inbox / "a.wav")

    assert "a.wav: settling, a.wav: header complete; quiet for 0.0 of 2 s" in found.lines[0]
    assert 1.0 < found.facts["left_s"] <= 2.0


def test_explain_tells_of_bytes_that_are_missing(spool):
    """Seen and expected."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav")[:1000])

    [file] = explained(spool, "a.wav").facts["files"]

    assert (1000, len(noise_bytes("wav"))) == (file["bytes"], file["bytes_expected"])


def test_explain_sees_a_drop_that_still_grows(spool):
    """Two looks, a moment apart."""
    song = spool.inbox / "Song"
    song.mkdir()
    (song / "a.wav").write_bytes(noise_bytes("wav"))
    (song / ".done").touch()

    found = explained(spool, song, lambda: (song / "b.wav").write_bytes(b"RIFF"))

    assert not found.facts["settled"]


def test_explain_answers_for_the_drop_of_a_file_inside(spool):
    """The folder is what waits."""
    (spool.inbox / "Song").mkdir()
    (spool.inbox / "Song" / "a.wav").touch()

    assert "Song" == explained(spool, spool.inbox / "Song" / "a.wav").name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.wav.part", "still being copied or downloaded"),
        (".hidden", "begin with a dot"),
        ("Thumbs.db", "systems leave behind"),
        ("notes.txt", "not a kind of file that this inbox takes"),
    ],
)
def test_explain_tells_why_a_name_is_no_drop(spool, name, why):
    """It would wait for ever, and say nothing."""
    (spool.inbox / name).touch()

    assert why in explained(spool, spool.inbox / name).lines[0]


def test_explain_tells_of_a_paused_inbox_first(spool):
    """Nothing else matters while it is paused."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav"))
    (spool.inbox / ".pause").touch()

    assert "The inbox mix is paused: soundspool resume mix" == explained(spool, "a.wav").lines[0]


def test_explain_repeats_what_the_daemon_says(spool):
    """It has watched for longer than we have."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav"))
    wait = {"reason": "disk", "until": None, "detail": "too little room", "position": None}
    spool.tell(drop("receiving", "a.wav", wait=wait))

    assert "The daemon says: too little room" == explained(spool, "a.wav").lines[-1]


def test_explain_of_a_failed_drop_tells_what_to_do(spool):
    """By path or by name."""
    failed = spool.fail("Song")

    lines = "\n".join(explained(spool, failed).lines)

    assert lines == "\n".join(explained(spool, "Song").lines)
    assert "Copy it again from where it is whole" in lines


def test_explain_of_a_waiting_job_tells_its_place(spool):
    """It left the inbox and has no slot yet."""
    wait = {"reason": "slot", "until": None, "detail": "waiting for a free slot", "position": 3}
    spool.tell(drop("queued", job="j1", wait=wait))

    assert ("Song: queued, waiting for a free slot, number 3 in the line",) == explained(
        spool, "Song"
    ).lines


def test_explain_of_nothing_is_refused(spool):
    """With what can be explained."""
    with pytest.raises(BadInput, match="nothing in the spool is called 'Nothing'"):
        explained(spool, "Nothing")


def test_explain_command_tells_first_that_the_daemon_is_down(spool, capsys):
    """The plainest reason of all."""
    spool.fail("Song")

    assert 3 == explain_command(spool.config, "Song", None, as_json=False)
    assert capsys.readouterr().out.startswith("The daemon does not run.")
