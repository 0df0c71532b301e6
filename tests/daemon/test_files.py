"""Durable, named steps on the file system."""

import errno
import os
from pathlib import Path

import pytest

from daemon import files as files_module
from daemon.files import Files
from tests.support.files import DEEP, Died, DyingFiles, RecordingFiles, bottom_of, dig
from tests.support.surroundings import memory_disk, needs_root, unprivileged


@pytest.fixture(params=["renameat2", "fallback"])
def files(request, monkeypatch):
    """The steps, with the kernel's exclusive rename and without it."""
    if request.param == "fallback":
        monkeypatch.setattr(files_module, "_LIBC", object())
    return Files()


def names(folder):
    """Return what `folder` holds, sorted."""
    return sorted(entry.name for entry in folder.iterdir())


def test_rename_moves_a_folder(files, tmp_path):
    """A folder goes to its new name with all it holds."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "stem.wav").write_bytes(b"sound")

    files.rename("take", tmp_path / "a", tmp_path / "b")

    assert b"sound" == (tmp_path / "b" / "stem.wav").read_bytes()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("taken", ["file", "empty folder", "dangling link"])
def test_rename_never_takes_a_taken_name(files, tmp_path, taken):
    """A taken name is refused, even by what plain rename(2) would silently replace."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    if taken == "file":
        target.touch()
    elif taken == "empty folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")

    with pytest.raises(FileExistsError):
        files.rename("take", source, target)

    assert source.is_dir()


def test_rename_of_what_is_gone_says_so(files, tmp_path):
    """A source that vanished is a FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        files.rename("take", tmp_path / "gone", tmp_path / "b")


def test_rename_takes_undecodable_names(files, tmp_path):
    """A name that is not UTF-8 is moved like any other."""
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    source.touch()

    files.rename("take", source, tmp_path / "b")

    assert (tmp_path / "b").exists()


def test_make_dir_is_exclusive(tmp_path):
    """Only one caller makes a directory."""
    Files().make_dir("room", tmp_path / "job")

    with pytest.raises(FileExistsError):
        Files().make_dir("room", tmp_path / "job")


def test_make_dir_is_private(tmp_path):
    """A directory is the daemon's own unless it says otherwise."""
    Files().make_dir("room", tmp_path / "job")

    assert 0o700 == (tmp_path / "job").stat().st_mode & 0o777


@pytest.mark.parametrize("durable", [True, False])
def test_write_replaces_and_leaves_nothing_else(tmp_path, durable):
    """After a write the folder holds the new file and no temporary one."""
    Files().write("status", tmp_path / "a.json", b"old", durable=durable)
    Files().write("status", tmp_path / "a.json", b"new", durable=durable)

    assert b"new" == (tmp_path / "a.json").read_bytes()
    assert ["a.json"] == names(tmp_path)


def test_write_takes_over_what_a_crash_left(tmp_path):
    """A temporary file of an interrupted write neither stops the next one nor stays."""
    target = tmp_path / "a.json"
    Path(files_module._temporary_beside(target)).write_bytes(b"half")

    Files().write("status", target, b"whole", durable=True)

    assert ["a.json"] == names(tmp_path)


def test_write_replaces_a_link_and_spares_its_target(tmp_path):
    """A link planted at the status file's name does not redirect the write."""
    (tmp_path / "secret").write_bytes(b"mine")
    (tmp_path / "a.json").symlink_to("secret")

    Files().write("status", tmp_path / "a.json", b"new", durable=True)

    assert b"mine" == (tmp_path / "secret").read_bytes()
    assert not (tmp_path / "a.json").is_symlink()


def test_write_takes_the_longest_name(tmp_path):
    """A name of 255 bytes leaves no room for a suffix, and needs none."""
    target = tmp_path / ("x" * 255)

    Files().write("status", target, b"new", durable=False)

    assert b"new" == target.read_bytes()


def test_removals_may_be_repeated(tmp_path):
    """What is already gone is no error."""
    (tmp_path / "tree").mkdir()
    for _ in range(2):
        Files().remove("one", tmp_path / "gone")
        Files().remove_tree("all", tmp_path / "tree")

    assert [] == names(tmp_path)


def test_remove_tree_does_not_follow_links(tmp_path):
    """A link inside a removed tree goes; what it names stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "song.wav").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")

    Files().remove_tree("all", tmp_path / "tree")

    assert (tmp_path / "kept" / "song.wav").exists()


def test_remove_tree_of_a_link_removes_the_link(tmp_path):
    """A link given as the tree itself goes; what it names stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")

    Files().remove_tree("all", tmp_path / "link")

    assert ["kept"] == names(tmp_path)


def test_copy_tree_copies_bytes_and_times(tmp_path):
    """The copy has the same names, bytes and modification times."""
    source = tmp_path / "Song"
    (source / "more").mkdir(parents=True)
    (source / "more" / "a.wav").write_bytes(b"sound" * 300_000)
    os.utime(source / "more" / "a.wav", ns=(1, 2_000_000_000))

    Files().copy_tree("copy", source, tmp_path / "Copy")

    copy = tmp_path / "Copy" / "more" / "a.wav"
    assert b"sound" * 300_000 == copy.read_bytes()
    assert 2_000_000_000 == copy.stat().st_mtime_ns


def test_copy_tree_begins_again_after_a_crash(tmp_path):
    """What an interrupted copy left is replaced, not mixed in."""
    (tmp_path / "Song").mkdir()
    (tmp_path / "Copy").mkdir()
    (tmp_path / "Copy" / "half.wav").touch()

    Files().copy_tree("copy", tmp_path / "Song", tmp_path / "Copy")

    assert [] == names(tmp_path / "Copy")


def test_copy_tree_makes_links_and_pipes_anew(tmp_path):
    """A pipe is not waited for and a link not followed: a refused drop keeps what it held."""
    (tmp_path / "Song").mkdir()
    os.mkfifo(tmp_path / "Song" / "pipe")
    (tmp_path / "Song" / "link").symlink_to("/etc/passwd")
    Files().copy_tree("copy", tmp_path / "Song", tmp_path / "Copy")

    assert Path("/etc/passwd") == (tmp_path / "Copy" / "link").readlink()
    assert (tmp_path / "Copy" / "pipe").is_fifo()


def test_copy_tree_refuses_a_device(tmp_path):
    """What it would do in another place is anybody's guess."""
    with pytest.raises(OSError, match="a device") as caught:
        Files().copy_tree("copy", Path("/dev/null"), tmp_path / "Copy")

    assert errno.EINVAL == caught.value.errno


def test_a_tree_deeper_than_any_path_is_copied_and_removed(tmp_path):
    """Neither Python's stack nor PATH_MAX bounds what others nest."""
    dig(tmp_path / "Deep")
    Files().copy_tree("copy", tmp_path / "Deep", tmp_path / "Copy")

    assert (DEEP, "bottom.wav") == bottom_of(tmp_path / "Copy")
    Files().remove_tree("all", tmp_path / "Deep")
    Files().remove_tree("all", tmp_path / "Copy")
    assert [] == names(tmp_path)


def test_a_tree_of_any_width_is_removed(fleeting):
    """A hundred thousand entries, some of them folders that hold something."""
    (fleeting / "Wide").mkdir()
    fd = os.open(fleeting / "Wide", os.O_RDONLY)
    for number in range(100_000):
        if number % 10:
            os.mknod(str(number), dir_fd=fd)
        else:
            os.mkdir(str(number), dir_fd=fd)
        if not number % 100:
            os.mkdir(f"{number}/full", dir_fd=fd)
    os.close(fd)
    Files().remove_tree("all", fleeting / "Wide")

    assert [] == names(fleeting)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o500])
def test_a_tree_closed_to_its_owner_is_copied_and_removed(mode):
    """The owner may open it up, and does."""
    with unprivileged() as folder:
        (folder / "tree" / "closed" / "inner").mkdir(parents=True)
        (folder / "tree" / "closed" / "inner" / "a.wav").write_bytes(b"sound")
        (folder / "tree" / "closed" / "inner" / "a.wav").chmod(0)
        for closed in ("tree/closed/inner", "tree/closed", "tree"):
            (folder / closed).chmod(mode)
        Files().copy_tree("copy", folder / "tree", folder / "copy")

        assert b"sound" == (folder / "copy" / "closed" / "inner" / "a.wav").read_bytes()
        Files().remove_tree("all", folder / "tree")
        assert ["copy"] == names(folder)


@needs_root
def test_what_cannot_be_removed_is_named_and_all_else_goes(tmp_path):
    """A mount in the middle of a tree keeps its folder, not the rest."""
    for name in ("a", "mounted", "z"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").touch()
    with memory_disk(tmp_path / "tree" / "mounted", "size=1m"):
        (tmp_path / "tree" / "mounted" / "kept").touch()
        with pytest.raises(OSError, match=r"mounted") as caught:
            Files().remove_tree("all", tmp_path / "tree")

        assert str(tmp_path / "tree" / "mounted") == caught.value.filename
        assert ["mounted"] == names(tmp_path / "tree")
        assert ["kept"] == names(tmp_path / "tree" / "mounted")


def test_append_adds_whole_lines(tmp_path):
    """Each call adds one line at the end."""
    for number in range(3):
        Files().append("event", tmp_path / "events.jsonl", b"%d\n" % number)

    assert b"0\n1\n2\n" == (tmp_path / "events.jsonl").read_bytes()


@pytest.mark.parametrize("left", [b"0\n1", b"0\n\0\0"], ids=["torn", "zeros"])
def test_append_leaves_what_a_power_cut_left_on_its_own_line(tmp_path, left):
    """A torn last line costs itself, not the next one."""
    (tmp_path / "events.jsonl").write_bytes(left)

    Files().append("event", tmp_path / "events.jsonl", b"2\n")

    assert [b"0", left[2:], b"2"] == (tmp_path / "events.jsonl").read_bytes().splitlines()


def test_append_does_not_follow_a_link(tmp_path):
    """A link at the history's name is refused."""
    (tmp_path / "events.jsonl").symlink_to("elsewhere")

    with pytest.raises(OSError, match="symbolic link"):
        Files().append("event", tmp_path / "events.jsonl", b"0\n")


def test_sync_leaves_out_what_it_may_not_open(tmp_path):
    """Whoever reads it will say that it has gone, or is no file; a pipe holds nobody up."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()

    Files().sync("sync", [tmp_path / "gone", tmp_path / "file" / "below", tmp_path])
    with pytest.raises(OSError, match="Invalid argument"):
        Files().sync("sync", [tmp_path / "pipe"])


def _every_step(files: Files, root: Path) -> None:
    files.make_dir("make_dir", root / "room")
    files.write("write", root / "room" / "a", b"1", durable=True)
    files.append("append", root / "room" / "a", b"2")
    files.sync("sync", [root / "room", root / "room" / "a"])
    files.copy_tree("copy_tree", root / "room", root / "copy")
    files.rename("rename", root / "copy", root / "b")
    files.replace("replace", root / "room" / "a", root / "c")
    files.remove("remove", root / "c")
    files.remove_tree("remove_tree", root / "b")


def test_every_step_can_be_recorded(tmp_path):
    """A recorder hears the name of each step, in order."""
    recorder = RecordingFiles()

    _every_step(recorder, tmp_path)

    assert [
        "make_dir",
        "write",
        "append",
        "sync",
        "copy_tree",
        "rename",
        "replace",
        "remove",
        "remove_tree",
    ] == recorder.steps


def test_dying_before_a_step_leaves_it_undone(tmp_path):
    """Before the step: the world is as it was."""
    with pytest.raises(Died):
        _every_step(DyingFiles("rename", "before"), tmp_path)

    assert (tmp_path / "copy").exists()
    assert not (tmp_path / "b").exists()


def test_dying_after_a_step_leaves_it_done(tmp_path):
    """After the step: it has happened, and nothing later has."""
    with pytest.raises(Died):
        _every_step(DyingFiles(5, "after"), tmp_path)

    assert (tmp_path / "b").exists()
    assert (tmp_path / "room" / "a").exists()
