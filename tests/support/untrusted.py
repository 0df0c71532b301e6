"""Whatever the bytes, an answer: what the fuzzers and the corpus hold the readers to."""

import os
from pathlib import Path

from daemon.cli.spool_reader import Pulse, StatusFile
from daemon.cli.status_view import detail, overview, overview_json
from daemon.config.drop_settings import daemon_keys
from daemon.config.yaml_reader import load
from daemon.errors import BadInput
from daemon.outbox.overview import life, overview_of
from daemon.outbox.status_reader import document_of
from dsp.containers.identify import ends_in_zeros, read_header
from tests.support.spools import NOW_MS

ROOT = Path("/spool")


def header_of(data: bytes):
    """Judge `data` as the header walk does: on a descriptor, with its size."""
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, data)
        ends_in_zeros(fd, len(data))
        return read_header(fd, len(data))
    finally:
        os.close(fd)


def settings_of(data: bytes):
    """Read `data` as a job.yaml and as its manifest; ``None`` when it is refused."""
    try:
        document = load(data, name="job.yaml")
        daemon_keys(document)
    except BadInput as refusal:
        assert refusal.code == "SETTINGS_INVALID"  # noqa: PT017 - what it raises is the point
        str(refusal).encode("utf-8", "surrogateescape")
        return None
    return document.value


def status_of(data: bytes):
    """Show `data` as a drop's status, alone and among others; ``None`` when it is none."""
    document = document_of(data, "status")
    if document is None:
        return None
    told = StatusFile(ROOT / "outbox" / "mix" / "Song.status.json", document)
    pulse = Pulse({}, None, "absent")
    told.goes_by("Song")
    for text in (
        detail(ROOT, pulse, told),
        overview(ROOT, pulse, [told]),
        overview_json(ROOT, pulse, [told]),
    ):
        text.encode()
        assert "\x1b" not in text
    return document


def heartbeat_of(data: bytes):
    """Show `data` as the daemon's own status; ``None`` when it is none."""
    document = document_of(data, "daemon")
    if document is None:
        return None
    overview_of(document, [])
    pulse = Pulse(document, 1.0, life(document, NOW_MS))
    overview(ROOT, pulse, []).encode()
    return document
