"""The client of a speech server with the interface of OpenAI: the one way to the network.

Theory of operation
-------------------
Each call is tried at 0, 2, 8 and 30 s as long as trying again may help: when the server cannot
be reached, is busy, or answers nonsense. What the server refuses for good is said at once, and
says whose fault it is: the text's, or the operator's.

Rules
-----
1. A secret stands in the header of a request and nowhere else; a server that repeats it is not
   quoted.
2. No host but that of the endpoint is asked, and that only when it is granted.
3. Time is asked of the clock that is given; only ``exchange`` holds a limit of its own.

References
----------
OpenAI API reference, *Audio* and *Chat*; RFC 9110 §10.2.3 ``Retry-After``.
"""

import email.utils
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.errors import BadInput, Postponed
from daemon.handlers.grants import Address, Grants, endpoint_of, looked_up
from daemon.handlers.speech.answers import (
    Segment,
    as_form,
    as_json,
    chat_text,
    quoted,
    segments_of,
    server_words,
    voice_of,
)
from daemon.handlers.speech.exchange import (
    Answer,
    ExchangeError,
    exchange,
)
from daemon.text import shown

_LONGEST_RETRY_AFTER_S = 60.0
"""Beyond it the job waits in the queue instead of in its worker."""
_VOICES_S, _VOICES_TRIES_S = 10.0, (0.0, 2.0)
_TEXTS = ("text/html", "application/json", "text/plain")
_ERRORS = 400
_CODES = {
    "unreachable": "SPEECH_UNREACHABLE",
    "timed_out": "SPEECH_TIMED_OUT",
    "bad_answer": "SPEECH_BAD_ANSWER",
}


@dataclass(frozen=True)
class Limits:
    """What a call may take."""

    connect_s: float = 5.0
    whole_s: float = 120.0
    body_bytes: int = 50 << 20
    tries_s: tuple[float, ...] = (0.0, 2.0, 8.0, 30.0)
    """Waits before each try."""


@dataclass(frozen=True)
class Clock:
    """Time, for whoever wants to wait."""

    sleep: Callable[[float], None] = time.sleep
    wall_s: Callable[[], float] = time.time


@dataclass
class SpeechClient:
    """Asks one server.

    Parameters
    ----------
    endpoint : str
        Its URL up to ``/v1``, with or without that.
    key : str
        Sent as a bearer token; empty: none.
    limits : Limits
    grants : Grants, optional
        Where connections may go; without it (by hand), wherever `endpoint` says.
    """

    endpoint: str
    key: str = ""
    limits: Limits = field(default_factory=Limits)
    grants: Grants | None = None
    clock: Clock = field(default_factory=Clock)
    ca_file: str | None = None
    tried: int = 0
    """Requests made so far."""

    def __post_init__(self) -> None:
        base = self.endpoint.rstrip("/")
        self._base = base if base.endswith("/v1") else f"{base}/v1"

    def __repr__(self) -> str:
        return f"SpeechClient({self.endpoint!r})"

    def speech(
        self,
        text: str,
        voice: str,
        model: str,
        speed: float = 1.0,
        format: str = "wav",  # noqa: A002 - the interface's word
        *,
        whole_s: float | None = None,
        heard: Callable[[Answer], object] | None = None,
    ) -> bytes:
        """Return a text spoken, as the bytes of a file.

        ``heard`` is given each answer that may be one; what it raises an ``ExchangeError`` for is
        asked for again.

        Raises
        ------
        BadInput
            ``TEXT_REFUSED``: the server refuses this text or these settings.
        Postponed
            There is no sound; the code says why.
        """
        asked = {
            "input": text,
            "voice": voice,
            "model": model,
            "speed": speed,
            "response_format": format,
        }
        answer = self._call("audio/speech", as_json(asked), whole_s=whole_s, sound=True, read=heard)
        return answer.body

    def voices(self) -> list[str]:
        """Return the voices that the server offers; none when it does not say.

        It is what is asked first. A server that is away now is not waited for in a worker.
        """
        try:
            answer = self._call("audio/voices", None, whole_s=_VOICES_S, tries_s=_VOICES_TRIES_S)
            said = json.loads(answer.body)
        except (BadInput, ValueError):
            return []
        except Postponed as error:
            if error.code == "SPEECH_NO_ENGINE":
                return []
            raise
        listed = said.get("voices", said.get("data", [])) if isinstance(said, dict) else said
        names = [voice_of(one) for one in listed] if isinstance(listed, list) else []
        return [shown(name)[:200] for name in names if name]

    def transcription(
        self,
        sound: bytes,
        language: str = "",
        prompt: str = "",
        *,
        model: str = "whisper-1",
        whole_s: float | None = None,
    ) -> list[Segment]:
        """Return what is said in the bytes of a WAV file.

        Raises
        ------
        BadInput
            ``AUDIO_REFUSED``: the server refuses this sound or these settings.
        Postponed
            There is no text; the code says why.
        """
        fields = [
            ("model", model),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
            *([("language", language)] if language else []),
            *([("prompt", prompt)] if prompt else []),
        ]
        body = as_form(fields, sound)
        answer = self._call(
            "audio/transcriptions", body, whole_s=whole_s, refused="AUDIO_REFUSED", read=segments_of
        )
        return segments_of(answer)

    def chat(
        self, messages: Sequence[Mapping[str, str]], model: str, *, whole_s: float | None = None
    ) -> str:
        """Return what a language model answers.

        Raises
        ------
        BadInput, Postponed
            As ``speech``.
        """
        body = as_json({"model": model, "messages": [dict(one) for one in messages]})
        return chat_text(self._call("chat/completions", body, whole_s=whole_s, read=chat_text))

    def _call(
        self,
        path: str,
        body: tuple[str, bytes] | None,
        *,
        whole_s: float | None = None,
        sound: bool = False,
        refused: str = "TEXT_REFUSED",
        read: Callable[[Answer], object] | None = None,
        tries_s: Sequence[float] = (),
    ) -> Answer:
        """Ask, as often as it may help."""
        wait_s, last = 0.0, Postponed("SPEECH_UNREACHABLE", "no try was made")
        for before_s in tries_s or self.limits.tries_s:
            if pause_s := max(before_s, wait_s):
                self.clock.sleep(pause_s)
            wait_s = 0.0
            try:
                answer = self._once(path, body, whole_s or self.limits.whole_s)
                if answer.status < _ERRORS:
                    self._judge(answer, sound=sound, read=read)
                    return answer
            except ExchangeError as error:
                code = _CODES[error.kind]
                last = Postponed(code, f"{self._name}: {self._clean(str(error))}")
                continue
            last = self._complaint(answer, refused)
            wait_s = self._retry_after_s(answer)
            if wait_s > _LONGEST_RETRY_AFTER_S:
                raise last
        raise last

    def _once(self, path: str, body: tuple[str, bytes] | None, whole_s: float) -> Answer:
        self.tried += 1
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if body is not None:
            headers["Content-Type"] = body[0]
        return exchange(
            f"{self._base}/{path}",
            body=None if body is None else body[1],
            headers=headers,
            addresses=self._addresses,
            connect_s=self.limits.connect_s,
            whole_s=whole_s,
            most_bytes=self.limits.body_bytes,
            ca_file=self.ca_file,
        )

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        if self.grants is None:
            return looked_up(host, port)
        endpoint = endpoint_of(self._base)
        granted = self.grants.network.get(endpoint)
        if granted is None:
            line = f'allow: {{network: ["{endpoint}"]}}'
            message = f"the inbox grants no way to {endpoint}"
            raise Postponed("SPEECH_NOT_GRANTED", message, f"Add to the inbox: {line}")
        return granted

    @property
    def _name(self) -> str:
        return f"the speech server {endpoint_of(self._base)}"

    def _judge(
        self, answer: Answer, *, sound: bool, read: Callable[[Answer], object] | None
    ) -> None:
        """Hold an answer that claims to be good against what was asked for."""
        kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
        if not answer.body:
            raise ExchangeError("bad_answer", "the answer is empty")
        if sound and (kind in _TEXTS or answer.body[:1] in b"{<"):
            text = f"sound was asked for, {kind or 'text'} came: {quoted(answer.body)}"
            raise ExchangeError("bad_answer", text)
        if read is not None:
            try:
                read(answer)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                text = f"the answer is not what was asked for: {quoted(answer.body)}"
                raise ExchangeError("bad_answer", text) from None

    def _complaint(self, answer: Answer, refused: str) -> Postponed:
        """Return what an answer of status 400 and more means when another try may help.

        Raises
        ------
        BadInput, Postponed
            None will.
        """
        words = self._clean(server_words(answer))
        text = f"{self._name} answers {answer.status}{f': {words}' if words else ''}"
        if answer.status in (400, 413, 415, 422):
            raise BadInput(refused, text)
        if answer.status in (401, 403):
            raise Postponed("SPEECH_REFUSED_KEY", text)
        if answer.status in (404, 405):
            raise Postponed("SPEECH_NO_ENGINE", text)
        busy = answer.status in (408, 425, 429, 503)
        return Postponed("SPEECH_BUSY" if busy else "SPEECH_BAD_ANSWER", text)

    def _retry_after_s(self, answer: Answer) -> float:
        asked = answer.headers.get("retry-after", "").strip()
        if asked.isascii() and asked.isdigit():
            return float(asked[:9])
        try:
            due = email.utils.parsedate_to_datetime(asked).timestamp()
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return max(0.0, due - self.clock.wall_s())

    def _clean(self, text: str) -> str:
        return text.replace(self.key, "[key]") if self.key else text
