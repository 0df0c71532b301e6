"""What a name alone tells: a drop, a file still arriving, junk, a marker, a request.

Rule: names are compared without regard to case; file managers and cameras differ.

The lists were gathered from the issue trackers of programs that watch folders: each entry was
once taken for audio by one of them.
"""

import os
import re
from fnmatch import translate
from typing import Literal

from daemon.layout import CANCEL, MARKER_BESIDE, MARKERS, SETTINGS, SETTINGS_BESIDE

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
