"""How right the musical measures are, on songs whose truth is exact, beside librosa and essentia.

usage: analyze.py FOLDER [--half held|fitted|both] [--peer librosa=PYTHON] [--peer essentia=PYTHON]

FOLDER is a cache: what is missing of the truth set (``truth_set.py``) is rendered into it.
PYTHON is an interpreter that has the peer: ``python -m venv VENV; VENV/bin/pip install librosa``.
``own`` is the musical measures alone, ``whole`` all that ``soundspool analyze`` says.
All engines hear the same files, one process each, one after the other: the CPU seconds compare.
Intervals are of 95 %, by resampling styles, not songs: songs of one style err together.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import cost_of
from truth_set import NOTES, Truth, make_set

TOLERANCE = 0.04
OCTAVES = (1, 2, 1 / 2, 3, 1 / 3)
WINDOW_S = 0.07
TRIMMED_S = 5.0  # MIREX leaves the first five seconds out
RESAMPLED = 1_000

Answer = dict[str, Any]
Score = Callable[[Truth, Answer], "float | None"]


def tempo_right(truth: Truth, bpm: float, ratios: tuple[float, ...] = (1,)) -> float:
    """Return 1.0 when a tempo is within 4 % of the true one, or of a multiple of it."""
    return float(any(abs(bpm / ratio / truth.bpm - 1) <= TOLERANCE for ratio in ratios))


def f_measure(truth: list[float], found: list[float]) -> float:
    """Return the F-measure of beats within 70 ms, each counted once, after five seconds."""
    times = [t for t in truth if t >= TRIMMED_S]
    guesses = [t for t in found if t >= TRIMMED_S]
    hits, place = 0, 0
    for time in times:
        while place < len(guesses) and guesses[place] < time - WINDOW_S:
            place += 1
        if place < len(guesses) and guesses[place] <= time + WINDOW_S:
            hits += 1
            place += 1
    return 2 * hits / max(len(times) + len(guesses), 1)


def key_score(truth: str, found: str | None) -> float:
    """Return the MIREX score: 1 same, 0.5 a fifth away, 0.3 relative, 0.2 parallel."""
    if not found:
        return 0.0
    (tonic, mode), (other, other_mode) = truth.split(), found.split()
    apart = (NOTES.index(other) - NOTES.index(tonic)) % 12
    if mode == other_mode:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(apart, 0.0)
    return {0: 0.2, (9 if mode == "major" else 3): 0.3}.get(apart, 0.0)


def cents_apart(truth: float, found: float) -> float:
    """Return the distance around the circle of 100 cents."""
    return abs((found - truth + 50) % 100 - 50)


MEANS: dict[str, Score] = {
    "Acc1": lambda t, a: tempo_right(t, a["bpm"][0]),
    "Acc2": lambda t, a: tempo_right(t, a["bpm"][0], OCTAVES),
    "top 2": lambda t, a: max(tempo_right(t, bpm) for bpm in a["bpm"][:2]),
    "key (MIREX)": lambda t, a: key_score(t.key, a["key"]),
    "key exact": lambda t, a: float(a["key"] == t.key),
    "beat F": lambda t, a: f_measure(t.beats, a["beats"]),
    "downbeat F": lambda t, a: (
        f_measure(t.downbeats, a["downbeats"]) if "downbeats" in a else None
    ),
    "meter": lambda t, a: float(a["meter"] == t.meter) if "meter" in a else None,
    "step, ramp 1 %": lambda t, a: (
        None if t.kind == "constant" or not tempo_right(t, a["bpm"][0])
        else float(abs(a["bpm"][0] / t.bpm - 1) <= 0.01)  # noqa: PLR2004
    ),
    "stable as is": lambda t, a: (
        float(a["stable"] == (t.kind == "constant"))
        if "stable" in a and tempo_right(t, a["bpm"][0]) else None
    ),
    "right at p ≥ 0.8": lambda t, a: (
        tempo_right(t, a["bpm"][0]) if a.get("p", 0) >= 0.8 else None  # noqa: PLR2004
    ),
}  # fmt: skip


def table(truths: list[Truth], answers: dict[str, Answer]) -> list[str]:
    """Return one line per measure: its mean, n and interval."""
    lines = []
    for name, score in MEANS.items():
        scored = [(t.style, score(t, answers[t.name])) for t in truths]
        values = [(style, value) for style, value in scored if value is not None]
        if values:
            lines.append(f"  {name:18s}{_with_interval(values, np.mean)}")
    errors = [(t.style, cents_apart(t.cents, answers[t.name]["cents"])) for t in truths]
    p90 = _with_interval(errors, lambda cents: np.percentile(cents, 90))
    return [*lines, f"  {'tuning p90, cents':18s}{p90}"]


def _with_interval(
    values: list[tuple[str, float]], of: Callable[[list[float]], np.floating[Any]]
) -> str:
    rng = np.random.default_rng(0)
    by_style: dict[str, list[float]] = {}
    for style, value in values:
        by_style.setdefault(style, []).append(value)
    styles = list(by_style.values())
    drawn = [
        of([value for pick in rng.integers(0, len(styles), len(styles)) for value in styles[pick]])
        for _ in range(RESAMPLED)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    mean = of([value for _, value in values])
    return f"{mean:8.3f}  [{low:.3f}, {high:.3f}]  n = {len(values)}"


def main() -> None:
    """Render what is missing, let each engine hear all, print what they scored and cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs-per-style", type=int, default=4)
    parser.add_argument("--half", choices=("held", "fitted", "both"), default="held")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--errors", action="store_true", help="list what is wrong of our own")
    args = parser.parse_args()
    truths = [
        truth
        for truth in make_set(args.folder, songs_per_style=args.songs_per_style)
        if args.half == "both" or truth.held == (args.half == "held")
    ]
    peers = dict(peer.split("=", 1) for peer in args.peer)
    own_cpu_s = 0.0
    for engine, python in {"own": sys.executable, "whole": sys.executable, **peers}.items():
        files = [args.folder / f"{truth.name}.flac" for truth in truths]
        with tempfile.TemporaryDirectory() as work:
            said = Path(work) / "said.jsonl"
            script = Path(__file__).with_name("peer_analysis.py")
            cost = cost_of([python, script, engine, *files], log=said)
            lines = [line for line in said.read_text().splitlines() if line.startswith("{")]
        answers = {answer["name"]: answer for answer in map(json.loads, lines)}
        own_cpu_s = own_cpu_s or cost.cpu_s
        seconds = sum(truth.beats[-1] for truth in truths)
        print(f"{engine}: {len(truths)} songs ({args.half}), {cost.cpu_s:.1f} CPU s "
              f"({cost.cpu_s / own_cpu_s:.2f} of our own, {seconds / cost.cpu_s:.0f} × real time),"
              f" {cost.peak_mib:.0f} MiB")  # fmt: skip
        print(*table(truths, answers), sep="\n")
        if args.errors and engine == "own":
            _list_errors(truths, answers)


def _list_errors(truths: list[Truth], answers: dict[str, Answer]) -> None:
    for truth in truths:
        answer = answers[truth.name]
        right = tempo_right(truth, answer["bpm"][0])
        downbeats = f_measure(truth.downbeats, answer["downbeats"])
        if not right or answer["key"] != truth.key or downbeats < 0.8:  # noqa: PLR2004
            print(f"    {truth.name:20s} {truth.bpm:6.1f} → {answer['bpm'][0]:6.1f} "
                  f"p {answer['p']:.2f}  {truth.meter} → {answer['meter']}  "
                  f"F {f_measure(truth.beats, answer['beats']):.2f} {downbeats:.2f}  "
                  f"{truth.key} → {answer['key']}")  # fmt: skip


if __name__ == "__main__":
    main()
