"""Engines that speak a piece: the ``espeak-ng`` program, or a speech server.

Rules
-----
1. ``espeak-ng`` is GPL: it is started, never loaded. The text goes through its standard input,
   never onto its command line.
2. A piece appears in the cache by one rename, under a hash of all that decides how it sounds.
3. What an engine gives is judged before it is kept: sound, not silent, of a likely length.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from soundfile import SoundFileError

from daemon.errors import BadInput, Postponed
from daemon.handlers.grants import Grants
from daemon.handlers.speech.client import SpeechClient
from dsp.episode.narration import RATE_HZ, decoded
from dsp.errors import AudioFormatError

_CHARS_PER_S = 15.0
"""Of speech at speed 1."""
_SHORTEST, _LONGEST = 0.3, 3.0
"""Times the expected length, with ``_SPARE_S`` to spare: numbers are read longer than written."""
_SPARE_S = 2.0
_SILENT = 1e-4
_WORDS_PER_MINUTE = 170
_PROGRAM_S = 60.0


class Engine(Protocol):
    """Speaks."""

    @property
    def name(self) -> str:
        """Part of the key: another engine or version sounds differently."""

    def speak(self, text: str, voice: str, speed: float, path: Path) -> None:
        """Make the file ``path`` of a text."""

    def check(self, voice: str) -> None:
        """Raise ``BadInput`` when there is no such voice."""


@dataclass(frozen=True)
class Espeak:
    """The ``espeak-ng`` program."""

    program: str
    name: str

    @classmethod
    def found(cls, grants: Grants | None) -> "Espeak":
        """Return the program that is granted; by hand, the one that is installed."""
        path = shutil.which("espeak-ng") if grants is None else grants.programs.get("espeak-ng")
        if path is None:
            raise Postponed("SPEECH_NO_ENGINE", "espeak-ng is not installed, or is not granted")
        told = subprocess.run(  # noqa: S603 - the path is the operator's
            [str(path), "--version"], capture_output=True, timeout=_PROGRAM_S, check=True
        )
        version = told.stdout.decode("utf-8", "replace").split("Data at")[0].strip()
        return cls(str(path), version)

    def speak(self, text: str, voice: str, speed: float, path: Path) -> None:
        """Rule 1; ``[[`` would begin phonemes."""
        rate = str(round(_WORDS_PER_MINUTE * speed))
        command = [self.program, "-b", "1", "-v", voice or "en", "-s", rate, "-w", str(path)]
        done = subprocess.run(  # noqa: S603 - as above
            [*command, "--stdin"],
            input=text.replace("[[", "[ [").encode(),
            capture_output=True,
            timeout=_PROGRAM_S,
            check=False,
        )
        if done.returncode:
            raise Postponed("SPEECH_BAD_ANSWER", f"espeak-ng ended with {done.returncode}")

    def check(self, voice: str) -> None:
        """See ``Engine``."""
        command = [self.program, "-q", "-v", voice or "en", "--stdin"]
        done = subprocess.run(  # noqa: S603 - as above
            command, input=b"a", capture_output=True, timeout=_PROGRAM_S, check=False
        )
        if done.returncode:
            hint = "Name one that `espeak-ng --voices` lists."
            raise BadInput("VOICE_UNKNOWN", f"espeak-ng has no voice {voice!r}", hint)


@dataclass(frozen=True)
class Server:
    """A speech server."""

    client: SpeechClient
    model: str
    name: str = field(default="")

    def speak(self, text: str, voice: str, speed: float, path: Path) -> None:
        """Ask for it; the limit of a request follows from what it should become."""
        whole_s = min(120.0, 10.0 + 2.0 * len(text) / (_CHARS_PER_S * speed))
        path.write_bytes(self.client.speech(text, voice, self.model, speed, whole_s=whole_s))

    def check(self, voice: str) -> None:
        """See ``Engine``; a server that lists none is believed."""
        voices = self.client.voices()
        if voices and voice not in voices:
            message = f"the server has no voice {voice!r}; it has {', '.join(voices[:50])}"
            raise BadInput("VOICE_UNKNOWN", message)


@dataclass(frozen=True)
class Cache:
    """Pieces that were spoken."""

    folder: Path
    engine: Engine

    def path_of(self, text: str, voice: str, speed: float) -> Path:
        """Return where a piece lies, or will."""
        key = "\0".join([text, voice, f"{speed:.3f}", self.engine.name])
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        return self.folder / digest[:2] / f"{digest}.wav"

    def spoken(self, text: str, voice: str, speed: float) -> tuple[Path, bool]:
        """Return a piece, and whether it was there already."""
        path = self.path_of(text, voice, speed)
        if path.is_file() and not path.is_symlink():
            return path, True
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", suffix=".wav", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            self.engine.speak(text, voice, speed, temporary)
            judge(temporary, len(text) / (_CHARS_PER_S * speed))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path, False


def judge(path: Path, expected_s: float) -> None:
    """Raise ``Postponed`` when a file is not a text of this length spoken."""
    try:
        sound = decoded(path)
    except (AudioFormatError, SoundFileError, ValueError) as error:
        raise Postponed("SPEECH_BAD_ANSWER", f"what came is no sound: {error}") from None
    seconds = len(sound) / RATE_HZ
    if not float(np.abs(sound).max(initial=0.0)) > _SILENT:
        raise Postponed("SPEECH_BAD_ANSWER", f"what came is {seconds:.1f} s of silence")
    if not _SHORTEST * expected_s - _SPARE_S <= seconds <= _LONGEST * expected_s + _SPARE_S:
        text = f"{seconds:.1f} s came where about {expected_s:.1f} s were expected"
        raise Postponed("SPEECH_BAD_ANSWER", text)
