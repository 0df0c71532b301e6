"""Songs in, their figures out: the handler, and the command that calls it."""

import csv
import json
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from daemon.cli.by_hand import handled_by_hand
from daemon.cli.progress import reporting
from daemon.errors import BadInput, NothingToDo
from daemon.handlers import analyze
from daemon.handlers.batch import MOST_SONGS
from daemon.handlers.contract import EndedPart, Split, Task
from dsp.analysis.document import analysis_of
from dsp.analysis.options import VERSION
from dsp.analysis.tags import tags_of
from tests.support.known_songs import song
from tests.support.stems import written

RATE_HZ = 22_050


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    sound = song(100.0, seconds=12.0).mono[:, None]
    path = tmp_path_factory.mktemp("songs") / "One.wav"
    return written(path, sound, rate_hz=RATE_HZ, subtype="PCM_16")


def unheard(_name, _share):
    pass


def handled(source, tmp_path, report=unheard, report_piece=unheard, **options):
    workdir = tmp_path / "work"
    workdir.mkdir()
    settings = analyze.Options(**options)
    task = Task(source.name, source, workdir, settings, report, report_piece=report_piece)
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
    assert {"songs": 2, "failed": 1, "cached": 0} == result.measurements
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


def test_by_hand_shows_a_bar_for_each_song_and_one_for_all(tmp_path):
    """On a terminal; names are shown as they are, whatever they may mean to it."""
    names = ("[red]One.wav", "Two\x1b.wav")
    (tmp_path / "Album").mkdir()
    for place, name in enumerate(names):
        tone = np.full((RATE_HZ, 1), 0.1 * (place + 1))
        written(tmp_path / "Album" / name, tone, rate_hz=RATE_HZ, subtype="PCM_16")
    terminal = Console(file=StringIO(), force_terminal=True, width=100)
    with reporting(terminal, as_json=False) as (report, report_piece):
        handled(tmp_path / "Album", tmp_path, report, report_piece)

    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.file.getvalue()).splitlines()
    for name in ("[red]One.wav", "Two\\x1b.wav", "write"):
        assert [line for line in lines if line.startswith(name) and "100%" in line], name


def test_by_hand_refuses_bad_input_and_leaves_nothing(tmp_path, capsys):
    """A failure has its exit code and no folder."""
    path = tmp_path / "song.wav"
    path.write_bytes(b"<html>" * 100)
    code = handled_by_hand(analyze, path, tmp_path / "out", [], as_json=False)

    assert 65 == code
    assert "INPUT_NOT_AUDIO" in capsys.readouterr().err
    assert ["song.wav"] == [one.name for one in tmp_path.iterdir()]


def rounds(source, tmp_path, **options):
    """Let a handler that has a cache do a whole job; return its result, folder and parts."""
    kept, settings = tmp_path / "kept", analyze.Options(**options)
    kept.mkdir(exist_ok=True)
    folders = (Path(mkdtemp(dir=tmp_path)) for _ in range(100))

    def task(workdir, **more):
        return Task(source.name, source, workdir, settings, lambda *_: None, kept=kept, **more)

    workdir, given, parts = next(folders), {}, 0
    while isinstance(made := analyze.handle(task(workdir, **given)), Split):
        ended = []
        for one in made.parts:
            parts += 1
            folder = next(folders)
            more = {"round": 1, "carried": workdir, "part": one.options}
            try:
                analyze.part(task(folder, **more))
                ended.append(EndedPart(one.name, "done", folder))
            except BadInput as error:
                said = {"code": error.code, "message": error.message}
                ended.append(EndedPart(one.name, "failed", folder, error=said))
        given = {"round": given.get("round", 0) + 1, "carried": workdir, "parts": tuple(ended)}
        workdir = next(folders)
    return made, workdir, parts


@pytest.fixture
def album(wav, tmp_path):
    """Two songs in a folder, one of them twice, with their truth."""
    folder = tmp_path / "Album"
    folder.mkdir()
    shutil.copy(wav, folder / "One.wav")
    shutil.copy(wav, folder / "=Same.wav")
    sound = song(140.0, seconds=12.0, key="A minor").mono[:, None]
    written(folder / "Two.wav", 0.1 * sound, rate_hz=RATE_HZ, subtype="PCM_16")
    (folder / "truth.csv").write_text("file;bpm;key\nOne;100;C\nTwo.wav;70;Am\nNone;1;\n")
    return folder


def table_of(workdir):
    with (workdir / "table.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_equal_files_are_analysed_once_and_not_at_all_the_second_time(album, tmp_path):
    """What is known costs no part; ``force`` asks again."""
    _, first, parts = rounds(album, tmp_path)
    _, second, no_parts = rounds(album, tmp_path)
    _, forced, again = rounds(album, tmp_path, force=True)

    assert (2, 0, 2) == (parts, no_parts, again)
    assert "'=Same.wav" in table_of(first)
    assert "=Same.wav" == table_of(first)["One.wav"]["same_as"].lstrip("'")
    for workdir, source in ((first, "fresh"), (second, "cache"), (forced, "fresh")):
        assert {source} == {row["source"] for row in table_of(workdir).values()}


def test_truth_makes_errors_and_a_calibration(album, tmp_path):
    """Rows that name no song are told of; the errors say how many songs they are of."""
    result, workdir, _ = rounds(album, tmp_path)
    told = json.loads((workdir / "batch.json").read_text())

    assert ["TRUTH_UNMATCHED"] == [note.code for note in result.notes]
    assert (0.5, 2) == (told["errors"]["acc1"]["value"], told["errors"]["acc1"]["n"])
    assert "Two.wav" in (workdir / "errors.csv").read_text()
    assert {"errors.csv", "calibration.yaml"} < {output.path for output in result.outputs}

    shutil.copy(workdir / "calibration.yaml", album / "calibration.yaml")
    _, again, _ = rounds(album, tmp_path)
    assert "Album" == json.loads((again / "batch.json").read_text())["calibration"]


def test_calibration_moves_tempi_and_a_stale_one_moves_nothing(album, tmp_path):
    """It is applied to what is kept, without another analysis."""
    rounds(album, tmp_path)
    text = "{name: mine, songs: 9, version: '%s', tempo_range: [50, 100]}"
    (album / "calibration.yaml").write_text(text % VERSION)
    _, moved, parts = rounds(album, tmp_path)
    (album / "calibration.yaml").write_text(text % "0")
    result, stale, _ = rounds(album, tmp_path)

    assert 0 == parts
    assert 70.0 == pytest.approx(float(table_of(moved)["Two.wav"]["bpm"]), rel=0.01)
    assert 140.0 == pytest.approx(float(table_of(stale)["Two.wav"]["bpm"]), rel=0.01)
    assert "CALIBRATION_STALE" in [note.code for note in result.notes]


def test_unreadable_truth_costs_no_song(album, tmp_path):
    """The line is named."""
    (album / "truth.csv").write_text("file;bpm\nOne;fast\n")
    result, workdir, _ = rounds(album, tmp_path)

    assert ["TRUTH_UNREADABLE"] == [note.code for note in result.notes]
    assert "line 2" in result.notes[0].message
    assert 3 == len(table_of(workdir))


def test_folder_has_an_album_gain(album, tmp_path):
    """Gated over all its songs: one that is soft beside the others counts for nothing."""
    _, workdir, _ = rounds(album, tmp_path)
    rows = table_of(workdir).values()
    gains = [float(row["track_gain_db"]) for row in rows]
    (gain,) = {float(row["album_gain_db"]) for row in rows}

    assert gain == pytest.approx(min(gains), abs=0.02)
    assert max(gains) > gain + 10.0


def test_too_many_songs_are_refused_before_any_is_read(tmp_path):
    """One job has an end."""
    drop = tmp_path / "Library"
    drop.mkdir()
    for place in range(MOST_SONGS + 1):
        (drop / f"{place}.wav").touch()

    with pytest.raises(BadInput) as refused:
        handled(drop, tmp_path)

    assert "TOO_MANY_SONGS" == refused.value.code


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus", ".aiff", ".m4a"])
def test_copy_has_the_same_sound_and_what_was_found(wav, tmp_path, suffix):
    """Read by another reader; the song in the drop is as it was."""
    source = tmp_path / f"One{suffix}"
    more = ("-strict", "-2") if suffix in {".ogg", ".opus"} else ()
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, *more, source], check=True)
    before = source.read_bytes()
    result, workdir = handled(source, tmp_path, tags="copy")
    copy = workdir / f"tagged{suffix}"
    read = tags_of(copy)

    assert [copy.name] == [one.path for one in result.outputs if one.role == "tagged"]
    assert (before, []) == (source.read_bytes(), list(result.notes))
    assert packets(source) == packets(copy)
    assert "100" == read.bpm
    short = result.measurements["key"].replace(" major", "").replace(" minor", "m")
    assert (None if suffix == ".m4a" else short) == read.key


def packets(path):
    """Return a digest of the decoded sound."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-f", "md5", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_last_round_is_never_without_progress_for_longer_than_a_song_takes(wav, tmp_path):
    """Thousands of documents and copies take minutes; they are no stall."""
    drop, told = tmp_path / "Album", set()
    drop.mkdir()
    for place in range(20):
        shutil.copy(wav, drop / f"{place}.wav")
    handled(drop, tmp_path, lambda *said: told.add(said), tags="copy")
    shares = [share for stage, share in told if stage == "write"]

    for low, high in ((0.95, 0.955), (0.955, 0.96), (0.96, 1.0)):  # found, surveyed, written
        assert 19 <= len([share for share in shares if low <= share <= high]), low


def test_song_without_room_for_tags_is_named(album, tmp_path):
    """WAV has no fields for them: one note for all of a folder, which is analysed all the same."""
    result, workdir, _ = rounds(album, tmp_path, tags="copy")

    (message,) = [note.message for note in result.notes if note.code == "TAGS_NOT_WRITTEN"]
    assert "of 3 songs" in message
    assert [] == list(workdir.rglob("tagged*"))
