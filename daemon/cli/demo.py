"""``soundspool demo``: the way of a drop from inbox to result, in half a minute.

A spool of its own is made (``./soundspool-demo``), a daemon is started on it, a song or an article
is made and dropped, and when the mix or the episode is there, the daemon is stopped. The spool
stays, to look around in; a second demo uses it again.

Rules
-----
Rule 1: nothing outside the demo's folder is touched, and no folder that another program created.

Rule 2: whatever ends the demo, Ctrl-C too, ends the daemon that it started, and no other.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
"""A second demo does it again, although it has the same drop."""
_INBOX_OF_ARTICLES = """\
inboxes:
  podcast:
    handler: daemon.handlers.podcast
    allow: {programs: [espeak-ng]}
"""


@dataclass(frozen=True)
class Demo:
    """What is dropped, and into what."""

    inbox: str
    name: str
    parts: str
    """What the drop consists of."""
    make: Callable[[Path], None]
    """Makes it, in a new folder."""
    making: str
    config: str = CONFIG
    program: str = ""
    """Needed."""


def run_demo(spool: Path, *, as_json: bool, what: str = "mix") -> int:
    """Show the way of a drop on the spool in the folder `spool`; return the exit code.

    Raises
    ------
    BadInput
        The folder was not created by a demo.
    Unavailable
        The daemon did not start, or nothing on this machine speaks.
    """
    demo = DEMOS[what]
    if demo.program and shutil.which(demo.program) is None:
        hint = f"Install {demo.program}; docs/podcast.md says how to use a speech server instead."
        message = f"{demo.program}, which speaks without a server, is not installed"
        raise Unavailable("SPEECH_NO_ENGINE", message, hint)
    reader = _prepared(spool, demo.config)
    _say(f"the spool is {shown(reader.root)}")
    with _daemon(reader, spool) as process:
        drop = _made(spool / "stems" / demo.name, demo)  # while the daemon starts
        _wait_for(reader, process, spool / "daemon.log")
        known = jobs_called(reader, demo.inbox, demo.name)
        submit(drop, reader.inboxes[demo.inbox], _FRESH, Files())
        _say(f"dropped {demo.name!r}, {demo.parts}, into {shown(reader.inboxes[demo.inbox])}")
        looks = follow(reader, demo.inbox, demo.name, known)
        entry = follow_to_end(looks, as_json=as_json)
    return _ending(reader, entry, as_json=as_json)


def _prepared(spool: Path, text: str) -> SpoolReader:
    """Create the demo's folder and its configuration, or find those of an earlier demo."""
    config = spool / "config.yaml"
    if not config.is_file():
        if spool.exists() and (not spool.is_dir() or any(spool.iterdir())):
            message = f"{shown(spool)} exists and was not created by `soundspool demo`"
            raise BadInput("OUTPUT_EXISTS", message, "Name another folder with --spool.")
        spool.mkdir(parents=True, exist_ok=True)
        config.write_text(text)
    if config.read_text() != text:
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


def _made(folder: Path, demo: Demo) -> Path:
    """Return the drop, made now unless an earlier demo made it."""
    if not folder.is_dir():
        _say(f"making {demo.making}")
        aside = folder.with_name(f".{folder.name}")
        if aside.is_dir():
            shutil.rmtree(aside)
        demo.make(aside)
        aside.rename(folder)
    return folder


def _song(folder: Path) -> None:
    from daemon.cli.demo_song import write_stems  # noqa: PLC0415 - NumPy only when needed

    write_stems(folder)


def _article(folder: Path) -> None:
    from daemon.cli.demo_song import write_article  # noqa: PLC0415 - NumPy only when needed

    write_article(folder)


DEMOS = {
    "mix": Demo(
        inbox="mix",
        name=SONG,
        parts="five stems",
        make=_song,
        making="a song: drums, bass, electric piano, pad and lead",
    ),
    "podcast": Demo(
        inbox="podcast",
        name="A Room for Sound",
        parts="an article and music",
        make=_article,
        making="an article, and music to speak over",
        config=CONFIG + _INBOX_OF_ARTICLES,
        program="espeak-ng",
    ),
}


def _ending(reader: SpoolReader, entry: StatusFile, *, as_json: bool) -> int:
    if as_json:
        results = [str(path) for path in results_of(reader, entry)]
        sys.stdout.write(json.dumps({"results": results, "spool": str(reader.root)}) + "\n")
        return code_of(entry, pulse_of(reader.root))
    code = report_end(reader, entry, as_json=False)
    measured = entry.document.get("measurements") or {}
    if lufs := measured.get("integrated_lufs"):
        _say(f"it has {lufs} LUFS and peaks at {measured.get('true_peak_dbtp')} dBTP")
        _say("play the first of these, open the report in a browser, and compare with the drop")
    return code


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
