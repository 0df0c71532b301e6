"""What a strip does to loudness, told beforehand and then heard."""

import numpy as np
import pytest

from dsp.measure.loudness import StepEnergies, integrated_lufs
from dsp.mixing.align.align import TimingCues, align
from dsp.mixing.automation import automation_db
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.strip import Strip
from dsp.mixing.source import Resources, Source
from dsp.mixing.stem_analysis import analyse_all
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.stems import find_stems
from tests.support.sessions import make_session

RATE_HZ, FRAMES = 48_000, 8 * 48_000
MEANS = Resources()


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    folder = make_session(tmp_path_factory.mktemp("predict") / "song")
    probes = find_stems(folder, MEANS, Settings()).probes
    analyses = analyse_all(probes, resources=MEANS, onsets=False, report=lambda _: None)
    placements = {p.name: p for p in align(
        [TimingCues(a.probe.name, "other", RATE_HZ, a.frames, a.flux, a.wave) for a in analyses],
        mode="off",
    )}  # fmt: skip
    return plan(analyses, placements, Settings()), {p.name: p for p in probes}


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
