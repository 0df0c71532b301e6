"""Unpack a drop that is an archive, so that every handler is given a folder.

Theory of operation
-------------------
Members are taken in their order. Each name is judged before anything of it is made, and every
byte is counted as it comes out. When all lie in one folder, that folder stands for the drop,
else the folder into which they were unpacked. What systems leave in archives beside the files
of a person is passed over.

Rules
-----
1. Only plain files and folders are made, below a folder that is new.
2. What an archive declares is believed nowhere: limits hold for what comes out of it.
3. Whatever a decoder raises is the archive's fault, unless the disk or the memory says so.
"""

import bz2
import errno
import gzip
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Self, cast

from daemon.archives import archive_suffix, zip_directory
from daemon.config.yaml_reader import quoted
from daemon.errors import BadInput, SpoolError, words

STAGE = "unpacking"

_PIECE = 1 << 20
_RATIO = 200
_FREE_BYTES = 1 << 30  # up to here, the ratio does not count: silence packs a thousand to one
_MOST_NAMES = 10_000
_MOST_NAME_BYTES = 255
_MOST_HEADER_BYTES = 1 << 20  # of a name in a tar file
_MOST_DIRECTORY_BYTES = 16 << 20  # of a ZIP file
_OF_THE_ARCHIVE = (None, errno.EINVAL, errno.EOVERFLOW)
"""Errors of decoders, and of seeking to where an archive says."""
_SYSTEMS_OWN = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: controls, lone surrogates, ends of lines and of paragraphs."""


@dataclass(frozen=True)
class _Member:
    """One entry of an archive, as the archive declares it."""

    name: str
    kind: Literal["file", "folder", "other"]
    size: int
    content: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    limits: Mapping[str, int],
    report: Callable[[str, float], None],
) -> Path:
    """Unpack `archive` into `folder`, which must not exist; return what stands for the drop.

    Parameters
    ----------
    limits
        ``files depth bytes``.

    Raises
    ------
    BadInput
        ``ARCHIVE_…``, or the code that a folder would be refused with.
    """
    folder = folder / archive.name[: -len(archive_suffix(archive.name))]
    folder.mkdir(0o700, parents=True)
    out = _Unpacker(archive, folder, limits, report)
    try:
        _take_all(archive, out)
    except (SpoolError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
            raise
        message = f"{archive.name} cannot be unpacked: {words(error)}"
        raise BadInput("ARCHIVE_DAMAGED", message) from error
    return out.drop()


class _Unpacker:
    """What has come out of one archive so far."""

    def __init__(
        self,
        archive: Path,
        folder: Path,
        limits: Mapping[str, int],
        report: Callable[[str, float], None],
    ) -> None:
        self._archive, self._folder, self._report = archive, folder, report
        self._files = limits.get("files", _MOST_NAMES)
        self._depth = limits.get("depth", _MOST_NAMES)
        self._packed = archive.stat().st_size
        plausible = max(_FREE_BYTES, self._packed * _RATIO)
        self._most_bytes = min(limits.get("bytes", plausible), plausible)
        self._names = 0
        self._bytes = 0
        self._made: dict[str, str] = {}
        """Names of files as they are compared, and as they were written."""

    def take(self, member: _Member) -> None:
        """Unpack one member, unless it is one that systems leave."""
        self._names += 1
        if self._names > max(_MOST_NAMES, self._files):
            raise self._refused("TOO_MANY_FILES", "it holds too many names of all kinds")
        parts = _parts_of(member.name)
        if parts is None:
            raise self._refused("ARCHIVE_UNSAFE", f"it holds the name {quoted(member.name)}")
        if any(part.startswith(".") or part.lower() in _SYSTEMS_OWN for part in parts):
            return
        if member.kind == "other":
            text = f"{quoted(member.name)} in it is a link or a device"
            raise self._refused("ARCHIVE_UNSAFE", text)
        folders = parts if member.kind == "folder" else parts[:-1]
        if len(folders) > self._depth:
            raise self._refused("TOO_DEEP", f"{quoted(member.name)} in it lies too deep")
        try:
            self._folder.joinpath(*folders).mkdir(0o700, parents=True, exist_ok=True)
            if member.kind == "file":
                self._take_file(member, parts)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            text = f"{quoted(member.name)} in it is both a file and a folder"
            raise self._refused("ARCHIVE_UNSAFE", text) from error

    def _take_file(self, member: _Member, parts: tuple[str, ...]) -> None:
        known_as = unicodedata.normalize("NFC", "/".join(parts))
        if known_as in self._made:
            raise self._refused("ARCHIVE_UNSAFE", f"it holds {quoted(member.name)} twice")
        self._made[known_as] = member.name
        if len(self._made) > self._files:
            raise self._refused("TOO_MANY_FILES", f"it holds more than {self._files} files")
        self._fit(member.size)
        source = member.content()
        if source is None:
            raise self._refused("ARCHIVE_DAMAGED", f"{quoted(member.name)} in it has no content")
        with source, self._folder.joinpath(*parts).open("xb") as target:
            while piece := source.read(_PIECE):
                self.count(piece)
                target.write(piece)

    def count(self, piece: bytes) -> None:
        """Count what came out of the archive."""
        self._bytes += len(piece)
        self._fit(0)
        # How much will come out is not known; this only rises, and ends below 1.
        self._report(STAGE, self._bytes / (self._bytes + self._packed + 1))

    def _fit(self, more: int) -> None:
        if self._bytes + more > self._most_bytes:
            text = f"more than {self._most_bytes} bytes would come out of it"
            raise self._refused("ARCHIVE_TOO_LARGE", text)

    def drop(self) -> Path:
        """Return the folder that stands for the drop: the only one in it, or all of it."""
        if not self._made:
            raise self._refused("INPUT_EMPTY", "it holds no file")
        top = list(self._folder.iterdir())
        return top[0] if len(top) == 1 and top[0].is_dir() else self._folder

    def _refused(self, code: str, problem: str) -> BadInput:
        return BadInput(code, f"{self._archive.name}: {problem}", path=self._archive.name)


def _parts_of(name: str) -> tuple[str, ...] | None:
    """Return the parts of a name that is safe to make; ``None``: it is not."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    letters = {unicodedata.category(letter) for part in parts for letter in part}
    absolute = name.startswith("/") or (bool(parts) and parts[0].endswith(":"))
    if not parts or absolute or ".." in parts or letters & _UNFIT:
        return None
    too_long = any(len(part.encode()) > _MOST_NAME_BYTES for part in parts)
    return None if too_long else parts


def _take_all(archive: Path, out: _Unpacker) -> None:
    suffix = archive_suffix(archive.name)
    if suffix == ".zip":
        for member in _zip_members(archive):
            out.take(member)
        return
    with _plain(archive, suffix) as plain:
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictInfo, bufsize=_PIECE) as tar:
            for info in tar:
                out.take(_tar_member(tar, info))
        while piece := plain.read(_PIECE):  # the checksum of what is compressed stands at its end
            out.count(piece)


def _plain(archive: Path, suffix: str) -> IO[bytes]:
    if suffix.endswith("gz"):
        return cast("IO[bytes]", gzip.open(archive))
    if suffix.endswith("xz"):
        return lzma.open(archive)
    return bz2.open(archive) if suffix != ".tar" else archive.open("rb")


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if info.isdir():
        return _Member(info.name, "folder", 0, lambda: None)
    return _Member(
        info.name, "file" if info.isreg() else "other", info.size, lambda: tar.extractfile(info)
    )


class _StrictInfo(tarfile.TarInfo):
    """A header of a tar file; ``tarfile`` takes one that is damaged for the end of the file."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise tarfile.ReadError(f"{error} within it") from error
            raise
        is_file = found.type in tarfile.REGULAR_TYPES
        if found.size < 0 or (not is_file and found.size > _MOST_HEADER_BYTES):
            raise tarfile.ReadError("a header in it has an impossible length")
        return found


def _zip_members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        directory = zip_directory(lambda at, count: os.pread(file.fileno(), count, at), size)
        if directory is not None and directory[1] > _MOST_DIRECTORY_BYTES:
            raise BadInput("TOO_MANY_FILES", f"{archive.name}: it holds too many names")
        with closing(zipfile.ZipFile(file)) as packed:
            for info in packed.infolist():
                yield _zip_member(archive, packed, info)


def _zip_member(archive: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name = info.filename
    if not info.flag_bits & 0x800:  # else it is UTF-8; many write that without saying so
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    if info.flag_bits & 0x1:
        raise BadInput("ARCHIVE_ENCRYPTED", f"{archive.name}: {quoted(name)} in it is encrypted")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind == stat.S_IFDIR:
        return _Member(name, "folder", 0, lambda: None)
    plain = kind in (0, stat.S_IFREG)

    def opened() -> IO[bytes]:
        try:
            return packed.open(info)
        except NotImplementedError as error:
            text = f"{archive.name}: {quoted(name)} in it is packed by a method that we do not know"
            raise BadInput("ARCHIVE_NOT_SUPPORTED", text) from error

    name = name.replace("\\", "/")  # some programs for Windows
    return _Member(name, "file" if plain else "other", info.file_size, opened)
