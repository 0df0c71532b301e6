"""What commands do with files alone: submit, retry, cancel, pause; and what they read."""

import json
import os

import pytest

from daemon.cli.control import cancel, clear, pause, resume, retry
from daemon.cli.diagnose.explain import explanation
from daemon.cli.spool_reader import chosen_failed, failed_drops, find_failed, find_status, pulse_of
from daemon.cli.submit import assigned, submit
from daemon.config.models import Limits
from daemon.errors import BadInput, Unavailable
from daemon.files import Files
from daemon.intake.completeness import Rules
from daemon.intake.drop import look
from daemon.intake.evidence import DiskEvidence
from daemon.intake.settle import Settler
from dsp.containers.identify import AUDIO_SUFFIXES
from tests.support.desks import DeskSpool, stems
from tests.support.files import Died, DyingFiles, RecordingFiles
from tests.support.spools import NOW_MS, daemon_json, drop

HOSTILE = "-rf $(x)\n\x1b[31m'\" é\udcff"


@pytest.fixture
def spool(tmp_path):
    return DeskSpool(tmp_path)


def first_look(inbox, name):
    """Return what the daemon makes of a drop at its very first look."""
    fd = os.open(inbox, os.O_RDONLY)
    try:
        found = look(fd, name, Limits(), AUDIO_SUFFIXES)
        settler = Settler(Rules(2, 5, 90, 30, 900, 3600))
        return settler.observe(found, DiskEvidence(fd, found, 65_536), 0.0)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("text", "settled"), [("", True), ("full: true\n", True), ("full: tr", False)]
)
def test_request_whose_last_line_has_ended_need_not_be_quiet_for_long(tmp_path, text, settled):
    """Somebody who asks for a scan sees it begin; half a line may still be typed."""
    (tmp_path / "now.scan").write_text(text)
    settler, accepts = Settler(Rules(2, 5, 90, 30, 900, 3600)), frozenset({".scan"})
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        found = look(fd, "now.scan", Limits(), accepts)
        looks = [settler.observe(found, DiskEvidence(fd, found, 1), now_s) for now_s in (0.0, 2.0)]
    finally:
        os.close(fd)

    assert [False, settled] == [one.settled for one in looks]


def test_submit_copies_a_folder_into_the_inbox(spool, tmp_path):
    """Every file arrives under its path, and the source stays."""
    song = stems(tmp_path)

    place = submit(song, spool.inbox, {}, Files())

    assert (song / "drums/kick.wav").read_bytes() == (place / "drums/kick.wav").read_bytes()
    assert ["Song", "Song.done"] == spool.names()


def test_submit_makes_a_drop_that_is_whole_at_the_first_look(spool, tmp_path):
    """It need not settle: the marker came before it."""
    submit(stems(tmp_path), spool.inbox, {}, Files())

    assert first_look(spool.inbox, "Song").settled


def test_submit_of_a_file_is_whole_at_the_first_look(spool, tmp_path):
    """The marker lies beside it."""
    submit(stems(tmp_path) / "bass.wav", spool.inbox, {}, Files())

    assert first_look(spool.inbox, "bass.wav").settled


def test_submit_writes_settings_into_a_folder(spool, tmp_path):
    """--set becomes job.yaml."""
    place = submit(stems(tmp_path), spool.inbox, {"preset": "podcast"}, Files())

    assert {"preset": "podcast"} == json.loads((place / "job.yaml").read_text())


def test_submit_writes_settings_beside_a_file(spool, tmp_path):
    """A file's settings bear its name."""
    submit(stems(tmp_path) / "bass.wav", spool.inbox, {"a.b": 1}, Files())

    assert {"a": {"b": 1}} == json.loads((spool.inbox / "bass.wav.job.yaml").read_text())


def test_submit_merges_settings_over_those_that_are_there(spool, tmp_path):
    """What the drop says and --set does not stays."""
    song = stems(tmp_path)
    (song / "job.yaml").write_text("preset: song  # as always\nforce: false\n")

    place = submit(song, spool.inbox, {"force": True}, Files())

    assert {"preset": "song", "force": True} == json.loads((place / "job.yaml").read_text())


def test_submit_copies_settings_as_they_are_without_set(spool, tmp_path):
    """Comments too: nothing is rewritten that nobody changed."""
    song = stems(tmp_path)
    (song / "job.yaml").write_text("preset: song  # as always\n")

    place = submit(song, spool.inbox, {}, Files())

    assert "preset: song  # as always\n" == (place / "job.yaml").read_text()


def test_submit_leaves_junk_and_hidden_files_behind(spool, tmp_path):
    """Only what the daemon would look at is copied."""
    song = stems(tmp_path)
    (song / ".DS_Store").touch()
    (song / ".git").mkdir()

    place = submit(song, spool.inbox, {}, Files())

    assert ["bass.wav", "drums"] == sorted(path.name for path in place.iterdir())


def test_submit_refuses_a_name_that_is_taken(spool, tmp_path):
    """And does not mark the drop that lies there as complete."""
    (spool.inbox / "Song").mkdir()

    with pytest.raises(Unavailable, match="is already in the inbox"):
        submit(stems(tmp_path), spool.inbox, {}, Files())
    assert ["Song"] == spool.names()


def test_submit_refuses_a_link_inside(spool, tmp_path):
    """The daemon would refuse it later; nothing is copied."""
    song = stems(tmp_path)
    (song / "vocals.wav").symlink_to("bass.wav")

    with pytest.raises(BadInput, match="REFUSED_SYMLINK"):
        submit(song, spool.inbox, {}, Files())
    assert [] == spool.names()


def test_submit_refuses_a_folder_with_a_download_in_it(spool, tmp_path):
    """It would never settle."""
    song = stems(tmp_path)
    (song / "vocals.wav.part").touch()

    with pytest.raises(Unavailable, match="still arriving"):
        submit(song, spool.inbox, {}, Files())


@pytest.mark.parametrize("name", [".hidden", "Song.part", "x.cancel", "x.done", "job.yaml"])
def test_submit_refuses_a_name_that_no_inbox_takes(spool, tmp_path, name):
    """It would lie there for ever."""
    with pytest.raises(BadInput, match="REFUSED_NAME"):
        submit(stems(tmp_path, name), spool.inbox, {}, Files())


def test_submit_that_cannot_write_leaves_no_trace(spool, tmp_path):
    """Whatever step fails before the rename, the inbox is as it was."""
    recorded = RecordingFiles()
    source = stems(tmp_path) / "bass.wav"
    submit(source, spool.inbox, {"a": 1}, recorded)
    for name in spool.names():
        (spool.inbox / name).unlink()

    for step in range(len(recorded.steps)):
        with pytest.raises(Died):
            submit(source, spool.inbox, {"a": 1}, DyingFiles(step, "before"))
        left = [name for name in spool.names() if name != "bass.wav.job.yaml"]
        assert [] == left, recorded.steps[step]
        (spool.inbox / "bass.wav.job.yaml").unlink(missing_ok=True)


def test_submit_gives_a_drop_to_those_who_may_use_the_inbox(spool, tmp_path):
    """A daemon of another user must be able to move the folder on."""
    spool.inbox.chmod(0o770)

    place = submit(stems(tmp_path), spool.inbox, {}, Files())

    assert (0o770, 0o660) == tuple(
        path.stat().st_mode & 0o777 for path in (place / "drums", place / "drums/kick.wav")
    )


def test_assigned_reads_values_as_yaml():
    """Numbers are numbers, text is text."""
    assert {"target": -14.0, "preset": "podcast"} == assigned(["target=-14.0", "preset=podcast"])


def test_assigned_refuses_what_has_no_value():
    """The message shows the form."""
    with pytest.raises(BadInput, match="is not KEY=VALUE"):
        assigned(["preset"])


def test_retry_moves_the_drop_back_under_its_name(spool):
    """And its reason goes."""
    failed = spool.fail("Song")

    place = retry(spool.reader, find_failed(spool.reader, "Song"), Files())

    assert spool.inbox / "Song" == place
    assert (place / "kick.wav").is_file()
    assert [] == list(failed.parent.iterdir())


def test_clear_moves_drops_to_the_archive_under_free_names(spool):
    """Nothing of a drop is lost; what is left in failed/ is nothing."""
    for _ in range(2):
        folder = spool.fail("Song").parent
        (folder / "Song.job.yaml").write_text("preset: loud\n")
        (failed,) = chosen_failed(spool.reader, None, None, cancelled=True)
        place = clear(spool.reader, failed, Files())

    assert "Song (2)" == place.name
    assert {"Song", "Song.job.yaml", "Song (2)", "Song (2).job.yaml"} == {
        path.name for path in place.parent.iterdir()
    }
    assert spool.root / "archive/mix" == place.parent.parent
    assert (place / "kick.wav").is_file()
    assert [] == list(folder.iterdir())


def test_retry_starts_without_settling(spool):
    """Nothing more will come of a drop that was moved."""
    spool.fail("Song")

    retry(spool.reader, find_failed(spool.reader, "Song"), Files())

    assert first_look(spool.inbox, "Song").settled


@pytest.mark.parametrize("name", [HOSTILE, "A long song (2)", "--all", "x" * 245])
def test_retry_finds_any_name(spool, name):
    """Spaces, escapes, undecodable bytes and names too long for a marker."""
    if len(name) < 240:
        spool.fail(name)
    else:
        (spool.root / "failed/mix" / name).mkdir()

    place = retry(spool.reader, find_failed(spool.reader, name), Files())

    assert name == place.name


def test_retry_finds_a_name_as_the_terminal_showed_it(spool):
    """What status printed can be pasted."""
    spool.fail("a\x1bb")

    assert "a\x1bb" == find_failed(spool.reader, "a\\x1bb").path.name


def test_retry_takes_a_files_settings_along(spool):
    """They lie beside it, in failed/ as in the inbox."""
    folder = spool.root / "failed/mix"
    (folder / "a.wav").touch()
    (folder / "a.wav.job.yaml").write_text("preset: song\n")

    [only] = failed_drops(spool.reader)
    retry(spool.reader, only, Files())

    assert ["a.wav", "a.wav.done", "a.wav.job.yaml"] == spool.names()


def test_retry_refuses_a_name_that_is_taken(spool):
    """The failed drop stays where it is, with its reason."""
    failed = spool.fail("Song")
    (spool.inbox / "Song").mkdir()

    with pytest.raises(Unavailable, match="NAME_TAKEN"):
        retry(spool.reader, find_failed(spool.reader, "Song"), Files())
    assert 2 == len(list(failed.parent.iterdir()))


def test_retry_of_an_unknown_name_is_refused(spool):
    """With a way to find the right one."""
    with pytest.raises(BadInput, match="no failed drop is called 'Nothing'"):
        find_failed(spool.reader, "Nothing")


def test_retry_of_a_name_in_two_inboxes_asks_which(spool):
    """Neither is moved by guess."""
    spool.fail("Song")
    (spool.root / "failed/voice/Song").mkdir(parents=True)

    with pytest.raises(BadInput, match="in several inboxes: mix, voice"):
        find_failed(spool.reader, "Song")


def test_retry_of_a_removed_inbox_is_refused(spool):
    """There is no place to put it."""
    (spool.root / "failed/voice/Song").mkdir(parents=True)

    with pytest.raises(BadInput, match="there is no inbox 'voice'"):
        retry(spool.reader, find_failed(spool.reader, "Song"), Files())


def test_cancel_leaves_a_request_beside_a_drop(spool):
    """The drop is in the inbox; no status is needed."""
    (spool.inbox / "Song").mkdir()

    assert spool.inbox / "Song.cancel" == cancel(spool.reader, "Song")
    assert ["Song", "Song.cancel"] == spool.names()


COMPOSED, DECOMPOSED = "Ges\u00e4ng", "Gesa\u0308ng"


@pytest.mark.parametrize(("said", "found"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_person_may_spell_accents_in_either_way(spool, said, found):
    """What a keyboard types and what a Mac copied look alike: each command finds it."""
    failed = spool.fail(found)

    assert failed == find_failed(spool.reader, said).path
    assert found == explanation(spool.reader, pulse_of(spool.root), said).name

    spool.tell(drop("running", found, job="j1"))
    assert found == find_status(spool.reader, said).drop
    (spool.inbox / f"{found}!").mkdir()
    assert f"{found}!.cancel" == cancel(spool.reader, f"{said}!").name


@pytest.mark.parametrize("said", [COMPOSED, DECOMPOSED])
def test_of_two_that_look_alike_the_one_that_is_spelt_so_is_meant(spool, said):
    """Both may be there."""
    for name in (COMPOSED, DECOMPOSED):
        spool.fail(name)
        spool.tell(drop("failed", name, job=name))

    assert said == find_failed(spool.reader, said).path.name
    assert said == find_status(spool.reader, said).drop
    assert said == explanation(spool.reader, pulse_of(spool.root), said).name


def test_cancel_names_a_job_by_its_label(spool):
    """Two songs of one name have two labels."""
    spool.tell(drop("running", "Song", job="j1"), "Song")
    spool.tell(drop("queued", "Song", job="j2"), "Song (2)")

    assert "Song (2).cancel" == cancel(spool.reader, "Song (2)").name


def test_cancel_of_what_has_ended_is_refused(spool):
    """And the message says how it ended."""
    spool.tell(drop("done", "Song", job="j1"))

    with pytest.raises(BadInput, match="nothing unfinished is called 'Song'; it is done"):
        cancel(spool.reader, "Song")
    assert [] == spool.names()


def test_cancel_stays_inside_the_inbox(spool):
    """A name with a slash is no name."""
    with pytest.raises(BadInput, match="nothing unfinished"):
        cancel(spool.reader, "../mix")


def test_pause_and_resume_tell_whether_they_changed_anything(spool):
    """Both may be repeated."""
    assert (True, False) == (pause(spool.inbox), pause(spool.inbox))
    assert [".pause"] == spool.names()
    assert (True, False) == (resume(spool.inbox), resume(spool.inbox))


def test_board_reads_where_an_inbox_lies(tmp_path):
    """Relative paths start at the configuration's folder."""
    spool = DeskSpool(tmp_path)
    spool.config.write_text("root: spool\ninboxes:\n  mix: {}\n  voice: {path: share}\n")

    assert {"mix": spool.inbox, "voice": tmp_path / "share"} == spool.reader.inboxes


def test_board_names_an_inbox_whose_folder_is_missing(spool):
    """The daemon never ran, or a disk is not mounted: not the user's mistake."""
    spool.inbox.rmdir()

    with pytest.raises(Unavailable, match="INBOX_MISSING"):
        spool.reader.inbox(None)


@pytest.mark.parametrize(
    ("heartbeat", "phase", "alive"),
    [
        ("2026-11-20T21:44:56.000Z", "running", True),
        ("2026-11-20T21:44:54.000Z", "running", False),
        ("2026-11-20T21:45:00.000Z", "stopped", False),
    ],
)
def test_pulse_ends_after_three_periods(spool, heartbeat, phase, alive):
    """A period of 2 s: six seconds of silence are allowed; a goodbye counts at once."""
    document = daemon_json(heartbeat=heartbeat, phase=phase)
    (spool.root / "daemon.json").write_text(json.dumps(document))

    assert alive == pulse_of(spool.root, NOW_MS).running


@pytest.mark.parametrize("text", ["", "[]", "{", '{"heartbeat": 7}'])
def test_pulse_of_a_damaged_file_is_none(spool, text):
    """A reader never falls over what it reads."""
    (spool.root / "daemon.json").write_text(text)

    assert not pulse_of(spool.root).running


def test_find_status_prefers_what_lives(spool):
    """Of two drops of one name, a person means the one under way."""
    spool.tell(drop("done", "Song", job="j1"), "Song")
    spool.tell(drop("running", "Song", job="j2"), "Song (2)")

    assert "Song (2)" == find_status(spool.reader, "Song").label


def test_find_status_knows_labels_jobs_and_shown_names(spool):
    """Whatever status printed can be said."""
    spool.tell(drop("queued", "a\x1bb", job="j1"), "a_b")

    names = ("a_b", "a\x1bb", "a\\x1bb", "j1")

    assert {"a_b"} == {find_status(spool.reader, name).label for name in names}
