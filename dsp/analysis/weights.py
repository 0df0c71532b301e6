"""The fitted numbers of the analysis, read once.

``weights.json`` is written by ``benchmarks/fit_analysis.py``, which says what it was fitted on.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@cache
def weights(name: str) -> NDArray[np.float64]:
    """Return one set of weights."""
    told = json.loads(Path(__file__).with_name("weights.json").read_text("utf-8"))
    return np.array(told[name], np.float64)


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of scores."""
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
