"""A library is looked at: what is new, changed, moved, missing, and what is never believed."""

import os
import shutil

import pytest

from daemon.errors import BadInput, Unavailable
from daemon.handlers.library.ends import RemovalRules
from daemon.handlers.library.patterns import Ignored, patterns_of
from tests.support.libraries import Shelf
from tests.support.surroundings import Disk, mount, needs_root, unmount


@pytest.fixture
def shelf(fleeting):
    return Shelf(fleeting)


def test_first_scan_lists_all_and_the_next_one_finds_nothing(shelf):
    """Every file is listed by its bytes, none twice; what did not change makes no line."""
    names = ["a.wav", "Übung/ß.flac", "日本/曲.mp3", "عربي/أغنية.ogg", "рус/песня.wav", "हिन्दी.wav"]
    for name in names:
        shelf.write(name)
    (shelf.root / os.fsdecode(b"bad\xff.wav")).write_bytes(b"x")
    shelf.scan()
    assert shelf.there() == shelf.files()

    shelf.scan()

    assert shelf.there() == shelf.files()
    assert [] == shelf.changes()


def test_junk_hidden_and_left_out_files_are_not_listed(shelf):
    """What systems and programs leave behind is no part of a library; nor what a list names."""
    for name in ["song.wav", "._song.wav", ".DS_Store", "a.wav.part", "@eaDir/x.wav",
                 "stems/take.tmp", "stems/take.wav", "packs/.ndignore", "packs/keep/a.wav",
                 "packs/drop/a.wav", "phone/.nomedia", "phone/ring.wav", "all/.ndignore",
                 "all/a.wav"]:  # fmt: skip
        shelf.write(name)
    (shelf.root / "packs/.ndignore").write_text("/drop/\n")
    (shelf.root / "all/.ndignore").write_text("\n")
    shelf.exclude = ("*.tmp",)

    shelf.scan()

    assert ["packs/keep/a.wav", "song.wav", "stems/take.wav"] == shelf.files()


def test_what_differs_is_told_exactly(shelf):
    """New, changed in place, renamed and gone: each file makes the one line that it should."""
    for number in range(8):
        shelf.write(f"a/{number}.wav", b"sound %d" % number)
    shelf.scan()
    shelf.analysed()
    shelf.write("b/new.wav", b"new")
    shelf.write("a/1.wav", b"other", mtime_s=1_700_000_001)
    (shelf.root / "a/2.wav").rename(shelf.root / "b/two.wav")
    (shelf.root / "a/3.wav").unlink()
    shutil.copy2(shelf.root / "a/4.wav", shelf.root / "b/4.wav")  # another inode, the same bytes
    (shelf.root / "a/4.wav").unlink()
    (shelf.root / "a/5.wav").chmod(0o600)

    shelf.scan()

    assert [
        ("added", None, "b/new.wav"),
        ("changed", "a/1.wav", "a/1.wav"),
        ("missing", "a/3.wav", None),
        ("moved", "a/2.wav", "b/two.wav"),
        ("moved", "a/4.wav", "b/4.wav"),
    ] == sorted(shelf.changes(), key=lambda line: (line[0], line[1] or ""))
    assert shelf.there() == shelf.files()


def test_new_mode_costs_no_analysis_and_new_bytes_under_an_old_time_do(shelf):
    """A ctime alone asks for a look at head and tail, not for a decode."""
    shelf.write("mode.wav", b"one")
    shelf.write("bytes.wav", b"two")
    shelf.scan()
    shelf.analysed()
    (shelf.root / "mode.wav").chmod(0o640)
    shelf.write("bytes.wav", b"TWO")

    shelf.scan()

    assert [("bytes.wav",)] == shelf.query("SELECT CAST(name AS TEXT) FROM file WHERE due = 'tags'")
    assert [("changed", "bytes.wav", "bytes.wav")] == shelf.changes()


def test_file_written_while_it_was_read_is_looked_at_again(shelf):
    """Bytes that came within the same tick of the clock are found by the next run."""
    (shelf.root / "young.wav").write_bytes(b"one")
    shelf.now_ms = (shelf.root / "young.wav").stat().st_mtime_ns // 1_000_000 - 3_600_000
    shelf.scan()
    shelf.analysed()

    shelf.scan()

    assert [("tags", None)] == shelf.query("SELECT due, sha256 FROM file")


def test_alike_files_go_with_the_longest_common_end_of_their_paths(shelf):
    """Equal copies that move together keep who they are; unequal ones of one size do not mix."""
    for album in ("x", "y", "z"):
        shelf.write(f"old/{album}/01.wav", b"same")
        shelf.write(f"old/{album}/02.wav", album.encode() * 4)
    shelf.scan()
    shelf.analysed()
    before = shelf.identities()
    shutil.copytree(shelf.root / "old", shelf.root / "new/deep")
    shutil.rmtree(shelf.root / "old")
    for path in (shelf.root / "new").rglob("*.wav"):
        os.utime(path, (1_700_000_000, 1_700_000_000))

    shelf.scan()

    after = {file: path.replace("old", "new/deep", 1) for file, path in before.items()}
    assert after == shelf.identities()


@pytest.mark.parametrize("linked", [False, True])
def test_copy_that_was_there_before_is_no_move(shelf, linked):
    """Of several equal files one goes: it is gone, and the others are who they were."""
    first = shelf.write("1/a.wav", b"same")
    for folder in ("2", "3"):
        (shelf.root / folder).mkdir()
        if linked:
            (shelf.root / folder / "a.wav").hardlink_to(first)
        else:
            shutil.copy2(first, shelf.root / folder)
    shelf.scan()
    shelf.analysed()
    before = shelf.identities()
    (shelf.root / "3/a.wav").unlink()

    shelf.scan()

    (change,) = shelf.changes()
    assert ("merged" if linked else "missing", "3/a.wav") == change[:2]
    kept = {file: path for file, path in before.items() if path != "3/a.wav" or not linked}
    assert kept == shelf.identities()


def test_missing_file_is_removed_by_the_second_run_a_day_later_and_may_come_back(shelf):
    """One run proves nothing, nor do two within an hour; what comes back keeps its row."""
    shelf.write("stays.wav")
    gone = shelf.write("gone.wav", b"other")
    shelf.scan()
    (file,) = shelf.query("SELECT id FROM file WHERE name = x'676f6e652e776176'")
    gone.unlink()
    shelf.scan(hours=30)
    assert ["gone.wav"] == shelf.files("missing")
    shelf.scan(hours=1)
    assert [] == shelf.files("removed")

    shelf.scan(hours=24)
    assert [("removed", "gone.wav", None)] == shelf.changes()
    shelf.write("gone.wav", b"other")
    shelf.scan()

    assert [("returned", None, "gone.wav")] == shelf.changes()
    assert [file] == shelf.query("SELECT id FROM file WHERE name = x'676f6e652e776176'")


def test_removed_file_is_forgotten_after_ninety_days(shelf):
    """History ends some day, and takes empty folders along."""
    shelf.write("stays.wav")
    shelf.write("a/b/gone.wav")
    shelf.scan()
    shutil.rmtree(shelf.root / "a")
    shelf.scan()
    shelf.scan(hours=25)
    assert ["a/b/gone.wav"] == shelf.files("removed")

    shelf.scan(hours=24 * 91)

    assert [] == shelf.files("removed")
    assert [(1,)] == shelf.query("SELECT count(*) FROM folder")


def test_library_that_shrank_loses_nothing_until_somebody_says_so(shelf):
    """Above a tenth and twenty files nothing goes by itself, however long it is missing."""
    for number in range(100):
        shelf.write(f"{number % 5}/{number}.wav", b"%d" % number)
    shelf.scan()
    shutil.rmtree(shelf.root / "3")
    shutil.rmtree(shelf.root / "4")
    for _ in range(3):
        notes = shelf.scan(hours=48)
        assert ["LIBRARY_SHRANK"] == [code for code, _ in notes]
    assert [] == shelf.files("removed")

    assert [] == shelf.scan(accept=True)

    assert 40 == len(shelf.files("removed"))


def test_root_that_is_gone_or_emptied_is_not_scanned(shelf):
    """An unmounted root is trouble of the surroundings; nothing in the catalogue moves."""
    shelf.write("a.wav")
    shelf.scan()
    shelf.root.rename(shelf.root.with_name("away"))
    with pytest.raises(Unavailable, match="ROOT_MISSING"):
        shelf.scan(hours=48)
    shelf.root.mkdir()
    with pytest.raises(Unavailable, match="ROOT_MISSING"):
        shelf.scan(hours=48)
    shelf.root.rmdir()
    shelf.root.with_name("away").rename(shelf.root)

    assert [] == shelf.scan()
    assert ["a.wav"] == shelf.files()


def test_other_folder_in_the_place_of_a_root_is_refused_and_a_copy_is_not(shelf):
    """A disk that is not the one of before adds nothing and takes nothing; a restored one is it."""
    for number in range(10):
        shelf.write(f"{number}.wav", b"%d" % number)
    shelf.scan()
    shelf.analysed()
    away = shelf.root.with_name("away")
    shelf.root.rename(away)
    shelf.write("other.wav", b"another disk")
    with pytest.raises(BadInput, match="ROOT_CHANGED"):
        shelf.scan(hours=48)
    shutil.rmtree(shelf.root)
    shutil.copytree(away, shelf.root)
    (shelf.root / "9.wav").unlink()

    assert [] == shelf.scan(hours=48)
    assert [("missing", "9.wav", None)] == shelf.changes()


def test_links_are_listed_and_not_followed(shelf):
    """A folder that became a link holds nothing; the link is a file of its own."""
    shelf.write("a/1.wav")
    shelf.write("b/2.wav")
    shelf.scan()
    (shelf.root / "a").rename(shelf.root.with_name("kept"))
    (shelf.root / "a").symlink_to(shelf.root.with_name("kept"))
    (shelf.root / "b/2.wav").unlink()

    shelf.scan()

    assert ["a"] == shelf.files()
    assert ["a/1.wav", "b/2.wav"] == shelf.files("missing")


@pytest.mark.parametrize(("job", "days"), [("", 0), ("a", 3)])
def test_scan_that_is_killed_goes_on_where_it_was(shelf, job, days):
    """Folders that were listed are not listed again; the result is that of an unbroken scan.

    A job of many rounds, which decodes for days before it looks on, goes on with its own run.
    """
    for number in range(30):
        shelf.write(f"{number // 5}/{number}.wav", b"%d" % number)
    with shelf.look(job=job) as look:
        assert not look.go(10, shelf.rules)
        seen = look.told.folders
    assert 10 <= len(shelf.files()) < 30

    shelf.now_ms += days * 86_400_000
    with shelf.look(job=job) as look:
        assert look.go(1 << 40, shelf.rules)

    assert 7 == seen + look.told.folders
    assert shelf.there() == shelf.files()


def test_under_looks_at_one_folder_only(shelf):
    """What somebody asked for is looked at alone; the rest stays as it was known."""
    shelf.write("a/1.wav")
    shelf.write("b/2.wav")
    shelf.scan()
    shelf.write("a/new.wav", b"1")
    shelf.write("b/new.wav", b"2")
    (shelf.root / "b/2.wav").unlink()

    shelf.scan(hours=48, under=("music/a",))
    assert [("added", None, "a/new.wav")] == shelf.changes()
    shelf.scan()

    assert [("added", None, "b/new.wav"), ("missing", "b/2.wav", None)] == shelf.changes()


def test_names_that_differ_in_case_or_accents_alone_are_named_and_kept(shelf):
    """Twins are two files, and somebody should know."""
    for name in ("Song.wav", "song.WAV", "é.wav", "e\u0301.wav", "x.wav"):
        shelf.write(name)

    notes = shelf.scan()

    assert ["NAME_COLLISION"] * 2 == [code for code, _ in notes]
    assert 5 == len(shelf.files())


def test_file_that_went_collides_with_no_name_and_one_that_comes_back_does(shelf):
    """A name of which only the history knows is free; twins that lie there together are not."""
    shelf.write("x.wav")
    old = shelf.write("Song.wav")
    shelf.scan()
    old.unlink()
    shelf.scan()
    shelf.write("song.WAV", b"another")
    assert [] == shelf.scan()
    shelf.write("Song.wav")

    assert ["NAME_COLLISION"] == [code for code, _ in shelf.scan()]


@needs_root
def test_file_system_that_counts_whole_seconds_is_named(tmp_path):
    """ext4 with the small inodes of ext3: what differs within a second may show a run later."""
    disk = Disk(tmp_path / "old.img", tmp_path / "old", "-I", "128")
    try:
        shelf = Shelf(tmp_path / "old")
        for number in range(70):
            shelf.write(f"{number}.wav", b"%d" % number)

        notes = shelf.scan()

        assert ["TIMES_COARSE"] == [code for code, _ in notes]
        assert [] == shelf.scan()
        assert [("coarse",)] == shelf.query("SELECT times FROM root")
    finally:
        disk.unmount()


@needs_root
def test_folder_that_is_inside_itself_is_entered_once(tmp_path):
    """A mount of a folder somewhere below itself would be walked without end."""
    shelf = Shelf(tmp_path)
    shelf.write("a/b/1.wav")
    shelf.write("2.wav")
    inner = shelf.root / "a/b/again"
    inner.mkdir()
    mount("--bind", shelf.root / "a", inner)
    try:
        notes = shelf.scan()

        assert ["LOOP_SKIPPED"] == [code for code, _ in notes]
        assert ["2.wav", "a/b/1.wav"] == shelf.files()
    finally:
        unmount(inner)


def test_inodes_that_do_not_stay_are_ignored(shelf):
    """A file system that makes up inodes makes no library new, and says so once."""
    for number in range(200):
        shelf.write(f"{number}.wav", b"%03d" % number)
    shelf.scan()
    shelf.analysed()
    shutil.copytree(shelf.root, shelf.root.with_name("copy"))
    shutil.rmtree(shelf.root)
    shelf.root.with_name("copy").rename(shelf.root)

    assert ["INODES_UNSTABLE"] == [code for code, _ in shelf.scan()]
    assert [] == shelf.changes()
    assert [] == shelf.scan()


def test_damaged_catalogue_is_moved_aside_and_built_anew(shelf):
    """A file that SQLite cannot read stops no library."""
    shelf.write("a.wav")
    shelf.path.write_bytes(b"no database at all" * 100)

    shelf.scan()

    assert ["a.wav"] == shelf.files()
    assert 1 == len(list(shelf.path.parent.glob("*.damaged-*")))


def test_catalogue_that_breaks_in_its_middle_is_moved_aside_too(shelf):
    """A page that a disk lost is met in the middle of a scan; the next attempt begins anew."""
    for number in range(500):
        shelf.write(f"{number % 50}/{number}.wav", b"%d" % number)
    shelf.scan()
    size = shelf.path.stat().st_size
    with shelf.path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))
    (shelf.root / "0/new.wav").write_bytes(b"new")
    with pytest.raises(Unavailable, match="CATALOGUE_DAMAGED"):
        shelf.scan()

    shelf.scan()

    assert shelf.there() == shelf.files()


@pytest.mark.parametrize(
    ("lines", "out", "kept"),
    [
        (["*.tmp"], ["a.tmp", "x/b.tmp"], ["a.tmpx"]),
        (["/top.wav"], ["top.wav"], ["x/top.wav"]),
        (["build/"], ["build/"], ["build"]),
        (["*", "!*.wav"], ["a.txt"], ["a.wav"]),
        (["a/**/z.wav"], ["a/z.wav", "a/b/c/z.wav"], ["b/z.wav"]),
        (["**/old"], ["old", "x/y/old"], ["older"]),
        (["a/**"], ["a/b", "a/b/c"], ["a", "b"]),
        (["take [0-9]?.wav"], ["take 1x.wav"], ["take x1.wav", "take 1.wav"]),
        (["[!a].wav"], ["b.wav"], ["a.wav"]),
        ([r"\#x", "# y", "", r"sp\ "], ["#x", "sp "], ["# y"]),
        (["a*b*c"], ["abc", "axbxbxc"], ["acb", "a/bc"]),
        (["[", "a**b"], ["axb"], ["x"]),
        (["*a*a*a*a*a*a*a*a*a*a*a*a*b"], [], ["a" * 200]),
    ],
)
def test_patterns_mean_what_gitignore_says(lines, out, kept):
    """A list leaves out what git would, and takes no time over it."""
    ignored = Ignored().with_list("", patterns_of(lines))

    def left_out(path):
        folder, _, name = path.rstrip("/").rpartition("/")
        return ignored.leaves_out(folder, name, is_folder=path.endswith("/"))

    assert out == [path for path in (*out, *kept) if left_out(path)]


def test_small_share_goes_and_a_file_less_than_the_rule_says(shelf):
    """Up to twenty files go whatever their share: somebody tidied up a small library."""
    shelf.rules = RemovalRules(removed_after_ms=0)
    for number in range(21):
        shelf.write(f"{number}.wav", b"%d" % number)
    shelf.scan()
    for number in range(20):
        (shelf.root / f"{number}.wav").unlink()
    shelf.scan()

    shelf.scan()

    assert 20 == len(shelf.files("removed"))
