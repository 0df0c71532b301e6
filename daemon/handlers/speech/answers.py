"""What is sent to a speech server, and what its answers mean: bytes to values and back."""

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.handlers.speech.exchange import Answer
from daemon.text import shown

_WORDS_CHARS = 300


@dataclass(frozen=True)
class Segment:
    """A stretch of recognised speech; times in seconds of what was sent."""

    start_s: float
    end_s: float
    text: str
    probability: float | None = None
    words: tuple["Word", ...] = ()


@dataclass(frozen=True)
class Word:
    """A recognised word."""

    start_s: float
    end_s: float
    text: str
    probability: float | None = None


def as_json(value: object) -> tuple[str, bytes]:
    """Return type and bytes of a value in JSON."""
    return "application/json", json.dumps(value).encode()


def as_form(fields: Sequence[tuple[str, str]], sound: bytes) -> tuple[str, bytes]:
    """Return type and bytes of a form with a file, as RFC 7578 has it."""
    edge = secrets.token_hex(16)
    lines = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="piece.wav"\r\n'
    lines += [f"{head}Content-Type: audio/wav\r\n\r\n".encode(), sound, f"\r\n--{edge}--".encode()]
    return f"multipart/form-data; boundary={edge}", b"".join([*lines, b"\r\n"])


def quoted(body: bytes) -> str:
    """Return the beginning of an answer, fit for a message."""
    return shown(body[:_WORDS_CHARS].decode("utf-8", "replace"))


def server_words(answer: Answer) -> str:
    """Return how a server explains its refusal."""
    try:
        said = json.loads(answer.body)
        error = said.get("error", said.get("detail", said)) if isinstance(said, dict) else said
        words = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        return quoted(answer.body)
    return shown(str(words)[:_WORDS_CHARS])


def voice_of(one: object) -> str:
    """Return the name of a voice; servers list names, or objects that have one."""
    if isinstance(one, dict):
        return str(one.get("id") or one.get("name") or one.get("voice_id") or "")
    return str(one)


def chat_text(answer: Answer) -> str:
    """Return what a language model says in its answer."""
    text = json.loads(answer.body)["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError("no text")
    return text


def segments_of(answer: Answer) -> list[Segment]:
    """Return the segments of a ``verbose_json`` answer; of plain ``json``, one without times."""
    said = json.loads(answer.body)
    words = [_word(one) for one in said.get("words") or ()]
    if "segments" not in said:
        end_s = words[-1].end_s if words else float(said.get("duration") or 0.0)
        text = said["text"].strip()
        return [Segment(0.0, end_s, text, None, tuple(words))] if text else []
    found = []
    for one in said["segments"]:
        start_s, end_s = float(one["start"]), float(one["end"])
        own = [_word(each) for each in one.get("words") or ()]
        own = own or [word for word in words if start_s <= word.start_s < end_s]
        found.append(Segment(start_s, end_s, one["text"].strip(), _probability(one), tuple(own)))
    return [segment for segment in found if segment.text]


def _word(one: Mapping[str, Any]) -> Word:
    probability = one.get("probability")
    return Word(
        float(one["start"]),
        float(one["end"]),
        str(one["word"]).strip(),
        None if probability is None else float(probability),
    )


def _probability(one: Mapping[str, Any]) -> float | None:
    if (logarithm := one.get("avg_logprob")) is None:
        return None
    return min(1.0, math.exp(float(logarithm)))
