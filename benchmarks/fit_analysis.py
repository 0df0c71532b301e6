"""Fit the weights of the musical measures, and write ``dsp/analysis/weights.json``.

usage: fit_analysis.py FOLDER [--songs-per-style 4]

FOLDER is the cache of ``truth_set.py``. Only the fitted half of the styles is looked at.

Theory of operation
-------------------
Every choice (a tempo of the grid, a candidate, a key, a meter with its phase) is a softmax over
linear scores. Where several choices are right (neighbours on the grid, both tempi of a song with
a step), any of them counts. Newton's method climbs the likelihood; a ridge, in standard
deviations of each column, holds what the songs do not say. The ridges were chosen by
cross-validation, five folds of whole styles, on the fitted half.

The candidates of the second stage come from scores of a first stage that has not seen the
style: on songs it was fitted on it would seem surer than it is. Bars are fitted where beats are
right, keys on whole songs and as often on pieces out of their middles.
"""

import argparse
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from analyze import f_measure
from numpy.typing import NDArray
from peer_analysis import evidence_of
from truth_set import Truth, make_set

sys.path.insert(0, str(Path(__file__).parents[1]))
from dsp.analysis import bars, chroma, key, onsets, tempo
from dsp.analysis.beats import track
from dsp.analysis.features import FRAMES_PER_S, Evidence
from dsp.analysis.harmony import harmony_of
from dsp.analysis.tuning import tuning_of

Choice: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""The evidence for each choice, ``(choices, columns)``, and which of them are right."""
Song: TypeAlias = tuple[Truth, Evidence]

FOLDS = 5
RIDGES = {"tempo1": 8.0, "tempo2": 10.0, "bars": 5.0, "key": 0.5}
KEY_COLUMNS = 16
DEGREES_RIDGE = 8.0
FEW_SHARE = 0.85
"""Of the key's weights those without the degrees count for so much: less would be better on this
set, and take plain cadences of other sounds for those of the subdominant."""
NEAR_OCTAVES = 0.045
SHARE = 0.25  # of the song that a tempo must hold to be right
LEAST_BEAT_F = 0.9
WEIGHTS = Path(__file__).parents[1] / "dsp/analysis/weights.json"


def fitted(choices: list[Choice], ridge: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights that make the right choices likeliest."""
    spread = np.concatenate([rows - rows.mean(axis=0) for rows, _ in choices]).std(axis=0) + 1e-9
    scaled = [(rows / spread, right) for rows, right in choices if right.any()]
    weights = np.zeros(len(spread))
    last = -np.inf
    for _ in range(60):
        value, slope, bend = _likelihood(scaled, weights, ridge)
        if value - last < 1e-4:  # noqa: PLR2004
            break
        last = value
        step = np.linalg.solve(bend, slope)
        while _likelihood(scaled, weights + step, ridge)[0] < value and np.abs(step).max() > 1e-6:  # noqa: PLR2004
            step /= 2
        weights = weights + step
    return weights / spread


def _likelihood(
    choices: list[Choice], weights: NDArray[np.float64], ridge: float | NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the penalised log-likelihood, its slope, and the bend of its part that is concave."""
    value = -float((ridge * weights**2).sum()) / 2
    slope, bend = -ridge * weights, np.diag(np.broadcast_to(ridge, len(weights)))
    for rows, right in choices:
        scores = rows @ weights
        powers = np.exp(scores - scores.max())
        p, among = powers / powers.sum(), np.where(right, powers, 0)
        value += float(np.log(among.sum() / powers.sum() + 1e-300))
        mean = p @ rows
        slope += (among / (among.sum() + 1e-300)) @ rows - mean
        bend += (rows * p[:, np.newaxis]).T @ rows - np.outer(mean, mean)
    return value, slope, bend


def unseen(songs: list[Song], choices: list[Choice], ridge: float) -> list[NDArray[np.float64]]:
    """Return the scores of each song by weights that were fitted without its style."""
    fold = [zlib.crc32(b"f" + truth.style.encode()) % FOLDS for truth, _ in songs]
    weights = [
        fitted([one for one, k in zip(choices, fold, strict=True) if k != left_out], ridge)
        for left_out in range(FOLDS)
    ]
    return [rows @ weights[k] for (rows, _), k in zip(choices, fold, strict=True)]


def right_tempi(truth: Truth) -> NDArray[np.bool_]:
    """Return the tempi of the grid that the song holds for long enough."""
    tempi = 60 / np.diff(truth.beats)
    near = np.abs(np.log2(tempo.GRID_BPM[:, np.newaxis] / tempi)) < NEAR_OCTAVES
    held = near.mean(axis=1)
    return np.asarray(held >= min(SHARE, held.max() * 0.99))


def fit_tempo(songs: list[Song]) -> dict[str, NDArray[np.float64]]:
    """Return the weights of both stages."""
    envelopes = [onsets.envelopes(evidence.rises) for _, evidence in songs]
    right = [right_tempi(truth) for truth, _ in songs]
    grids = [(tempo.grid_evidence(envelope), ok)
             for envelope, ok in zip(envelopes, right, strict=True)]  # fmt: skip
    second = []
    scored = unseen(songs, grids, RIDGES["tempo1"])
    for (_, evidence), envelope, scores, ok in zip(songs, envelopes, scored, right, strict=True):
        harmony = harmony_of(evidence.pitch, tuning_of(evidence.cents).cents)
        places = tempo.peaks(scores)
        second.append((tempo.trial_evidence(envelope, harmony, scores, places), ok[places]))
    return {"tempo1": fitted(grids, RIDGES["tempo1"]), "tempo2": fitted(second, RIDGES["tempo2"])}


def fit_bars(songs: list[Song]) -> dict[str, NDArray[np.float64]]:
    """Return the weights of bars."""
    choices = []
    for truth, evidence in songs:
        envelope = onsets.envelopes(evidence.rises)
        beats = track(onsets.beat_strength(envelope), truth.bpm)
        seconds = evidence.offset_s + beats / FRAMES_PER_S
        if f_measure(truth.beats, seconds.tolist()) < LEAST_BEAT_F:
            continue
        harmony = harmony_of(evidence.pitch, tuning_of(evidence.cents).cents)
        rows = bars.bar_evidence(beats, envelope, harmony)
        nearest = [int(np.abs(seconds - at).argmin()) % truth.meter for at in truth.downbeats]
        phase = int(np.bincount(nearest).argmax())
        right = np.array([one == (truth.meter, phase) for one in bars.HYPOTHESES])
        choices.append((rows, right))
    return {"bars": fitted(choices, RIDGES["bars"])}


def fit_key(songs: list[Song]) -> dict[str, NDArray[np.float64]]:
    """Return the weights of the key."""
    choices = []
    for truth, evidence in songs:
        right = np.array([name == truth.key for name in key.KEYS])
        cents = tuning_of(evidence.cents).cents
        rng = np.random.default_rng(zlib.crc32(truth.name.encode()))
        cut = np.array([rng.uniform(0.1, 0.35), rng.uniform(0.65, 0.9)]) * len(evidence.pitch)
        for pitch in (evidence.pitch, evidence.pitch[int(cut[0]) : int(cut[1])]):
            scale = chroma.loudness_scale(pitch)
            choices.append((key.key_evidence(pitch, key.tonal_frames(pitch), cents, scale), right))
    few = fitted([(rows[:, :KEY_COLUMNS], right) for rows, right in choices], RIDGES["key"])
    ridges = np.full(choices[0][0].shape[1], DEGREES_RIDGE)
    ridges[:KEY_COLUMNS] = RIDGES["key"]
    weights = (1 - FEW_SHARE) * fitted(choices, ridges)
    weights[:KEY_COLUMNS] += FEW_SHARE * few
    return {"key": weights}


def main() -> None:
    """Fit everything, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs-per-style", type=int, default=4)
    args = parser.parse_args()
    songs = [
        (truth, evidence_of(args.folder / f"{truth.name}.flac"))
        for truth in make_set(args.folder, songs_per_style=args.songs_per_style)
        if not truth.held
    ]
    fits: tuple[Callable[[list[Song]], dict[str, Any]], ...] = (fit_tempo, fit_bars, fit_key)
    weights = {name: [float(f"{value:.6g}") for value in values]
               for fit in fits for name, values in fit(songs).items()}  # fmt: skip
    WEIGHTS.write_text(json.dumps(weights, indent=0) + "\n", "utf-8")
    print(f"fitted on {len(songs)} songs: {', '.join(f'{k} {len(v)}' for k, v in weights.items())}")


if __name__ == "__main__":
    main()
