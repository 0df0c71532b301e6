"""A transcript: what was said when and by whom, as a document, a text and subtitles."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from daemon.handlers.speech.answers import Segment, Word
from daemon.handlers.speech.sound import RATE_HZ, Piece

_LINE_S, _LINE_CHARS, _PAUSE_S, _PARAGRAPH_S = 6.0, 84, 1.0, 2.0


class Part(BaseModel):
    """A part of the document; what is not said here is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidWord(Part):
    """A word; times in seconds of the file."""

    start: float
    end: float
    text: str
    probability: float | None = None


class Said(Part):
    """Some words of one speaker on end; times in seconds of the file."""

    file: str
    start: float
    end: float
    text: str
    probability: float | None = None
    speaker: str | None = None
    words: tuple[SaidWord, ...] = ()


class SourceFile(Part):
    """A recording."""

    name: str
    duration_s: float
    sha256: str


class Transcript(Part):
    """``transcript.json``."""

    schema_version: Literal[1] = 1
    title: str
    engine: str
    language: str
    files: tuple[SourceFile, ...]
    segments: tuple[Said, ...]


def placed(found: Iterable[Segment], piece: Piece) -> list[Segment]:
    """Return what was recognised in a piece, in seconds of its file, without its overlaps."""
    offset_s = piece.start / RATE_HZ
    first_s, last_s = piece.core_start / RATE_HZ, piece.core_end / RATE_HZ
    kept = []
    for one in found:
        words = tuple(
            Word(word.start_s + offset_s, word.end_s + offset_s, word.text, word.probability)
            for word in one.words
        )
        start_s, end_s, text = one.start_s + offset_s, one.end_s + offset_s, one.text
        if words:
            words = tuple(w for w in words if first_s <= (w.start_s + w.end_s) / 2 < last_s)
            if not words:
                continue
            if len(words) < len(one.words):
                text = " ".join(word.text for word in words)
            start_s, end_s = words[0].start_s, words[-1].end_s
        elif not first_s <= (start_s + end_s) / 2 < last_s:
            continue
        kept.append(Segment(start_s, end_s, text, one.probability, words))
    return kept


def said(file: str, speaker: str | None, segments: Iterable[Segment]) -> Iterator[Said]:
    """Yield segments as the document has them; one that is long is broken at its pauses."""
    for one in segments:
        for words in _lines(one.words) if one.words else ((),):
            whole = len(words) == len(one.words)
            yield Said(
                file=file,
                start=_seconds(words[0].start_s if words else one.start_s),
                end=_seconds(words[-1].end_s if words else one.end_s),
                text=one.text if whole else " ".join(word.text for word in words),
                probability=one.probability if whole else _mean(words),
                speaker=speaker,
                words=tuple(
                    SaidWord(
                        start=_seconds(word.start_s),
                        end=_seconds(word.end_s),
                        text=word.text,
                        probability=None
                        if word.probability is None
                        else round(word.probability, 3),
                    )
                    for word in words
                ),
            )


def _lines(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    line: list[Word] = []
    for word in words:
        if line and (
            word.start_s - line[-1].end_s > _PAUSE_S
            or word.end_s - line[0].start_s > _LINE_S
            or sum(len(one.text) + 1 for one in line) + len(word.text) > _LINE_CHARS
        ):
            yield tuple(line)
            line = []
        line.append(word)
    if line:
        yield tuple(line)


def _mean(words: Sequence[Word]) -> float | None:
    known = [word.probability for word in words if word.probability is not None]
    return round(sum(known) / len(known), 3) if known else None


def _seconds(value: float) -> float:
    return round(max(0.0, value), 3)


def text_of(segments: Sequence[Said]) -> str:
    """Return the words alone: a paragraph where the speaker changes or nobody speaks for 2 s."""
    lines: list[str] = []
    before: Said | None = None
    for one in segments:
        new = (
            before is None or one.speaker != before.speaker or one.start - before.end > _PARAGRAPH_S
        )
        if new:
            lines.append(f"{one.speaker}: {one.text}" if one.speaker else one.text)
        else:
            lines[-1] += f" {one.text}"
        before = one
    return "\n\n".join(lines) + "\n"


def srt_of(segments: Sequence[Said]) -> str:
    """Return subtitles as SubRip has them."""
    cues = (
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_shown(one)}\n"
        for number, one in enumerate(segments, 1)
    )
    return "\n".join(cues)


def vtt_of(segments: Sequence[Said]) -> str:
    """Return subtitles as WebVTT has them (W3C WebVTT 1)."""
    cues = []
    for one in segments:
        text = one.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        voice = f"<v {one.speaker}>" if one.speaker else ""
        cues.append(f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{voice}{text}\n")
    return "\n".join(["WEBVTT\n", *cues])


def _shown(one: Said) -> str:
    return f"{one.speaker}: {one.text}" if one.speaker else one.text


def _clock(seconds: float, point: str) -> str:
    whole_ms = round(seconds * 1000)
    minutes, rest_ms = divmod(whole_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest_ms // 1000:02}{point}{rest_ms % 1000:03}"
