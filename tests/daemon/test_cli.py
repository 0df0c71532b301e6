"""The command line from outside: exit codes, streams, JSON, and what a status costs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli import commands, main
from daemon.cli.main import plain_status
from daemon.codes import CODES
from tests.support.desks import DeskSpool, stems
from tests.support.spools import done, drop, failed


@pytest.fixture
def spool(tmp_path):
    return DeskSpool(tmp_path)


@pytest.fixture
def soundspool(spool, monkeypatch, capsys):
    """Run a command in this process; return exit code, standard output, standard error."""

    def command(*words):
        config = ("--config", str(spool.config))
        monkeypatch.setattr(sys, "argv", ["soundspool", *words, *config])
        with pytest.raises(SystemExit) as stop:
            main.main()
        streams = capsys.readouterr()
        return stop.value.code or 0, streams.out, streams.err

    return command


def test_status_imports_nothing_heavy(spool):
    """It is asked by prompts and loops: no NumPy, no structlog, no pydantic, no Typer."""
    spool.beat()
    spool.tell(done())
    heavy = {"numpy", "scipy", "structlog", "pydantic", "typer", "rich", "soundfile", "sqlite3"}
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['soundspool', 'status', '--config', {str(spool.config)!r}]\n"
        "from daemon.cli.main import main\nmain()\n"
    )

    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=False, capture_output=True, text=True)

    assert 0 == found.returncode, found.stderr
    assert set() == heavy & set(found.stderr.split())


def test_plain_status_takes_the_arguments_that_typer_takes():
    """The two readers of one command line cannot drift apart."""
    command = commands.typer.main.get_command(commands.app).commands["status"]
    options = {name for one in command.params for name in one.opts if name.startswith("-")}
    words = [name for name in options if name != "--help"]

    for word in words:
        valued = word in ("--inbox", "-i", "--config", "-c")
        assert plain_status(["status", word, *(["x"] if valued else [])]) is not None, word


@pytest.mark.parametrize(
    "words", [["status", "--help"], ["status", "--nonsense"], ["status", "-i"], ["run"], []]
)
def test_plain_status_leaves_everything_else_to_typer(words):
    """Help, mistakes, other commands."""
    assert plain_status(words) is None


def test_status_exits_3_when_the_daemon_is_down(soundspool):
    """And says how to start it."""
    code, out, _ = soundspool("status")

    assert 3 == code
    assert "soundspool run" in out


def test_status_exits_0_when_it_runs(soundspool, spool):
    """A probe needs no more than that."""
    spool.beat()

    assert 0 == soundspool("status")[0]


def test_status_of_a_failed_job_exits_1(soundspool, spool):
    """Whether or not the daemon runs."""
    spool.tell(failed("Song"))

    assert 1 == soundspool("status", "Song")[0]


def test_status_json_of_one_drop_is_its_document(soundspool, spool):
    """Nothing added, nothing left out."""
    spool.tell(done("Song"))

    assert done("Song") == json.loads(soundspool("status", "Song", "--json")[1])


def test_status_of_an_unknown_name_is_bad_input(soundspool):
    """65; with --json the error is JSON too."""
    code, out, _ = soundspool("status", "Nothing", "--json")

    assert (65, "NOT_FOUND") == (code, json.loads(out)["error"]["code"])


def test_watch_ends_with_the_drop(soundspool, spool):
    """A drop that has ended is shown once."""
    spool.tell(done("Song"))

    assert 1 == soundspool("status", "Song", "--watch")[1].count("Song (mix): done")


def test_a_missing_configuration_is_78(soundspool, spool):
    """The place and what is wrong, on standard error."""
    spool.config.unlink()

    code, out, err = soundspool("status")

    assert (78, "") == (code, out)
    assert f"{spool.config}: config: there is no such file\n" == err


def test_a_wrong_command_line_is_64(soundspool):
    """Click would say 2."""
    assert 64 == soundspool("submit")[0]


def test_submit_puts_a_drop_into_the_inbox(soundspool, spool, tmp_path):
    """Messages go to standard error; there is no data."""
    code, out, err = soundspool("submit", str(stems(tmp_path)), "--priority", "rush")

    assert (0, "") == (code, out)
    assert "It waits for the daemon" in err
    assert {"priority": "rush"} == json.loads((spool.inbox / "Song/job.yaml").read_text())


def test_submit_json_says_where_the_drop_lies(soundspool, spool, tmp_path):
    """For tools that go on with it."""
    out = soundspool("submit", str(stems(tmp_path)), "--json")[1]

    expected = {"inbox": "mix", "name": "Song", "path": str(spool.inbox / "Song")}
    assert expected == json.loads(out)


def test_submit_of_a_taken_name_is_75(soundspool, spool, tmp_path):
    """Later it may be free."""
    (spool.inbox / "Song").mkdir()

    assert 75 == soundspool("submit", str(stems(tmp_path)))[0]


def test_submit_wait_exits_3_without_a_daemon(soundspool, spool, tmp_path):
    """The drop stays; nobody waits for ever."""
    code, _, err = soundspool("submit", str(stems(tmp_path)), "--wait")

    assert 3 == code
    assert "the daemon does not run" in err
    assert (spool.inbox / "Song").is_dir()


def test_retry_all_leaves_what_was_cancelled(soundspool, spool):
    """Somebody wanted it to end; by its name it can still be brought back."""
    spool.fail("Failed")
    spool.fail("Cancelled", code="CANCELLED")

    assert 0 == soundspool("retry", "--all")[0]
    assert ["Failed", "Failed.done"] == spool.names()

    assert 0 == soundspool("retry", "Cancelled")[0]
    assert "Cancelled" in spool.names()


def test_retry_all_moves_everything_back(soundspool, spool):
    """Two names, one with a space."""
    spool.fail("Song")
    spool.fail("Another song")

    assert 0 == soundspool("retry", "--all")[0]
    assert {"Song", "Another song"} < set(spool.names())


def test_retry_of_nothing_is_a_wrong_command_line(soundspool):
    """Neither a name nor --all."""
    assert 64 == soundspool("retry")[0]


def test_retry_moves_nothing_when_one_name_is_wrong(soundspool, spool):
    """All names are looked up before the first drop moves."""
    spool.fail("Song")

    assert 65 == soundspool("retry", "Song", "Nothing")[0]
    assert [] == spool.names()


def test_cancel_pause_and_resume_are_files(soundspool, spool):
    """As DESIGN says: all commands act through files."""
    spool.tell(drop("running", job="j1"))

    codes = [soundspool(*words)[0] for words in (["cancel", "Song"], ["pause"])]
    names = spool.names()
    codes.append(soundspool("resume", "mix")[0])

    assert [0, 0, 0] == codes
    assert [".pause", "Song.cancel"] == names
    assert ["Song.cancel"] == spool.names()


def test_pause_of_an_unknown_inbox_is_bad_input(soundspool):
    """And the known ones are named."""
    code, _, err = soundspool("pause", "nothing")

    assert 65 == code
    assert "There are: mix." in err


def test_config_show_prints_every_default(soundspool, spool):
    """As JSON, with absolute paths."""
    shown = json.loads(soundspool("config", "show")[1])

    assert (str(spool.root), 60.0) == (shown["root"], shown["drain_s"])


def test_config_check_names_the_line(soundspool, spool):
    """78, and the place."""
    spool.config.write_text("root: spool\npool: {slots: many}\n")

    code, _, err = soundspool("config", "check")

    assert 78 == code
    assert err.startswith(f"{spool.config}:2:8: pool.slots:")


def test_explain_and_check_have_json(soundspool, spool):
    """Every reading command has."""
    spool.fail("Song")

    assert "failed" == json.loads(soundspool("explain", "Song", "--json")[1])["where"]
    assert json.loads(soundspool("check", "--json")[1])["usable"]


def test_a_closed_pipe_ends_in_silence(spool):
    """``soundspool status | head -0`` shows no traceback."""
    spool.beat()
    command = [sys.executable, "-m", "daemon", "status", "--watch", "-c", str(spool.config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # long before the first line is written

    assert b"" == process.stderr.read()
    process.stderr.close()
    assert 0 == process.wait(60)


def test_every_code_that_a_command_answers_with_is_listed():
    """CODES is the page that a person looks a code up on."""
    folder = Path(main.__file__).parent
    text = "".join(path.read_text() for path in folder.rglob("*.py"))

    raised = set(re.findall(r'(?:BadInput|Unavailable)\(\s*"([A-Z_]+)"', text))

    assert len(raised) > 5
    assert set() == raised - CODES.keys()


def test_version_is_the_one_of_the_package():
    """``--version`` says what was installed."""
    said = subprocess.run(
        [sys.executable, "-m", "daemon", "--version"], capture_output=True, text=True, check=True
    ).stdout
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")

    assert f'version = "{said.split()[1]}"' in project
