"""The passage that a report plays in several versions: equally loud, in step, bounded."""

import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile as sf

from dsp.measure.loudness import LoudnessMeter
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.excerpts import LENGTH_S, Passage, PlainSum
from tests.support.sessions import make_session


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("session") / "Song", seconds=6.0)


@pytest.fixture(scope="module")
def made(session, tmp_path_factory):
    out = tmp_path_factory.mktemp("mix")
    settings = Settings(also=[{"stems": "preview"}], align="off")
    return mix(session, out, settings, report=lambda *_: None), out


def lufs(sound, rate_hz):
    meter = LoudnessMeter(rate_hz, 2)
    meter.update(sound.astype(np.float32))
    return float(meter.integrated_lufs())


def sounds_in(page):
    found = re.findall(r'src="data:audio/ogg;base64,([^"]*)"', page.read_text("utf-8"))
    return [sf.read(io.BytesIO(base64.b64decode(one)), always_2d=True) for one in found]


def test_mix_and_plain_sum_are_equally_loud_and_do_not_clip(made):
    """As decoded from the page, whatever the stems' levels are."""
    _, (mix, rate_hz), (plain, _) = sounds_in(made[1] / "report.html")

    assert lufs(mix, rate_hz) == pytest.approx(lufs(plain, rate_hz), abs=0.3)
    assert np.abs(mix).max() < 1.0
    assert np.abs(plain).max() < 1.0
    assert len(mix) == len(plain)


def test_plain_sum_is_the_stems_as_they_came(session, made):
    """Nothing but a gain and the small codec lies between them."""
    _, _, (plain, rate_hz) = sounds_in(made[1] / "report.html")
    stems = [sf.read(path, always_2d=True)[0] for path in sorted(session.iterdir())]
    wanted = sum(
        np.repeat(stem, 2, axis=1)[:, :2] if stem.shape[1] == 1 else stem for stem in stems
    )
    spectrum = np.abs(np.fft.rfft(plain[:, 0]))[: 3_000 * len(plain) // rate_hz]
    original = np.abs(np.fft.rfft(wanted[:, 0]))[: len(spectrum)]

    assert np.corrcoef(spectrum, original)[0, 1] > 0.99


def test_each_stem_is_a_short_file_beside_the_report(made):
    """Asked for, and only then; listed as an output like any other."""
    mix, out = made
    told = json.loads((out / "report.json").read_text("utf-8"))["compared"]["solos"]

    assert {path.stem for path in (out / "solos").iterdir()} == {
        one["stem"].rsplit(".", 1)[0] for one in told
    }
    assert {one["file"] for one in told} <= set(mix.outputs.values())
    assert not list(out.rglob("*.f32"))
    assert all(sf.info(out / one["file"]).duration <= LENGTH_S for one in told)


def test_order_of_the_stems_changes_no_bit_of_the_plain_sum():
    """Sums of floats depend on it; this one does not."""
    rng = np.random.default_rng(1)
    blocks = [rng.standard_normal((500, channels)).astype(np.float32) for channels in (1, 2, 2, 1)]
    sums = []
    for order in (blocks, blocks[::-1]):
        total = PlainSum(Passage(100, 300))
        for block in order:
            total.add(0, block)
        sums.append(np.concatenate(list(total.blocks())))

    assert np.array_equal(*sums)
    assert sums[0] == pytest.approx(sum(block[100:400] for block in blocks), abs=1e-5)
