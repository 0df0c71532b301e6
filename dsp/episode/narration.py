"""Pieces of speech to one recording: trimmed, with pauses, voices of one level, as loud as asked.

Theory of operation
-------------------
Three passes, a piece in memory at a time. The first hears each voice and finds the gain that
brings it to ``VOICE_LUFS``. The second writes the pieces and the pauses between them as float;
where an s is louder than the voice it is turned down. Music is put around them (``music``). The
third limits and encodes, until the file is as loud as asked (``mixing.joining.level``).

Rules
-----
Rule 1: a pause is what is heard: the silence that a trimmed piece keeps is part of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES, Block
from dsp.episode.music import Music, mixed
from dsp.formats.m4b import AacFile
from dsp.formats.reader import Limits, StemReader, probe
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.measure.loudness import LoudnessMeter
from dsp.mixing.joining.level import Codec, Sink, levelled
from dsp.mixing.stem_meters import SIBILANCE_HZ, SIBILANCE_Q
from dsp.processors.dynamic_bands import DeEsser
from dsp.units import ratio_of

RATE_HZ = 44_100
TRIM_S = 0.030
"""Silence that a piece keeps at either end."""
VOICE_LUFS = -20.0
TARGET_LUFS = -16.0
_OPUS_HZ = 48_000
_KBITS = {"mp3": 192, "opus": 96, "m4b": 128}
# Measured on speech and music, mono and stereo: LAME scales by 0.97 at this rate.
_CODECS = {"mp3": Codec(-0.265, -0.2), "opus": Codec(0.0, 0.5), "m4b": Codec(-0.05, 0.4)}
_DEESS_OVER_DB = 4.0
"""Of the peaks in the band of an s, above the voice's loudness: of a voice that was recorded well,
one moment in a hundred is."""
_SILENCE = ratio_of(-50.0)
"""Of the peak of a piece: what is quieter at its ends is no speech."""
_LEAST_LUFS = -60.0
_LONGEST_S = 600.0


@dataclass(frozen=True)
class Spoken:
    """A piece that has been spoken."""

    path: Path
    voice: str
    pause_s: float
    """What is heard between the end of the piece before and its beginning."""


@dataclass(frozen=True)
class Narration:
    """What became of the pieces."""

    spans_s: tuple[tuple[float, float], ...]
    """Where each piece is heard."""
    duration_s: float
    """With the music."""
    integrated_lufs: float
    true_peak_dbtp: float
    """Both of the file, decoded."""
    reduction_db: float
    """The most that the limiter took."""


def narrate(
    pieces: Sequence[Spoken],
    folder: Path,
    path: Path,
    *,
    format: str,  # noqa: A002 - the word for it
    report: Callable[[float], None],
    music: Music = Music(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Narration:
    """Join the pieces to the file ``path``: mono, or stereo with music.

    Parameters
    ----------
    folder : Path
        Where the sum lies meanwhile.
    format : str
        ``mp3``, ``opus`` or ``m4b``, which the ``ffmpeg`` program writes.
    limits : Limits
        What music may be.

    Raises
    ------
    AudioFormatError
        A piece or music cannot be decoded, or holds no sound.
    """
    rate_hz = _OPUS_HZ if format == "opus" else RATE_HZ
    speech, whole = folder / ".narration.wav", folder / ".episode.wav"
    try:
        gains = _gains(pieces, lambda share: report(0.3 * share))
        spans, lufs = _joined(pieces, gains, speech, lambda share: report(0.3 + 0.2 * share))
        if music:
            later_s, lufs = mixed(
                speech,
                spans,
                music,
                whole,
                lufs=lufs,
                limits=limits,
                report=lambda share: report(0.5 + 0.1 * share),
            )
            spans = [(start + later_s, end + later_s) for start, end in spans]
        source = whole if music else speech
        frames = probe(source, name=source.name).frames or 0
        done = levelled(
            source,
            _writer(path, format, rate_hz, channels=2 if music else 1),
            path,
            lufs=lufs,
            target_lufs=TARGET_LUFS,
            rate_hz=rate_hz,
            report=lambda share: report(0.6 + 0.4 * share),
            codec=_CODECS[format],
        )
    finally:
        speech.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)
    figures = done.integrated_lufs, done.true_peak_dbtp, done.reduction_db
    return Narration(tuple(spans), frames / RATE_HZ, *figures)


def _writer(path: Path, format: str, rate_hz: int, channels: int) -> Callable[[], Sink]:  # noqa: A002 - as above
    kbits = _KBITS[format]
    if format == "m4b":
        return partial(AacFile, path, rate_hz=rate_hz, channels=channels, kbits=kbits)
    return partial(Writer, path, rate_hz=rate_hz, channels=channels, format=format, kbits=kbits)


def trimmed(sound: Block) -> Block:
    """Return speech of ``RATE_HZ`` with ``TRIM_S`` of silence at either end."""
    loud = np.flatnonzero(np.abs(sound[:, 0]) > _SILENCE * np.abs(sound).max(initial=0.0))
    if not len(loud):
        return sound[:0]
    keep = round(TRIM_S * RATE_HZ)
    first, last = int(loud[0]), int(loud[-1]) + 1
    before, after = max(0, keep - first), max(0, last + keep - len(sound))
    inner = sound[max(0, first - keep) : last + keep]
    return np.pad(inner, ((before, after), (0, 0)))


def decoded(path: Path) -> Block:
    """Return a piece as ``(frames, 1)`` of ``RATE_HZ``, at most ten minutes of it."""
    blocks = []
    found = probe(path, name=path.name, accept_truncated=True)
    with StemReader(found, accept_truncated=True) as reader:
        resampler = Resampler(found.rate_hz, RATE_HZ, 1)
        left = round(_LONGEST_S * found.rate_hz)
        while left > 0 and len(block := reader.read(min(left, BLOCK_FRAMES))):
            left -= len(block)
            mono = block.mean(axis=1, keepdims=True, dtype=np.float32)
            blocks.append(resampler.process(mono))
        blocks.append(resampler.finish())
    return np.concatenate(blocks)


def _gains(pieces: Sequence[Spoken], report: Callable[[float], None]) -> Mapping[str, float]:
    """Return the gain of each voice."""
    meters: dict[str, LoudnessMeter] = {}
    for place, piece in enumerate(pieces):
        meter = meters.setdefault(piece.voice, LoudnessMeter(RATE_HZ, 1))
        meter.update(trimmed(decoded(piece.path)))
        report((place + 1) / len(pieces))
    levels = {voice: meter.integrated_lufs() for voice, meter in meters.items()}
    return {
        voice: ratio_of(VOICE_LUFS - level) if level > _LEAST_LUFS else 1.0
        for voice, level in levels.items()
    }


def _joined(
    pieces: Sequence[Spoken],
    gains: Mapping[str, float],
    path: Path,
    report: Callable[[float], None],
) -> tuple[list[tuple[float, float]], float]:
    """Write pieces and pauses; return where each piece is heard, and how loud all is."""
    spans, at, meter = [], 0, LoudnessMeter(RATE_HZ, 1)
    keep = round(TRIM_S * RATE_HZ)
    with Writer(path, rate_hz=RATE_HZ, channels=1, format="wav", bits=32) as out:

        def put(block: Block) -> None:
            nonlocal at
            meter.update(block)
            out.write(block)
            at += len(block)

        for place, piece in enumerate(pieces):
            if place:
                put(np.zeros((max(0, round(piece.pause_s * RATE_HZ) - 2 * keep), 1), np.float32))
            sound = trimmed(decoded(piece.path)) * np.float32(gains[piece.voice])
            start = at
            put(_deesser().process(sound))
            heard = min(keep, len(sound) // 2)
            spans.append(((start + heard) / RATE_HZ, (at - heard) / RATE_HZ))
            report((place + 1) / len(pieces))
    return spans, meter.integrated_lufs()


def _deesser() -> DeEsser:
    """Return what holds an s down, of a voice at ``VOICE_LUFS``."""
    return DeEsser(
        hz=SIBILANCE_HZ,
        q=SIBILANCE_Q,
        threshold_db=VOICE_LUFS + _DEESS_OVER_DB,
        ratio=4.0,
        range_db=6.0,
        attack_ms=1.0,
        release_ms=60.0,
        rate_hz=RATE_HZ,
        channels=1,
    )
