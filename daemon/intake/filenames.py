"""What a name alone tells: a drop, a file still arriving, junk, a marker, a wish.

Rule 1: names are compared without regard to case; file managers and cameras differ.

Rule 2: a name is shown and written into outputs only through ``display`` and
``output_name``; what lies in an inbox was named by a stranger.

The lists were gathered from the issue trackers of programs that watch folders: each entry was
once taken for audio by one of them.
"""

import hashlib
import os
import re
import unicodedata
from base64 import b64encode
from fnmatch import translate
from pathlib import Path
from typing import Literal

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".caf"}
    | {".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".mp4", ".aac", ".wma"}
)
"""What may be audio. More than can be read: a refusal with a reason beats silence."""

SETTINGS = "job.yaml"
SETTINGS_BESIDE = ".job.yaml"
MARKERS = frozenset({".done", "_ready"})
MARKER_BESIDE = ".done"
CANCEL = ".cancel"
PAUSE = ".pause"
CLAIMED = ".claimed-"
REASON_SUFFIX = ".error.json"
_MAX_NAME_BYTES = 255  # of every file system that matters

NameKind = Literal["plain", "settings", "marker", "cancel", "arriving", "junk", "hidden"]


def _any_of(*patterns: str) -> re.Pattern[str]:
    """Return what matches a name that one of the shell patterns matches."""
    return re.compile("|".join(translate(pattern) for pattern in patterns))


_ARRIVING = _any_of(
    *("*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload"),
    *("*.upload", "*.tmp", "*.temp", "*.!sync", "*.syncthing.*", "~syncthing~*", ".~tmp~"),
    *("_unpack_*", "~$*", "*~"),
)
# rsync's .name.XXXXXX: the dot in front, six letters or digits behind.
_RSYNC = re.compile(r"\..+\.[A-Za-z0-9]{6}")
_JUNK = _any_of(
    *(".ds_store", "._*", "thumbs.db", "desktop.ini", "@eadir", "#recycle", ".trashes"),
    *("__macosx", ".stfolder", ".stversions", ".nfs*", ".smbdelete*"),
    # What audio workstations leave beside their files: peaks, overviews, analyses.
    *("*.reapeaks", "*.asd", "*.pk", "*.pkf", "*.sfk", "*.wfm", "*.ovw", "*.mrk", "*.analysis"),
)
_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)", re.IGNORECASE)
_RESERVED = frozenset('<>:"/\\|?*')
# These turn the reading direction: a name could show an ending that it does not have.
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: controls, lone surrogates, ends of lines and of paragraphs."""
_OUTPUT_BYTES = 120


def kind_of(name: str) -> NameKind:
    """Sort one name, of a file or a folder, at any depth of a drop."""
    small = name.lower()
    if _JUNK.match(small):
        return "junk"
    if small in MARKERS or (small.endswith(MARKER_BESIDE) and small != MARKER_BESIDE):
        return "marker"
    if _ARRIVING.match(small) or _RSYNC.fullmatch(name):
        return "arriving"
    if small.startswith("."):
        return "hidden"
    if small == SETTINGS or small.endswith(SETTINGS_BESIDE):
        return "settings"
    return "cancel" if small.endswith(CANCEL) else "plain"


def suffix_of(name: str) -> str:
    """Return the lower-case suffix, with its dot; empty for none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a string, not a path


def display(name: str) -> str:
    """Return a name fit for JSON, SQL and logs; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def base64_of(name: str) -> str | None:
    """Return the bytes of an undecodable name in base64; ``None`` when ``display`` tells all."""
    raw = os.fsencode(name)
    return b64encode(raw).decode("ascii") if display(name) != name else None


def output_name(name: str) -> str:
    """Return a name that every file system of today takes, at most 120 bytes long.

    NFC; control characters, ends of lines, direction marks, undecodable bytes and those that
    Windows reserves become ``_``; no dot or space at the end; no device name of Windows.
    """
    clean = "".join(_safe(letter) for letter in unicodedata.normalize("NFC", name))
    if _DEVICES.match(clean) or clean.startswith("."):
        clean = "_" + clean
    cut = clean.encode("utf-8")[:_OUTPUT_BYTES].decode("utf-8", "ignore")
    return cut.rstrip(". ") or "_"


def _safe(letter: str) -> str:
    refused = letter in _RESERVED or letter in _DIRECTIONS
    return "_" if refused or unicodedata.category(letter) in _UNSAFE else letter


def reason_beside(drop: Path) -> Path:
    """Return where the reason lies beside a drop in ``failed/``.

    A name so long that nothing can be added to it is shortened, with a hash to tell it apart.
    """
    name = os.fsencode(drop.name)
    if len(name) + len(REASON_SUFFIX) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:16]
        return drop.with_name(f"{output_name(drop.name)}-{digest}{REASON_SUFFIX}")
    return drop.with_name(drop.name + REASON_SUFFIX)
