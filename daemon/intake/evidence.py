"""Evidence from the disk: headers, writers, manifests of the drops of one inbox."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.archives import archive_suffix, completeness
from daemon.config.drop_settings import daemon_keys
from daemon.config.manifest import Listed
from daemon.config.yaml_reader import Document, load
from daemon.errors import BadInput, is_ours
from daemon.intake.drop import Drop, Found
from daemon.intake.filenames import suffix_of
from daemon.intake.writer_probe import Writer, open_beneath, writer_of
from daemon.layout import SCAN, SETTINGS
from daemon.text import display
from dsp.containers.header import Format, Header, Verdict, Window
from dsp.containers.identify import AUDIO_SUFFIXES, ends_in_zeros, read_header
from dsp.containers.junk import composed

_PACKED = Format(rate_hz=88_200)
"""A byte a frame: what little FLAC, or 16 bits of one channel, makes of a second."""
_REQUEST_BYTES = 4_096
"""Of a ``.scan`` file that is written at one go: whole when empty, or its last line has ended."""


class DiskEvidence:
    """The evidence about one drop in the inbox that is open as `inbox`."""

    def __init__(self, inbox: int, drop: Drop, settings_bytes: int) -> None:
        self._inbox, self._drop, self._settings_bytes = inbox, drop, settings_bytes

    def header(self, file: Found) -> Header:
        """Read the header of a file as it was when it was looked at."""
        suffix = archive_suffix(file.path) if self._drop.kind == "file" else ""
        request = file.path.endswith(SCAN) and file.bytes <= _REQUEST_BYTES
        if not suffix and not request and suffix_of(file.path) not in AUDIO_SUFFIXES:
            verdict: Verdict = "unknown" if file.bytes else "empty"
            return Header(verdict, detail="not audio by its name, so of no known length")
        try:
            with self._opened(file) as fd:
                if request:
                    ended = not file.bytes or os.pread(fd, 1, file.bytes - 1) == b"\n"
                    return Header(
                        "complete" if ended else "unknown", detail="its last line is open"
                    )
                if suffix:
                    return _archive_header(Window(fd, file.bytes), suffix)
                return read_header(fd, file.bytes)
        except OSError as error:
            if is_ours(error):
                raise
            return Header("unreadable", detail=f"cannot be read: {error.strerror}")

    def zero_tail(self, file: Found) -> bool:
        """Tell whether the file ends in a long run of zeros."""
        try:
            with self._opened(file) as fd:
                return ends_in_zeros(fd, file.bytes)
        except OSError as error:
            if is_ours(error):
                raise
            return False

    def writer(self, file: Found) -> Writer:
        """Tell whether a program has the file open for writing, now."""
        try:
            with self._opened(file) as fd:
                return writer_of(fd)
        except OSError as error:
            if is_ours(error):
                raise
            return "unsupported"

    def manifest(self, drop: Drop) -> tuple[Listed, ...]:
        """Return what the settings list under ``files``; nothing without settings."""
        document = self._settings(drop)
        return tuple(daemon_keys(document).files) if document else ()

    def named(self, drop: Drop) -> frozenset[str]:
        """Return every text in the settings, composed: a file that they name is meant."""
        found, rest = set(), [document.value] if (document := self._settings(drop)) else []
        while rest:
            value = rest.pop()
            if isinstance(value, dict):
                rest += [*value, *value.values()]
            elif isinstance(value, list):
                rest += value
            elif isinstance(value, str):
                found.add(composed(value))
        return frozenset(found)

    def _settings(self, drop: Drop) -> Document | None:
        if drop.settings is None:
            return None
        inside = drop.settings.path == SETTINGS
        path = f"{drop.name}/{SETTINGS}" if inside else drop.settings.path
        return load(self._read(path), name=display(path), max_bytes=self._settings_bytes)

    def _read(self, path: str) -> bytes:
        try:
            fd = open_beneath(self._inbox, path)
        except OSError as error:
            if is_ours(error):
                raise
            message = f"{display(path)} cannot be read: {error.strerror}"
            raise BadInput("SETTINGS_INVALID", message) from error
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read(self._settings_bytes + 1)

    @contextmanager
    def _opened(self, file: Found) -> Iterator[int]:
        folder = self._drop.kind == "folder"
        fd = open_beneath(self._inbox, f"{self._drop.name}/{file.path}" if folder else file.path)
        try:
            yield fd
        finally:
            os.close(fd)


def _archive_header(window: Window, suffix: str) -> Header:
    """Read the end of an archive; how much sound is in it is guessed from its size."""
    if not window.size:
        return Header("empty", suffix[1:], detail="empty")
    verdict, detail = completeness(window.at, window.size, suffix)
    return Header(verdict, suffix[1:], detail, _PACKED, window.size)
