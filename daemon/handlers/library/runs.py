"""A run: all roots of a library looked at once, in as many attempts as it takes.

A run that was killed is gone on with where it was: by its own job always, which may decode for days
before it looks on; by another one if it was to do the same and is not a day old.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.errors import BadInput, Postponed, SpoolError
from daemon.handlers.library.catalogue import Catalogue, as_bytes
from daemon.handlers.library.ends import RemovalRules, end_run
from daemon.handlers.library.patterns import Ignored, patterns_of
from daemon.handlers.library.scan import BATCH_ENTRIES, Scan, is_emptied, is_familiar
from daemon.handlers.library.sight import Sight, Told
from daemon.handlers.library.tree import Identity, Tree

_GOES_ON_MS = 86_400_000


@dataclass(frozen=True)
class Scope:
    """What a run is to do."""

    under: tuple[str, ...] = ()
    """Only these folders; the name of a root may stand first."""
    full: bool = False
    """Read every file again."""
    accept: bool = False
    """What is gone is gone."""

    def __str__(self) -> str:
        return json.dumps([sorted(self.under), self.full, self.accept])


@dataclass
class Look:
    """One attempt at a run.

    Attributes
    ----------
    catalogue : Catalogue
    roots : mapping
        Names and places.
    scope : Scope
    exclude : sequence of str
        Patterns of what is left out everywhere.
    now_ms : int
        When it begins.
    job : str
        Whose run it is. One that has ended is not begun again by the same job.
    """

    catalogue: Catalogue
    roots: Mapping[str, Path]
    scope: Scope
    exclude: Sequence[str] = ()
    now_ms: int = 0
    job: str = ""
    batch_entries: int = BATCH_ENTRIES
    told: Told = field(default_factory=Told)
    gen: int = 0
    ended: bool = False

    def begin(self) -> int:
        """Take up the run that has not ended, or begin one; return its number."""
        execute = self.catalogue.execute
        last = execute("SELECT * FROM run ORDER BY id DESC LIMIT 1").fetchone()
        if last and self._goes_on(last):
            self.gen, self.ended = last["id"], last["ended_ms"] is not None
            with self.catalogue.transaction():
                execute("UPDATE run SET job = ? WHERE id = ?", (self.job, self.gen))
        else:
            with self.catalogue.transaction():
                made = execute(
                    "INSERT INTO run (job, began_ms, scope) VALUES (?, ?, ?)",
                    (self.job, self.now_ms, str(self.scope)),
                )
                self.gen = made.lastrowid or 0
                self._take_over()
                if self.scope.full:
                    execute(
                        """UPDATE file SET due = iif(content IS NULL, 'tags', 'decode'),
                        due_gen = ? WHERE kind = 'audio' AND state = 'here'""",
                        (self.gen,),
                    )
                    execute("UPDATE root SET inodes = 1")
        return self.gen

    def _take_over(self) -> None:
        """End all runs that have not come to their end; tell of what they found as if found now."""
        execute = self.catalogue.execute
        left = execute(
            "SELECT ?1, id FROM run WHERE ended_ms IS NULL AND id <> ?1", (self.gen,)
        ).fetchall()
        for statement in (
            "UPDATE file SET born_gen = ? WHERE born_gen = ?",
            "UPDATE file SET missing_gen = ? WHERE missing_gen = ?",
            "UPDATE change SET run = ? WHERE run = ?",
        ):
            self.catalogue.executemany(statement, left)
        ended = [(self.now_ms, run) for _, run in left]
        self.catalogue.executemany("UPDATE run SET ended_ms = ? WHERE id = ?", ended)
        if not self.scope.under:  # of a root that was never seen whole, what was seen is new
            execute(
                """UPDATE file SET born_gen = ? WHERE folder IN (SELECT folder.id FROM folder
                JOIN root ON root.id = folder.root WHERE first_gen = 0)""",
                (self.gen,),
            )

    def _goes_on(self, last: Any) -> bool:  # noqa: ANN401 - a row
        """Tell whether this is an attempt at the last run."""
        if self.job and last["job"] == self.job:
            return True
        same = last["ended_ms"] is None and bool(last["scope"] == str(self.scope))
        return same and self.now_ms - int(last["began_ms"]) <= _GOES_ON_MS

    def go(
        self, most_new: int, rules: RemovalRules, advance: Callable[[], None] = lambda: None
    ) -> bool:
        """Look on, until so many new files were found; return whether the run has ended.

        Raises
        ------
        Postponed
            ``ROOT_MISSING``, of all roots.
        BadInput
            ``ROOT_CHANGED``, of all roots.
        """
        if self.ended:
            return True
        troubles: list[SpoolError] = []
        trees: dict[int, Tree] = {}
        with ExitStack() as stack:
            everywhere = Ignored().with_list("", patterns_of(self.exclude))
            for name, path in self.roots.items():
                if (under := self._under(name)) is None:
                    continue
                try:
                    sight = self._sight(name, path, stack)
                except SpoolError as error:
                    troubles.append(error)
                    continue
                scan = Scan(sight, everywhere, batch_entries=self.batch_entries)
                trees[sight.root] = sight.tree
                if not scan.look(most_new, advance, under):
                    return False
            if troubles and not trees:
                raise troubles[0]
            self.told.notes += [(error.code, error.message) for error in troubles]
            self.told.notes += end_run(
                self.catalogue,
                self.gen,
                trees,
                rules,
                now_ms=self.now_ms,
                whole=not self.scope.under,
                accept=self.scope.accept,
            )
        return True

    def _under(self, name: str) -> list[bytes] | None:
        """Return the folders of a root that are asked for; none: all; ``None``: not this root."""
        if not self.scope.under:
            return []
        found = []
        for asked in self.scope.under:
            first, _, rest = asked.strip("/").partition("/")
            if first == name:
                found.append(as_bytes(rest))
            elif first not in self.roots:
                found.append(as_bytes(asked.strip("/")))
        return found or None

    def within(self) -> tuple[str, list[object]]:
        """Return what is asked for as a condition in SQL on folders and roots, and its values."""
        if not self.scope.under:
            return "1", []
        conditions, values = ["0"], list[object]()
        for name in self.roots:
            for path in self._under(name) or ():
                conditions.append(
                    "root.name = ? AND (? = x'' OR folder.path = ?"
                    " OR folder.path >= ? AND folder.path < ?)"
                )
                values += [name, path, path, path + b"/", path + b"0"]
        return " OR ".join(conditions), values

    def _sight(self, name: str, path: Path, stack: ExitStack) -> Sight:
        """Open a root, if it is the one that it was.

        Raises
        ------
        Postponed
            ``ROOT_MISSING``: it is not there, or empty and was not.
        BadInput
            ``ROOT_CHANGED``.
        """
        try:
            tree = stack.enter_context(Tree(path))
            identity = Identity.of(tree.fd)
        except OSError as error:
            told = f"{path}, the root {name!r}, cannot be opened: {error.strerror}"
            raise Postponed("ROOT_MISSING", told, path=str(path)) from error
        row = self._row(name, path, identity)
        sight = Sight(
            catalogue=self.catalogue,
            tree=tree,
            root=row["id"],
            name=name,
            gen=self.gen,
            now_ms=self.now_ms,
            accept=self.scope.accept,
            inodes=bool(row["inodes"]),
            full=self.scope.full,
            told=self.told,
        )
        if not self.scope.accept and is_emptied(sight, tree.fd, b""):
            told = f"{path}, the root {name!r}, is empty, and files were in it"
            raise Postponed("ROOT_MISSING", told, path=str(path))
        before = Identity(row["fs_type"], row["top_ino"], row["fsid"])
        if before != identity:
            if not self.scope.accept and not is_familiar(sight):
                told = f"{path}, the root {name!r}, is another folder than the one of before"
                raise BadInput("ROOT_CHANGED", told, path=str(path))
            self._renew(row["id"], path, identity)
        return sight

    def _row(self, name: str, path: Path, identity: Identity) -> Any:  # noqa: ANN401 - a row
        execute = self.catalogue.execute
        with self.catalogue.transaction():
            execute(
                """INSERT INTO root (name, path, fs_type, top_ino, fsid) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO NOTHING""",
                (name, os.fsencode(path), identity.fs_type, identity.ino, identity.fsid),
            )
        return execute("SELECT * FROM root WHERE name = ?", (name,)).fetchone()

    def _renew(self, root: int, path: Path, identity: Identity) -> None:
        """Note the new identity of a root; what is missing there is missing from now on."""
        with self.catalogue.transaction():
            self.catalogue.execute(
                "UPDATE root SET path = ?, fs_type = ?, top_ino = ?, fsid = ? WHERE id = ?",
                (os.fsencode(path), identity.fs_type, identity.ino, identity.fsid, root),
            )
            self.catalogue.execute(
                """UPDATE file SET missing_gen = ?, missing_ms = ? WHERE state = 'missing'
                AND folder IN (SELECT id FROM folder WHERE root = ?)""",
                (self.gen, self.now_ms, root),
            )
