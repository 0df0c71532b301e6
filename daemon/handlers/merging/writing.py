"""The recording is written: its rate, its width, and the file.

Rule 1: what is written has as many frames as was planned, or it is a bug.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.errors import BadInput
from daemon.handlers.merging.listening import Used
from dsp.analysis.outline import Outline, OutlineMeter
from dsp.audio import Block
from dsp.formats.reader import Limits
from dsp.formats.writer import MP3_HZ, OPUS_HZ, Writer
from dsp.measure.loudness import LoudnessMeter
from dsp.mixing.joining.joins import FIRST, join_of
from dsp.mixing.joining.level import levelled
from dsp.mixing.joining.stream import Piece, frames_at, joined

_SUM = ".merged.wav"
_FLOAT_BITS = 32
_BITS = {"PCM_S8": 16, "PCM_U8": 16, "PCM_16": 16, "ULAW": 16, "ALAW": 16, "PCM_24": 24}
_BITS |= dict.fromkeys(("PCM_32", "FLOAT", "DOUBLE"), _FLOAT_BITS)
_LOSSY_BITS = 24
_EXACT = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "FLOAT")
"""Subtypes whose samples a float32 holds as they are."""
_KBITS = {"mp3": 192, "opus": 128}
LEAST_LUFS = -60.0
"""What is quieter is no sound to bring to a level."""


@dataclass(frozen=True)
class Target:
    """What the recording is."""

    format: str
    rate_hz: int
    channels: int
    bits: int | None
    """``None`` where the format has none."""

    @property
    def file(self) -> str:
        """Its name."""
        return f"merged.{self.format}"


@dataclass(frozen=True)
class Planned:
    """A chunk with its place in the result, in frames of it."""

    used: Used
    piece: Piece
    start: int
    length: int
    """What it gives, without what is skipped."""


@dataclass(frozen=True)
class Written:
    """What became of it."""

    frames: int
    outline: Outline
    exact: bool
    lufs: float | None = None
    true_peak_dbtp: float | None = None


def target_of(used: Sequence[Used], form: str) -> Target:
    """Return the highest rate and width of the chunks, as far as the format can hold them.

    Raises
    ------
    BadInput
        They have more channels than a lossy format.
    """
    probes = [one.survey.probe for one in used]
    rate_hz, channels = max(one.rate_hz for one in probes), max(one.channels for one in probes)
    if rates := {"opus": OPUS_HZ, "mp3": MP3_HZ}.get(form):
        rate_hz = min((rate for rate in rates if rate >= rate_hz), default=rates[-1])
        if channels > 2:  # noqa: PLR2004 - stereo
            text = f"the chunks have {channels} channels; {form} holds 2"
            raise BadInput("INPUT_CHANNELS", text, "Set format to wav or flac.")
    bits = max(_BITS.get(one.subtype, _LOSSY_BITS) for one in probes)
    most = {"wav": _FLOAT_BITS, "flac": 24}.get(form)
    return Target(form, rate_hz, channels, min(bits, most) if most else None)


def planned(used: Sequence[Used], target: Target) -> list[Planned]:
    """Return where each chunk stands in the result."""
    plan: list[Planned] = []
    end = 0
    for one in used:
        probe = one.survey.probe
        frames = frames_at(one.survey.frames, probe.rate_hz, target.rate_hz)
        join = FIRST
        if plan:
            join = join_of(
                one.seam,
                one.gap_s,
                rate_hz=target.rate_hz,
                used=plan[-1].length,
                frames=frames,
            )
        start = end + join.silence - join.crossfade
        plan.append(Planned(one, Piece(probe, join), start, frames - join.skip))
        end = start + frames - join.skip
    return plan


def written(
    plan: Sequence[Planned],
    target: Target,
    workdir: Path,
    *,
    level: float | None,
    limits: Limits,
    report: Callable[[float], None],
) -> Written:
    """Write the recording into ``workdir``."""
    frames = plan[-1].start + plan[-1].length
    outline = OutlineMeter(target.channels)
    meter = None if level is None else LoudnessMeter(target.rate_hz, target.channels)
    lossless = replace(target, format="wav", bits=_FLOAT_BITS)
    first = target if meter is None else lossless
    path = workdir / (target.file if meter is None else _SUM)
    count, share = 0, 1.0 if meter is None else 0.5
    pieces = [one.piece for one in plan]
    with writer_of(first, path) as out:
        for block in _sound(pieces, target, limits):
            out.write(block)
            outline.update(block)
            if meter:
                meter.update(block)
            count += len(block)
            report(share * count / frames)
    if count != frames:
        raise RuntimeError(f"{count} frames were written and {frames} planned")
    made = Written(frames, outline.outline(), _exact(plan, target) and meter is None)
    if meter is None or level is None:
        return made
    try:
        lufs = meter.integrated_lufs()
        if lufs < LEAST_LUFS:
            level = lufs
        done = levelled(
            path,
            lambda: writer_of(target, workdir / target.file),
            workdir / target.file,
            lufs=lufs,
            target_lufs=level,
            rate_hz=target.rate_hz,
            report=lambda share: report(0.5 + 0.5 * share),
        )
    finally:
        path.unlink(missing_ok=True)
    return replace(made, lufs=done.integrated_lufs, true_peak_dbtp=done.true_peak_dbtp)


def _sound(pieces: Sequence[Piece], target: Target, limits: Limits) -> Iterator[Block]:
    return joined(pieces, rate_hz=target.rate_hz, channels=target.channels, limits=limits)


def writer_of(target: Target, path: Path) -> Writer:
    """Begin a file."""
    return Writer(
        path,
        rate_hz=target.rate_hz,
        channels=target.channels,
        format=target.format,
        bits=target.bits or _LOSSY_BITS,
        kbits=_KBITS.get(target.format, 0),
        integers=True,
    )


def _exact(plan: Sequence[Planned], target: Target) -> bool:
    """Tell whether every sample is one of a chunk's."""
    return target.bits is not None and all(
        one.used.survey.untouched
        and one.piece.probe.subtype in _EXACT
        and one.piece.probe.rate_hz == target.rate_hz
        and one.piece.probe.channels == target.channels
        and _BITS[one.piece.probe.subtype] <= target.bits
        and not (one.piece.join.crossfade or one.piece.join.fade_in or one.piece.join.fade_out)
        for one in plan
    )
