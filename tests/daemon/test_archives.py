"""Archives: when they are whole, and what comes out of them."""

import unicodedata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from daemon.archives import archive_suffix, completeness
from daemon.config.models import Pool
from daemon.errors import BadInput
from daemon.pool.worker.prepare import prepared
from daemon.pool.worker.unpack import unpack
from tests.support.archives import HOSTILE, SONG, SUFFIXES, packed, tarred, zipped
from tests.support.crew import Crew

LIMITS = {"files": 50, "depth": 4, "bytes": 20 << 20}


def told(stage, fraction):
    """See that it is progress."""
    assert stage == "unpacking"
    assert 0 <= fraction <= 1


def unpacked(tmp_path, name, data):
    """Unpack an archive; return where the drop is."""
    (tmp_path / name).write_bytes(data)
    return unpack(tmp_path / name, tmp_path / "out", LIMITS, told)


def files_in(folder):
    """Return the files below a folder, by their path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def verdict(data, suffix):
    """Judge an archive as the inbox does."""
    return completeness(lambda at, count: data[at : at + count], len(data), suffix)[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_song_comes_out_as_it_was(tmp_path, suffix):
    """The folder in the archive stands for the drop."""
    drop = unpacked(tmp_path, f"Any name{suffix}", packed(SONG, suffix))

    assert "Song" == drop.name
    assert {f"Song/{path}": data for path, data in files_in(drop).items()} == SONG


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_loose_files_come_out_in_a_folder_of_the_archives_name(tmp_path, suffix):
    """As if somebody had made the folder."""
    drop = unpacked(tmp_path, f"Take 5{suffix}", packed({"a.wav": b"1", "b.wav": b"2"}, suffix))

    assert ("Take 5", {"a.wav": b"1", "b.wav": b"2"}) == (drop.name, files_in(drop))


def test_what_systems_leave_is_passed_over(tmp_path):
    """A Mac packs a second tree of its own; it does not keep the song's folder from counting."""
    extras = {"__MACOSX/Song/._a.wav": b"x", "Song/.DS_Store": b"x", "Song/Thumbs.db": b"x"}

    assert SONG.keys() == {
        f"Song/{path}" for path in files_in(unpacked(tmp_path, "a.zip", zipped(SONG | extras)))
    }


def test_name_that_is_utf8_without_saying_so_is_read(tmp_path):
    """macOS writes such."""
    data = zipped({"Übung.wav": b"x"}).replace(b"\x00\x08\x08\x00", b"\x00\x00\x08\x00")

    assert {"Übung.wav"} == {
        unicodedata.normalize("NFC", path) for path in files_in(unpacked(tmp_path, "a.zip", data))
    }


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive_is_refused(tmp_path, kind):
    """By its own code, with the archive's name; nothing is made outside, no link, no device."""
    suffix, make, code = HOSTILE[kind]
    before = set(Path("/etc").iterdir())

    with pytest.raises(BadInput) as refused:
        unpacked(tmp_path, f"Song{suffix}", make())

    assert (code, True) == (refused.value.code, refused.value.message.startswith(f"Song{suffix}"))
    assert {"out", f"Song{suffix}"} == {path.name for path in tmp_path.iterdir()}
    assert before == set(Path("/etc").iterdir())
    assert all(path.is_file() or path.is_dir() for path in (tmp_path / "out").rglob("*"))
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    refused.value.message.encode()


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(SUFFIXES), st.data())
def test_damaged_archive_is_refused_or_comes_out(tmp_path_factory, suffix, data):
    """Wherever its bytes are changed or end: what comes out is right, or nothing does."""
    whole = bytearray(packed(SONG, suffix))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(len(whole) // 2, len(whole))) :]
    completeness(lambda at, count: bytes(whole[at : at + count]), len(whole), suffix)
    folder = tmp_path_factory.mktemp("damaged")
    try:
        drop = unpacked(folder, f"a{suffix}", bytes(whole))
    except BadInput:
        return
    # In the plain tar nothing tells that the content was changed; its headers have sums.
    assert len(files_in(drop)) <= len(SONG)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".txz"])
def test_archive_is_whole_when_its_end_says_so(suffix):
    """And at no byte before, as far as it is copied from the front."""
    data = packed(SONG, suffix)
    ends = data.rstrip(b"\0") if suffix == ".tar" else data

    assert "complete" == verdict(data, suffix)
    assert {"short"} == {verdict(data[:size], suffix) for size in range(1, len(ends), 7)}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.bz2"])
def test_compressed_tar_does_not_tell_that_it_is_whole(suffix):
    """It has to lie still for longer."""
    assert "unknown" == verdict(packed(SONG, suffix), suffix)


def test_zip_may_end_with_a_comment():
    """Which may itself look like an end."""
    data = zipped(SONG)
    comment = b"PK\x05\x06" + b"x" * 30
    with_comment = data[:-2] + len(comment).to_bytes(2, "little") + comment

    assert "complete" == verdict(with_comment, ".zip")


def test_reserved_tar_that_ends_in_zeros_is_in_doubt():
    """Copiers that know the size reserve it first."""
    data = tarred(SONG)

    assert "unknown" == verdict(data + bytes(2 << 20), ".tar")
    assert "short" == verdict(bytes(1 << 20), ".tar")


@given(st.binary(max_size=2_000), st.sampled_from(SUFFIXES))
def test_any_bytes_get_an_answer(data, suffix):
    """Under any of the names."""
    assert verdict(data, suffix) in ("complete", "unknown", "short")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("Song.zip", ".zip"),
        ("Song.TAR.GZ", ".tar.gz"),
        ("a.b.tgz", ".tgz"),
        (".zip", ""),
        ("Song.gz", ""),
        ("Song.wav", ""),
        ("zip", ""),
    ],
)
def test_archive_is_known_by_its_name(name, suffix):
    """Whatever the case."""
    assert suffix == archive_suffix(name)


@pytest.mark.parametrize(("accepts", "expected"), [({".wav"}, "Song"), ({".zip"}, "Song.zip")])
def test_handler_that_works_on_archives_gets_them_as_they_are(tmp_path, accepts, expected):
    """Whoever accepts .zip wants the archive, not what is in it."""
    (tmp_path / "Song.zip").write_bytes(packed(SONG, ".zip"))
    (tmp_path / "out").mkdir()
    order = Crew(tmp_path, Pool()).order("job")
    order = replace(
        order, name="Song.zip", source=str(tmp_path / "Song.zip"), options={}, limits=LIMITS
    )
    handler = SimpleNamespace(ACCEPTS=accepts, Options=BaseModel)

    with prepared(handler, order, told) as task:
        assert expected == task.source.name
