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

Rule 4: a binary that does not load, or was compiled of other sources than lie beside it, is
not used: it may lack a kernel, or take other arguments. That is warned of, once per process.
"""

import os
import warnings
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal


def _fault_of_binary() -> str:
    """Return why the compiled kernels cannot be used though they are there; empty: they can."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.[ch]"))]
    try:
        compiled = import_module(f"{__name__}._compiled")
    except ImportError as error:
        return str(error)
    # An installation has the binary alone.
    fits = not sources or sha256(b"".join(sources)).hexdigest() == compiled.SOURCE
    return "" if fits else "they were compiled of other sources"


def _engine() -> Literal["compiled", "numpy"]:
    if os.environ.get("DSP_KERNELS") == "numpy" or not find_spec(f"{__name__}._compiled"):
        return "numpy"
    if not (fault := _fault_of_binary()):
        return "compiled"
    text = f"the compiled kernels are not used, mixing is slower: {fault}"
    warnings.warn(f"{text}; run `python hatch_build.py`, or install again", stacklevel=2)
    return "numpy"


ENGINE: Literal["compiled", "numpy"] = _engine()
"""Which versions are in use."""

if TYPE_CHECKING or ENGINE == "numpy":
    from dsp.kernels.plain_control import ramp, steps, tally
    from dsp.kernels.plain_dynamics import borders, curve, decibels, follow, ratios, reduce
    from dsp.kernels.plain_filters import cascade, energies
    from dsp.kernels.plain_levels import hop_peaks, levels
    from dsp.kernels.plain_partials import partials
    from dsp.kernels.plain_paths import best_tracks
    from dsp.kernels.plain_pcm import filtered, quantise, unpack
    from dsp.kernels.plain_spectra import band_powers, bin_powers, plan
    from dsp.kernels.plain_strip import saturate, widen
else:
    from dsp.kernels._compiled import (
        band_powers,
        best_tracks,
        bin_powers,
        borders,
        cascade,
        curve,
        decibels,
        energies,
        filtered,
        follow,
        hop_peaks,
        levels,
        partials,
        plan,
        quantise,
        ramp,
        ratios,
        reduce,
        saturate,
        steps,
        tally,
        unpack,
        widen,
    )

__all__ = [
    "ENGINE",
    "band_powers",
    "best_tracks",
    "bin_powers",
    "borders",
    "cascade",
    "curve",
    "decibels",
    "energies",
    "filtered",
    "follow",
    "hop_peaks",
    "levels",
    "partials",
    "plan",
    "quantise",
    "ramp",
    "ratios",
    "reduce",
    "saturate",
    "steps",
    "tally",
    "unpack",
    "widen",
]
