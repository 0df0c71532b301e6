"""In which order chunks follow each other: the first rule that decides all of them.

==========  ==============================================================================
Rule        Decides when
==========  ==============================================================================
``order``   ``job.yaml`` lists the names, each of them once
``stamps``  each file holds the time of its first sample, and no two the same
``times``   each name holds a date and a time of day, and no two the same
``numbers`` the names differ in numbers only, which are compared as numbers
``names``   always; said to be a guess
==========  ==============================================================================

Copies of the same bytes may share a time; one of them is left out later.

Rule: what a name says is text of a stranger: every pattern is linear, every number bounded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Literal

from daemon.errors import BadInput
from daemon.text import display
from dsp.containers.junk import composed

Rule = Literal["order", "stamps", "times", "numbers", "names"]

_DAY_S = 86_400
_TIME = re.compile(
    r"(?<!\d)(\d{4})[-_.]?(\d{2})[-_.]?(\d{2})[T_ \-.]?(\d{2})[-_:.h]?(\d{2})[-_:.m]?(\d{2})"
    r"(?:[.,_-](\d{3})(?!\d))?(?!\d)"
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Named:
    """What there is to go by."""

    name: str
    """Its path in the drop."""
    stamp_s: Fraction | None = None
    """Seconds since midnight at which it begins, as the file says."""
    sha256: str = ""


@dataclass(frozen=True)
class Order:
    """The chunks in their order."""

    rule: Rule
    places: tuple[int, ...]
    """Which of the chunks that were given comes first, second …"""
    starts_s: tuple[Fraction, ...] | None = None
    """When each begins, in that order; ``None``: nothing says so."""
    resolution_s: Fraction = Fraction(0)
    """How exactly: times in names count whole seconds, most often."""


def ordered(chunks: Sequence[Named], wanted: Sequence[str] = ()) -> Order:
    """Return the order.

    Raises
    ------
    BadInput
        ``wanted`` names what is not there, or leaves something out.
    """
    if wanted:
        return Order("order", _as_wanted([chunk.name for chunk in chunks], wanted))
    stamps = [chunk.stamp_s for chunk in chunks]
    known = [stamp for stamp in stamps if stamp is not None]
    if _decide(known, chunks):
        # Stamps count from midnight, and a recording may pass it.
        if max(known) - min(known) > Fraction(_DAY_S, 2):
            known = [at + _DAY_S if at < Fraction(_DAY_S, 2) else at for at in known]
        return _by_time("stamps", known, Fraction(5, 1_000))
    times = [_time_in(chunk.name) for chunk in chunks]
    told = [time for time in times if time is not None]
    if _decide([at for at, _ in told], chunks):
        return _by_time("times", [at for at, _ in told], max(step for _, step in told))
    return _by_name([chunk.name for chunk in chunks])


def _decide(starts: Sequence[Fraction], chunks: Sequence[Named]) -> bool:
    """Tell whether every chunk has a time, and no two different ones the same."""
    if len(starts) < len(chunks):
        return False
    apart = {(at, chunk.sha256 or chunk.name) for at, chunk in zip(starts, chunks, strict=True)}
    return len(apart) == len(set(starts))


def _as_wanted(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    places = {composed(name): place for place, name in enumerate(names)}
    asked = [composed(name) for name in wanted]
    if len(set(asked)) < len(asked):
        raise _invalid("names a chunk twice", next(n for n in asked if asked.count(n) > 1))
    if unknown := [name for name in asked if name not in places]:
        raise _invalid("names a chunk that is not there", unknown[0])
    if missing := [name for name in places if name not in set(asked)]:
        raise _invalid("leaves out a chunk", missing[0])
    return tuple(places[name] for name in asked)


def _invalid(what: str, name: str) -> BadInput:
    shown = display(name)
    return BadInput("ORDER_INVALID", f"order {what}: {shown}", path=shown)


def _by_time(rule: Rule, starts: Sequence[Fraction], resolution_s: Fraction) -> Order:
    places = sorted(range(len(starts)), key=lambda place: starts[place])
    first = starts[places[0]]
    relative = tuple(starts[place] - first for place in places)
    return Order(rule, tuple(places), relative, resolution_s)


def _time_in(name: str) -> tuple[Fraction, Fraction] | None:
    """Return the last time in a name, and how exact it is."""
    for found in reversed(list(_TIME.finditer(PurePosixPath(name).name))):
        parts = [int(part) for part in found.groups()[:6]]
        try:
            moment = datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]
        except ValueError:
            continue
        millis = found[7]
        exact = Fraction(1, 100) if millis else Fraction(1)
        return Fraction(int(moment.timestamp())) + Fraction(int(millis or 0), 1_000), exact
    return None


def _by_name(names: Sequence[str]) -> Order:
    stems = [composed(str(PurePosixPath(name).with_suffix(""))).casefold() for name in names]
    numbers = [tuple(map(_bounded, _NUMBER.findall(stem))) for stem in stems]
    around = {_NUMBER.sub("#", stem) for stem in stems}
    by_number = sorted(range(len(names)), key=lambda place: numbers[place])
    if len(around) == 1 and len(set(numbers)) == len(numbers):
        return Order("numbers", tuple(by_number))
    keys = [(_NUMBER.sub("#", stem), digits) for stem, digits in zip(stems, numbers, strict=True)]
    return Order(
        "names", tuple(sorted(range(len(names)), key=lambda place: (keys[place], names[place])))
    )


def _bounded(digits: str) -> tuple[int, str]:
    """Return what compares as the number does, however many digits there are."""
    plain = digits.lstrip("0")
    return len(plain), plain
