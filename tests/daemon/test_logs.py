"""What a log line looks like to a person, to a tool and to the journal."""

import io
import json
import os
import pty
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from daemon import logs


@pytest.fixture(autouse=True)
def _untouched_structlog():
    yield
    structlog.reset_defaults()


def parsed(message: bytes) -> dict[str, bytes]:
    """Return the fields of a journal datagram, read as the protocol defines it."""
    fields = {}
    while message:
        name, message = message.split(b"\n", 1)
        (size,) = struct.unpack("<Q", message[:8])
        fields[name.decode()], message = message[8 : 8 + size], message[8 + size + 1 :]
    return fields


def written(*calls: tuple[str, dict[str, object]]) -> list[dict[str, object]]:
    out = io.StringIO()
    logs.configure("info", to=out)
    for level, fields in calls:
        getattr(structlog.get_logger(), level)(**fields)
    return [json.loads(row) for row in out.getvalue().splitlines()]


def test_line_reads_as_the_style_wants_it():
    """A line is the transition, then ``key=value``, in the order they were given."""
    fields = {"event": "running→queued", "job": "20261120-214501-3f9a", "attempt": 2, "wait_s": 10}

    assert "running→queued job=20261120-214501-3f9a attempt=2 wait_s=10" == logs.line(fields)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a b", '"a b"'),
        ("", '""'),
        ('say "so"', '"say \\"so\\""'),
        ("x\x1b[2Jy", '"x\\x1b[2Jy"'),
        ("a\nlevel=error", '"a\\nlevel=error"'),
        ("caf\udce9", '"caf\\udce9"'),
        ("abc\u202edef", '"abc\\u202edef"'),
        ("Überfall.wav", "Überfall.wav"),
    ],
)
def test_line_escapes_what_a_file_name_could_do(value, shown):
    """A value is bare when it is harmless, quoted when it is ambiguous, escaped when it acts."""
    assert f"admitted name={shown}" == logs.line({"event": "admitted", "name": value})


@given(st.dictionaries(st.sampled_from(["event", "name", "path"]), st.text()))
def test_line_never_holds_what_does_not_print(fields):
    """Whatever the text, the line is one line and moves no cursor."""
    assert logs.line(fields).isprintable()


@given(st.dictionaries(st.text(min_size=1), st.text(max_size=40), max_size=8))
def test_datagram_is_what_the_protocol_defines(fields):
    """Every field name is one the journal takes, and every value comes back whole."""
    found = parsed(logs.datagram(fields))

    assert {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"} <= set(found)
    assert all(name[0].isalpha() and name.isascii() and name.isupper() for name in found)


def test_datagram_has_the_fields_as_themselves():
    """``journalctl JOB=…`` finds the line; a line break in a name stays in its field."""
    found = parsed(
        logs.datagram({"event": "done", "level": "warning", "job": "j1", "name": "a\nb"})
    )

    assert (b"4", b"j1", b"a\nb") == (found["PRIORITY"], found["JOB"], found["NAME"])
    assert b'done job=j1 name="a\\nb"' == found["MESSAGE"]


def test_datagram_keeps_the_bytes_of_an_undecodable_name():
    """A name that is no UTF-8 arrives in the journal as the bytes that it is."""
    assert b"caf\xe9" == parsed(logs.datagram({"event": "done", "name": "caf\udce9"}))["NAME"]


def test_datagram_stays_below_what_the_kernel_sends():
    """However long the fields, the message fits the send buffer that every kernel grants."""
    message = logs.datagram({"event": "done"} | {f"key_{n}": "x" * 100_000 for n in range(20)})

    assert len(message) <= 128 << 10


def test_file_gets_one_json_object_per_line():
    """Where nobody looks, a line is JSON with time, level and event in front."""
    (row,) = written(("info", {"event": "queued→running", "job": "j1"}))

    assert ["time", "level", "event", "job"] == list(row)


def test_level_below_the_threshold_is_silent():
    """``info`` lets no debug line through."""
    assert ["seen"] == [
        row["event"] for row in written(("debug", {"event": "no"}), ("info", {"event": "seen"}))
    ]


def test_warning_of_a_library_comes_out_the_same_way():
    """What watchdog logs with the standard library is a line like any other."""
    out = io.StringIO()
    logs.configure("info", to=out)
    logs.logging.getLogger("watchdog").warning("queue of %s overflowed", "mix")

    row = json.loads(out.getvalue())
    assert ("queue of mix overflowed", "watchdog") == (row["event"], row["library"])


def test_terminal_gets_readable_lines_and_an_indented_traceback():
    """A person sees time, level and line; a traceback stands below, escaped row by row."""
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:  # noqa: PTH123 - a descriptor
        assert "terminal" == logs.configure("info", to=terminal)
        try:
            int("bad \x1b[31m name\x9b")
        except ValueError:
            structlog.get_logger().exception("boom", job="j1")
        terminal.flush()
        shown = os.read(ours, 65536).decode()
    os.close(ours)

    first, *trace = shown.splitlines()
    assert first.endswith("Z error boom job=j1")
    assert trace[-1].startswith("  ValueError: ")
    assert "\x1b" not in shown


def test_journal_gets_entries_when_the_stream_is_its_own(tmp_path, monkeypatch):
    """With JOURNAL_STREAM naming standard error's file, lines are datagrams with fields."""
    address = str(tmp_path / "socket")
    monkeypatch.setattr(logs, "JOURNAL", address)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal,
        (tmp_path / "stream").open("w+") as stream,
    ):
        journal.bind(address)
        about = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        assert "journal" == logs.configure("info", to=stream)
        structlog.get_logger().error("running→failed", job="j1")

        found = parsed(journal.recv(65536))
        stream.seek(0)
        assert ("", b"3", b"j1") == (stream.read(), found["PRIORITY"], found["JOB"])


def test_journal_that_is_gone_leaves_the_stream(tmp_path, monkeypatch):
    """Without a journal the line goes to the stream, with its priority in front."""
    monkeypatch.setattr(logs, "JOURNAL", str(tmp_path / "nobody"))
    with (tmp_path / "stream").open("w+") as stream:
        about = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        logs.configure("info", to=stream)
        structlog.get_logger().warning("disk is low", free_mb=3)
        stream.seek(0)

        assert "<4>disk is low free_mb=3\n" == stream.read()


def test_journal_variable_of_another_stream_is_not_believed(tmp_path, monkeypatch):
    """A program that was redirected after systemd started it writes JSON to the file."""
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    with (tmp_path / "stream").open("w") as stream:
        assert "file" == logs.configure("info", to=stream)


def test_full_disk_under_the_log_stops_nobody():
    """A stream that fails is left alone; the caller goes on."""
    with Path("/dev/full").open("w") as full:
        logs.configure("info", to=full)
        structlog.get_logger().info("queued")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that closing can flush


def test_import_brings_no_ballast_along():
    """The daemon's process carries no library for drawing tables and none for encrypting."""
    code = "import sys, daemon.logs; print({'rich', 'ssl', 'asyncio'} & set(sys.modules))"
    seen = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "set()" == seen.stdout.strip()
