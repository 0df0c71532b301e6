"""Small made-up songs, whose stems start when they are told to."""

import numpy as np
from numpy.typing import NDArray

from dsp.measure.onsets import Decimated, OnsetFlux
from dsp.mixing.align.align import TimingCues

RATE_HZ = 16_000


def notes(
    times_s: NDArray[np.float64],
    length_s: float,
    *,
    hz: float = 220.0,
    attack_ms: float = 1.0,
    decay_s: float = 0.08,
    lead_ms: float = 0.0,
    rate_hz: int = RATE_HZ,
) -> NDArray[np.float32]:
    """Return ``(frames, 1)``: harmonic notes, each after ``lead_ms`` of faint noise."""
    rng = np.random.default_rng(5)
    sound = np.zeros(round(length_s * rate_hz))
    t = np.arange(round((lead_ms / 1000 + 5 * decay_s) * rate_hz)) / rate_hz - lead_ms / 1000
    swell = np.clip(t / (attack_ms / 1000), 0, 1) * np.exp(-np.maximum(t, 0) / decay_s)
    tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 8))
    note = 0.2 * swell * tone + 0.002 * rng.standard_normal(len(t)) * (t < 0)
    note *= np.linspace(1.0, 0.0, len(t)) ** 2  # a note cut short would end with a click
    for start_s in times_s:
        first = round(start_s * rate_hz)
        part = note[: max(len(sound) - first, 0)]
        sound[first : first + len(part)] += part
    return sound.astype(np.float32)[:, None]


def rhythm(seed: int, *, length_s: float = 30.0, beat_s: float = 0.53) -> NDArray[np.float64]:
    """Return note times on a beat's quarters, most of them on the beat, never quite repeating."""
    rng = np.random.default_rng(seed)
    steps = np.arange(int(length_s / beat_s * 4) - 4)
    chance = np.array([0.75, 0.1, 0.25, 0.15])[steps % 4]
    return steps[rng.random(len(steps)) < chance] * beat_s / 4 + 0.5


def evidence(
    name: str,
    role: str,
    frames: NDArray[np.float32],
    *,
    rate_hz: int = RATE_HZ,
    start_s: float | None = None,
) -> TimingCues:
    """Return what alignment is given of these frames."""
    flux, wave = OnsetFlux(rate_hz, frames.shape[1]), Decimated(rate_hz, frames.shape[1])
    flux.update(frames)
    wave.update(frames)
    return TimingCues(name, role, rate_hz, len(frames), flux.flux(), wave.wave(), start_s)


def late(frames: NDArray[np.float32], lag_ms: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Return the frames starting later by ``lag_ms``, or with that much cut off their start."""
    shift = round(lag_ms / 1000 * rate_hz)
    silence = np.zeros((max(shift, 0), frames.shape[1]), np.float32)
    return np.concatenate([silence, frames[max(-shift, 0) :]])
