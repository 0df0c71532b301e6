"""``soundspool demo``: the way of a drop from inbox to mix, in half a minute.

A spool of its own is made (``./soundspool-demo``), a daemon is started on it, a song is made
and dropped, and when the mix is there, the daemon is stopped. The spool stays, to look around
in; a second demo uses it again.

Rules
-----
Rule 1: nothing outside the demo's folder is touched, and no folder that another program created.

Rule 2: whatever ends the demo, Ctrl-C too, ends the daemon that it started, and no other.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.cli.follow import follow, jobs_called
from daemon.cli.spool_reader import SpoolReader, StatusFile, pulse_of
from daemon.cli.status_view import code_of
from daemon.cli.submit import submit
from daemon.cli.submit_command import follow_to_end, report_end, results_of
from daemon.errors import BadInput, Unavailable
from daemon.files import Files
from daemon.text import shown

SONG = "First Light"
CONFIG = """\
# The demo's spool. A relative root starts at the folder of this file.
root: .
heartbeat_s: 0.5
drain_s: 5
"""

_START_S, _STOP_S = 60.0, 20.0
_LOG_LINES = 8
_FRESH = {"force": True}
"""A second demo mixes again, although it has the same song."""


def run_demo(spool: Path, *, as_json: bool) -> int:
    """Show the way of a drop on the spool in the folder `spool`; return the exit code.

    Raises
    ------
    BadInput
        The folder was not created by a demo.
    Unavailable
        The daemon did not start.
    """
    reader = _prepared(spool)
    _say(f"the spool is {shown(reader.root)}")
    with _daemon(reader, spool) as process:
        stems = _song(spool / "stems" / SONG)  # while the daemon starts, on the other core
        _wait_for(reader, process, spool / "daemon.log")
        known = jobs_called(reader, "mix", SONG)
        submit(stems, reader.inboxes["mix"], _FRESH, Files())
        _say(f"dropped {SONG!r}, five stems, into {shown(reader.inboxes['mix'])}")
        looks = follow(reader, "mix", SONG, known)
        entry = follow_to_end(looks, as_json=as_json)
    return _ending(reader, entry, as_json=as_json)


def _prepared(spool: Path) -> SpoolReader:
    """Create the demo's folder and its configuration, or find those of an earlier demo."""
    config = spool / "config.yaml"
    if not config.is_file():
        if spool.exists() and (not spool.is_dir() or any(spool.iterdir())):
            message = f"{shown(spool)} exists and was not created by `soundspool demo`"
            raise BadInput("OUTPUT_EXISTS", message, "Name another folder with --spool.")
        spool.mkdir(parents=True, exist_ok=True)
        config.write_text(CONFIG)
    if config.read_text() != CONFIG:
        message = f"{shown(config)} is not the one that `soundspool demo` creates"
        raise BadInput("OUTPUT_EXISTS", message, "Name another folder with --spool.")
    return SpoolReader.of(config)


@contextmanager
def _daemon(reader: SpoolReader, spool: Path) -> Iterator["subprocess.Popen[bytes] | None"]:
    """Start a daemon on the spool, unless one runs already."""
    if pulse_of(reader.root).running:
        yield None
        return
    for number in (signal.SIGTERM, signal.SIGHUP):  # shut down as after Ctrl-C
        signal.signal(number, signal.default_int_handler)
    command = [sys.executable, "-m", "daemon", "run", "--config", str(spool / "config.yaml")]
    with (spool / "daemon.log").open("ab") as log:
        # A session of its own: Ctrl-C reaches us alone, and we stop it.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process)


def _wait_for(reader: SpoolReader, process: "subprocess.Popen[bytes] | None", log: Path) -> None:
    if process is None:
        _say("a daemon runs on this spool already")
        return
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        pulse = pulse_of(reader.root)
        if pulse.running and pulse.document.get("pid") == process.pid:
            _say(f"the daemon runs, process {process.pid}")
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    said = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
    message = f"the daemon did not come up; {shown(log)} ends with:\n{said}"
    raise Unavailable("DAEMON_DID_NOT_START", message, "See what is wrong: soundspool check.")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _song(folder: Path) -> Path:
    """Return the folder of stems, made now unless an earlier demo made it."""
    if not folder.is_dir():
        _say("making a song: drums, bass, electric piano, pad and lead")
        from daemon.cli.demo_song import write_stems  # noqa: PLC0415 - NumPy only when needed

        aside = folder.with_name(f".{folder.name}")
        for rest in aside.glob("*"):
            rest.unlink()
        aside.rmdir() if aside.is_dir() else None
        write_stems(aside)
        aside.rename(folder)
    return folder


def _ending(reader: SpoolReader, entry: StatusFile, *, as_json: bool) -> int:
    if as_json:
        results = [str(path) for path in results_of(reader, entry)]
        sys.stdout.write(json.dumps({"results": results, "spool": str(reader.root)}) + "\n")
        return code_of(entry, pulse_of(reader.root))
    code = report_end(reader, entry, as_json=False)
    measured = entry.document.get("measurements") or {}
    if lufs := measured.get("integrated_lufs"):
        _say(f"the mix has {lufs} LUFS and peaks at {measured.get('true_peak_dbtp')} dBTP")
        _say("play the first of these, open the report in a browser, and compare with the stems")
    return code


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
