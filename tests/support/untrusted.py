"""Whatever the bytes, an answer: what the fuzzers and the corpus hold the readers to."""

import os
import tempfile
from pathlib import Path

from daemon.archives import ARCHIVE_SUFFIXES, completeness
from daemon.cli.spool_reader import Pulse, StatusFile
from daemon.cli.status_view import detail, overview, overview_json
from daemon.codes import CODES
from daemon.config.drop_settings import daemon_keys
from daemon.config.yaml_reader import load
from daemon.errors import BadInput
from daemon.outbox.overview import life, overview_of
from daemon.outbox.status_reader import document_of
from daemon.pool.worker.unpack import unpack
from dsp.containers.identify import ends_in_zeros, read_header
from tests.support.spools import NOW_MS

ROOT = Path("/spool")
ARCHIVE_LIMITS = {"files": 20, "depth": 4, "bytes": 1 << 20}


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


def archive_of(data: bytes):
    """Unpack `data`, whose first byte chooses the suffix; ``None`` when it is refused."""
    suffix = ARCHIVE_SUFFIXES[data[0] % len(ARCHIVE_SUFFIXES)] if data else ".zip"
    packed = data[1:]
    verdict, why = completeness(lambda at, n: packed[max(0, at) : at + n], len(packed), suffix)
    assert verdict in ("complete", "unknown", "short")
    assert why
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, f"Song{suffix}")
        archive.write_bytes(packed)
        try:
            drop = unpack(archive, Path(folder, "out"), ARCHIVE_LIMITS, lambda *_: None)
        except BadInput as refusal:
            refusal.message.encode()
            assert CODES[refusal.code].hint  # noqa: PT017 - what it raises is the point
            return None
        found = [path for path in drop.rglob("*") if not path.is_dir()]
        assert 1 <= len(found) <= ARCHIVE_LIMITS["files"]
        assert all(path.is_file() and not path.is_symlink() for path in found)
        assert sum(path.stat().st_size for path in found) <= ARCHIVE_LIMITS["bytes"]
        return found


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
