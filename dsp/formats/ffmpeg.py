"""M4A, AAC, WebM and Ogg FLAC through the ``ffmpeg`` program, where it is there and allowed.

Rules
-----
Rule 1: the program gets an open descriptor, never a name: a file called ``-i`` or
``concat:…`` is a file. Its container is told to it, so that no playlist can name others.

Rule 2: it is run without a shell, without a terminal, and it may open files and pipes only.

Rule 3: every wait ends. When we die, its next write finds a closed pipe and it dies too.
"""

import json
import os
import select
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from dsp.audio import Block
from dsp.formats.decoders import Broken, Cut, Unsupported

PATIENCE_S = 60.0
"""The longest silence of the program before it is given up."""

_SLACK_FRAMES = 4096
"""Two packets of HE-AAC: durations include the encoder's padding, or do not."""
_READ_BYTES = 1 << 20


class Foreign:
    """Frames that ffmpeg decodes, at the file's own rate.

    Parameters
    ----------
    fd : int
        Stays the caller's.
    demuxer : str
        ffmpeg's name for the container.

    Raises
    ------
    Unsupported
        The program is not there, or may not be started.
    Broken
        It finds no sound.
    """

    def __init__(self, fd: int, demuxer: str) -> None:
        self._demuxer = demuxer
        stream = self._asked(fd)
        try:
            self.rate_hz, self.channels = int(stream["sample_rate"]), int(stream["channels"])
            self.subtype = stream["codec_name"].upper()
            # Raw AAC has no clock: its duration is guessed from the bit rate.
            ticks = int(stream.get("duration_ts", 0)) if demuxer != "aac" else 0
            self._least_frames = int(ticks * Fraction(stream["time_base"]) * self.rate_hz)
        except (ValueError, LookupError, ArithmeticError) as error:
            raise Broken("ffprobe does not know its kind of sound") from error
        self.frames: int | None = None
        self._frames_read = 0
        self._process = self._started(fd)

    def read(self, frames: int) -> Block:
        frame_bytes = 4 * self.channels
        data = self._bytes(frames * frame_bytes)
        self._frames_read += len(data) // frame_bytes
        if len(data) < frames * frame_bytes:
            self._end()
        whole = len(data) - len(data) % frame_bytes
        block = np.frombuffer(data[:whole], "<f4").reshape(-1, self.channels)
        return block.astype(np.float32)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _asked(self, fd: int) -> dict[str, str]:
        """Return what ffprobe knows of the first stream of sound."""
        arguments = [
            *("-v", "error", "-protocol_whitelist", "file", "-f", self._demuxer),
            *("-select_streams", "a:0", "-of", "json", "-show_entries"),
            "stream=codec_name,sample_rate,channels,duration_ts,time_base",
            f"file:/proc/self/fd/{fd}",
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments; the file is a descriptor
                [program("ffprobe"), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE_S,
                pass_fds=(fd,),
                check=True,
            )
            stream: dict[str, str] = json.loads(done.stdout)["streams"][0]
        except OSError as error:
            raise unstarted("ffprobe", error) from error
        except (subprocess.SubprocessError, ValueError, LookupError) as error:
            raise Broken("ffprobe finds no sound in it") from error
        return stream

    def _started(self, fd: int) -> subprocess.Popen[bytes]:
        arguments = [
            *("-nostdin", "-v", "error", "-xerror", "-threads", "1"),
            *("-protocol_whitelist", "file,pipe", "-f", self._demuxer),
            *("-i", f"file:/proc/self/fd/{fd}", "-map", "0:a:0"),
            *("-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"),
        ]
        try:
            return subprocess.Popen(  # noqa: S603 - our own arguments; the file is a descriptor
                [program("ffmpeg"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(fd,),
                bufsize=0,
            )
        except OSError as error:
            raise unstarted("ffmpeg", error) from error

    def _bytes(self, count: int) -> bytes:
        """Return ``count`` bytes of the pipe, fewer at its end."""
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        pipe, pieces = self._process.stdout.fileno(), []
        ready = select.poll()
        ready.register(pipe, select.POLLIN | select.POLLHUP)
        while count > 0:
            if not ready.poll(PATIENCE_S * 1000.0):
                raise Broken(f"ffmpeg said nothing for {PATIENCE_S:.0f} s")
            piece = os.read(pipe, min(count, _READ_BYTES))
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _end(self) -> None:
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Broken("ffmpeg does not end") from error
        if self._frames_read < self._least_frames - _SLACK_FRAMES:
            raise Cut(f"after {self._frames_read} of {self._least_frames} frames")
        if code != 0:
            raise Broken(f"ffmpeg ended with {code}")


def copy_with_tags(
    fd: int, demuxer: str, target: Path, muxer: Sequence[str], tags: Mapping[str, str]
) -> None:
    """Write a copy of a file with some tags replaced; its packets stay as they are.

    Raises
    ------
    Unsupported
        The program is not there, or may not be started.
    Broken
        It cannot copy this file; nothing is left of the copy.
    """
    arguments = [
        *("-nostdin", "-v", "error", "-n", "-protocol_whitelist", "file", "-f", demuxer),
        *("-i", f"file:/proc/self/fd/{fd}", "-map", "0", "-c", "copy"),
        *(word for name in tags for word in ("-metadata", f"{name}={tags[name]}")),
        *(*muxer, f"file:{target}"),
    ]
    try:
        subprocess.run(  # noqa: S603 - our own arguments; the file is a descriptor
            [program("ffmpeg"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            pass_fds=(fd,),
            check=True,
        )
    except OSError as error:
        raise unstarted("ffmpeg", error) from error
    except subprocess.SubprocessError as error:
        target.unlink(missing_ok=True)
        raise Broken("ffmpeg cannot copy it") from error


def program(name: str) -> str:
    """Return where a program lies."""
    found = shutil.which(name)
    if found is None:
        raise Unsupported(f"the program {name} is not installed")
    return found


def unstarted(name: str, error: OSError) -> Unsupported:
    """Return why a program could not be started."""
    if isinstance(error, PermissionError):  # a confined worker starts nothing
        return Unsupported("the ffmpeg program, which would read it, may not be started here")
    return Unsupported(f"{name} cannot be started: {error.strerror}")
