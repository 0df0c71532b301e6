"""The mix handler: what a recall sheet in the folder of stems means."""

import numpy as np
import pytest
import yaml

from daemon.errors import BadInput
from daemon.handlers import mix
from daemon.handlers.contract import Task
from tests.support.stems import written


def mixed(folder, out, **options):
    out.mkdir()
    asked = mix.Options(threads=1, **options)
    return mix.handle(Task(folder.name, folder, out, asked, lambda *_: None))


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Two seconds of two stems, and what they were mixed into."""
    folder = tmp_path_factory.mktemp("mixes")
    stems, rng = folder / "Song", np.random.default_rng(7)
    stems.mkdir()
    for name, hz in (("bass.wav", 80.0), ("vocal.wav", 330.0)):
        sound = 0.2 * np.sin(2 * np.pi * hz * np.arange(96_000) / 48_000)
        noise = 0.01 * rng.standard_normal(96_000)
        written(stems / name, (sound + noise).astype(np.float32)[:, None])
    first = mixed(stems, folder / "first")
    return stems, yaml.safe_load((folder / "first/mix.yaml").read_text()), first


@pytest.mark.parametrize("name", ["mix.yaml", "job.yaml"])
def test_edited_recall_sheet_counts_under_its_own_name(song, tmp_path, name):
    """Whoever copies it beside the stems and changes a number hears the change.

    ``job.yaml`` is read before the handler is asked; its options arrive with the task.
    """
    stems, sheet, first = song
    sheet["stems"]["bass.wav"]["mute"] = True
    options = sheet if name == "job.yaml" else {}
    (stems / name).write_text(yaml.safe_dump(sheet))
    second = mixed(stems, tmp_path / "out", **options)
    told = yaml.safe_load((tmp_path / "out/mix.yaml").read_text())
    (stems / name).unlink()

    assert told["stems"]["bass.wav"]["mute"]
    assert second.outputs[0].path == first.outputs[0].path
    assert "SHEET_NOT_READ" not in [note.code for note in second.notes]


def test_sheet_beside_other_settings_is_named(song, tmp_path):
    """One of the two counts, and which one is said."""
    stems, sheet, _ = song
    (stems / "mix.yaml").write_text(yaml.safe_dump({**sheet, "preset": "loud"}))
    (stems / "job.yaml").write_text("preset: podcast\n")
    notes = mixed(stems, tmp_path / "out", preset="podcast").notes
    told = yaml.safe_load((tmp_path / "out/mix.yaml").read_text())
    for name in ("mix.yaml", "job.yaml"):
        (stems / name).unlink()

    assert "podcast" == told["preset"]
    assert "SHEET_NOT_READ" == notes[0].code


def test_mistake_in_a_sheet_has_its_line(song, tmp_path):
    """As one in job.yaml has."""
    stems, *_ = song
    (stems / "mix.yaml").write_text("# mine\npreset: louder\n")
    with pytest.raises(BadInput, match=r"mix\.yaml:2:1: preset: "):
        mixed(stems, tmp_path / "out")
    (stems / "mix.yaml").unlink()
