"""``manifest.json``: what became of every chunk."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ChunkRow(BaseModel):
    """One file of the drop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    bytes: int
    place: int | None = None
    """From 1; none where it was not used."""
    start_frame: int | None = None
    """Of the result, where its first frame that is used stands."""
    start_s: float | None = None
    frames: int = 0
    """Of the result, that it gave."""
    rate_hz: int | None = None
    channels: int | None = None
    subtype: str = ""
    join: Literal["first", "butt", "overlap", "crossfade", "gap", "faded", "bytes", ""] = ""
    """How it follows the one before; ``bytes``: behind its bytes, as one file."""
    silence_frames: int = 0
    """Put in before it."""
    skipped_frames: int = 0
    """From its beginning, because the one before has them."""
    crossfade_frames: int = 0
    exact: bool | None = None
    """Of an overlap: every sample of it is the same in both."""
    silent: bool = False
    code: str = ""
    """Why it was not used, or not all of it."""
    message: str = ""


class Manifest(BaseModel):
    """``manifest.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    title: str
    file: str
    order: Literal["order", "stamps", "times", "numbers", "names"]
    """The rule that put the chunks in order."""
    rate_hz: int
    channels: int
    bits: int | None = None
    """Of WAV and FLAC; 32 is float."""
    frames: int
    duration_s: float
    exact: bool
    """Every sample is that of a chunk: none was resampled, faded, levelled, mended or coded."""
    chunks: tuple[ChunkRow, ...]
    """Those that were used, in order; then the others, by name."""
