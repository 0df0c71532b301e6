"""Loops over samples: compiled where there was a compiler, NumPy's elsewhere. Chosen here alone.

Theory of operation
-------------------
What the engine does to every sample it does in a few *kernels*: functions of buffers, numbers
and a state that the caller keeps. Each is written twice. The plain version, in NumPy, says
what is right; the compiled one, in C, does the same in one pass over the memory. They share
arguments and state, so that a stream may go from one to the other.

Rules
-----
Rule 1: both make the same bits, and so does every build of the compiled ones, whatever the
processor. ``tests/dsp/test_kernels.py`` holds every kernel to that.

Rule 2: the plain versions call NumPy and the standard library only. Where SciPy happens to
be installed (the extra ``fallback``) its filters are used: the same bits, fifteen times faster
than a loop in Python.

Rule 3: ``DSP_KERNELS=numpy`` in the environment chooses the plain versions, to compare.
"""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

ENGINE: Literal["compiled", "numpy"] = (
    "numpy"
    if os.environ.get("DSP_KERNELS") == "numpy" or not find_spec(f"{__name__}._compiled")
    else "compiled"
)
"""Which versions are in use."""

if TYPE_CHECKING or ENGINE == "numpy":
    from dsp.kernels.plain_dynamics import curve, decibels, follow, ramp, ratios
    from dsp.kernels.plain_filters import cascade, energies
    from dsp.kernels.plain_levels import hop_peaks, levels
    from dsp.kernels.plain_paths import best_ways
    from dsp.kernels.plain_pcm import filtered, quantise, unpack
    from dsp.kernels.plain_spectra import band_powers, plan
    from dsp.kernels.plain_strip import saturate, widen
else:
    from dsp.kernels._compiled import (
        band_powers,
        best_ways,
        cascade,
        curve,
        decibels,
        energies,
        filtered,
        follow,
        hop_peaks,
        levels,
        plan,
        quantise,
        ramp,
        ratios,
        saturate,
        unpack,
        widen,
    )

__all__ = [
    "ENGINE",
    "band_powers",
    "best_ways",
    "cascade",
    "curve",
    "decibels",
    "energies",
    "filtered",
    "follow",
    "hop_peaks",
    "levels",
    "plan",
    "quantise",
    "ramp",
    "ratios",
    "saturate",
    "unpack",
    "widen",
]
