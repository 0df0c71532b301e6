"""What a look at a root goes by, and what it has to tell."""

from dataclasses import dataclass, field

from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.patterns import Ignored
from daemon.handlers.library.tree import Tree

_FUTURE_NS = 86_400_000_000_000
"""A time that lies a day ahead is a wrong one, not a young one."""
_YOUNG_NS = 2_000_000_000
"""FAT keeps times in steps of two seconds."""


@dataclass
class Told:
    """What a scan has to say beside the catalogue."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    """Codes and messages."""
    files: int = 0
    folders: int = 0
    new: int = 0
    _said: set[tuple[str, str]] = field(default_factory=set)

    def note(self, code: str, message: str) -> None:
        """Say something of a file or a folder, once."""
        if (code, message) not in self._said:
            self._said.add((code, message))
            self.notes.append((code, message))


@dataclass(frozen=True)
class Folder:
    """A folder that is to be listed."""

    id: int
    path: bytes
    seen_gen: int
    """The last run that listed it; 0: none did."""
    mount: str | None
    digest: bytes | None
    """Of what its entries said of themselves, when all of its rows were as they are."""
    ignored: Ignored
    unknown: bool = False
    """Its row was just made: nothing that lies in it has one."""


@dataclass
class Sight:
    """How a root is looked at in one run."""

    catalogue: Catalogue
    tree: Tree
    root: int
    name: str
    gen: int
    now_ms: int
    """When this look began."""
    accept: bool
    """Somebody said that what is gone is gone."""
    inodes: bool
    """Whether inodes tell something here."""
    full: bool = False
    """Every row is compared."""
    told: Told = field(default_factory=Told)
    unchanged: list[tuple[int, str | None, int, int]] = field(default_factory=list)
    """Of folders that are as they were, what is to be written before the next commit."""
    same: int = 0
    other_inodes: int = 0
    ctimes: int = 0
    whole_seconds: int = 0

    def young(self, time_ns: int) -> bool:
        """Tell whether a file may have been written once more within the same tick of its clock."""
        age_ns = time_ns - self.now_ms * 1_000_000
        return -_YOUNG_NS < age_ns < _FUTURE_NS

    def commit(self) -> None:
        """Keep what was written, with the cursor of folders that are as they were."""
        self.catalogue.executemany(
            """UPDATE folder SET dev = ?, mount = ?, seen_gen = ?, trouble = NULL
            WHERE id = ?""",
            self.unchanged,
        )
        self.unchanged.clear()
        self.catalogue.commit()

    def lose_inodes(self) -> None:
        """Note that inodes do not stay here: they tell nothing any more."""
        self.inodes = False
        self.catalogue.execute("UPDATE root SET inodes = 0 WHERE id = ?", (self.root,))
        self.told.note(
            "INODES_UNSTABLE", f"the inodes of {self.name} do not stay; they are ignored"
        )
