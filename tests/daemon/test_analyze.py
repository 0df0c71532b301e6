"""Songs in, their figures out: the handler, and the command that calls it."""

import json
import shutil

import pytest
from pydantic import ValidationError

from daemon.cli.by_hand import handled_by_hand
from daemon.errors import BadInput, NothingToDo
from daemon.handlers import analyze
from daemon.handlers.contract import Task
from dsp.analysis.document import analysis_of
from tests.support.known_songs import song
from tests.support.stems import written

RATE_HZ = 22_050


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    sound = song(100.0, seconds=12.0).mono[:, None]
    path = tmp_path_factory.mktemp("songs") / "One.wav"
    return written(path, sound, rate_hz=RATE_HZ, subtype="PCM_16")


def handled(source, tmp_path, report=lambda _stage, _share: None, **options):
    workdir = tmp_path / "work"
    workdir.mkdir()
    task = Task(source.name, source, workdir, analyze.Options(**options), report)
    return analyze.handle(task), workdir


def without_cost(text):
    document = json.loads(text)
    del document["analysis"]["cpu_s"]
    return document


def test_song_gets_its_documents(wav, tmp_path):
    """One file, one analysis, one outline."""
    result, workdir = handled(wav, tmp_path)
    analysis = analysis_of((workdir / "analysis.json").read_bytes())

    assert 100.0 == pytest.approx(analysis.tempo.bpm.value, rel=5e-3)
    assert result.measurements["bpm"] == analysis.tempo.bpm.value
    assert ["analysis.json", "peaks.json", "analysis.html"] == [o.path for o in result.outputs]
    assert 512 == json.loads((workdir / "peaks.json").read_text())["samples_per_pixel"]
    assert analysis.file.sha256 == result.inputs[0]["sha256"]


def test_folder_gives_each_song_a_folder_and_goes_on_past_a_bad_one(wav, tmp_path):
    """A song that fails is named; the others are analysed."""
    drop = tmp_path / "Album"
    (drop / "Disc 1").mkdir(parents=True)
    shutil.copy(wav, drop / "One.wav")
    shutil.copy(wav, drop / "Disc 1" / "Two.wav")
    (drop / "Three.wav").write_bytes(b"<html>" * 100)
    (drop / "notes.txt").write_text("not a song")
    told = []
    result, workdir = handled(drop, tmp_path, lambda _stage, share: told.append(share))

    assert ["SONG_FAILED"] == [note.code for note in result.notes]
    assert "Three.wav" in result.notes[0].message
    assert {"Disc 1/Two.wav/analysis.json", "One.wav/analysis.json"} == {
        output.path for output in result.outputs if output.role == "data"
    }
    assert all((workdir / output.path).is_file() for output in result.outputs)
    assert told == sorted(told)
    assert {"songs": 2} == result.measurements
    page = (workdir / "index.html").read_text("utf-8")
    assert '"./Disc%201/Two.wav/analysis.html"' in page
    assert '["INPUT_NOT_AUDIO","' in page
    assert 'href="../../index.html"' in (workdir / "Disc 1/Two.wav/analysis.html").read_text(
        "utf-8"
    )


def test_folder_of_bad_songs_fails_as_most_of_them_do(tmp_path):
    """Where nothing can be analysed the job has failed."""
    drop = tmp_path / "Album"
    drop.mkdir()
    for name in ("a.wav", "b.wav"):
        (drop / name).write_bytes(b"<html>" * 100)
    (drop / "c.wav").write_bytes(b"")

    with pytest.raises(BadInput) as refused:
        handled(drop, tmp_path)

    assert "INPUT_NOT_AUDIO" == refused.value.code


def test_folder_without_a_song_is_nothing_to_do(tmp_path):
    """Text alone is no failure."""
    drop = tmp_path / "Album"
    drop.mkdir()
    (drop / "notes.txt").write_text("not a song")

    with pytest.raises(NothingToDo):
        handled(drop, tmp_path)


def test_options_that_change_no_number_change_no_figure(wav, tmp_path):
    """How the outline is written says nothing of the song."""
    for name, options in (("a", {"peaks": "json"}), ("b", {"peaks": "none"})):
        (tmp_path / name).mkdir()
        handled(wav, tmp_path / name, **options)
    first, second = (
        without_cost((tmp_path / name / "work" / "analysis.json").read_text()) for name in "ab"
    )

    assert first == second


@pytest.mark.parametrize(
    "options", [{"sections": 1}, {"tempo": {"range": [90, 100]}}, {"peaks": "xml"}, {"sctions": 3}]
)
def test_bad_option_is_refused_before_any_work(options):
    """Nothing is decoded for settings that cannot be obeyed."""
    with pytest.raises(ValidationError):
        analyze.Options(**options)


def test_by_hand_makes_what_the_handler_makes(wav, tmp_path, capsys):
    """The command and the daemon write the same document."""
    _, workdir = handled(wav, tmp_path)
    out = tmp_path / "out"
    code = handled_by_hand(analyze, wav, out, ["sections=15"], as_json=True)
    done = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert 0 == code
    assert "done" == done["event"]
    assert without_cost((workdir / "analysis.json").read_text()) == without_cost(
        (out / "analysis.json").read_text()
    )


def test_by_hand_says_what_was_found(wav, tmp_path, capsys):
    """People read the figures that matter most, and where the rest is."""
    assert 0 == handled_by_hand(analyze, wav, tmp_path / "out", [], as_json=False)
    said = capsys.readouterr()

    assert "BPM" in said.err
    assert "LUFS" in said.err
    assert str(tmp_path / "out" / "analysis.json") in said.out


def test_by_hand_refuses_bad_input_and_leaves_nothing(tmp_path, capsys):
    """A failure has its exit code and no folder."""
    path = tmp_path / "song.wav"
    path.write_bytes(b"<html>" * 100)
    code = handled_by_hand(analyze, path, tmp_path / "out", [], as_json=False)

    assert 65 == code
    assert "INPUT_NOT_AUDIO" in capsys.readouterr().err
    assert ["song.wav"] == [one.name for one in tmp_path.iterdir()]
