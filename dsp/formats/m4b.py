"""M4B, AAC in MP4 with chapters and a cover, through the ``ffmpeg`` program.

Rules
-----
Rule 1: the program is given names that are ours, and the container of each; words that were
dropped go through its standard input, never onto its command line.

Rule 2: the same sound gives the same bytes: no date, no version of the program.

Rule 3: every wait ends; a full disk is an ``OSError`` with its errno.
"""

import os
import select
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dsp.audio import Block
from dsp.formats.decoders import Broken
from dsp.formats.encode import cause_of
from dsp.formats.ffmpeg import PATIENCE_S, program, unstarted

_QUIET = ("-nostdin", "-v", "error", "-y", "-threads", "1")
_SAME = ("-fflags", "+bitexact", "-flags:a", "+bitexact")
_PICTURES = {"image/jpeg": "jpeg_pipe", "image/png": "png_pipe"}


class AacFile:
    """A file of AAC in MP4 that grows block by block; without tags yet.

    Parameters
    ----------
    path : Path
        Made, or emptied.
    rate_hz, channels, kbits : int

    Raises
    ------
    Unsupported
        The program is not there, or may not be started.
    Broken
        It ended, or takes nothing more.
    OSError
        The disk's reason.
    """

    def __init__(self, path: Path, *, rate_hz: int, channels: int, kbits: int) -> None:
        self._path = path
        arguments = [
            *(*_QUIET, "-protocol_whitelist", "pipe"),
            *("-f", "f32le", "-ar", str(rate_hz), "-ac", str(channels), "-i", "pipe:0"),
            *("-c:a", "aac", "-b:a", f"{kbits}k", *_SAME, "-f", "ipod", f"file:{path}"),
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [program("ffmpeg"), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise unstarted("ffmpeg", error) from error
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def write(self, block: Block) -> None:
        """Append ``(frames, channels)`` float32, of full scale ±1.0."""
        left = memoryview(block.astype("<f4", copy=False).tobytes())
        room = select.poll()
        room.register(self._pipe, select.POLLOUT)
        while left:
            if not room.poll(PATIENCE_S * 1000.0):
                raise Broken(f"ffmpeg took nothing for {PATIENCE_S:.0f} s")
            try:
                left = left[os.write(self._pipe.fileno(), left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _reason(self._path) from None

    def close(self) -> None:
        """Finish the file; return when it is on the disk."""
        self._pipe.close()
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Broken("ffmpeg does not end") from None
        if code:
            raise _reason(self._path)
        _synced(self._path)


def with_metadata(
    source: Path, metadata: bytes, target: Path, *, cover: Path | None = None, mime: str = ""
) -> None:
    """Write a copy with tags, chapters and a cover; its packets stay as they are.

    Parameters
    ----------
    metadata : bytes
        As ``ffmpeg`` spells it: its format ``ffmetadata``.
    mime : str
        Of the cover: JPEG or PNG.

    Raises
    ------
    Unsupported, Broken, OSError
        As ``AacFile``; nothing is left of the copy.
    """
    picture, mapped = [], []
    if cover is not None:
        picture = ["-f", _PICTURES[mime], "-i", f"file:{cover}"]
        mapped = ["-map", "2:v:0", "-disposition:v", "attached_pic"]
    arguments = [
        *(*_QUIET, "-protocol_whitelist", "file,pipe", "-f", "mov", "-i", f"file:{source}"),
        *("-protocol_whitelist", "pipe", "-f", "ffmetadata", "-i", "pipe:0", *picture),
        *("-map", "0:a", *mapped, "-map_metadata", "1", "-map_chapters", "1", "-c", "copy"),
        # The index comes first, for players that load while they play.
        *(*_SAME, "-movflags", "+faststart", "-brand", "M4B ", "-f", "ipod", f"file:{target}"),
    ]
    try:
        subprocess.run(  # noqa: S603 - our own arguments
            [program("ffmpeg"), *arguments],
            input=metadata,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=True,
        )
    except OSError as error:
        raise unstarted("ffmpeg", error) from error
    except subprocess.SubprocessError:
        reason = _reason(target)
        target.unlink(missing_ok=True)
        raise reason from None
    _synced(target)


def _reason(path: Path) -> Exception:
    """Return why a file could not be written, which the program says in words only."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        return cause_of(file.fileno()) or Broken("ffmpeg ended early")
    return Broken("ffmpeg wrote nothing")


def _synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
