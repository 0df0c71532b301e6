"""``top``: the same overview in a terminal, from files alone, whatever they hold."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from daemon.cli.top import EX_NOT_RUNNING, EX_OK, frame, run_top
from daemon.clock import rfc3339
from daemon.outbox import status_reader
from daemon.outbox.status_reader import StatusCache
from daemon.outbox.status_writer import encoded
from tests.support.spools import HOSTILE, NOW_MS, daemon_json, done, drop, failed, state

ROOT = Path("/srv/soundspool")


def printed(body, documents=(), *, rows=50, width=120):
    """Return a frame as a terminal of this width gets it, colours and all."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system="truecolor")
    console.print(frame(ROOT, body, documents, NOW_MS, rows=rows))
    return out.getvalue()


def words(*args, **kwargs):
    """Return a frame as plain text, runs of blanks made one."""
    out = io.StringIO()
    width = kwargs.pop("width", 120)
    drawn = frame(ROOT, *args, **({"documents": (), "now_ms": NOW_MS, "rows": 50} | kwargs))
    Console(file=out, width=width).print(drawn)
    return " ".join(out.getvalue().split())


@pytest.fixture
def spool(tmp_path):
    """A spool with one result and one failure, and no daemon.json."""
    (tmp_path / "outbox" / "mix").mkdir(parents=True)
    put(tmp_path, "Blue Hour", done())
    put(tmp_path, "Broken Take", failed())
    return tmp_path


def put(root, label, document):
    (root / "outbox" / "mix" / f"{label}.status.json").write_bytes(encoded(document))


# What it shows


def test_top_shows_what_the_front_page_shows():
    """Running, failed with the next step, waiting, results and health."""
    waiting = drop("queued", "Harbour", wait={"reason": "slot", "position": 1})
    told = words(daemon_json(), documents=[done(), failed(), waiting])

    assert "Soundspool running 0.1.0 /srv/soundspool" in told
    assert "62% analyzing spectrum, attempt 2 36 s left" in told
    assert "drums.wav has 52,428 of 105,884 bytes INPUT_TRUNCATED" in told
    assert "Next: Copy it again from where it is whole" in told
    assert "Harbour mix waits for a slot, number 1" in told
    assert "Blue Hour mix done −14.02 LUFS · −1.0 dBTP · range 6.1 LU 1 min ago" in told
    assert "Pool 0 of 2 slots free, 2 workers" in told


def test_top_tells_when_a_retry_is_due():
    """A wait that time ends says in how long."""
    wait = {"reason": "retry", "until": rfc3339(NOW_MS + 300_000), "detail": "disk full"}
    told = words(daemon_json(), documents=[drop("queued", wait=wait)])

    assert "will be tried again: disk full in 5 min" in told


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        ("There is no daemon in /srv/soundspool.", None),
        (
            "The daemon is down; its last heartbeat: 15 min ago.",
            daemon_json(heartbeat="2026-11-20T21:30:00.000Z"),
        ),
        ("The daemon was stopped 1 s ago.", daemon_json(phase="stopped")),
    ],
)
def test_top_says_plainly_that_the_daemon_is_down(expected, body):
    """Whatever the reason, the first line says so and how to start it."""
    told = words(body, documents=[done()])

    assert expected in told
    assert "systemctl start soundspool" in told
    assert "Blue Hour" in told


def test_top_names_how_many_rows_it_leaves_out():
    """A long queue is cut to the screen, not hidden."""
    many = [drop("queued", f"Song {n}") for n in range(9)]

    assert "and 6 more" in words(daemon_json(), documents=many, rows=3)


@pytest.mark.parametrize("width", [20, 40, 200])
def test_top_fits_any_width(width):
    """No line is wider than the terminal."""
    lines = uncoloured(printed(daemon_json(), [done(HOSTILE), failed()], width=width))

    assert max(cell_len(line) for line in lines) <= width


def uncoloured(text):
    """Return the lines without rich's own colour codes."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def test_top_sends_no_control_character_of_a_name():
    """A hostile name moves no cursor, rings no bell and is no markup."""
    name = f"[red]{HOSTILE}\a\x9b2J"
    hostile = daemon_json(
        running=[{**state()["running"][0], "name": name, "stage": name}],
        warnings=[{"code": name, "message": name}],
    )
    drops = [failed(name), done(name), drop("queued", name)]
    lines = uncoloured(printed(hostile, drops, width=400))
    sent = {char for line in lines for char in line}

    assert not {char for char in sent - {"\xa0"} if not char.isprintable()}
    assert sum(r"[red]</code>" in line for line in lines) >= 5


# From files


def test_top_once_returns_3_when_the_daemon_is_down(spool, capsys):
    """A script can ask whether the daemon lives; what lies in the outbox is shown even so."""
    assert EX_NOT_RUNNING == run_top(spool, once=True)
    assert "Blue Hour" in capsys.readouterr().out


def test_top_lists_no_failure_that_was_cleared_away(spool, capsys):
    """The list follows the folder."""
    put(spool, "Cleared Take", failed("Cleared Take", job="j1"))
    (spool / "failed" / "mix").mkdir(parents=True)
    run_top(spool, once=True)

    assert "Cleared Take" not in capsys.readouterr().out


def test_top_once_returns_0_when_the_daemon_lives(spool, capsys):
    """The heartbeat of this moment is a sign of life."""
    far = "2100-01-01T00:00:00.000Z"  # ahead of any clock this test may meet
    (spool / "daemon.json").write_bytes(encoded(daemon_json(heartbeat=far)))

    assert EX_OK == run_top(spool, once=True)
    assert "Soundspool running" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 99}', b"\xff\xfe"])
def test_top_takes_a_damaged_heartbeat_for_none(spool, capsys, damage):
    """A file that cannot be read is no sign of life, and no reason to fall over."""
    (spool / "daemon.json").write_bytes(damage)

    assert EX_NOT_RUNNING == run_top(spool, once=True)
    assert "There is no daemon" in capsys.readouterr().out.replace("\n", " ")


def test_top_ends_when_q_is_pressed(spool):
    """On a terminal it draws until q, and leaves the terminal as it was."""
    ours, theirs = pty.openpty()
    code = "import sys; from pathlib import Path; from daemon.cli.top import run_top; "
    code += f"sys.exit(run_top(Path({str(spool)!r})))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        seen = b""
        while b"Broken Take" not in seen:
            seen += os.read(ours, 65_536)
        os.write(ours, b"q")

        assert 0 == process.wait()
    finally:
        process.kill()
        os.close(ours)


# Status files


def test_status_cache_reads_a_file_again_only_when_it_was_replaced(spool, monkeypatch):
    """A queue of thousands costs one lstat each per look."""
    reads = []
    real = status_reader.read_status
    monkeypatch.setattr(
        status_reader, "read_status", lambda path: reads.append(path.name) or real(path)
    )
    cache = StatusCache(spool / "outbox")
    cache.documents()
    reads.clear()
    cache.documents()
    (spool / "outbox" / "mix" / "new").write_bytes(encoded(done("Blue Hour", job="j9")))
    (spool / "outbox" / "mix" / "new").replace(spool / "outbox" / "mix" / "Blue Hour.status.json")
    found = {one["job"] for one in cache.documents()}

    assert ["Blue Hour.status.json"] == reads
    assert "j9" in found


def test_status_cache_keeps_failures_however_much_succeeded_since(spool, monkeypatch):
    """Of what ended well and of what failed, the latest are kept apart."""
    monkeypatch.setattr(status_reader, "KEEP", 2)
    for n in range(5):
        put(spool, f"Later {n}", done(f"Later {n}", finished=rfc3339(NOW_MS + n)))
    names = {one["name"] for one in StatusCache(spool / "outbox").documents()}

    assert {"Broken Take", "Later 3", "Later 4"} == names


def test_status_cache_follows_no_link_and_reads_nothing_but_statuses(spool):
    """What else lies in the outbox is left alone."""
    outside = spool / "outside"
    outside.mkdir()
    (outside / "Secret.status.json").write_bytes(encoded(done("Secret")))
    (spool / "outbox" / "linked").symlink_to(outside)
    (spool / "outbox" / "mix" / "L.status.json").symlink_to(outside / "Secret.status.json")
    (spool / "outbox" / "mix" / "F.status.json").mkdir()
    names = {one["name"] for one in StatusCache(spool / "outbox").documents()}

    assert {"Blue Hour", "Broken Take"} == names


def test_status_cache_of_no_outbox_is_empty(tmp_path):
    """Before the first start there is nothing, and that is fine."""
    assert [] == StatusCache(tmp_path / "outbox").documents()
