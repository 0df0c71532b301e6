"""What parts found out, written into the catalogue: one transaction for each part.

A part decoded foreign bytes: each of its rows is held against its type first. Writing the same
rows again changes nothing.
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.handlers.library.work import Stage

_VERSION = 1
_Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Short = Annotated[str, Field(max_length=1_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_LENGTHS_DIFFER = 0.01

_SOUNDS = "(trouble IS NULL OR peaks IS NOT NULL)"
LACKS = {
    "decode": f"duration_s IS NULL AND {_SOUNDS}",
    "follow": f"follow IS NULL AND {_SOUNDS}",
    "transcript": f"transcript IS NULL AND {_SOUNDS}",
}
"""SQL: the condition on ``meta`` that a stage has something to find out."""


class Transcript(BaseModel):
    """What is said in a file, or why nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: _Short | None = None
    segments: Annotated[
        list[tuple[_Finite, _Finite, Annotated[str, Field(max_length=10_000)]]],
        Field(max_length=100_000),
    ] = []
    """Seconds of the file, and words."""
    trouble: _Short | None = None


class Row(BaseModel):
    """What a part says of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int
    error: _Short | None = None
    quick: _Hex16 | None = None
    tags: Annotated[dict[_Short, _Short], Field(max_length=100)] = {}
    declared_s: _Finite | None = None
    rate_hz: int | None = None
    channels: int | None = None
    sha256: _Hex32 | None = None
    audio_md5: _Hex16 | None = None
    duration_s: _Finite | None = None
    integrated_lufs: _Finite | None = None
    sample_peak_dbfs: _Finite | None = None
    peaks: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{266}[A-Za-z0-9+/]=$")] | None = None
    trouble: _Short | None = None
    follow: Annotated[dict[_Short, _Finite | _Short | None], Field(max_length=100)] | None = None
    transcript: Transcript | None = None


def _rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            with suppress(ValidationError):
                yield Row.model_validate_json(line)


class Results:
    """Writes rows into a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    gen : int
        The run.
    stages : sequence of str
        What is wanted, in its order.
    now_ms : int
    note : function of a code and a message
    """

    def __init__(
        self,
        catalogue: Catalogue,
        gen: int,
        stages: tuple[Stage, ...],
        now_ms: int,
        note: Callable[[str, str], None],
    ) -> None:
        self._catalogue, self._gen, self._stages = catalogue, gen, stages
        self._now_ms, self._note = now_ms, note
        self.written = 0
        """Rows that said something new."""

    def merge(self, stage: Stage, listed: Path, rows: Path | None) -> int:
        """Write the rows of a part; return how many files it was given.

        Those that are no rows are left out. What stays due is noted as tried in this run.
        """
        write = {
            "tags": self._tags,
            "decode": self._decoded,
            "follow": self._followed,
            "transcript": self._transcribed,
        }[stage]
        with listed.open(encoding="utf-8") as asked:
            told = [json.loads(line) for line in asked]
        lines = {line["id"]: (line["size"], line["mtime_ns"]) for line in told}
        # Another job may have seen since that a file is another one by now.
        as_it_was = "file.id = ? AND due = ? AND size = ? AND mtime_ns = ?"
        with self._catalogue.transaction():
            for row in _rows(rows) if rows and rows.is_file() else ():
                file = self._catalogue.execute(
                    f"SELECT file.*, {PATH} AS path FROM {PLACED} WHERE {as_it_was}",  # noqa: S608
                    (row.id, stage, *lines.get(row.id, (None, None))),
                ).fetchone()
                if file is not None and row.error is None:
                    write(file, row)
            self._catalogue.executemany(
                f"UPDATE file SET due_gen = ? WHERE {as_it_was}",  # noqa: S608
                [(-self._gen, file, stage, *seen) for file, seen in lines.items()],
            )
        return len(lines)

    def _next(self, stage: Stage, content: int) -> Stage | None:
        """Return the stage that follows for a file; what is known of its content needs none."""
        later = self._stages[self._stages.index(stage) + 1 :] if stage in self._stages else ()
        lacking = "SELECT count(*) FROM meta WHERE content = ? AND "
        for one in later:
            # A decode tells the full hash of this file, too.
            if one == "decode" or self._catalogue.number(lacking + LACKS[one], content):
                return one
        return None

    def _tags(self, file: Any, row: Row) -> None:  # noqa: ANN401 - a row
        if row.quick is None:
            return
        quick = bytes.fromhex(row.quick)
        execute = self._catalogue.execute
        found = execute(
            "SELECT id FROM content WHERE quick = ? AND size = ? ORDER BY id <> ?, id",
            (quick, file["size"], file["content"]),
        ).fetchone()
        content = found["id"] if found else self._content(file["size"], quick, None)
        self.written += content != file["content"]
        self._tell_of_change(file, content)
        tags = row.tags
        execute(
            """INSERT INTO meta (content, version, title, artist, album, tags, declared_s, rate_hz,
            channels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (content) DO UPDATE SET
            title = excluded.title, artist = excluded.artist, album = excluded.album,
            tags = excluded.tags, declared_s = excluded.declared_s""",
            (
                *(content, _VERSION, tags.get("title"), tags.get("artist"), tags.get("album")),
                *(json.dumps(tags), row.declared_s, row.rate_hz, row.channels),
            ),
        )
        execute(
            "UPDATE file SET quick = ?, content = ?, due = ? WHERE id = ?",
            (quick, content, self._next("tags", content), file["id"]),
        )

    def _go_on(self, stage: Stage, content: int) -> None:
        """Let all files that have a content go on."""
        self._catalogue.execute(
            "UPDATE file SET due = ? WHERE content = ? AND due = ?",
            (self._next(stage, content), content, stage),
        )

    def _content(self, size: int, quick: bytes, sha256: bytes | None) -> int:
        made = self._catalogue.execute(
            "INSERT INTO content (size, quick, sha256) VALUES (?, ?, ?)", (size, quick, sha256)
        )
        return made.lastrowid or 0

    def _tell_of_change(self, file: Any, content: int) -> None:  # noqa: ANN401 - a row
        """Tell of other bytes that showed only now: the time and the size of the file did not."""
        if file["content"] in {None, content}:
            return
        told = self._catalogue.number(
            """SELECT count(*) FROM change WHERE run = ? AND file = ?
            AND kind IN ('added', 'changed')""",
            self._gen,
            file["id"],
        )
        if not told:
            path = file["path"]
            self._catalogue.event(self._gen, "changed", file["id"], path, path)

    def _decoded(self, file: Any, row: Row) -> None:  # noqa: ANN401 - a row
        if row.sha256 is None or file["content"] is None:
            return
        sha256, execute = bytes.fromhex(row.sha256), self._catalogue.execute
        if file["sha256"] not in {None, sha256}:
            self._catalogue.event(self._gen, "damaged", file["id"], file["path"], file["path"])
            name = file["path"].decode("utf-8", "replace")
            self._note("FILE_DAMAGED", f"{name} has other bytes than before, and no other time")
            execute(
                "UPDATE file SET due = NULL, verified_ms = ? WHERE id = ?",
                (self._now_ms, file["id"]),
            )
            return
        content = self._content_of(file, sha256)
        if row.peaks is not None or row.trouble is not None:
            self._write_sound(file, content, row)
        elif row.audio_md5 is None:  # its bytes were heard before, as those of another file
            same = "SELECT audio_md5 FROM file WHERE content = ? AND audio_md5 IS NOT NULL LIMIT 1"
            known = execute(same, (content,)).fetchone()
            execute("UPDATE file SET audio_md5 = ? WHERE id = ?", (known and known[0], file["id"]))
        execute(
            "UPDATE file SET sha256 = ?, content = ?, due = ?, verified_ms = ? WHERE id = ?",
            (sha256, content, self._next("decode", content), self._now_ms, file["id"]),
        )
        if file["verified_ms"] is not None:  # else it was known by its head and tail alone
            self._tell_of_change(file, content)

    def _content_of(self, file: Any, sha256: bytes) -> int:  # noqa: ANN401 - a row
        """Return the content that has this hash; one that had none yet gets it."""
        execute = self._catalogue.execute
        own = execute("SELECT * FROM content WHERE id = ?", (file["content"],)).fetchone()
        if own["sha256"] in {None, sha256}:
            execute("UPDATE content SET sha256 = ? WHERE id = ?", (sha256, own["id"]))
            return int(own["id"])
        same = execute(
            "SELECT id FROM content WHERE quick = ? AND size = ? AND sha256 = ?",
            (own["quick"], own["size"], sha256),
        ).fetchone()
        if same is not None:
            return int(same["id"])
        # Head and tail are alike, and so are the tags that lie in them; the middle is not.
        content = self._content(own["size"], own["quick"], sha256)
        execute(
            """INSERT INTO meta (content, version, title, artist, album, tags, declared_s, rate_hz,
            channels) SELECT ?, version, title, artist, album, tags, declared_s, rate_hz, channels
            FROM meta WHERE content = ?""",
            (content, own["id"]),
        )
        return content

    def _write_sound(self, file: Any, content: int, row: Row) -> None:  # noqa: ANN401 - a row
        execute = self._catalogue.execute
        md5 = bytes.fromhex(row.audio_md5) if row.audio_md5 else None
        execute("UPDATE file SET audio_md5 = ? WHERE id = ?", (md5, file["id"]))
        changed = execute(
            """UPDATE meta SET version = ?, duration_s = ?, rate_hz = coalesce(?, rate_hz),
            channels = coalesce(?, channels), integrated_lufs = ?, sample_peak_dbfs = ?,
            peaks = ?7, trouble = ?8, follow = NULL, transcript = NULL
            WHERE content = ?9 AND (peaks IS NOT ?7 OR trouble IS NOT ?8)""",
            (
                *(_VERSION, row.duration_s, row.rate_hz, row.channels, row.integrated_lufs),
                *(row.sample_peak_dbfs, row.peaks and base64.b64decode(row.peaks)),
                *(row.trouble, content),
            ),
        )
        self.written += changed.rowcount
        declared = execute("SELECT declared_s FROM meta WHERE content = ?", (content,)).fetchone()
        declared_s, found_s = declared[0] or 0.0, row.duration_s or 0.0
        if declared_s and found_s and abs(declared_s - found_s) > _LENGTHS_DIFFER * declared_s:
            name = file["path"].decode("utf-8", "replace")
            lengths = f"{declared_s:.1f} s, and {found_s:.1f} s of sound were found"
            self._note("DURATION_DIFFERS", f"{name} declares {lengths}")

    def _followed(self, file: Any, row: Row) -> None:  # noqa: ANN401 - a row
        if row.follow is not None:
            self.written += 1
            self._catalogue.execute(
                "UPDATE meta SET follow = ? WHERE content = ?",
                (json.dumps(row.follow), file["content"]),
            )
        self._go_on("follow", file["content"])

    def _transcribed(self, file: Any, row: Row) -> None:  # noqa: ANN401 - a row
        if row.transcript is not None:
            self.written += 1
            self._catalogue.execute(
                "UPDATE meta SET transcript = ? WHERE content = ?",
                (row.transcript.model_dump_json(exclude_none=True), file["content"]),
            )
        self._go_on("transcript", file["content"])
