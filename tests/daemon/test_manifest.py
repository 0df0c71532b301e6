"""The manifest: what it may list, and what a worker makes of its hashes."""

import hashlib

import pytest

from daemon.config.drop_settings import daemon_keys, settings_of
from daemon.config.manifest import Listed
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput
from daemon.pool.worker.manifest_check import compare
from tests.support.files import dig

GOOD = hashlib.sha256(b"good").hexdigest()
BAD = hashlib.sha256(b"bad").hexdigest()


def listed_in(value):
    return daemon_keys(Document.of(value, name="job.yaml")).files


def told(stage, fraction):
    pass


def test_manifest_keeps_name_size_and_hash():
    """Hashes in capitals are the same hashes."""
    lines = [{"name": "a.wav", "bytes": 3, "sha256": GOOD.upper()}, {"name": "b.wav"}]

    assert [Listed("a.wav", 3, GOOD), Listed("b.wav")] == listed_in({"files": lines})


@pytest.mark.parametrize("value", [None, {}, {"files": []}])
def test_settings_without_a_list_have_no_manifest(value):
    """Nothing is listed."""
    assert [] == listed_in(value)


@pytest.mark.parametrize(
    "line",
    [
        "a.wav",
        {"bytes": 1},
        {"name": 7},
        {"name": "/etc/passwd"},
        {"name": "a/../../b"},
        {"name": "a", "bytes": -1},
        {"name": "a", "bytes": True},
        {"name": "a", "sha256": 1},
        {"name": "a", "sha256": "abc"},
        {"name": "a", "sha256": "g" * 64},
        {"name": "a", "sha265": GOOD},
        {"name": "."},
        {"name": "a" * 5000},
        {"name": "a", "bytes": 2**70},
        {"name": "a", "bytes": float("nan")},
    ],
)
def test_lines_that_say_nonsense_are_refused(line):
    """By a code of their own, before anything waits for them."""
    with pytest.raises(BadInput, match="SETTINGS_INVALID"):
        listed_in({"files": [line]})


@pytest.mark.parametrize("second", ["a.wav", "./a.wav", "e\u0301.wav"])
def test_file_that_is_listed_twice_is_refused(second):
    """By what the names mean, not by how they are written."""
    lines = [{"name": "a.wav"}, {"name": "\u00e9.wav"}, {"name": second}]

    with pytest.raises(BadInput, match=r"job\.yaml: files: entries [12] and 3 both name"):
        listed_in({"files": lines})


def test_settings_give_the_hashes_by_name(tmp_path):
    """Lines without one are left out."""
    (tmp_path / "job.yaml").write_text(
        f"files: [{{name: a.wav, sha256: {GOOD}}}, {{name: b.wav, bytes: 3}}]"
    )

    assert {"a.wav": GOOD} == settings_of(tmp_path, {}, max_bytes=1_000).sha256


def test_files_with_their_hashes_pass(tmp_path):
    """In folders too, and as far as somebody listed them."""
    (tmp_path / "drums").mkdir()
    (tmp_path / "drums" / "kick.wav").write_bytes(b"good")
    (tmp_path / "unlisted.wav").write_bytes(b"bad")

    compare(tmp_path, {"drums/kick.wav": GOOD}, told)


def test_one_file_is_its_own_drop(tmp_path):
    """It is listed under its own name."""
    (tmp_path / "song.wav").write_bytes(b"good")

    compare(tmp_path / "song.wav", {"song.wav": GOOD}, told)


def test_names_are_compared_composed(tmp_path):
    """A Mac writes é as two characters; a manifest may have it as one."""
    (tmp_path / "e\u0301.wav").write_bytes(b"good")

    compare(tmp_path, {"\u00e9.wav": GOOD}, told)


@pytest.mark.usefixtures("emptied")
def test_what_is_not_listed_is_not_entered(tmp_path):
    """Hidden folders may be deeper than any stack."""
    dig(tmp_path / ".deep")
    (tmp_path / "a.wav").write_bytes(b"good")

    compare(tmp_path, {"a.wav": GOOD}, told)


def test_another_hash_is_the_drops_fault(tmp_path):
    """File, expected and found are told."""
    (tmp_path / "a.wav").write_bytes(b"bad")

    with pytest.raises(BadInput) as caught:
        compare(tmp_path, {"a.wav": GOOD}, told)

    assert ("MANIFEST_MISMATCH", "a.wav") == (caught.value.code, caught.value.path)
    assert {"expected": GOOD, "found": BAD} == caught.value.details
    assert GOOD in caught.value.message


def test_listed_file_that_went_is_missed(tmp_path):
    """Nothing is compared with a link, either."""
    (tmp_path / "a.wav").symlink_to("/etc/passwd")

    with pytest.raises(BadInput, match="MANIFEST_MISSING_FILES"):
        compare(tmp_path, {"a.wav": GOOD}, told)
