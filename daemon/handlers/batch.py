"""A folder of songs as a plan: what there is, what is known of it already, and its parts.

Rules
-----
Rule 1: nothing is decoded here. A plan that hangs takes the whole folder with it.

Rule 2: a part that fails takes no other song along: those of its group that it did not come to
get parts of their own in the next round.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from daemon.errors import BadInput
from daemon.handlers.contract import Part
from dsp.containers.identify import AUDIO_SUFFIXES, read_header
from dsp.containers.junk import files_in

MOST_SONGS = 5_000

GROUP_S = 3_600.0
"""Of audio: 30 s of work at 120 times real time."""

_LEAST_PARTS = 4
"""For each core, as long as there are songs: none waits for another's group."""

_MOST_IN_GROUP = 100
_BYTES_PER_S = 20_000
"""Of a file that does not tell its length: 160 kbit/s."""


class Song(BaseModel):
    """A song of the drop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its path below the drop."""
    sha256: str
    seconds: float
    """Rough."""
    cached: bool = False


class Plan(BaseModel):
    """What a round decided, for the next one."""

    songs: list[Song]
    groups: list[list[int]] = []
    """The songs of each part, by their places."""
    failed: dict[str, tuple[str, str]] = {}
    """By hash: code and message, of rounds before."""
    notes: list[tuple[str, str]] = []


def songs_in(source: Path) -> list[str]:
    """Return the files with a name of audio, by their paths below the drop.

    Raises
    ------
    BadInput
        There are too many.
    """
    names = [
        path.relative_to(source).as_posix()
        for path in files_in(source)
        if path.suffix.lower() in AUDIO_SUFFIXES
    ]
    if len(names) > MOST_SONGS:
        raise BadInput(
            "TOO_MANY_SONGS",
            f"{len(names)} songs lie in the folder, and {MOST_SONGS} may",
            "Drop them in several folders.",
        )
    return names


def examined(source: Path, names: Sequence[str], report: Callable[[float], None]) -> list[Song]:
    """Return the songs with their hashes and rough lengths."""
    songs = []
    for place, name in enumerate(names):
        with (source / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            seconds = read_header(file.fileno(), size).seconds() or size / _BYTES_PER_S
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        songs.append(Song(name=name, sha256=digest, seconds=seconds))
        report((place + 1) / len(names))
    return songs


def groups_of(songs: Sequence[Song], missing: Sequence[int]) -> list[list[int]]:
    """Return songs that share a part: under half a minute of work, and fewer where cores wait."""
    cores = len(os.sched_getaffinity(0))
    whole = sum(songs[place].seconds for place in missing)
    most = min(_MOST_IN_GROUP, max(1, len(missing) // (_LEAST_PARTS * cores)))
    room = min(GROUP_S, whole / (_LEAST_PARTS * cores))
    groups: list[list[int]] = []
    left = 0.0
    for place in missing:
        if not groups or len(groups[-1]) >= most or left < songs[place].seconds:
            groups.append([])
            left = max(room, songs[place].seconds)
        groups[-1].append(place)
        left -= songs[place].seconds
    return groups


def parts_of(plan: Plan, *, packed: bool) -> Iterator[Part]:
    """Yield the parts; each may read its own songs only, but for drops that came packed."""
    for group in plan.groups:
        songs = [plan.songs[place] for place in group]
        seconds = sum(song.seconds for song in songs)
        more = f" and {len(songs) - 1} more" if len(songs) > 1 else ""
        yield Part(
            name=f"{songs[0].name}"[-180:] + more,
            options={"songs": [song.model_dump() for song in songs]},
            reads=() if packed else tuple(song.name for song in songs),
            audio_s=seconds,
            weight=max(seconds, 0.1),
        )
