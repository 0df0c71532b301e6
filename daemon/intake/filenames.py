"""What a name alone tells: a drop, a file still arriving, junk, a marker, a request.

Rule: names are compared without regard to case; file managers and cameras differ.
"""

import os
from typing import Literal

from daemon.layout import CANCEL, MARKER_BESIDE, MARKERS, SETTINGS, SETTINGS_BESIDE
from dsp.containers import junk

NameKind = Literal["plain", "settings", "marker", "cancel", "arriving", "junk", "hidden"]


def kind_of(name: str) -> NameKind:
    """Sort one name, of a file or a folder, at any depth of a drop."""
    small = name.lower()
    kind = junk.kind_of(name)
    if kind == "junk":
        return "junk"
    if small in MARKERS or (small.endswith(MARKER_BESIDE) and small != MARKER_BESIDE):
        return "marker"
    if kind != "plain":
        return kind
    if small == SETTINGS or small.endswith(SETTINGS_BESIDE):
        return "settings"
    return "cancel" if small.endswith(CANCEL) else "plain"


def suffix_of(name: str) -> str:
    """Return the lower-case suffix, with its dot; empty for none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a string, not a path
