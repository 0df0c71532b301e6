"""Evidence from the disk: headers, writers, manifests of the drops of one inbox."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.errors import BadInput
from daemon.intake.drop import Drop, Found
from daemon.intake.headers import ends_in_zeros, read_header
from daemon.intake.names import AUDIO_SUFFIXES, SETTINGS, display, suffix_of
from daemon.intake.peek import Header, Verdict
from daemon.intake.probe import Writer, open_beneath, writer_of
from daemon.intake.whole import Listed
from daemon.strict_yaml import load


class DiskEvidence:
    """The evidence about one drop in the inbox that is open as `inbox`."""

    def __init__(self, inbox: int, drop: Drop, settings_bytes: int) -> None:
        self._inbox, self._drop, self._settings_bytes = inbox, drop, settings_bytes

    def header(self, file: Found) -> Header:
        """Judge the header of a file as it was when it was looked at."""
        if suffix_of(file.path) not in AUDIO_SUFFIXES:
            verdict: Verdict = "unknown" if file.bytes else "empty"
            return Header(verdict, "", None, None, "not audio by its name, so of no known length")
        try:
            with self._opened(file) as fd:
                return read_header(fd, file.bytes)
        except OSError as error:
            return Header("unreadable", "", None, None, f"cannot be read: {error.strerror}")

    def zero_tail(self, file: Found) -> bool:
        """Tell whether the file ends in a long run of zeros."""
        try:
            with self._opened(file) as fd:
                return ends_in_zeros(fd, file.bytes)
        except OSError:
            return False

    def writer(self, file: Found) -> Writer:
        """Tell whether anybody has the file open for writing, now."""
        try:
            with self._opened(file) as fd:
                return writer_of(fd)
        except OSError:
            return "unsupported"

    def manifest(self, drop: Drop) -> tuple[Listed, ...]:
        """Return what the settings list under ``files``; nothing without settings."""
        if drop.settings is None:
            return ()
        inside = drop.settings.path == SETTINGS
        path = f"{drop.name}/{SETTINGS}" if inside else drop.settings.path
        value = load(self._read(path), name=display(path), max_bytes=self._settings_bytes).value
        return tuple(_listed(line) for line in _lines(value))

    def _read(self, path: str) -> bytes:
        try:
            fd = open_beneath(self._inbox, path)
        except OSError as error:
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


def _lines(value: object) -> list[object]:
    lines = value.get("files", []) if isinstance(value, dict) else []
    if not isinstance(lines, list):
        raise BadInput("SETTINGS_INVALID", "files must be a list of {name, bytes, sha256}")
    return lines


def _listed(line: object) -> Listed:
    """Return one line of a manifest.

    Raises
    ------
    BadInput
        The line names no file, or one that lies elsewhere, or gives a size that is none.
    """
    if not isinstance(line, dict) or not isinstance(name := line.get("name"), str):
        raise BadInput("SETTINGS_INVALID", "each of files must be {name, bytes, sha256}")
    if name.startswith("/") or ".." in name.split("/"):
        raise BadInput("SETTINGS_INVALID", f"files: {name} lies outside the drop")
    size, sha256 = line.get("bytes"), line.get("sha256")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise BadInput("SETTINGS_INVALID", f"files: bytes of {name} must be a count, got {size}")
    if sha256 is not None and not isinstance(sha256, str):
        raise BadInput("SETTINGS_INVALID", f"files: sha256 of {name} must be text")
    return Listed(name, size, sha256)
