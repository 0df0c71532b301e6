"""What a strip does to loudness, told beforehand and then heard."""

import numpy as np
import pytest

from dsp.measure.loudness import StepEnergies, integrated_lufs
from dsp.mixing.align.align import TimingCues, align
from dsp.mixing.automation import automation_db
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.mixdown import render
from dsp.mixing.render.strip import Strip
from dsp.mixing.source import Resources, Source
from dsp.mixing.stem_analysis import analyse_all
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.stems import find_stems
from tests.support.sessions import make_session
from tests.support.stems import written

RATE_HZ, FRAMES = 48_000, 8 * 48_000
MEANS = Resources()


def planned(folder):
    probes = find_stems(folder, MEANS, Settings()).probes
    analyses = analyse_all(probes, resources=MEANS, onsets=False, report=lambda _: None)
    placements = {p.name: p for p in align(
        [TimingCues(a.probe.name, "other", RATE_HZ, a.frames, a.flux, a.wave) for a in analyses],
        mode="off",
    )}  # fmt: skip
    return plan(analyses, placements, Settings()), {p.name: p for p in probes}


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    return planned(make_session(tmp_path_factory.mktemp("predict") / "song"))


def heard_lufs(plan_, probe):
    stem = plan_.sheet.stems[probe.name]
    source = Source(probe, rate_hz=RATE_HZ, lag=0, polarity=1, resources=MEANS)
    track = next(t for t in plan_.tracks if t.name == probe.name)
    key = plan_.lead_active.astype(np.float64)
    moved_db = automation_db(stem, track, plan_.lead_active)
    strip = Strip(stem, source, moved_db=moved_db, key=key, rate_hz=RATE_HZ)
    meter = StepEnergies(RATE_HZ, 2, step_s=STEP_S)
    meter.update(strip.read(FRAMES))
    strip.close()
    return integrated_lufs(meter.energies().sum(axis=1), step_s=STEP_S)


@pytest.mark.parametrize(
    "name", ["bass.flac", "drums.wav", "keys.wav", "pad.aiff", "vocal lead.wav"]
)
def test_stem_arrives_at_the_sum_as_loud_as_foretold(decided, name):
    """Trim, ride, equaliser, room, compressor, saturation, width and pan: within 1 LU."""
    plan_, probes = decided

    assert plan_.loudness_lufs[name] == pytest.approx(heard_lufs(plan_, probes[name]), abs=1.0)


@pytest.mark.parametrize(("snare_s", "level"), [(0.001, 0.5), (0.2, 0.05)])
def test_glue_takes_as_much_of_clicks_as_of_long_beats(tmp_path, snare_s, level):
    """It took 3.1 dB of a snare of a millisecond and 0.7 of a long one, for 1.25 asked."""
    at = np.arange(FRAMES) / RATE_HZ
    hiss = np.random.default_rng(1).standard_normal(FRAMES) * np.exp(-((at + 0.5) % 1.0) / snare_s)
    kick = np.sin(2 * np.pi * 60 * at) * np.exp(-((at * 2) % 1.0) * 9.0)
    held = np.sin(2 * np.pi * 440 * at + 3 * np.sin(2 * np.pi * 5 * at))
    bass = np.sin(2 * np.pi * 55 * at) + 0.5 * np.sin(2 * np.pi * 110 * at)
    pad = sum(np.sin(2 * np.pi * hz * at) for hz in (220, 277, 330))
    stems = {"drums": 0.3 * kick + level * hiss, "lead": held, "bass": bass, "pad": pad}
    for name, sound in stems.items():
        written(tmp_path / f"{name}.wav", (0.2 * sound).astype(np.float32)[:, np.newaxis])
    plan_, probes = planned(tmp_path)

    done = render(plan_, list(probes.values()), tmp_path, resources=MEANS, report=lambda _: None)

    assert 1.0 <= done.reductions["glue"].mean_db <= 1.5
