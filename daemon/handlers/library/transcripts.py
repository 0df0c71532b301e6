"""What is said in the files of a library, by the recognisers of ``transcribe``.

Rules
-----
1. A recogniser that is away holds up nothing: the files of the part stay due, the run goes on
   and says so, and the next run asks again.
2. Of one part, the first refusal of the surroundings is the last question.
"""

import time
from collections.abc import Callable
from pathlib import Path

from daemon.errors import BadInput, Unavailable
from daemon.handlers.contract import Note, Task
from daemon.handlers.library.options import Transcripts
from daemon.handlers.speech import transcript
from daemon.handlers.speech.client import Clock, SpeechClient
from daemon.handlers.speech.client import Limits as Patience
from daemon.handlers.speech.engines import Engine, engine_of
from daemon.handlers.speech.sound import pieces_of, samples_of, streams
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, probe

_SAMPLES = "samples.pcm"
_TRIES_S = (0.0, 2.0)
"""The next run asks again."""
_LISTENED = 0.2
"""Of the work on a file; the rest is recognition."""


class Transcriber:
    """Recognises the files of a part, one after the other."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._wanted: Transcripts = task.options.transcript
        self._engine: Engine | None = None
        self.note: Note | None = None
        """What is to be said of the part: why it was not done, or how roughly."""
        self._away = ""

    def __call__(
        self, path: Path, name: str, progress: Callable[[float], None]
    ) -> dict[str, object]:
        """Return what a row says of a file."""
        if self._away:
            return {"error": self._away}
        try:
            return {"transcript": self._said(path, name, progress)}
        except AudioFormatError as error:
            return {"transcript": {"trouble": error.code}}
        except Unavailable as error:
            self._away = error.code
            self.note = Note(error.code, f"transcripts wait for the next run: {error.message}")
            return {"error": error.code}
        except BadInput as error:
            return {"transcript": {"trouble": error.code}}

    def _said(self, path: Path, name: str, progress: Callable[[float], None]) -> dict[str, object]:
        wanted, foreign = self._wanted, self._task.options.foreign
        engine = self._engine = self._engine or self._chosen(progress)
        limits = Limits(**self._task.limits)
        found = probe(path, name=name, limits=limits, allow_ffmpeg=foreign, accept_truncated=True)
        raw = self._task.workdir / _SAMPLES
        try:
            streams(found, limits=limits, apart=False, targets=[raw], truncated=True)
            samples = samples_of(raw)
        finally:
            raw.unlink(missing_ok=True)  # what is mapped stays until it is let go
        pieces = pieces_of(samples, wanted.detector, lambda share: progress(_LISTENED * share))
        segments = []
        for place, piece in enumerate(pieces, 1):
            heard = engine.recognised(
                samples[piece.start : piece.end], wanted.language, wanted.prompt
            )
            segments += transcript.placed(heard, piece)
            progress(_LISTENED + (1 - _LISTENED) * place / len(pieces))
        said = transcript.said(name, None, segments)
        return {
            "engine": engine.name,
            "segments": [(one.start, one.end, one.text) for one in said],
        }

    def _chosen(self, progress: Callable[[float], None]) -> Engine:
        """Return the engine that is asked for; ``Postponed``: it is not there."""
        wanted, task = self._wanted, self._task

        def waited(seconds: float) -> None:  # a wait between tries is progress, too
            progress(0.0)
            time.sleep(seconds)

        def client() -> SpeechClient:
            key = task.secrets.get("transcript.api_key", "")
            clock = Clock(sleep=waited)
            patience = Patience(tries_s=_TRIES_S)
            return SpeechClient(wanted.endpoint, key, patience, task.grants, clock)

        engine = engine_of(wanted.engine, wanted.model, client if wanted.endpoint else None)
        if engine.name.startswith("pocketsphinx"):
            rough = "pocketsphinx recognised the words: many will be wrong"
            self.note = Note("ROUGH_ENGINE", rough)
        return engine
