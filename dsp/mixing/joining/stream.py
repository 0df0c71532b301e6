"""The joined sound, block by block: ``joins`` has decided, this obeys.

Rule 1: memory does not grow with the recording. Of what is joined, only as much is held back as
the longest crossfade needs.

Rule 2: frames that no join touches, at the rate and with the channels of the result, are those of
the file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, Block, blocks_of
from dsp.errors import ParameterError
from dsp.formats.reader import Limits, Probe, StemReader
from dsp.formats.resample import Resampler
from dsp.mixing.joining.joins import CROSSFADE_S, Join


@dataclass(frozen=True)
class Piece:
    """A chunk and how it joins the one before."""

    probe: Probe
    join: Join


def frames_at(frames: int, from_hz: int, to_hz: int) -> int:
    """Return how many frames so many become at another rate, as ``Resampler`` has it."""
    return (2 * frames * to_hz + from_hz) // (2 * from_hz)


def joined(
    pieces: Sequence[Piece], *, rate_hz: int, channels: int, limits: Limits
) -> Iterator[Block]:
    """Yield the recording.

    Raises
    ------
    AudioFormatError
        A chunk was changed since it was looked at.
    """
    hold = round(CROSSFADE_S * rate_hz)
    held: Block = np.zeros((0, channels), np.float32)
    for piece in pieces:
        join = piece.join
        if join.fade_out:
            held[-join.fade_out :] *= _down(join.fade_out)
        cut = len(held) - join.crossfade
        yield held[:cut]
        mixed = held[cut:]
        for _, length in blocks_of(join.silence):
            yield np.zeros((length, channels), np.float32)
        held = held[:0]
        for block in _begun(_sound(piece, rate_hz, channels, limits), join, mixed):
            whole = np.concatenate([held, block])
            yield whole[: max(0, len(whole) - hold)]
            held = whole[max(0, len(whole) - hold) :].copy()
    yield held


def _begun(blocks: Iterator[Block], join: Join, mixed: Block) -> Iterator[Block]:
    """Yield the chunk with its beginning faded in, or mixed with the end of the one before."""
    wanted, first = max(join.fade_in, join.crossfade), list[Block]()
    if wanted:
        while sum(map(len, first)) < wanted:
            first.append(next(blocks))
        head = np.concatenate(first)
        ramp = _down(wanted)[::-1]
        head[:wanted] *= ramp
        if join.crossfade:
            head[:wanted] += mixed * ramp[::-1]
        yield head
    yield from blocks


def _down(frames: int) -> NDArray[np.float32]:
    """Return gains from 1 to 0 in a half cosine; with their mirror image they sum to 1."""
    turn = (np.arange(frames) + 0.5) * (np.pi / frames)
    return np.asarray(0.5 + 0.5 * np.cos(turn), np.float32)[:, np.newaxis]


def _sound(piece: Piece, rate_hz: int, channels: int, limits: Limits) -> Iterator[Block]:
    """Yield a chunk at the rate and with the channels of the result, without what is skipped."""
    skip, probe = piece.join.skip, piece.probe
    resampler = Resampler(probe.rate_hz, rate_hz, probe.channels)
    with StemReader(probe, limits=limits, allow_ffmpeg=True, accept_truncated=True) as reader:
        ended = False
        while not ended:
            block = reader.read(BLOCK_FRAMES)
            ended = not len(block)
            ready = resampler.finish() if ended else resampler.process(block)
            left_out = min(skip, len(ready))
            skip -= left_out
            if left_out < len(ready):
                yield _spread(ready[left_out:], channels)


def _spread(block: Block, channels: int) -> Block:
    """Give mono to both sides; of more channels, those that are missing are silent."""
    missing = channels - block.shape[1]
    if missing < 0:
        raise ParameterError(f"channels must be at least {block.shape[1]}, got {channels}")
    if block.shape[1] == 1:
        return np.repeat(block, channels, axis=1) if missing else block
    return np.pad(block, ((0, 0), (0, missing))) if missing else block
