"""The demo: a song that sounds, a folder that is its own, a daemon that ends with it."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from daemon.cli.demo import CONFIG, SONG, run_demo
from daemon.cli.demo_song import LENGTH_S, write_stems
from daemon.cli.spool_reader import pulse_of
from daemon.errors import BadInput

WAIT_S = 120


def test_song_has_five_stems_of_one_length(tmp_path):
    """Between 15 and 20 seconds, whole, and none of them clips."""
    infos = [soundfile.info(path) for path in write_stems(tmp_path / "song")]

    assert (5, 1) == (len(infos), len({info.frames for info in infos}))
    assert 15 < LENGTH_S < 20
    for path in (tmp_path / "song").iterdir():
        assert 0.05 < abs(soundfile.read(path)[0]).max() < 0.99, path.name


def test_song_is_the_same_each_time(tmp_path):
    """Its randomness has a seed."""
    first, second = (write_stems(tmp_path / name) for name in ("a", "b"))

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_demo_leaves_a_strangers_folder_alone(tmp_path):
    """It is refused before anything is written."""
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(BadInput, match="was not created by"):
        run_demo(tmp_path, as_json=False)
    assert [tmp_path / "thesis.txt"] == list(tmp_path.iterdir())


def test_demo_leaves_a_real_spool_alone(tmp_path):
    """A configuration that is not the demo's is an operator's."""
    (tmp_path / "config.yaml").write_text("root: /srv/soundspool\n")

    with pytest.raises(BadInput, match="is not the one that"):
        run_demo(tmp_path, as_json=False)


def demo(spool, *words):
    command = [sys.executable, "-m", "daemon", "demo", "--spool", str(spool), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_demo_ends_with_a_mix_and_a_report(tmp_path):
    """From nothing to a finished song, twice, and no daemon is left."""
    for _ in range(2):
        process = demo(tmp_path / "demo", "--json")
        out, err = process.communicate(timeout=WAIT_S)

        last = json.loads(out.splitlines()[-1])
        assert 0 == process.returncode, err
        results = {path.name: path.stat().st_size for path in map(Path, last["results"])}
        assert results["final_mix.wav"] > 1_000_000
        assert results["report.html"] > 1_000
        assert "stopped" == pulse_of(tmp_path / "demo").life


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")
def test_demo_of_an_article_ends_with_an_episode(tmp_path):
    """Spoken by what the machine has, with music that makes way."""
    process = demo(tmp_path / "demo", "podcast", "--json")
    out, err = process.communicate(timeout=WAIT_S)

    assert 0 == process.returncode, err
    results = {Path(path).name for path in json.loads(out.splitlines()[-1])["results"]}
    assert {"episode.mp3", "report.html"} <= results
    assert "stopped" == pulse_of(tmp_path / "demo").life


@pytest.mark.slow
def test_demo_interrupted_stops_its_daemon(tmp_path):
    """Ctrl-C once the song is dropped: exit 130, no traceback, no daemon."""
    process = demo(tmp_path / "demo")
    for line in process.stderr:
        if line.startswith(f"dropped {SONG!r}"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)

    assert 130 == process.returncode
    assert "Traceback" not in err
    assert "stopped" == pulse_of(tmp_path / "demo").life
    assert CONFIG == (tmp_path / "demo" / "config.yaml").read_text()
