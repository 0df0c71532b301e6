"""What a stem holds instead of music: idle noise, a constant offset, one channel of two.

Each is an everyday slip of a recording or an export, and each would mislead the plan: noise
would be raised to the level of its role, a lead would stand hard left.
"""

from typing import Literal

import numpy as np

from dsp.mixing.stem_analysis import Analysis
from dsp.units import power_dbs_of

Content = Literal["music", "noise", "offset"]

_OFFSET_SHARE = 1.0 - 1e-6
"""Of the power: what is left is 60 dB below the offset."""
_NOISE_LUFS = -50.0
_STEADY_DB = 3.0
"""Nine of ten steps of noise lie this close together, from beginning to end."""
_FEWEST_STEPS = 20
_LONE_SHARE = 1e-3
"""A channel with less of the power than this is silent: 30 dB below the other."""


def content_of(analysis: Analysis) -> Content:
    """Return what a stem holds: idle noise is soft, and as steady as no music is."""
    if analysis.offset_share > _OFFSET_SHARE:
        return "offset"
    levels = power_dbs_of(analysis.energy[analysis.energy > 0.0]) - 0.691
    if len(levels) < _FEWEST_STEPS:
        return "music"
    low, high = np.percentile(levels, [5, 95])
    return "noise" if high < _NOISE_LUFS and high - low < _STEADY_DB else "music"


def silent_side(analysis: Analysis) -> Literal["", "left", "right"]:
    """Return which channel of a stereo stem is silent, if the other sounds."""
    if analysis.left_share < _LONE_SHARE:
        return "left"
    return "right" if analysis.left_share > 1.0 - _LONE_SHARE else ""
