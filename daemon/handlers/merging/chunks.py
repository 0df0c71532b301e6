"""The files of a drop, sorted into those that can be read and those that cannot.

Theory of operation
-------------------
A browser's recorder hands out pieces of one stream: only the first has the header. Such a piece is
no audio by itself. It follows, by its name, a file of the same suffix that has a header, and is
put behind its bytes when the two together decode to more than the first alone.

Rule 1: a piece is joined by bytes only when it cannot be read by itself. One that does not go on
where the stream stood is left out: a decoder gets nothing of it, and loses what is behind it.

Rule 2: no file of the drop is written; what is joined by bytes is a file of this attempt.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from daemon.handlers.merging.order import Named, ordered
from daemon.text import display
from dsp.containers.junk import composed, files_in
from dsp.containers.pieces import EBML, Followed, Place, follow
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, Probe, probe
from dsp.mixing.joining.survey import surveyed

STREAM_SUFFIXES = frozenset({".webm", ".weba", ".mka", ".mkv", ".mp4", ".m4a", ".aac"})
"""Of containers in which recorders hand out pieces."""
_FEW = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """One file of the drop, or several whose bytes make one."""

    name: str
    """Its path in the drop."""
    path: Path
    bytes: int
    sha256: str
    probe: Probe | None = None
    fault: AudioFormatError | None = None
    """Why it cannot be used."""
    pieces: tuple["Chunk", ...] = field(default=())
    """Whose bytes make it, itself first; empty: it is whole."""

    @property
    def identity(self) -> str:
        """The same for the same bytes. Two recordings may share their first piece, the header."""
        return " ".join(piece.sha256 for piece in self.pieces) or self.sha256

    @property
    def stamp_s(self) -> Fraction | None:
        """Seconds since midnight at which it begins, if it says so."""
        if self.probe is None or self.probe.time_stamp_frames is None:
            return None
        return Fraction(self.probe.time_stamp_frames, self.probe.rate_hz)

    @property
    def named(self) -> Named:
        """What there is to order it by."""
        return Named(self.name, self.stamp_s, self.identity)


def chunks_of(
    source: Path, suffixes: frozenset[str], limits: Limits, report: Callable[[float], None]
) -> list[Chunk]:
    """Return the files of a drop that may be chunks, by name."""
    if not source.is_dir():
        return [_chunk(source, source.name, limits)]
    paths = [path for path in files_in(source) if path.suffix.lower() in suffixes]
    chunks = []
    for place, path in enumerate(paths):
        chunks.append(_chunk(path, path.relative_to(source).as_posix(), limits))
        report((place + 1) / len(paths))
    return chunks


def _chunk(path: Path, name: str, limits: Limits) -> Chunk:
    found, fault, sha256 = None, None, ""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found = _probed(path, display(name), limits)
    except PermissionError:
        code, text = "INPUT_UNREADABLE", f"{display(name)} may not be read"
        fault = AudioFormatError(code, text, hint="", path=display(name))
    except AudioFormatError as error:
        fault = error
    return Chunk(name, path, path.lstat().st_size, sha256, found, fault)


def _probed(path: Path, name: str, limits: Limits) -> Probe:
    return probe(path, name=name, limits=limits, allow_ffmpeg=True, accept_truncated=True)


def with_headers(
    chunks: Sequence[Chunk], wanted: Sequence[str], workdir: Path, limits: Limits
) -> list[Chunk]:
    """Return the chunks, with pieces that have no header put behind the bytes of one that has.

    Parameters
    ----------
    chunks : sequence of Chunk
    wanted : sequence of str
        Names in the order that was asked for; those that it leaves out follow by their names.
    """
    by_name = {composed(chunk.name): chunk for chunk in chunks if _may_be_piece(chunk)}
    asked = dict.fromkeys(composed(name) for name in wanted)
    rest = [name for name in by_name if name not in asked]
    rest = [rest[place] for place in ordered([Named(name) for name in rest]).places] if rest else []
    groups: list[list[Chunk]] = []
    by_suffix: dict[str, list[Chunk]] = {}
    for chunk in (by_name[name] for name in [*asked, *rest] if name in by_name):
        suffix = chunk.path.suffix.lower()
        if _has_header(chunk.path):
            by_suffix[suffix] = [chunk]
            groups.append(by_suffix[suffix])
        elif suffix in by_suffix:
            by_suffix[suffix].append(chunk)
    gone, made = set[str](), dict[str, Chunk]()
    for number, group in enumerate(group for group in groups if len(group) > 1):
        path = (workdir / f".stream-{number}").with_suffix(group[0].path.suffix.lower())
        pieces = _that_go_on(group)
        if len(pieces) > 1 and (whole := _put_together(pieces, path, limits)):
            made[group[0].name] = whole
            gone |= {piece.name for piece in whole.pieces[1:]}
    return [made.get(chunk.name, chunk) for chunk in chunks if chunk.name not in gone]


def _may_be_piece(chunk: Chunk) -> bool:
    return chunk.path.suffix.lower() in STREAM_SUFFIXES and chunk.bytes > 0 and bool(chunk.sha256)


def _has_header(path: Path) -> bool:
    head = _head(path)
    return head[:4] == EBML or head[4:8] == b"ftyp"


def _frames(found: Probe, limits: Limits) -> int:
    try:
        return surveyed(found, limits).frames
    except AudioFormatError:
        return 0


def _put_together(group: Sequence[Chunk], path: Path, limits: Limits) -> Chunk | None:
    first = group[0]
    with path.open("wb") as target:
        for piece in group:
            with piece.path.open("rb") as source:
                while portion := source.read(_FEW):
                    target.write(portion)
    try:
        found = _probed(path, display(first.name), limits)
        gained = _frames(found, limits) > (_frames(first.probe, limits) if first.probe else 0)
    except AudioFormatError:
        gained = False
    if not gained:
        path.unlink()
        return None
    return replace(first, path=path, probe=found, fault=None, pieces=tuple(group))


def _that_go_on(group: Sequence[Chunk]) -> list[Chunk]:
    """Return the first piece, and of the others those that go on where the one before ended."""
    webm = _head(group[0].path)[:4] == EBML
    kept, places = [group[0]], [Place()]
    place = _followed(group[0], Place(), webm=webm).end
    for piece in group[1:]:
        went = _followed(piece, place, webm=webm)
        if went.useless and place != Place() == places[-1] and len(kept) > 1:
            anew = _followed(piece, Place(), webm=webm)
            if not anew.lost:  # it is the one before that is broken: its end is missing
                kept.pop()
                places.pop()
                went, place = anew, Place()
        if not went.useless:
            kept.append(piece)
            places.append(place)
            place = went.end
    return kept


def _followed(chunk: Chunk, place: Place, *, webm: bool) -> Followed:
    with chunk.path.open("rb") as file:
        return follow(file, chunk.bytes, place, webm=webm)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
