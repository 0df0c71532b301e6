"""A tree that anything happens to, scanned in between: the catalogue becomes the tree, no more."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from daemon.errors import SpoolError
from daemon.handlers.library.ends import RemovalRules
from tests.support.libraries import HOUR_MS, Shelf

NOBODY = 65_534
NAMES = st.sampled_from(["a.wav", "b.wav", "c.flac", "notes.txt"])
FOLDERS = st.sampled_from(["", "x", "x/y", "x/y/z", "w"])


@contextlib.contextmanager
def as_nobody():
    """Be somebody whom modes concern, even where root runs the tests."""
    os.seteuid(NOBODY if os.getuid() == 0 else os.geteuid())
    try:
        yield
    finally:
        os.seteuid(os.getuid())


class Tree(RuleBasedStateMachine):
    """Files with numbers in them, on a disk that may be mounted or not, read by nobody.

    ``self.lost_ms`` says since when a path is not on the disk, so that each removal can be held
    against it.
    """

    def __init__(self):
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(dir=memory))
        self.folder.chmod(0o777)
        rules = RemovalRules(removed_after_ms=24 * HOUR_MS, most_removed=1.0)
        self.shelf = Shelf(self.folder, rules=rules)
        self.disk = self.shelf.root.with_name("disk")
        self.number = 0
        self.closed = ""
        self.removed = 0
        self.lost_ms = {}
        with as_nobody():
            self.shelf.query("SELECT 1")  # the catalogue is theirs

    @initialize()
    def begin(self):
        self.shelf.write("x/a.wav", b"first!")
        self.scan(hours=1, pause=0, analyse=True)

    @property
    def place(self):
        return self.disk if self.disk.exists() else self.shelf.root

    @rule(folder=FOLDERS, name=NAMES, copy=st.booleans())
    def write(self, folder, name, copy):
        self.number += not copy
        where = self.place / folder / name
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(b"%06d" % self.number)
        os.utime(where, (1_700_000_000 + self.number, 1_700_000_000))

    @rule(folder=FOLDERS, name=NAMES, to=FOLDERS, new=NAMES)
    def rename(self, folder, name, to, new):
        source, target = self.place / folder / name, self.place / to / new
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)

    @rule(folder=FOLDERS, name=NAMES)
    def delete(self, folder, name):
        (self.place / folder / name).unlink(missing_ok=True)

    @rule(folder=st.sampled_from(["x", "x/y", "w"]), to=st.sampled_from(["v", "x/u"]))
    def rename_folder(self, folder, to):
        source, target = self.place / folder, self.place / to
        if source.is_dir() and not target.exists() and not self.closed:
            with contextlib.suppress(OSError):  # into itself, or where nothing is
                source.rename(target)

    @rule(folder=st.sampled_from(["x/y", "w", "v"]))
    def delete_folder(self, folder):
        if not self.closed:
            shutil.rmtree(self.place / folder, ignore_errors=True)

    @rule(other=st.booleans())
    @precondition(lambda self: not self.disk.exists())
    def unmount(self, other):
        self.shelf.root.rename(self.disk)
        self.shelf.root.mkdir()
        if other:
            (self.shelf.root / "other.wav").write_bytes(b"another disk")

    @rule()
    @precondition(lambda self: self.disk.exists())
    def mount(self):
        shutil.rmtree(self.shelf.root)
        self.disk.rename(self.shelf.root)

    @rule(folder=st.sampled_from(["x", "x/y", "w"]), mode=st.sampled_from([0, 0o444, 0o111]))
    def close(self, folder, mode):
        if (self.place / folder).is_dir() and not self.closed:
            (self.place / folder).chmod(mode)
            self.closed = folder

    @rule()
    @precondition(lambda self: self.closed)
    def open(self):
        (self.place / self.closed).chmod(0o755)
        self.closed = ""

    @rule(hours=st.sampled_from([1, 25]), pause=st.integers(0, 3), analyse=st.booleans())
    def scan(self, hours, pause, analyse):
        """Scan, perhaps in two attempts; what is removed then was gone for a day."""
        for path in set(self.shelf.files()) | set(self.shelf.files("missing")):
            if (self.place / path).is_file():
                self.lost_ms.pop(path, None)
            else:
                self.lost_ms.setdefault(path, self.shelf.now_ms)
        known = bool(self.shelf.files() + self.shelf.files("missing"))
        if self._scanned(hours, pause):
            assert not self.disk.exists() or not known
            for kind, path, _ in self.shelf.changes():
                if kind == "removed":
                    self.removed += 1
                    assert self.shelf.now_ms - self.lost_ms[path] >= 24 * HOUR_MS
            if analyse and not self.closed:
                self.shelf.analysed()

    def _scanned(self, hours, pause=0, *, accept=False):
        """Scan; return whether a scan took place."""
        try:
            with as_nobody():
                if pause:
                    with self.shelf.look() as look:
                        look.go(pause, self.shelf.rules)
                self.shelf.scan(hours, accept=accept)
        except SpoolError as error:
            if error.code not in {"ROOT_MISSING", "ROOT_CHANGED"}:
                raise
            return False
        return True

    def teardown(self):
        """In the end, when the disk is there and two days have passed, both are equal."""
        try:
            if self.disk.exists():
                self.mount()
            if self.closed:
                self.open()
            for _ in range(3):
                if not self._scanned(25):
                    self._scanned(1, accept=True)

            assert self.shelf.there() == self.shelf.files()
            assert [] == self.shelf.files("missing")
        finally:
            shutil.rmtree(self.folder)


TestTree = Tree.TestCase
TestTree.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
