"""What is decoded once, and read twice."""

from contextlib import closing

import numpy as np
import pytest
import soundfile as sf

from dsp.mixing.copies import Copies
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from dsp.mixing.stem_analysis import analyse


def _stem(path, rate_hz=16_000):
    rng = np.random.default_rng(3)
    sf.write(path, 0.2 * rng.standard_normal((3 * rate_hz, 2)), rate_hz)
    return path


def _all(reader):
    with closing(reader):
        blocks = []
        while len(block := reader.read(10_000)):
            blocks.append(block)
        return np.concatenate(blocks)


@pytest.mark.parametrize("name", ["stem.flac", "stem.ogg"])
def test_the_second_reading_is_the_same_bits_without_the_decoder(tmp_path, name):
    """What took long to decode is read from a copy, which even outlives its file."""
    path = _stem(tmp_path / name)
    resources = Resources(copies=Copies(tmp_path))
    probe = resources.probe(path, name)
    decoded = _all(resources.reader(probe))
    analyse(probe, resources=resources)
    path.unlink()

    again = _all(resources.second_reader(probe))

    assert np.array_equal(decoded, again)
    resources.copies.close()
    assert not list(tmp_path.iterdir())


def test_a_copy_that_cannot_be_made_is_not_missed(tmp_path):
    """A mix whose copies the disk refuses is the same mix."""
    made = {}
    for case in ("copied", "refused"):
        drop, out = tmp_path / case / "Song", tmp_path / case / "out"
        drop.mkdir(parents=True)
        out.mkdir()
        _stem(drop / "vocals.flac")
        _stem(drop / "bass.ogg")
        if case == "refused":
            for number in (1, 2):
                (out / f"decoded.{number}.f32").symlink_to("/nowhere")
        mix(drop, out, Settings(), report=lambda *_: None)
        made[case] = (out / "final_mix.wav").read_bytes()

    assert made["copied"] == made["refused"]
    assert not list((tmp_path / "copied" / "out").glob("decoded.*"))
