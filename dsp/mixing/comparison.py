"""What a report offers to compare by ear: the mix and the plain sum, and each stem on its own.

The first two are written for the page that holds them, the stems as files beside it.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsp.measure.loudness import FLOOR_LUFS
from dsp.mixing.render.excerpts import FREE_DB, PlainSum, blocks_in, encode, gains_db, level_of

KEPT = "excerpt.f32"
"""The work file of the passage of the master."""


@dataclass(frozen=True)
class Comparison:
    """What was written, and what the report says of it; nothing where there is nothing to hear."""

    sounds: tuple[Path, ...] = ()
    """The mix, and the plain sum."""
    told: Mapping[str, Any] = field(default_factory=dict)


def compared(
    plain: PlainSum,
    out: Path,
    solos: Mapping[str, Path],
    *,
    rate_hz: int,
    make_up_db: float,
    threads: int = 1,
) -> Comparison:
    """Write the passage in all its versions, equally loud.

    Parameters
    ----------
    out : Path
        Where ``KEPT`` lies.
    solos : mapping of Path
        By stem: where its passage is written; beside it lies what was kept of it.
    make_up_db : float
        Of the master: a stem on its own is as loud as it is in the mix.
    """
    mix, came = level_of(blocks_in(out / KEPT), rate_hz), level_of(plain.blocks(), rate_hz)
    silent = min(mix.lufs, came.lufs) <= FLOOR_LUFS
    mix_db, plain_db = (0.0, 0.0) if silent else gains_db(mix, came)
    told_of_solos = []
    for stem, path in solos.items():
        kept = _kept(path)
        gain_db = min(make_up_db + mix_db, -FREE_DB - level_of(blocks_in(kept), rate_hz).peak_dbfs)
        encode(blocks_in(kept), gain_db, path, rate_hz)
        kept.unlink()
        file = f"{path.parent.name}/{path.name}"
        told_of_solos.append({"stem": stem, "file": file, "gain_db": round(gain_db, 2)})
    sounds = out / "compared.mix.ogg", out / "compared.plain.ogg"
    if not silent:
        versions = (blocks_in(out / KEPT), plain.blocks()), (mix_db, plain_db), sounds
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(encode, *versions, [rate_hz] * 2))
    (out / KEPT).unlink()
    if silent:
        return Comparison()
    told = {
        "at_s": round(plain.passage.first / rate_hz, 3),
        "length_s": round(plain.passage.frames / rate_hz, 3),
        "mix_lufs": round(mix.lufs, 2),
        "plain_lufs": round(came.lufs, 2),
        "mix_db": round(mix_db, 2),
        "plain_db": round(plain_db, 2),
        "solos": told_of_solos,
    }
    return Comparison(sounds, told)


def kept_of(solos: Mapping[str, Path]) -> dict[str, Path]:
    """Return the work files of the stems."""
    return {stem: _kept(path) for stem, path in solos.items()}


def _kept(path: Path) -> Path:
    return path.with_suffix(".f32")
