"""Master: from the work file to the finished file, at the loudness that was asked for.

Theory of operation
-------------------
The gain into the limiter is *solved* on stored control data, without touching audio: the
K-weighted energy per 10 ms and the sample peak per 16 frames say what the limiter will do
and how loud the result will be. Bisection finds the gain; one pass then limits, dithers and
encodes; and what was written is decoded and measured by meters that share nothing with the
limiter. If it is off, the pass is repeated with what was learned.

Rules
-----
Rule 1: loudness is never reached by crushing: the mean reduction of the limiter stays below
``max_mean_reduction_db``; what cannot be reached is said.

Rule 2: a sheet that names ``make_up_db`` is obeyed; nothing is solved then. A line taken out
of the sheet is solved anew.

Rule 3: the ceiling that was asked for holds in the file as decoded. The limiter works to a
lower one when the first pass shows that it must: dither and lossy encoders add peaks.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, HOP_FRAMES, Block
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits
from dsp.formats.writer import Writer
from dsp.measure.loudness import FLOOR_LUFS, STEP_S, integrated_lufs
from dsp.mixing.recall_sheet import LOWEST_GAIN_DB, Sheet
from dsp.mixing.render.mixdown import Rendered
from dsp.mixing.render.preview import Preview
from dsp.mixing.render.verify import Verified, listen
from dsp.processors.compressor import Reduction
from dsp.processors.limiter import Limiter, modelled_gains
from dsp.units import dbs_of, ratio_of

TOLERANCE_LU = 0.05
CEILING_MARGIN_DB = 0.02
"""Between the limiter's ceiling and the one asked for: what dither and rounding may add."""
CEILING_STEP_DB = 0.05
"""Further below what was over, pass by pass: an encoder makes new peaks each time."""
MOST_PASSES = 6
MOST_GAIN_DB = 40.0

_MP3_PADDING_FRAMES = 3 * 1152
"""A small MP3 frame has no room to say how much of it is padding."""

_PEAK_BYTES = 4
_PART_STEPS = 2_000
"""Steps of energy, 10 ms each, that the model works on at a time."""

_GAIN_STEP_DB = 0.01
"""Finer than any meter."""
_STRAIGHT = 7
"""Tries after which a curve is not taken for straight."""
_LEAST_DB = 1e-9
"""What is as much as is allowed is not too much."""

_ACTIVE_BELOW_DB = 30.0
"""Where the peak is further below the highest than this, no reduction is averaged."""


class Unverified(Exception):
    """A file that was just written is not what was meant."""


@dataclass(frozen=True)
class Mastered:
    """The finished file, and how it came about."""

    path: Path
    sheet: Sheet
    """The sheet with the make-up that was solved."""
    heard: Verified
    reduction: Reduction
    passes: int
    why_missed: str


@dataclass(frozen=True)
class _Solution:
    make_up_db: float
    why_missed: str = ""


def master(
    rendered: Rendered,
    sheet: Sheet,
    path: Path,
    *,
    limits: Limits,
    report: Callable[[float], None],
    preview: Callable[[], Preview] | None = None,
) -> Mastered:
    """Limit, encode, decode and measure until the file is what was asked for.

    Parameters
    ----------
    preview : callable
        Makes what writes a small copy of the mix, for the report, anew at each pass.

    Raises
    ------
    OSError
        The file cannot be written.
    Unverified
        It was written, and is not what was meant.
    """
    wanted = sheet.master
    ceiling_dbtp = wanted.ceiling_dbtp - CEILING_MARGIN_DB
    solution = _solve(rendered, sheet, ceiling_dbtp)
    passes = 0
    while True:
        passes += 1
        made = wanted.changed(make_up_db=solution.make_up_db)
        tried = made.model_copy(update={"ceiling_dbtp": ceiling_dbtp})
        reduction = _write(
            rendered, sheet.model_copy(update={"master": tried}), path, preview, report
        )
        heard = _verified(path, limits, rendered.frames, sheet)
        off_lu = 0.0
        if wanted.make_up_db is None and not solution.why_missed:
            off_lu = wanted.target_lufs - heard.integrated_lufs
        over_db = heard.true_peak_dbtp - wanted.ceiling_dbtp
        if passes == MOST_PASSES or (abs(off_lu) <= TOLERANCE_LU and over_db <= 0.0):
            break
        if over_db > 0.0:
            ceiling_dbtp -= over_db + passes * CEILING_STEP_DB
        solution = _Solution(round(solution.make_up_db + off_lu, 2), solution.why_missed)
    return Mastered(
        path=path,
        sheet=sheet.model_copy(update={"master": made}),
        heard=heard,
        reduction=reduction,
        passes=passes,
        why_missed=solution.why_missed,
    )


def _verified(path: Path, limits: Limits, frames: int, sheet: Sheet) -> Verified:
    """Measure the written file as any reader would, and check its rate and length."""
    try:
        heard = listen(path, limits)
    except AudioFormatError as error:  # it is ours: no fault of the drop
        raise Unverified(f"{path.name} cannot be read again: {error}") from error
    padding = _MP3_PADDING_FRAMES if sheet.format == "mp3" else 0
    if heard.rate_hz != sheet.rate_hz or not frames <= heard.frames <= frames + padding:
        raise Unverified(
            f"{path.name} has {heard.frames} frames at {heard.rate_hz} Hz; "
            f"{frames} at {sheet.rate_hz} Hz were written"
        )
    return heard


class _Model:
    """What the limiter will do for a given gain into it, from control data alone.

    The peaks stay on the disk and are read in parts, which end where steps of energy end: an
    hour has ten million hops.
    """

    def __init__(self, rendered: Rendered, sheet: Sheet, ceiling_dbtp: float) -> None:
        self._path = rendered.peaks
        self._sheet, self._ceiling_dbtp = sheet, ceiling_dbtp
        self._energy = rendered.loudness.energy()
        hops = self._path.stat().st_size // _PEAK_BYTES
        hops_per_step = STEP_S * sheet.rate_hz / HOP_FRAMES
        edges = np.rint(np.arange(len(self._energy) + 1) * hops_per_step)
        self._edges = np.minimum(edges, hops - 1).astype(np.int32)
        self._steps = [*range(0, len(self._energy), _PART_STEPS), len(self._energy)]
        self._hops = [*(int(hop) for hop in self._edges[self._steps[:-1]]), hops]
        highest = max(float(self._peaks(*part).max(initial=0.0)) for part in pairwise(self._hops))
        self._floor = highest * ratio_of(-_ACTIVE_BELOW_DB)

    def outcome(self, make_up_db: float) -> tuple[float, float]:
        """Return the integrated loudness and the limiter's mean reduction in dB."""
        master = self._sheet.master
        parts = modelled_gains(
            self._peaks,
            self._hops,
            gain=ratio_of(make_up_db),
            ceiling_dbtp=self._ceiling_dbtp,
            look_ahead_ms=master.look_ahead_ms,
            release_ms=master.release_ms,
            rate_hz=self._sheet.rate_hz,
        )
        power = np.zeros(len(self._energy))
        reduction_db, active = 0.0, 0
        for gains, hops, steps in zip(
            parts, pairwise(self._hops), pairwise(self._steps), strict=True
        ):
            loud = gains[self._peaks(*hops) > self._floor]
            active += len(loud)
            reduction_db -= float(dbs_of(loud[loud < 1.0]).sum())
            edges = self._edges[steps[0] : steps[1] + 1] - hops[0]
            sums = np.add.reduceat(np.square(gains, dtype=np.float64), edges[:-1])
            power[slice(*steps)] = sums / np.maximum(np.diff(edges), 1)
        power *= self._energy  # in place: an hour has 360,000 steps
        power *= ratio_of(make_up_db) ** 2
        return integrated_lufs(power, step_s=STEP_S), reduction_db / max(active, 1)

    def _peaks(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the peaks of these hops, as far as there are."""
        return np.fromfile(self._path, np.float32, stop - start, offset=start * _PEAK_BYTES)


def _solve(rendered: Rendered, sheet: Sheet, ceiling_dbtp: float) -> _Solution:
    """Return the gain that reaches the target, or comes as close as the limiter may."""
    wanted = sheet.master
    if wanted.make_up_db is not None:
        return _Solution(wanted.make_up_db)
    loudness_lufs = rendered.loudness.integrated_lufs()
    unlimited_db = wanted.target_lufs - loudness_lufs
    if loudness_lufs <= FLOOR_LUFS or unlimited_db > MOST_GAIN_DB:
        return _Solution(0.0, "the mix is too quiet or too short for its loudness to be measured")
    if unlimited_db < LOWEST_GAIN_DB:
        return _Solution(LOWEST_GAIN_DB, "the stems are far above full scale")
    model = _Model(rendered, sheet, ceiling_dbtp)

    def lacking_lu(gain_db: float) -> float:
        return wanted.target_lufs - model.outcome(gain_db)[0]

    def free_db(gain_db: float) -> float:
        return wanted.max_mean_reduction_db + _LEAST_DB - model.outcome(gain_db)[1]

    reach_db = _first(lacking_lu, unlimited_db - 0.5, unlimited_db + 12.0)
    if free_db(reach_db) >= 0.0:
        return _Solution(reach_db)
    bound_db = _first(free_db, unlimited_db - 12.0, reach_db)
    return _Solution(
        bound_db,
        f"{wanted.target_lufs:g} LUFS would take more than {wanted.max_mean_reduction_db:g} dB of "
        "limiting on average",
    )


def _first(left: Callable[[float], float], low: float, high: float) -> float:
    """Return the lowest gain in dB at which nothing is ``left``, to 0.01 dB, `high` at the most.

    Each try is where the line through the last two crosses, for the curves are nearly straight:
    half as many tries as halving takes, which goes on where they are not.

    Parameters
    ----------
    left : callable
        Of a gain: what falls, at first by 1 per dB or less, and is above 0 until it is crossed.
    """
    steps = 1 << ceil(log2((high - low) / _GAIN_STEP_DB))
    step_db = (high - low) / steps
    below, above, tries = 0, steps, 1
    now, slope = (0, left(low)), -step_db
    while above - below > 1:
        line = ceil(now[0] - now[1] / slope) if slope < 0.0 else above
        place = min(max(line, below + 1), above - 1) if tries < _STRAIGHT else (below + above) // 2
        before, now = now, (place, left(low + place * step_db))
        slope = (now[1] - before[1]) / (now[0] - before[0])
        below, above = (place, above) if now[1] > 0.0 else (below, place)
        tries += 1
    return round(low + above * step_db, 2)


def _write(
    rendered: Rendered,
    sheet: Sheet,
    path: Path,
    preview: Callable[[], Preview] | None,
    report: Callable[[float], None],
) -> Reduction:
    """Limit and encode the work file once, as the sheet says; return what the limiter did."""
    rate_hz, master = sheet.rate_hz, sheet.master
    limiter = Limiter(
        ceiling_dbtp=master.ceiling_dbtp,
        look_ahead_ms=master.look_ahead_ms,
        release_ms=master.release_ms,
        rate_hz=rate_hz,
        channels=2,
        gain=ratio_of(master.make_up_db or 0.0),
    )
    drop, left = limiter.latency, rendered.frames
    with ExitStack() as stack:
        sound = stack.enter_context(rendered.sound.open("rb"))
        master_file = stack.enter_context(
            Writer(path, rate_hz=rate_hz, channels=2, format=sheet.format, bits=sheet.bits)
        )
        small = stack.enter_context(preview()) if preview else None
        while left > 0:
            done = limiter.process(_next_block(sound))[drop:][:left]
            drop -= min(drop, BLOCK_FRAMES)
            left -= len(done)
            if small is not None:
                small.put(done)
            master_file.write(done)
            report(1.0 - left / max(rendered.frames, 1))
    return limiter.reduction


def _next_block(sound: BinaryIO) -> Block:
    """Return the next block of the work file, and silence after its end."""
    block = np.zeros((BLOCK_FRAMES, 2), np.float32)
    taken = np.fromfile(sound, np.float32, BLOCK_FRAMES * 2)
    block.reshape(-1)[: len(taken)] = taken
    return block
