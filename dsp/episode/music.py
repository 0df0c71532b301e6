"""Music around speech and beneath it: an intro, an outro, and a bed that makes way.

Theory of operation
-------------------
The intro is heard from the beginning; the speech begins before it ends, while it fades. The outro
fades in over the last words in the same way. The bed lies between the middles of those two fades,
over again where it is shorter, and goes down wherever somebody speaks. Where a piece is heard is
known to the frame, so nothing listens: the bed is down when a word begins.

Rules
-----
Rule 1: speech is never faded, only what lies beneath it.

Rule 2: memory does not grow with the music; it is read as it is mixed.

Rule 3: the bed stays down through pauses that are too short for going up and down again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, Block
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, Probe, StemReader, probe
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.measure.loudness import LoudnessMeter
from dsp.mixing.source import fold
from dsp.units import ratio_of, ratios_of

CROSSFADE_S = 2.0
"""Between music and speech, and where the bed begins anew; at most half of what fades."""
DUCK_DB, ATTACK_S, RELEASE_S = -14.0, 0.3, 1.2
BED_LU = -4.0
"""Of the bed where nobody speaks, against the speech; intro and outro are as loud as that."""
LEAD_S, TAIL_S = 3.0, 5.0
"""Of the bed alone: before the first word without an intro, after the last without an outro."""
_LEAST_LUFS = -60.0


@dataclass(frozen=True)
class Music:
    """What is played besides the speech."""

    intro: Path | None = None
    outro: Path | None = None
    bed: Path | None = None

    def __bool__(self) -> bool:
        return any((self.intro, self.outro, self.bed))


@dataclass(frozen=True)
class _Track:
    """A piece of music, heard once from the beginning to the end."""

    probe: Probe
    limits: Limits
    gain: float
    frames: int

    def sound(self, rate_hz: int) -> Iterator[Block]:
        """Yield it in stereo, as loud as it should be."""
        for block in _sound(self.probe, self.limits, rate_hz):
            yield block * np.float32(self.gain)


def mixed(
    speech: Path,
    spans_s: Sequence[tuple[float, float]],
    music: Music,
    path: Path,
    *,
    lufs: float,
    limits: Limits,
    report: Callable[[float], None],
) -> tuple[float, float]:
    """Write speech and music to ``path``, as float in stereo.

    Parameters
    ----------
    speech : Path
        Mono.
    spans_s : sequence of (start, end)
        Where somebody speaks in it.
    lufs : float
        How loud it is.

    Returns
    -------
    float
        By how much the speech begins later than alone, in seconds.
    float
        How loud the sum is.

    Raises
    ------
    AudioFormatError
        Music cannot be decoded.
    """
    spoken = probe(speech, name=speech.name)
    rate_hz, frames = spoken.rate_hz, spoken.frames or 0
    lufs += 10.0 * np.log10(2.0)  # from both sides
    tracks = {
        name: _track(found, limits, rate_hz, lufs + (BED_LU if name == "bed" else 0.0))
        for name, found in (("intro", music.intro), ("outro", music.outro), ("bed", music.bed))
        if found is not None
    }
    report(0.3)
    plan = _Plan.of(tracks, frames, rate_hz)
    start_s = plan.speech / rate_hz
    down = _Ducking([(start + start_s, end + start_s) for start, end in spans_s])
    voices = [
        _Voice(plan.speech, _sides(StemReader(spoken))),
        *plan.voices(tracks, rate_hz, down),
    ]
    meter = LoudnessMeter(rate_hz, 2)
    with Writer(path, rate_hz=rate_hz, channels=2, format="wav", bits=32) as out:
        for at in range(0, plan.frames, BLOCK_FRAMES):
            total = np.zeros((min(BLOCK_FRAMES, plan.frames - at), 2), np.float32)
            for voice in voices:
                voice.add_to(total, at)
            meter.update(total)
            out.write(total)
            report(0.3 + 0.7 * at / plan.frames)
    return start_s, meter.integrated_lufs()


@dataclass(frozen=True)
class _Plan:
    """Where everything begins and ends, in frames of the episode."""

    speech: int
    bed: tuple[int, int]
    fades: tuple[int, int]
    """Of the intro's end and of the outro's beginning."""
    outro: int
    frames: int

    @classmethod
    def of(cls, tracks: dict[str, _Track], frames: int, rate_hz: int) -> "_Plan":
        most = min(round(CROSSFADE_S * rate_hz), frames // 2)
        intro, outro = (tracks[one].frames if one in tracks else 0 for one in ("intro", "outro"))
        first, last = min(most, intro // 2), min(most, outro // 2)
        alone = round(LEAD_S * rate_hz) if "bed" in tracks else 0
        speech = intro - first if intro else alone
        end = speech + frames
        bed_end = end if outro else end + (round(TAIL_S * rate_hz) if "bed" in tracks else 0)
        return cls(
            speech=speech,
            bed=(speech if intro else 0, bed_end),
            fades=(first, last),
            outro=end - last,
            frames=max(intro, bed_end, end - last + outro),
        )

    def voices(
        self, tracks: dict[str, _Track], rate_hz: int, down: "_Ducking"
    ) -> Iterator["_Voice"]:
        """Yield what is played, with what its level does."""
        if "intro" in tracks:
            track = tracks["intro"]
            fade = _fade(track.frames, 0, self.fades[0])
            yield _Voice(0, track.sound(rate_hz), fade)
        if "outro" in tracks:
            track = tracks["outro"]
            yield _Voice(self.outro, track.sound(rate_hz), _fade(track.frames, self.fades[1], 0))
        if "bed" in tracks:
            start, end = self.bed
            ends = round(CROSSFADE_S * rate_hz)
            fade, length = _fade(end - start, self.fades[0] or ends // 4, ends), end - start

            def level(at: NDArray[np.float64]) -> NDArray[np.float64]:
                return fade(at) * down.gains((at + start) / rate_hz)

            yield _Voice(start, _looped(tracks["bed"], rate_hz, ends), level, length)


class _Voice:
    """A stream with a place in the sum and a level that may move."""

    def __init__(
        self,
        start: int,
        blocks: Iterator[Block],
        level: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
        frames: int | None = None,
    ) -> None:
        self._start, self._blocks, self._level = start, blocks, level
        self._rest = np.zeros((0, 2), np.float32)
        self._done, self._frames = 0, frames

    def add_to(self, total: Block, at: int) -> None:
        """Add what is heard from ``at`` on."""
        first = max(0, self._start - at)
        wanted = len(total) - first
        if self._frames is not None:
            wanted = min(wanted, self._frames - self._done)
        if wanted <= 0:
            return
        sound = self._taken(wanted)
        if self._level is not None and len(sound):
            places = self._done + np.arange(len(sound), dtype=np.float64)
            sound = sound * self._level(places).astype(np.float32)[:, np.newaxis]
        total[first : first + len(sound)] += sound
        self._done += len(sound)

    def _taken(self, frames: int) -> Block:
        parts, there = [self._rest], len(self._rest)
        while there < frames and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            there += len(block)
        whole = np.concatenate(parts)
        self._rest = whole[frames:].copy()
        return whole[:frames]


class _Ducking:
    """The level of the bed."""

    def __init__(self, spans_s: Sequence[tuple[float, float]]) -> None:
        held: list[list[float]] = []
        for start_s, end_s in spans_s:
            if held and start_s - held[-1][1] < ATTACK_S + RELEASE_S:
                held[-1][1] = end_s
            else:
                held.append([start_s, end_s])
        corners = [
            corner
            for start_s, end_s in held
            for corner in (
                (start_s - ATTACK_S, 0.0),
                (start_s, DUCK_DB),
                (end_s, DUCK_DB),
                (end_s + RELEASE_S, 0.0),
            )
        ]
        self._at_s, self._db = np.array(corners).T

    def gains(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gain at each instant."""
        return np.asarray(ratios_of(np.interp(at_s, self._at_s, self._db)))


def _fade(
    frames: int, fade_in: int, fade_out: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the level of something that fades in and out, at equal power."""

    def level(at: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.ones(len(at))
        if fade_in:
            share = np.minimum(share, at / fade_in)
        if fade_out:
            share = np.minimum(share, (frames - at) / fade_out)
        return np.asarray(np.sin(0.5 * np.pi * np.clip(share, 0.0, 1.0)))

    return level


def _track(path: Path, limits: Limits, rate_hz: int, lufs: float) -> _Track:
    """Hear a piece of music, and return how it is to be played."""
    found = probe(path, name=path.name, limits=limits, allow_ffmpeg=True)
    meter, frames = LoudnessMeter(rate_hz, 2), 0
    for block in _sound(found, limits, rate_hz):
        meter.update(block)
        frames += len(block)
    if not frames:
        raise AudioFormatError("INPUT_EMPTY", f"{path.name} holds no sound")
    own = meter.integrated_lufs()
    return _Track(found, limits, ratio_of(lufs - own) if own > _LEAST_LUFS else 0.0, frames)


def _sound(found: Probe, limits: Limits, rate_hz: int) -> Iterator[Block]:
    resampler = Resampler(found.rate_hz, rate_hz, 2)
    for block in _sides(StemReader(found, limits=limits, allow_ffmpeg=True), found):
        yield resampler.process(block)
    yield resampler.finish()


def _sides(reader: StemReader, found: Probe | None = None) -> Iterator[Block]:
    """Yield what is read in stereo."""
    with reader:
        while len(block := reader.read(BLOCK_FRAMES)):
            sides = fold(block, found.speakers if found else ())
            yield np.repeat(sides, 2, axis=1) if sides.shape[1] == 1 else sides


def _looped(track: _Track, rate_hz: int, fade: int) -> Iterator[Block]:
    """Yield a track again and again, its end faded into its beginning."""
    fade = min(fade, track.frames // 3)
    turn = (np.arange(fade, dtype=np.float32) + 0.5) * np.float32(0.5 * np.pi / max(fade, 1))
    up, down = np.sin(turn)[:, np.newaxis], np.cos(turn)[:, np.newaxis]
    end: Block | None = None
    while True:
        held = np.zeros((0, 2), np.float32)
        for block in track.sound(rate_hz):
            held = np.concatenate([held, block])
            if end is not None and len(held) >= fade:
                held[:fade] = held[:fade] * up + end * down
                end = None
            if end is None and len(held) > fade:
                yield held[: len(held) - fade]
                held = held[len(held) - fade :]
        end = held
