"""What ``check`` and ``explain`` find out before and after something goes wrong."""

import json

import pytest

from daemon.cli.diagnose.doctor import findings, run_doctor
from daemon.cli.diagnose.explain import explain_command, explanation
from daemon.cli.diagnose.findings import table
from daemon.cli.spool_reader import pulse_of
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


def explained(spool, asked):
    return explanation(spool.reader, pulse_of(spool.root), str(asked))


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


def test_check_says_who_needs_a_resource_and_what_keeps_workers_from_it(spool):
    """Confined workers have no devices."""
    resources = "resources: {gpu: [0, 1], tts: 4}\ninboxes: {mix: {needs: {gpu: 1, tts: 2}}}\n"

    assert {} == problems(spool, resources)
    assert "4; mix needs 2" == told(spool.config, "ok")["resource tts"]
    assert "pool.confine: false" in told(spool.config, "warning")["resource gpu"]


@pytest.mark.parametrize("handler", ["mix", "analyze"])
def test_check_takes_force_for_an_inbox_whatever_its_handler(spool, handler):
    """As the daemon does, which keeps it from handlers that do not know it."""
    config = f"inboxes:\n  mix: {{handler: daemon.handlers.{handler}, options: {{force: true}}}}\n"

    assert {} == problems(spool, config)


def test_check_stops_at_a_configuration_that_cannot_be_used(spool):
    """What depends on it is not guessed."""
    spool.config.write_text("[")

    found = [one.what for one in findings(spool.config, quick=True)]

    assert ["sqlite", "kernels", "configuration"] == found


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

    assert "no.such.module cannot be used" in found["handler of mix"]


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


def waits(reason, detail, **more):
    return {"reason": reason, "until": None, "detail": detail, "position": None, **more}


def test_explain_tells_what_the_daemon_says(spool):
    """It has watched for longer than anyone; the figures and the rule do not contradict."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav"))
    wait = waits("settling", "a.wav: header complete; quiet for 0.5 of 2 s")
    whole = {"path": "a.wav", "bytes": 695338, "bytes_expected": 695338, "ready_by": None}
    spool.tell(drop("receiving", "a.wav", wait=wait, inputs=[whole]))

    assert (
        "a.wav: receiving, a.wav: header complete; quiet for 0.5 of 2 s",
        "  a.wav: 695338 bytes",
    ) == explained(spool, spool.inbox / "a.wav").lines


def test_explain_tells_of_bytes_that_are_missing(spool):
    """Seen and expected."""
    (spool.inbox / "a.wav").touch()
    short = {"path": "a.wav", "bytes": 1000, "bytes_expected": 2000, "ready_by": None}
    spool.tell(drop("receiving", "a.wav", wait=waits("incomplete", "short"), inputs=[short]))

    found = explained(spool, "a.wav")

    assert "  a.wav: 1000 of 2000 bytes" == found.lines[-1]
    assert [short] == found.facts["files"]


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
        ("new.wav", "the daemon has not looked at it"),
    ],
)
def test_explain_tells_why_a_name_is_no_drop(spool, name, why):
    """It would wait, and say nothing."""
    (spool.inbox / name).touch()
    left_alone = {"notes.txt": "not a kind of file that this inbox takes"}
    spool.beat(inboxes={"mix": {"left_alone": left_alone}})

    assert why in explained(spool, spool.inbox / name).lines[0]


def test_explain_tells_of_a_paused_inbox_first(spool):
    """Nothing else matters while it is paused."""
    (spool.inbox / "a.wav").write_bytes(noise_bytes("wav"))
    (spool.inbox / ".pause").touch()

    assert "The inbox mix is paused: soundspool resume mix" == explained(spool, "a.wav").lines[0]


def test_explain_of_a_failed_drop_tells_what_to_do(spool):
    """By path or by name."""
    failed = spool.fail("Song")

    lines = "\n".join(explained(spool, failed).lines)

    assert lines == "\n".join(explained(spool, "Song").lines)
    assert "Copy it again from where it is whole" in lines


@pytest.mark.parametrize(
    ("until", "more"),
    [
        (None, ""),
        ("2199-11-28T12:00:00.000Z", " (until 2199-11-28T12:00:00.000Z)"),
        ("2026-01-28T12:00:00.000Z", ""),  # over: it waits for a slot since
    ],
)
def test_explain_of_a_waiting_job_tells_its_place(spool, until, more):
    """It left the inbox, or will be tried again, and has no slot yet."""
    wait = waits("slot", "waiting for a free slot", position=3) | {"until": until}
    spool.tell(drop("queued", job="j1", wait=wait))

    found = explained(spool, "Song").lines
    assert (f"Song: queued, waiting for a free slot, number 3 in the line{more}",) == found


def test_explain_of_nothing_is_refused(spool):
    """With what can be explained."""
    with pytest.raises(BadInput, match="nothing in the spool is called 'Nothing'"):
        explained(spool, "Nothing")


def test_explain_command_tells_first_that_the_daemon_is_down(spool, capsys):
    """The plainest reason of all."""
    spool.fail("Song")

    assert 3 == explain_command(spool.config, "Song", None, as_json=False)
    assert capsys.readouterr().out.startswith("The daemon does not run.")
