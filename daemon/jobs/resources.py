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

Rule 3: this module does no I/O. Rows say who holds what (``claims``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from daemon.config.models import Config

Held = Mapping[str, tuple[str, ...]]
"""Members by the name of their resource."""

_SHOWN_TO_CUDA = "gpu"
"""The resource whose members are the devices that CUDA shows to a worker."""


@dataclass(frozen=True)
class Resources:
    """What there is, and what inboxes need of it."""

    there: Mapping[str, int | tuple[str, ...]] = field(default_factory=dict)
    needs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By inbox; those that need nothing are left out."""

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return what a configuration says."""
        there = {
            name: one if isinstance(one, int) else tuple(map(str, one))
            for name, one in config.resources.items()
        }
        return cls(there, {name: one.needs for name, one in config.inboxes.items() if one.needs})

    def size(self, name: str) -> int:
        """Return how much there is of a resource, held or free."""
        there = self.there.get(name, 0)
        return there if isinstance(there, int) else len(there)

    def free(self, name: str, held: Collection[str]) -> list[str]:
        """Return the members of a resource that nobody holds.

        After the configuration has changed, members may be held that are there no more.
        """
        there = self.there.get(name, ())
        if not isinstance(there, int):
            return [member for member in there if member not in held]
        places = (str(place) for place in range(1, there + 1))
        return [place for place in places if place not in held][: max(0, there - len(held))]

    def environment(self, held: Held) -> dict[str, str]:
        """Return the variables that tell a worker what its job holds."""
        said: dict[str, str] = {}
        for name, members in held.items():
            counted = isinstance(self.there.get(name), int)
            text = str(len(members)) if counted else ",".join(members)
            said[f"SOUNDSPOOL_RESOURCE_{name.upper()}"] = text
            if name == _SHOWN_TO_CUDA and not counted:
                said["CUDA_VISIBLE_DEVICES"] = text
        return said


class Rest:
    """What is left for each job in its turn: asked in the order of the queue."""

    def __init__(self, resources: Resources, held: Mapping[str, Collection[str]]) -> None:
        self._resources = resources
        self._free = {name: resources.free(name, held.get(name, ())) for name in resources.there}
        self._kept: set[str] = set()

    def take(self, needs: Mapping[str, int]) -> dict[str, tuple[str, ...]] | None:
        """Return what a job gets; ``None``: too little, and what there is of it is kept for it."""
        enough = not any(self.lacking(needs))
        got = {name: tuple(self._free.get(name, ())[:count]) for name, count in needs.items()}
        for name, count in needs.items():
            self._free[name] = self._free.get(name, [])[count:]
            self._kept |= set() if enough else {name}
        return got if enough else None

    def lacking(self, needs: Mapping[str, int]) -> list[str]:
        """Return of which resources there is too little left, each in words."""
        return [
            f"{name}: {count} needed, {len(free)} of {self._resources.size(name)} free"
            + (" for it" if name in self._kept else "")
            for name, count in needs.items()
            if len(free := self._free.get(name, [])) < count
        ]
