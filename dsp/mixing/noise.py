"""How much of a speaker's microphone is noise, and whether it is worth lowering.

The noise has the spectrum of the softest tenth of a recording's half seconds, and is no louder than
its softest tenths of a second: who speaks on and on pauses for less than half a second, and what is
heard in those is the end of a word. What is not 30 dB below the words is never taken for noise.
"""

import numpy as np

from dsp.mixing.recall_sheet import Denoise
from dsp.mixing.track import K_POWER, Track
from dsp.processors.denoise import OCTAVES_HZ
from dsp.units import power_db_of, power_dbs_of

SOFTEST_PERCENT, PAUSES_PERCENT = 10, 3
MOST_DB = -30.0
"""Against the words, per band."""
QUIET_DB = -72.0
"""Noise this far below the words is heard by nobody."""
DEEPEST_DB = 12.0
"""More would be heard at the ends of words, and is not needed."""
_THIRDS = 3
LOWEST_DB = -140.0


def denoise_of(track: Track) -> Denoise | None:
    """Return how the noise of a microphone is lowered; ``None`` where it is quiet enough."""
    bands = track.analysis.bands.astype(np.float64)
    bands = bands[bands.any(axis=1)]
    if not len(bands) or not track.spectrum.any():
        return None
    most = 10.0 ** (MOST_DB / 10.0) * track.spectrum
    noise = np.minimum(np.percentile(bands, SOFTEST_PERCENT, axis=0), most)
    heard, words = (float((power * K_POWER).sum()) for power in (noise, track.spectrum))
    energy = track.analysis.energy[track.analysis.energy > 0.0]
    softest = float(np.percentile(energy, PAUSES_PERCENT)) if len(energy) else 0.0
    if heard > softest:
        noise, heard = noise * (softest / heard), softest
    below_db = power_db_of(heard / words)
    reduction_db = round(min(below_db - QUIET_DB, DEEPEST_DB), 1)
    if reduction_db < 1.0:
        return None
    octaves = [noise[_THIRDS * k + 1 : _THIRDS * k + 4].sum() for k in range(len(OCTAVES_HZ))]
    return Denoise.within(
        noise_db=tuple(np.round(np.maximum(power_dbs_of(octaves), LOWEST_DB), 1).tolist()),
        reduction_db=reduction_db,
        why=f"its pauses are {-below_db:.0f} dB below its words",
    )
