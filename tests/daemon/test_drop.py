"""What lies in an inbox: names, kinds, limits; and files opened safely."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from daemon.config.models import Limits
from daemon.intake import writer_probe
from daemon.intake.drop import Signature, list_inbox, look
from daemon.intake.filenames import kind_of
from daemon.intake.writer_probe import ignore_lease_signals, open_beneath, writer_of
from daemon.text import base64_of, display, output_name
from dsp.containers.identify import AUDIO_SUFFIXES


@pytest.fixture
def inbox(tmp_path):
    """An empty inbox, and a way to look into it."""

    class Inbox:
        path = tmp_path / "inbox"

        def put(self, path, data=b"sound"):
            target = self.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            return target

        def open(self):
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

        def listing(self):
            fd = self.open()
            try:
                return list_inbox(fd, AUDIO_SUFFIXES)
            finally:
                os.close(fd)

        def look(self, name, **limits):
            fd = self.open()
            try:
                return look(fd, name, Limits(**limits), AUDIO_SUFFIXES)
            finally:
                os.close(fd)

    Inbox.path.mkdir()
    return Inbox()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kick.wav", "plain"),
        ("Song", "plain"),
        ("part.wav", "plain"),
        ("template.wav", "plain"),
        ("kick.wav.part", "arriving"),
        ("KICK.WAV.FILEPART", "arriving"),
        ("kick.wav.crdownload", "arriving"),
        (".kick.wav.Xa3bQ9", "arriving"),
        ("_UNPACK_Song", "arriving"),
        ("~$notes.docx", "junk"),
        ("kick.wav~", "arriving"),
        (".syncthing.kick.wav.tmp", "arriving"),
        ("._kick.wav", "junk"),
        (".DS_Store", "junk"),
        ("@eaDir", "junk"),
        ("kick.wav.reapeaks", "junk"),
        (".nfs0000000012", "junk"),
        (".done", "marker"),
        ("_READY", "marker"),
        ("kick.wav.done", "marker"),
        ("job.yaml", "settings"),
        ("kick.wav.job.yaml", "settings"),
        ("Song.cancel", "cancel"),
        (".hidden", "hidden"),
    ],
)
def test_a_name_tells_its_kind(name, kind):
    """Names are sorted without a look at the file."""
    assert kind == kind_of(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("e\u0301tude", "\u00e9tude"),
        ("a/b:c?d", "a_b_c_d"),
        ("line\nbreak\x1b[31m", "line_break_[31m"),
        ("dots. . .", "dots"),
        ("con.wav", "_con.wav"),
        ("Console.wav", "Console.wav"),
        (".hidden", "_.hidden"),
        ("\u202egnp.wav", "_gnp.wav"),
        ("???", "___"),
        ("", "_"),
    ],
)
def test_an_output_name_is_safe_everywhere(name, expected):
    """A stranger's name becomes one that every file system takes."""
    assert expected == output_name(name)


def test_an_output_name_has_at_most_120_bytes():
    """The name is cut between characters, not within one."""
    name = output_name("\u00e9" * 200)

    assert 120 == len(name.encode())
    assert {"\u00e9"} == set(name)


def test_an_undecodable_name_can_be_shown_and_kept():
    """The display is valid text; the original bytes travel beside it."""
    name = os.fsdecode(b"kick\xff.wav")

    assert "kick\ufffd.wav" == display(name)
    assert "a2lja/8ud2F2" == base64_of(name)
    assert base64_of("kick.wav") is None
    output_name(name).encode()


def test_a_listing_sorts_the_top_level(inbox):
    """Drops, requests and what is neither are told apart."""
    for name in ("b.wav", "b.wav.job.yaml", "b.wav.done", "notes.txt", "c.wav.part", ".x"):
        inbox.put(name)
    for name in ("Old.cancel", ".pause", "gone.wav.done"):
        inbox.put(name)
    inbox.put("Song/a.wav")
    listing = inbox.listing()

    assert ["Song", "b.wav"] == listing.drops
    assert {"Old": "Old.cancel"} == listing.cancels
    assert listing.paused
    assert {"gone.wav.done", "notes.txt"} == set(listing.left_alone)


def test_a_look_tells_what_a_folder_holds(inbox):
    """Files, settings and markers each have their place; junk has none."""
    for path in ("Song/b.wav", "Song/sub/a.flac", "Song/cover.jpg", "Song/job.yaml"):
        inbox.put(path)
    for path in ("Song/.DS_Store", "Song/._b.wav", "Song/@eaDir/x.wav", "Song/.done"):
        inbox.put(path)
    drop = inbox.look("Song")

    assert ["b.wav", "cover.jpg", "sub/a.flac"] == [file.path for file in drop.files]
    assert ["b.wav", "sub/a.flac"] == [file.path for file in drop.accepted]
    assert "job.yaml" == drop.settings.path
    assert [""] == [mark.path for mark in drop.marks]
    assert drop.problem is None


def test_a_look_finds_what_lies_beside_a_file(inbox):
    """Settings and marker of a loose file bear its whole name."""
    for path in ("a.wav", "a.wav.job.yaml", "a.wav.done"):
        inbox.put(path)
    drop = inbox.look("a.wav")

    assert "a.wav.job.yaml" == drop.settings.path
    assert [""] == [mark.path for mark in drop.marks]


_PLACES = {"top": "a.wav", "inside": "Song/a.wav", "hidden": "Song/.a"}


def test_a_file_still_arriving_is_seen_at_any_depth(inbox):
    """An uploader's name deep down tells that more is coming."""
    inbox.put("Song/a.wav")
    inbox.put("Song/sub/b.wav.part")

    assert ("sub/b.wav.part",) == inbox.look("Song").arriving


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *((kind, where) for kind in ("link", "pipe", "socket") for where in _PLACES),
        *(("second name", where) for where in ("top", "inside")),
    ],
)
def test_what_is_no_plain_file_is_refused(inbox, monkeypatch, where, kind):
    """Links are never followed and pipes never opened, whatever they are called."""
    outside = inbox.put("../secret.wav")
    path = inbox.path / _PLACES[where]
    path.parent.mkdir(exist_ok=True)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # the path of a socket has few bytes
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    else:
        os.link(outside, path)
    drop = inbox.look("a.wav" if where == "top" else "Song")

    assert ("REFUSED_SYMLINK" if kind == "link" else "REFUSED_KIND") == drop.problem.code


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"files": 2}, "TOO_MANY_FILES"), ({"depth": 2}, "TOO_DEEP"), ({"bytes": 14}, "TOO_LARGE")],
)
def test_a_drop_beyond_a_limit_is_refused(inbox, limits, code):
    """What an inbox takes is bounded in files, depth and bytes."""
    for path in ("Song/a.wav", "Song/b.wav", "Song/1/2/c.wav"):
        inbox.put(path)

    assert code == inbox.look("Song", **limits).problem.code
    assert inbox.look("Song", files=3, depth=3, bytes=15).problem is None


def test_a_look_is_bounded_by_its_limits(inbox, monkeypatch):
    """However many names of junk there are, a look ends."""
    monkeypatch.setattr("daemon.intake.drop._NAMES_LOOKED_AT", 50)
    for number in range(100):
        inbox.put(f"Song/._{number}")

    assert "TOO_MANY_FILES" == inbox.look("Song", files=2).problem.code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any folder")
def test_a_locked_folder_is_refused_with_a_reason(inbox):
    """A folder that the daemon may not open concerns that drop alone."""
    inbox.put("Song/locked/a.wav").parent.chmod(0)
    problem = inbox.look("Song").problem
    (inbox.path / "Song" / "locked").chmod(0o700)

    assert "INPUT_UNREADABLE" == problem.code


def test_a_drop_that_has_gone_is_none(inbox):
    """Between the listing and the look a drop may be taken back."""
    assert inbox.look("gone.wav") is None


def test_a_rename_changes_only_what_is_not_compared(inbox):
    """The signature without its ctime survives the claim."""
    path = inbox.put("a.wav")
    before = Signature.of(path.stat())
    after = Signature.of(path.rename(inbox.path / "b.wav").stat())

    assert before.across_rename() == after.across_rename()


@pytest.fixture(params=["openat2", "by steps"])
def opening(request, monkeypatch, inbox):
    """Both ways to open beneath a folder."""
    if request.param == "by steps":
        monkeypatch.setattr(writer_probe, "_open", writer_probe._open_by_steps)
    fd = inbox.open()
    yield lambda path: open_beneath(fd, path)
    os.close(fd)


def test_a_plain_file_is_opened(inbox, opening):
    """A path below the inbox opens what lies there."""
    inbox.put("Song/sub/a.wav", b"sound")
    fd = opening("Song/sub/a.wav")

    assert b"sound" == os.read(fd, 9)
    os.close(fd)


@pytest.mark.parametrize(
    "path",
    ["../secret", "Song/../../secret", "link", "linkdir/secret", "pipe", "Song", "/etc/passwd"],
)
def test_nothing_else_is_opened(inbox, opening, path):
    """No way leads out of the inbox, and a pipe is not waited for."""
    inbox.put("../secret")
    inbox.put("Song/a.wav")
    (inbox.path / "link").symlink_to("../secret")
    (inbox.path / "linkdir").symlink_to("..")
    os.mkfifo(inbox.path / "pipe")

    with pytest.raises(OSError, match=r"\[Errno"):
        opening(path)


@pytest.fixture
def leases(tmp_path):
    """Leases work here, and their signal is ignored for the time of a test."""
    before = signal.getsignal(signal.SIGIO)
    ignore_lease_signals()
    path = tmp_path / "probe"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    verdict = writer_of(fd)
    os.close(fd)
    if verdict == "unsupported":
        pytest.skip("no leases on this file system")
    yield
    signal.signal(signal.SIGIO, before)


@pytest.mark.usefixtures("leases")
@pytest.mark.parametrize(("mode", "expected"), [("r+b", "busy"), ("rb", "none")])
def test_a_writer_is_seen_and_a_reader_is_not(tmp_path, mode, expected):
    """Another process has the file open; only writing counts."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    script = "import sys; f = open(sys.argv[1], sys.argv[2]); print(flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", script, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other, other.stdin, other.stdout:
        other.stdout.readline()
        fd = os.open(path, os.O_RDONLY)

        assert expected == writer_of(fd)
        os.close(fd)


@pytest.mark.usefixtures("leases")
def test_the_probe_gives_its_lease_back(tmp_path):
    """After the question a writer opens the file without waiting for us."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    fd = os.open(path, os.O_RDONLY)
    writer_of(fd)

    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    os.close(fd)


def test_the_probe_is_off_until_its_signal_is_ignored(tmp_path):
    """A lease whose signal kills is not asked for."""
    path = tmp_path / "a.wav"
    path.touch()
    before = signal.signal(signal.SIGIO, signal.SIG_DFL)
    fd = os.open(path, os.O_RDONLY)

    assert "unsupported" == writer_of(fd)
    os.close(fd)
    signal.signal(signal.SIGIO, before)


def test_a_partial_download_beside_the_complete_file_is_the_rest_of_another_try(inbox):
    """Nobody waits for it; but while it changes, the folder is not quiet."""
    inbox.put("Song/kick.wav")
    inbox.put("Song/kick.wav.part")
    inbox.put("Song/bass.wav.part")
    drop = inbox.look("Song")

    assert ("bass.wav.part",) == drop.arriving
    assert ["kick.wav", "kick.wav.part"] == [file.path for file in drop.files]
    assert ["kick.wav"] == [file.path for file in drop.accepted]


def test_a_placeholder_of_a_cloud_drive_is_seen(inbox):
    """It is hidden, and a stem is missing as long as it is there."""
    for path in ("Song/kick.wav", "Song/.bass.wav.icloud", "Song/.kick.wav.icloud"):
        inbox.put(path)
    inbox.put("Song/.notes.txt.icloud")

    assert ("bass.wav",) == inbox.look("Song").placeholders


COMPOSED, DECOMPOSED = "Ges\u00e4ng", "Gesa\u0308ng"


@pytest.mark.parametrize(("said", "found"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_what_lies_beside_a_drop_may_spell_its_accents_in_another_way(inbox, said, found):
    """A keyboard composes them, a Mac's disk does not: settings, markers and requests match."""
    for name in (f"{found}.wav", f"{said}.wav.job.yaml", f"{said}.wav.done", f"{said}.wav.cancel"):
        inbox.put(name)
    inbox.put(f"Song/{found}.wav")
    inbox.put(f"Song/{said}.wav.done")
    drop, listing = inbox.look(f"{found}.wav"), inbox.listing()

    assert f"{said}.wav.job.yaml" == drop.settings.path
    assert [""] == [mark.path for mark in drop.marks]
    assert {f"{found}.wav": f"{said}.wav.cancel"} == listing.cancels
    assert {} == listing.left_alone
    assert [f"{COMPOSED}.wav"] == [mark.path for mark in inbox.look("Song").marks]
