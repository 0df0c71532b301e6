"""Which names are left out, by patterns as ``.gitignore`` has them. Pure.

A subset that covers what people write: comments, ``!``, a slash at the end (folders only), a slash
elsewhere (from the folder of the list on), ``*``, ``?``, ``[a-z]`` and ``**``. Of several that
match, the last one counts. As with git, nothing below a folder that is left out can be let in.

Rules
-----
1. Lists lie in folders that others write. What they cost is bounded: so many lines, so long, and
   every ``*`` but the last is matched without backtracking.
2. A line that cannot be understood matches nothing; it is no error.

References
----------
gitignore(5).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LINES = 1_000
_MOST_CHARACTERS = 500
_MOST_DEEP = 3
"""``**`` of one pattern: each costs a turn over the path."""


@dataclass(frozen=True)
class Pattern:
    """One line of a list."""

    regex: re.Pattern[str]
    anchored: bool
    """Matched against the path below the list's folder; else against the name."""
    folders_only: bool
    lets_in: bool


@dataclass(frozen=True)
class Ignored:
    """The lists that hold in a folder: that of the inbox, then those on the way down."""

    lists: tuple[tuple[str, tuple[Pattern, ...]], ...] = ()
    """The folder each lies in, below the root, and its patterns."""
    key: bytes = b""
    """The same for the same lists."""

    def with_list(self, folder: str, patterns: Sequence[Pattern]) -> "Ignored":
        """Return what holds below a folder that has a list of its own."""
        if not patterns:
            return self
        key = hashlib.sha256(self.key + repr((folder, patterns)).encode("utf-8", "replace"))
        return Ignored((*self.lists, (folder, tuple(patterns))), key.digest())

    def leaves_out(self, folder: str, name: str, *, is_folder: bool) -> bool:
        """Tell whether an entry of a folder, which itself is not left out, is."""
        out = False
        for base, patterns in self.lists:
            below = folder[len(base) :].lstrip("/")
            path = f"{below}/{name}" if below else name
            for pattern in patterns:
                if pattern.lets_in is out and (is_folder or not pattern.folders_only):
                    found = pattern.regex.fullmatch(path if pattern.anchored else name)
                    out = out ^ (found is not None)
        return out


def patterns_of(lines: Sequence[str]) -> tuple[Pattern, ...]:
    """Return the patterns of a list."""
    found = (_pattern(line.rstrip("\r\n")) for line in lines[:_MOST_LINES])
    return tuple(pattern for pattern in found if pattern)


def _pattern(line: str) -> Pattern | None:
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    if not line or line.startswith("#") or len(line) > _MOST_CHARACTERS:
        return None
    lets_in = line.startswith("!")
    line = line[lets_in:]
    folders_only = line.endswith("/")
    line = line.rstrip("/") if folders_only else line
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line or line.count("**") > _MOST_DEEP:
        return None
    try:
        regex = re.compile(_path_regex(line) if anchored else _segment_regex(line), re.DOTALL)
    except re.error:
        return None
    return Pattern(regex, anchored, folders_only, lets_in)


def _path_regex(line: str) -> str:
    segments = line.split("/")
    told = []
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == "**":
            told.append(".+" if last else "(?:.+?/)??")
        else:
            told.append(_segment_regex(segment) + ("" if last else "/"))
    return "".join(told)


def _segment_regex(segment: str) -> str:
    """Return the regular expression of what stands between two slashes."""
    pieces = [""]
    place = 0
    while place < len(segment):
        letter = segment[place]
        place += 1
        if letter == "*":
            if pieces[-1] or len(pieces) == 1:  # ``**`` within a name is one star
                pieces.append("")
        elif letter == "?":
            pieces[-1] += "[^/]"
        elif letter == "[" and (end := segment.find("]", place + 1)) > 0:
            inside = segment[place:end].replace("\\", "\\\\").replace("[", "\\[")
            inside = re.sub(r"([&~|-])(?=\1)", r"\\\1", inside)
            negated = inside[:1] in {"!", "^"}
            pieces[-1] += f"[{'^/' if negated else ''}{inside[negated:]}]"
            place = end + 1
        else:
            if letter == "\\" and place < len(segment):
                letter = segment[place]
                place += 1
            pieces[-1] += re.escape(letter)
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    # The leftmost match of each piece leaves the most room for those behind it (rule 1).
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle) + "[^/]*" + last
