"""Analyses of stems that were never recorded: what the planner decides upon."""

from pathlib import Path

import numpy as np

from dsp.formats.reader import Probe
from dsp.measure.spectrum import THIRD_OCTAVES_HZ
from dsp.mixing.align.align import Placement
from dsp.mixing.roles import PROFILES, role_of
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.track import track_of

CENTRES = np.asarray(THIRD_OCTAVES_HZ)


def analysis_of(
    name,
    *,
    seconds=30.0,
    lufs=-23.0,
    hz=500.0,
    octaves=2.0,
    active=None,
    channels=1,
    correlation=1.0,
    crest_db=12.0,
    rate_hz=48_000,
    side=0.0,
):
    """Return the analysis of a stem whose power lies around ``hz``.

    ``active`` gives the share of each second that sounds; the level is constant while it does.
    ``side`` is the share of left minus right in every band.
    """
    steps = round(seconds * 10)
    sounds = np.ones(steps) if active is None else np.repeat(active, 10)[:steps]
    power = 10.0 ** ((lufs + 0.691) / 10.0)
    shape = np.exp(-0.5 * (np.log2(CENTRES / hz) / octaves) ** 2)
    bands = np.outer(sounds[::5], shape / shape.sum() * power).astype(np.float32)
    cells = np.repeat(sounds, 10)[:2000] * power
    beat = np.exp(-np.arange(2000) / 300.0)
    peaks = (np.sqrt(power) * 10 ** (crest_db / 20) * np.tile(beat, 10)).astype(np.float32)
    return Analysis(
        probe=Probe(
            path=Path(name),
            name=name,
            container="WAV",
            subtype="PCM_24",
            rate_hz=rate_hz,
            channels=channels,
            frames=int(seconds * rate_hz),
            time_stamp_frames=None,
        ),
        sha256=("",),
        frames=int(seconds * rate_hz),
        silent=False,
        energy=(sounds * power).astype(np.float32),
        bands=bands,
        sibilance=np.zeros(0, np.int64),
        excerpt=peaks,
        excerpt_highs=peaks,
        excerpt_start_s=0.0,
        excerpt_energy=cells.astype(np.float32),
        highest=(sounds * peaks.max()).astype(np.float32),
        side=np.full(len(CENTRES), side, np.float32),
        sample_peak_dbfs=lufs + crest_db,
        rms_dbfs=lufs,
        crest_factor_db=crest_db,
        left_share=0.5,
        correlation=correlation,
        dc=0.0,
        offset_share=0.0,
        clipped_frames=0,
        nonfinite=0,
        flux=np.zeros(0, np.float32),
        wave=np.zeros(0, np.float16),
    )


def band(seconds=30.0):
    """Return a small band: lead, drums, bass, piano, pad, guitar."""
    lead = (np.arange(int(seconds)) % 8 < 6).astype(float)
    return [
        analysis_of("lead vocal.wav", lufs=-28, hz=900, octaves=1.6, active=lead, crest_db=16),
        analysis_of("drums.wav", lufs=-14, hz=300, octaves=3, channels=2, correlation=0.8),
        analysis_of("bass.wav", lufs=-30, hz=80, octaves=1),
        analysis_of("piano.wav", lufs=-20, hz=700, octaves=1.8, channels=2, correlation=0.6),
        analysis_of("pad.wav", lufs=-25, hz=400, octaves=1.5, channels=2, correlation=0.3),
        analysis_of("guitar.wav", lufs=-18, hz=900, octaves=1.5),
    ]


def in_time(analyses):
    """Return placements that leave every stem where it is."""
    return {
        a.probe.name: Placement(a.probe.name, 0.0, 1, 0.0, moved=False, why="in time")
        for a in analyses
    }


def track_named(name, **sound):
    """Return a stem as the planner sees it, in time; ``sound`` is that of ``analysis_of``."""
    analysis = analysis_of(name, **sound)
    role = role_of(name)[0]
    return track_of(
        analysis,
        name=name,
        role=role,
        profile=PROFILES[role],
        lag_s=0.0,
        song_steps=len(analysis.energy),
    )
