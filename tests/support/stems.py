"""Files of sound on disk, and what reading them says."""

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from dsp.audio import Block
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, Probe, StemReader, probe


def written(
    path: Path,
    block: Block,
    *,
    rate_hz: int = 48_000,
    container: str = "WAV",
    subtype: str = "PCM_24",
    endian: str = "FILE",
) -> Path:
    """Write a block through libsndfile; return the path."""
    soundfile.write(path, block, rate_hz, format=container, subtype=subtype, endian=endian)
    return path


def whole(
    found: Probe,
    *,
    frames: int = 65_536,
    limits: Limits | None = None,
    allow_ffmpeg: bool = False,
) -> Block:
    """Return all that a reader gives, read in blocks of this length."""
    with StemReader(found, limits=limits, allow_ffmpeg=allow_ffmpeg) as reader:
        blocks = [reader.read(frames)]
        while len(blocks[-1]):
            blocks.append(reader.read(frames))
    return np.concatenate(blocks)


def heard(path: Path, *, frames: int = 65_536, allow_ffmpeg: bool = False) -> Block:
    """Return the whole file as the project reads it."""
    found = probe(path, name=path.name, allow_ffmpeg=allow_ffmpeg)
    return whole(found, frames=frames, allow_ffmpeg=allow_ffmpeg)


def refusal(path: Path, *, limits: Limits | None = None, allow_ffmpeg: bool = False) -> str:
    """Return the code with which a file is refused, by its looks or while it is read."""
    try:
        found = probe(path, name=path.name, limits=limits, allow_ffmpeg=allow_ffmpeg)
        with StemReader(found, limits=limits, allow_ffmpeg=allow_ffmpeg) as reader:
            while len(reader.read(65_536)):
                pass
    except AudioFormatError as error:
        return error.code
    return "read to its end"


def open_descriptors() -> set[str]:
    """Return the descriptors that this process holds, by number and what they are."""
    held = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that listed them
            held.add(f"{link.name} {link.readlink()}")
    return held


def with_chunk(path: Path, name: bytes, body: bytes) -> Path:
    """Put a chunk before the others of a WAV."""
    content = path.read_bytes()
    chunk = struct.pack("<4sI", name, len(body)) + body
    size = struct.pack("<I", len(content) + len(chunk) - 8)
    path.write_bytes(content[:4] + size + content[8:12] + chunk + content[12:])
    return path


def stamped(path: Path, frames: int) -> Path:
    """Say in a WAV's ``bext`` chunk how many frames after midnight it began."""
    return with_chunk(path, b"bext", bytes(338) + frames.to_bytes(8, "little") + bytes(256))
