"""Where the daemon's log lines go, and what they look like there.

Theory of operation
-------------------
One line per transition; the same fields everywhere, in the shape that the reader at the other
end of standard error can use:

=====================  ==============================================================
Standard error is      A line becomes
=====================  ==============================================================
the journal's stream   an entry with real fields: ``journalctl JOB=20261120-214501-3f9a``
a terminal             ``21:45:01Z info running→done job=… outcome=done``
anything else          one JSON object
=====================  ==============================================================

systemd says in ``JOURNAL_STREAM`` which file standard error is, if it is the journal's; a
program that was redirected since must not trust the mere presence of the variable.

Rules
-----
1. A name of a file is a stranger's text: nothing that could move a cursor, colour a terminal or
   forge a second line leaves here unescaped.
2. A log that cannot be written never stops a job.

References
----------
systemd.exec(5), ``$JOURNAL_STREAM``; systemd.journal-fields(7); "Journal native protocol",
systemd.io/JOURNAL_NATIVE_PROTOCOL; syslog(3) for priorities.
"""

import json
import logging
import os
import re
import socket
import struct
import sys
from collections.abc import Mapping
from typing import IO, Any, Literal

from daemon.clock import Clock, rfc3339
from daemon.imports import importing

# structlog would load rich for tracebacks that are never drawn here, and asyncio for loggers
# that are never awaited: 7 MB in a process that lives for months. So who logs takes ``log``
# from here, and imports no structlog.
with importing(absent="rich", later="asyncio"):
    import structlog

log = structlog.get_logger()

Fields = Mapping[str, Any]
Destination = Literal["journal", "terminal", "file"]

JOURNAL = "/run/systemd/journal/socket"

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
# The kernel refuses a datagram above its send buffer, 208 KiB unless told otherwise.
_FIELD_BYTES = 16 << 10
_DATAGRAM_BYTES = 128 << 10
_encode = json.JSONEncoder(default=str).encode
_BARE = re.compile(r"[^\s\"=\\]+")


def configure(level: str = "info", *, to: IO[str] | None = None) -> Destination:
    """Send log lines of `level` and above to standard error, or `to`; return what that is.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    to : text stream, optional
        Standard error when not given.
    """
    stream = sys.stderr if to is None else to
    destination = _destination(stream, os.environ.get("JOURNAL_STREAM", ""))
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _to_journal if destination == "journal" else _Shape(destination),
    ]
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(_Unfailing(stream)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,  # a reload may change the level
    )
    # What libraries say the standard way goes the same way.
    logging.basicConfig(handlers=[_FromLibraries()], level=max(least, logging.WARNING), force=True)
    return destination


def line(fields: Fields) -> str:
    """Return the fields as one readable line, without line break.

    ``event`` comes first, bare; the others follow as ``key=value``, quoted where a blank or a
    quote would make them ambiguous. What does not print is escaped as in Python.
    """
    rest = (f"{key}={_value(value)}" for key, value in fields.items() if key != "event")
    return " ".join([_printable(str(fields.get("event", ""))), *rest])


def datagram(fields: Fields) -> bytes:
    """Return the fields as one message of the journal's native protocol.

    ``MESSAGE`` is the readable line; every field is there as itself too, in capitals.
    """
    level = str(fields.get("level", "info"))
    shown = _shown(fields)
    pairs = {
        "MESSAGE": "\n".join([line(shown), *_trace(fields)]),
        "PRIORITY": _PRIORITIES.get(level, 6),
        "SYSLOG_IDENTIFIER": "soundspool",
    } | {_journal_name(key): value for key, value in shown.items() if key != "event"}
    message = b""
    for name, value in pairs.items():
        pair = _pair(name, value)
        if len(message) + len(pair) <= _DATAGRAM_BYTES:
            message += pair
    return message


def _destination(stream: IO[str], journal_stream: str) -> Destination:
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or none at all
        return "file"
    if journal_stream == f"{about.st_dev}:{about.st_ino}":
        return "journal"
    return "terminal" if stream.isatty() else "file"


class _Shape:
    """The last processor for terminals and files: from fields to text."""

    def __init__(self, destination: Destination) -> None:
        self._for_people = destination == "terminal"

    def __call__(self, _logger: object, _method: str, fields: Fields) -> str:
        now = rfc3339(Clock().wall_ms())
        if not self._for_people:
            # ASCII: escapes whatever could be taken for a line break or a command.
            first = {key: fields[key] for key in ("level", "event") if key in fields}
            return _encode({"time": now, **first, **fields})
        head = f"{now[11:19]}Z {fields.get('level', 'info')} {line(_shown(fields))}"
        return "\n".join([head, *_trace(fields)])


def _to_journal(_logger: object, _method: str, fields: Fields) -> str:
    """Be the last processor under systemd: the datagram leaves, and the line ends here."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            # Never wait for a journal that does not read: it may wait for the disk that is full.
            out.sendto(datagram(fields), socket.MSG_DONTWAIT, JOURNAL)
    except OSError:
        # The stream leads to the journal too, and systemd keeps it open across restarts.
        return f"<{_PRIORITIES.get(str(fields.get('level')), 6)}>{line(_shown(fields))}"
    raise structlog.DropEvent


class _Unfailing:
    """A stream whose failures are nobody's business (rule 2)."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            return

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


class _FromLibraries(logging.Handler):
    """Passes on what libraries log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info)


def _shown(fields: Fields) -> Fields:
    return {key: value for key, value in fields.items() if key not in ("level", "exception")}


def _value(value: object) -> str:
    text = str(value)
    return (
        text
        if _BARE.fullmatch(text) and text.isprintable()
        else f'"{_printable(text, quote=True)}"'
    )


def _printable(text: str, *, quote: bool = False) -> str:
    special = '"\\' if quote else "\\"
    return "".join(
        _escaped(char) if char in special or not char.isprintable() else char for char in text
    )


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char.encode("unicode_escape").decode("ascii")


def _trace(fields: Fields) -> list[str]:
    return ["  " + _printable(row) for row in str(fields.get("exception", "")).splitlines()]


def _journal_name(key: str) -> str:
    """Return a field name that the journal takes: capitals, digits, no underscore in front."""
    name = re.sub(r"[^A-Z0-9_]", "_", key.upper()).lstrip("_")[:64]
    return name if name and not name[0].isdigit() else f"F_{name}"


def _pair(name: str, value: object) -> bytes:
    """Return ``NAME``, the length of the value and the value: it may hold line breaks."""
    data = str(value).encode("utf-8", "surrogateescape")[:_FIELD_BYTES]
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
