"""Archives, well made and hostile, in bytes."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping

from tests.support.truth import wav_bytes

SONG = {"Song/a.wav": wav_bytes(b"ab" * 500), "Song/drums/b.wav": wav_bytes(b"cd" * 400)}
TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".txz": "w:xz"}
SUFFIXES = (".zip", *TAR_MODES)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, **more: int) -> bytes:
    """Return a ZIP file; `more` are attributes of every entry."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as packed:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for attribute, value in more.items():
                setattr(info, attribute, value)
            packed.writestr(info, data)
    return content.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a tar file; every entry is of one kind."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "/etc/passwd", len(data)
            packed.addfile(info, io.BytesIO(data))
    return content.getvalue()


def packed(files: Mapping[str, bytes], suffix: str) -> bytes:
    """Return an archive of the kind that a suffix says."""
    return zipped(files) if suffix == ".zip" else tarred(files, TAR_MODES[suffix])


def encrypted() -> bytes:
    """Return a ZIP file whose entry says that it is encrypted."""
    found = bytearray(zipped({"Song/a.wav": b"secret"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found[found.index(signature) + flags] |= 1
    return bytes(found)


def by_method(number: int) -> bytes:
    """Return a ZIP file whose entry says that it was packed by this method."""
    found = bytearray(zipped({"Song/a.wav": b"x"}))
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        found[found.index(signature) + method] = number
    return bytes(found)


def lying() -> bytes:
    """Return a ZIP file whose entry is longer than it says."""
    found = bytearray(zipped({"Song/a.wav": b"x" * 10_000}))
    size = found.index(b"PK\x01\x02") + 24
    found[size : size + 4] = (10).to_bytes(4, "little")
    return bytes(found)


def before_its_beginning() -> bytes:
    """Return a ZIP file that says an entry lies before the file begins."""
    whole = zipped({"Song/a.wav": b"x" * 100, "Song/b.wav": b"y" * 100})
    return whole[:20] + whole[60:]


def flipped(data: bytes, share: float) -> bytes:
    """Return bytes with one of them changed, this far from the beginning."""
    at = int(len(data) * share)
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def header_that_declares(kind: bytes, size: int) -> bytes:
    """Return a tar file of one header that declares this size."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


LINK = (stat.S_IFLNK | 0o777) << 16
PIPE = (stat.S_IFIFO | 0o644) << 16
A = {"Song/a.wav": b"x"}

HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    # What it is: suffix, how its bytes are made, the code it ends with.
    "climbs": (".zip", lambda: zipped({"../a.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "climbs within": (".zip", lambda: zipped({"Song/../../a.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "climbs by backslashes": (".zip", lambda: zipped({"..\\..\\a.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "absolute": (".zip", lambda: zipped({"/etc/a.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "drive": (".zip", lambda: zipped({"C:\\a.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "escape": (".zip", lambda: zipped({"Song/\x1b[2Ja.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "long name": (".zip", lambda: zipped({"Song/" + "x" * 300: b"x"}), "ARCHIVE_UNSAFE"),
    "long path": (".zip", lambda: zipped({"/".join(["x" * 200] * 30): b"x"}), "TOO_DEEP"),
    "link in zip": (
        ".zip",
        lambda: zipped({"Song/a.wav": b"/etc"}, external_attr=LINK),
        "ARCHIVE_UNSAFE",
    ),
    "pipe in zip": (".zip", lambda: zipped(A, external_attr=PIPE), "ARCHIVE_UNSAFE"),
    "encrypted": (".zip", encrypted, "ARCHIVE_ENCRYPTED"),
    "unknown method": (".zip", lambda: by_method(93), "ARCHIVE_NOT_SUPPORTED"),
    "lying size": (".zip", lying, "ARCHIVE_DAMAGED"),
    "before its beginning": (".zip", before_its_beginning, "ARCHIVE_DAMAGED"),
    "flipped byte": (".zip", lambda: flipped(zipped(SONG), 0.2), "ARCHIVE_DAMAGED"),
    "no end": (".zip", lambda: zipped(SONG)[:-30], "ARCHIVE_DAMAGED"),
    "no zip": (".zip", lambda: b"RIFF" * 100, "ARCHIVE_DAMAGED"),
    "nothing in it": (".zip", lambda: zipped({}), "INPUT_EMPTY"),
    "folders only": (".zip", lambda: zipped({"Song/": b"", "Song/a/": b""}), "INPUT_EMPTY"),
    "what a Mac leaves": (".zip", lambda: zipped({"__MACOSX/._a.wav": b"x"}), "INPUT_EMPTY"),
    "bomb": (".zip", lambda: zipped({"Song/a.wav": bytes(30 << 20)}), "ARCHIVE_TOO_LARGE"),
    "bzip2 bomb": (".zip", lambda: zipped({"a.wav": bytes(30 << 20)}, 12), "ARCHIVE_TOO_LARGE"),
    "many files": (".zip", lambda: zipped({f"{n}.wav": b"" for n in range(60)}), "TOO_MANY_FILES"),
    "many names": (".zip", lambda: zipped({f".{n}": b"" for n in range(10_001)}), "TOO_MANY_FILES"),
    "deep": (".zip", lambda: zipped({"a/" * 9 + "a.wav": b"x"}), "TOO_DEEP"),
    "file as a folder": (".zip", lambda: zipped({"a": b"x", "a/b": b"x"}), "ARCHIVE_UNSAFE"),
    "folder as a file": (".zip", lambda: zipped({"a/b": b"x", "a": b"x"}), "ARCHIVE_UNSAFE"),
    "twice": (".tar", lambda: tarred(A)[:1024] + tarred(A), "ARCHIVE_UNSAFE"),
    "twice by accents": (
        ".zip",
        lambda: zipped({"S/e\u0301.wav": b"x", "S/\u00e9.wav": b"y"}),
        "ARCHIVE_UNSAFE",
    ),
    "symbolic link": (
        ".tar",
        lambda: tarred({"Song/a": b""}, kind=tarfile.SYMTYPE),
        "ARCHIVE_UNSAFE",
    ),
    "hard link": (".tar", lambda: tarred({"Song/a": b""}, kind=tarfile.LNKTYPE), "ARCHIVE_UNSAFE"),
    "device": (".tar", lambda: tarred({"Song/a": b""}, kind=tarfile.CHRTYPE), "ARCHIVE_UNSAFE"),
    "pipe": (".tar.gz", lambda: tarred({"a": b""}, "w:gz", tarfile.FIFOTYPE), "ARCHIVE_UNSAFE"),
    "climbs in tar": (".tgz", lambda: tarred({"a/../../../b": b"x"}, "w:gz"), "ARCHIVE_UNSAFE"),
    "undecodable": (".tar", lambda: tarred({"Song/\udcff.wav": b"x"}), "ARCHIVE_UNSAFE"),
    "bomb in gzip": (
        ".tar.gz",
        lambda: tarred({"a": bytes(30 << 20)}, "w:gz"),
        "ARCHIVE_TOO_LARGE",
    ),
    "bomb behind the end": (
        ".tar.gz",
        lambda: tarred(A, "w:gz") + tarred({"b": bytes(30 << 20)}, "w:gz"),
        "ARCHIVE_TOO_LARGE",
    ),
    "half of gzip": (".tar.gz", lambda: tarred(SONG, "w:gz")[:-40], "ARCHIVE_DAMAGED"),
    "checksum of gzip": (".tgz", lambda: flipped(tarred(SONG, "w:gz"), 0.99), "ARCHIVE_DAMAGED"),
    "half of xz": (".txz", lambda: tarred(SONG, "w:xz")[:-40], "ARCHIVE_DAMAGED"),
    "half of bzip2": (".tar.bz2", lambda: tarred(SONG, "w:bz2")[:-40], "ARCHIVE_DAMAGED"),
    "no gzip": (".tar.gz", lambda: tarred(SONG), "ARCHIVE_DAMAGED"),
    "damaged second header": (".tar", lambda: flipped(tarred(SONG), 0.2015), "ARCHIVE_DAMAGED"),
    "no end of tar": (".tar", lambda: tarred(SONG).rstrip(b"\0") + bytes(300), "ARCHIVE_DAMAGED"),
    "name of a terabyte": (
        ".tar",
        lambda: header_that_declares(tarfile.GNUTYPE_LONGNAME, 1 << 40),
        "ARCHIVE_DAMAGED",
    ),
    "less than nothing": (
        ".tar",
        lambda: header_that_declares(tarfile.REGTYPE, -512),
        "ARCHIVE_DAMAGED",
    ),
}
