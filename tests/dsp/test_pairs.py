"""Two mono files that are one stereo stem, and those that only look like it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml

from dsp.formats.reader import Probe
from dsp.mixing.mix import mix
from dsp.mixing.pairs import paired
from dsp.mixing.recall_sheet import Settings
from tests.support.stems import written

RATE_HZ = 48_000


def mono(name, *, frames=RATE_HZ, rate_hz=RATE_HZ, channels=1, stamp=None):
    return Probe(Path(name), name, "wav", "PCM_24", rate_hz, channels, frames, stamp)


def names(probes, named=frozenset()):
    return [probe.name for probe in paired(probes, set(named))]


@pytest.mark.parametrize(
    ("left", "right", "stem"),
    [
        ("Synth.L.wav", "Synth.R.wav", "Synth.wav"),
        ("OH L.wav", "OH R.wav", "OH.wav"),
        ("pad_l.aiff", "pad_r.aiff", "pad.aiff"),
        ("Keys Left.flac", "Keys Right.flac", "Keys.flac"),
        ("Room-1.wav", "Room-2.wav", "Room.wav"),
        ("sub/Gtr-L.wav", "sub/Gtr-R.wav", "sub/Gtr.wav"),
    ],
)
def test_sides_become_one_stem(left, right, stem):
    """Every way in which workstations name the two sides."""
    (pair,) = paired([mono(right), mono(left)], set())

    assert (stem, 2, [left, right]) == (pair.name, pair.channels, [p.name for p in pair.files])


@pytest.mark.parametrize(
    "probes",
    [
        pytest.param([mono("OH L.wav")], id="one side"),
        pytest.param([mono("OH L.wav"), mono("OH R.wav", frames=RATE_HZ + 1)], id="lengths"),
        pytest.param([mono("OH L.wav", frames=None), mono("OH R.wav", frames=None)], id="unknown"),
        pytest.param([mono("OH L.wav"), mono("OH R.wav", rate_hz=44_100)], id="rates"),
        pytest.param([mono("OH L.wav", channels=2), mono("OH R.wav", channels=2)], id="stereo"),
        pytest.param([mono("OH L.wav", stamp=0), mono("OH R.wav", stamp=9)], id="stamps"),
        pytest.param([mono("a/OH L.wav"), mono("b/OH R.wav")], id="folders"),
        pytest.param([mono("OH L.wav"), mono("OH R.flac")], id="suffixes"),
        pytest.param([mono("OH L.wav"), mono("OH R.wav"), mono("OH.wav")], id="the name is taken"),
        pytest.param([mono(f"Vox-{take}.wav") for take in (1, 2, 3)], id="takes"),
        pytest.param([mono("Vocal.wav"), mono("Vocar.wav")], id="the end of a word"),
    ],
)
def test_what_only_looks_like_sides_stays_apart(probes):
    """What differs in anything but its side is two stems."""
    assert [probe.name for probe in probes] == names(probes)


def test_side_that_the_settings_name_is_a_stem():
    """Who names one side, means it."""
    assert ["OH L.wav", "OH R.wav"] == names([mono("OH L.wav"), mono("OH R.wav")], {"OH L.wav"})


def test_pair_is_mixed_as_one_stereo_stem(tmp_path):
    """Left stays left and right stays right, on one strip; both files are named as inputs."""
    t, song, out = np.arange(4 * RATE_HZ) / RATE_HZ, tmp_path / "Song", tmp_path / "out"
    song.mkdir()
    out.mkdir()
    for side, hz in (("L", 3000.0), ("R", 5000.0)):
        sound = (0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[:, None]
        written(song / f"Synth.{side}.wav", sound)
    made = mix(song, out, Settings(), report=lambda *_: None)
    sound, _ = sf.read(out / "final_mix.wav")
    left, right = np.abs(np.fft.rfft(sound[RATE_HZ : 2 * RATE_HZ].T))

    assert ["Synth.wav"] == list(yaml.safe_load((out / "mix.yaml").read_text())["stems"])
    assert ["Synth.L.wav", "Synth.R.wav"] == [one["path"] for one in made.inputs]
    assert left[3000] > 10 * right[3000]
    assert right[5000] > 10 * left[5000]
