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
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from soundfile import SoundFileError

from daemon.errors import BadInput, Postponed
from daemon.handlers.grants import Grants
from daemon.handlers.speech.client import Clock, SpeechClient
from daemon.handlers.speech.exchange import Answer, ExchangeError
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
_REQUEST_S, _REQUEST_TIMES, _MOST_REQUEST_S = 10.0, 2.0, 120.0
"""What a request may take: so much, and so many times the length of its speech."""

Wait = Callable[[float], None]


class Engine(Protocol):
    """Speaks."""

    @property
    def name(self) -> str:
        """Part of the key: another engine or version sounds differently."""

    def speak(self, text: str, voice: str, speed: float, path: Path, wait: Wait) -> int:
        """Make the file ``path`` of a text; return how many tries it took, ``wait`` in between."""

    def check(self, voices: Collection[str]) -> None:
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

    def speak(self, text: str, voice: str, speed: float, path: Path, wait: Wait) -> int:  # noqa: ARG002
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
        if problem := fault_of(path, expected_s(text, speed)):
            raise Postponed("SPEECH_BAD_ANSWER", f"espeak-ng: {problem}")
        return 1

    def check(self, voices: Collection[str]) -> None:
        """See ``Engine``."""
        for voice in voices:
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
    name: str
    request_s: float = 0.0
    """What a request may take; 0: what its text lets expect."""

    def speak(self, text: str, voice: str, speed: float, path: Path, wait: Wait) -> int:
        """Ask for it. Sound that cannot be the text is a bad answer: it is asked for again."""
        seconds = expected_s(text, speed)
        usual_s = min(_MOST_REQUEST_S, _REQUEST_S + _REQUEST_TIMES * seconds)

        def heard(answer: Answer) -> None:
            path.write_bytes(answer.body)
            if problem := fault_of(path, seconds):
                raise ExchangeError("bad_answer", problem)

        client = replace(self.client, tried=0, clock=Clock(sleep=wait))
        whole_s = self.request_s or usual_s
        client.speech(text, voice, self.model, speed, whole_s=whole_s, heard=heard)
        return client.tried

    def check(self, voices: Collection[str]) -> None:
        """See ``Engine``; a server that lists none is believed."""
        known = self.client.voices() if voices else []
        for voice in voices:
            if known and voice not in known:
                message = f"the server has no voice {voice!r}; it has {', '.join(known[:50])}"
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

    def holds(self, text: str, voice: str, speed: float) -> bool:
        """Tell whether a piece is there already."""
        path = self.path_of(text, voice, speed)
        return path.is_file() and not path.is_symlink()

    def spoken(
        self, text: str, voice: str, speed: float, wait: Wait = time.sleep
    ) -> tuple[Path, int]:
        """Return a piece, and how many tries it took; none when it was there already."""
        path = self.path_of(text, voice, speed)
        if self.holds(text, voice, speed):
            return path, 0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", suffix=".wav", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            tries = self.engine.speak(text, voice, speed, temporary, wait)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path, tries


def expected_s(text: str, speed: float) -> float:
    """Return about how long a text is when it is spoken."""
    return len(text) / (_CHARS_PER_S * speed)


def fault_of(path: Path, expected_s: float) -> str:
    """Return why a file cannot be a text of this length spoken; empty: it can."""
    try:
        sound = decoded(path)
    except (AudioFormatError, SoundFileError, ValueError) as error:
        return f"what came is no sound: {error}"
    seconds = len(sound) / RATE_HZ
    if not float(np.abs(sound).max(initial=0.0)) > _SILENT:
        return f"what came is {seconds:.1f} s of silence"
    if not _SHORTEST * expected_s - _SPARE_S <= seconds <= _LONGEST * expected_s + _SPARE_S:
        return f"{seconds:.1f} s came where about {expected_s:.1f} s were expected"
    return ""
