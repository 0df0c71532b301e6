"""More files from one render: what each holds, and how it relates to the master."""

import numpy as np
import pytest
import soundfile as sf
import yaml

from dsp.errors import ParameterError
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from tests.support.sessions import make_session

ALSO = [
    {"preset": "broadcast"},
    {"format": "opus"},
    {"without": "lead", "name": "instrumental"},
    {"only": "lead", "name": "a cappella"},
    {"stems": "processed"},
]


def mixed(source, out, **settings):
    out.mkdir()
    return mix(
        source,
        out,
        Settings.model_validate({"balance": "plan", **settings}),
        report=lambda *_: None,
        resources=Resources(),
    )


def sound(path):
    return sf.read(path, dtype="float64", always_2d=True)[0]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("session") / "Song", seconds=4.0)


@pytest.fixture(scope="module")
def made(session, tmp_path_factory):
    out = tmp_path_factory.mktemp("mix") / "out"
    return mixed(session, out, also=ALSO), out


def test_each_is_an_output_with_its_figures(made):
    mix, out = made

    assert {
        "master": "final_mix.wav",
        "final_mix_broadcast": "final_mix_broadcast.wav",
        "final_mix": "final_mix.opus",
        "instrumental": "instrumental.wav",
        "a cappella": "a cappella.wav",
    }.items() <= mix.outputs.items()
    assert -23.0 == pytest.approx(mix.figures["final_mix_broadcast"]["integrated_lufs"], abs=0.1)
    assert all((out / path).is_file() for path in mix.outputs.values())


def test_nothing_else_is_left(made):
    mix, out = made
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}

    assert set(mix.outputs.values()) == found


def test_opus_of_a_song_at_44100_hz_is_resampled_and_as_loud(session, tmp_path):
    """Opus has no 44.1 kHz: the file has 48, and ends with the song."""
    made = mixed(
        session, tmp_path / "out", rate_hz=44_100, target_lufs=-18, also=[{"format": "opus"}]
    )
    master, opus = made.figures["master"], made.figures["final_mix"]

    assert 48_000 == opus["rate_hz"]
    assert opus["duration_s"] == pytest.approx(master["duration_s"], abs=1e-3)
    assert opus["integrated_lufs"] == pytest.approx(master["integrated_lufs"], abs=0.1)
    assert opus["true_peak_dbtp"] <= -1.0


def test_stems_add_up_to_the_mix(session, tmp_path):
    """With a chain on the sum that changes nothing but the level, they are the master."""
    plain = {"master_eq": False, "glue": False, "widen": False}
    made = mixed(
        session,
        tmp_path / "out",
        also=[{"stems": "processed"}],
        stages=plain,
        target_lufs=-35.0,
        bits=32,
    )
    out = tmp_path / "out"
    stems = [sound(out / path) for role, path in made.outputs.items() if role.startswith("stems/")]
    master, total = sound(out / "final_mix.wav"), np.sum(stems, axis=0)
    gain = float((master * total).sum() / (total * total).sum())

    assert np.abs(master - gain * total).max() < 1e-6


def test_part_lies_beside_the_master(session, tmp_path):
    """Instrumental and a cappella are the master when nothing but a gain is on the sum."""
    made = mixed(
        session,
        tmp_path / "out",
        also=ALSO[2:4],
        stages={"master_eq": False, "glue": False, "widen": False},
        target_lufs=-35.0,
        bits=32,
    )
    out = tmp_path / "out"
    parts = [sound(out / made.outputs[role]) for role in ("instrumental", "a cappella")]

    assert np.abs(sound(out / "final_mix.wav") - sum(parts)).max() < 1e-6


def test_master_is_the_same_with_deliverables_and_without(session, made, tmp_path):
    mixed(session, tmp_path / "out")

    assert (tmp_path / "out/final_mix.wav").read_bytes() == (made[1] / "final_mix.wav").read_bytes()


def test_recall_sheet_asks_for_them_again(session, made, tmp_path):
    settings = yaml.safe_load((made[1] / "mix.yaml").read_text())
    again = mixed(session, tmp_path / "out", **settings)

    assert made[0].outputs == again.outputs
    assert all(
        (tmp_path / "out" / path).read_bytes() == (made[1] / path).read_bytes()
        for path in again.outputs.values()
        if path.endswith((".wav", ".opus"))
    )


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ([{"without": "trombone"}], "trombone"),
        ([{"format": "mp3"}, {"format": "mp3"}], "final_mix.mp3"),
        ([{"format": "wav"}], "final_mix.wav"),
        ([{"name": "report", "format": "mp3"}], "report.mp3"),
        ([{"only": "lead", "without": "lead"}], "no stem"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(session, tmp_path, also, said):
    with pytest.raises(ParameterError, match=said):
        mixed(session, tmp_path / "out", also=also)

    assert [] == list((tmp_path / "out").iterdir())


def test_deliverable_that_misses_its_target_says_why(session, tmp_path):
    made = mixed(
        session, tmp_path / "out", target_lufs=-18, also=[{"target_lufs": -6, "name": "hot"}]
    )

    assert any("hot.wav" in text and "limiting" in text for _, text in made.warnings)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "x" * 65])
def test_name_that_is_no_plain_file_name_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        Settings.model_validate({"also": [{"name": name}]})
