"""Named resources: how much there is of each, who needs what, and who gets it next.

Theory of operation
-------------------
``resources: {gpu: [0, 1], tts: 4}`` says what there is for all inboxes together: a list has
members, which are handed out, a number is a count. ``needs: {gpu: 1}`` of an inbox says what each
of its jobs holds while it runs; of a job that splits, each of its parts. A run that gathers what
parts have made holds nothing. The first run of a job does, although it may only be a plan: it may
as well do the work itself, and nobody knows before.

Rules
-----
Rule 1: a job gets all that it needs, or nothing; so none waits for another's while it holds its
own.

Rule 2: the first job of an inbox that does not get what it needs keeps what there is of it from
those that come after it in the queue; so no stream of small needs starves a large one. What it
does not need, others get.

Rule 3: members belong to a machine, this one or a node, and a job gets all of its from one. What
is kept for the first job of an inbox (rule 2) is kept at the machine that has the most of it: what
is left there can only grow until it is enough, and the other machines go on with small needs.

Rule 4: this module does no I/O. Rows say who holds what (``claims``).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from daemon.config.models import Config

Held = Mapping[str, tuple[str, ...]]
"""Members by the name of their resource; those of a node as ``0@farm``."""
Elsewhere = Mapping[str, Mapping[str, Sequence[str]]]

_SHOWN_TO_CUDA = "gpu"
"""The resource whose members are the devices that CUDA shows to a worker."""


@dataclass(frozen=True)
class Resources:
    """What there is, and what inboxes need of it."""

    there: Mapping[str, int | tuple[str, ...]] = field(default_factory=dict)
    needs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By inbox; those that need nothing are left out."""
    elsewhere: Elsewhere = field(default_factory=dict)
    """Members that nodes have, by node and by resource."""

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return what a configuration says."""
        there = {
            name: one if isinstance(one, int) else tuple(map(str, one))
            for name, one in config.resources.items()
        }
        return cls(there, {name: one.needs for name, one in config.inboxes.items() if one.needs})

    def with_nodes(self, elsewhere: Elsewhere) -> Self:
        """Return it with what the nodes have that are there now."""
        return self if elsewhere == self.elsewhere else replace(self, elsewhere=elsewhere)

    def counted(self, name: str) -> bool:
        """Return whether a resource is a number, of no machine in particular."""
        return isinstance(self.there.get(name), int)

    def members(self, name: str) -> list[str]:
        """Return the members of a resource, here and at nodes."""
        there = self.there.get(name)
        if there is None or isinstance(there, int):
            return []
        at_nodes = ((node, own.get(name, ())) for node, own in self.elsewhere.items())
        return [*there, *(f"{member}@{node}" for node, own in at_nodes for member in own)]

    def size(self, name: str) -> int:
        """Return how much there is of a resource, held or free."""
        there = self.there.get(name)
        return there if isinstance(there, int) else len(self.members(name))

    def free(self, name: str, held: Collection[str]) -> list[str]:
        """Return the members of a resource that nobody holds.

        After the configuration has changed, members may be held that are there no more.
        """
        there = self.there.get(name)
        if not isinstance(there, int):
            return [member for member in self.members(name) if member not in held]
        places = (str(place) for place in range(1, there + 1))
        return [place for place in places if place not in held][: max(0, there - len(held))]

    def environment(self, held: Held) -> dict[str, str]:
        """Return the variables that tell a worker what its job holds."""
        said: dict[str, str] = {}
        for name, members in held.items():
            counted = self.counted(name)
            own = (member.partition("@")[0] for member in members)
            text = str(len(members)) if counted else ",".join(own)
            said[f"SOUNDSPOOL_RESOURCE_{name.upper()}"] = text
            if name == _SHOWN_TO_CUDA and not counted:
                said["CUDA_VISIBLE_DEVICES"] = text
        return said

    def place(self, held: Held) -> str | None:
        """Return the machine whose members these are; empty: this one; ``None``: of any."""
        own = (_place(one) for name, all_ in held.items() if not self.counted(name) for one in all_)
        return next(own, None)


def _place(member: str) -> str:
    return member.partition("@")[2]


class Rest:
    """What is left for each job in its turn: asked in the order of the queue."""

    def __init__(self, resources: Resources, held: Mapping[str, Collection[str]]) -> None:
        self._resources = resources
        self._free = {name: resources.free(name, held.get(name, ())) for name in resources.there}
        self._kept: set[str] = set()

    def take(
        self, needs: Mapping[str, int], places: Collection[str] | None = None
    ) -> dict[str, tuple[str, ...]] | None:
        """Return what a job gets; ``None``: too little, and what there is of it is kept for it.

        `places` are the machines that could run it now; ``None``: all.
        """
        place = self._best(needs, places)
        enough = not any(self.lacking(needs, places))
        got = {name: tuple(self._at(name, place)[:count]) for name, count in needs.items()}
        for name, members in got.items():
            self._free[name] = [one for one in self._free.get(name, []) if one not in members]
            self._kept |= set() if enough else {name}
        return got if enough else None

    def lacking(self, needs: Mapping[str, int], places: Collection[str] | None = None) -> list[str]:
        """Return of which resources there is too little left, each in words."""
        place = self._best(needs, places)
        return [
            f"{name}: {count} needed{self._where(name, count)}, "
            f"{len(free)} of {self._resources.size(name)} free"
            + (" for it" if name in self._kept else "")
            for name, count in needs.items()
            if len(free := self._at(name, place)) < count
        ]

    def _best(self, needs: Mapping[str, int], places: Collection[str] | None) -> str | None:
        """Return the machine that has the most left, of those that ever have enough."""
        able: Collection[str] = ("", *self._resources.elsewhere) if places is None else places
        left: Counter[str] = Counter()
        for name, count in needs.items():
            if self._resources.counted(name):
                continue
            there = Counter(map(_place, self._resources.members(name)))
            free = Counter(map(_place, self._free.get(name, [])))
            able = [place for place in able if there[place] >= count]
            left.update({place: min(free[place], count) for place in able})
        return max(able, key=lambda place: left[place], default=None)

    def _at(self, name: str, place: str | None) -> list[str]:
        free = self._free.get(name, [])
        return free if self._resources.counted(name) else [m for m in free if _place(m) == place]

    def _where(self, name: str, count: int) -> str:
        together = count > 1 and self._resources.elsewhere and not self._resources.counted(name)
        return " at one machine" if together else ""
