"""What keys of a configuration say of each other, once each is valid by itself."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import NamedTuple

from daemon.config.yaml_reader import Document, Path, Problem, refused


class Contradiction(NamedTuple):
    """A key, and what is wrong between it and others."""

    path: Path
    message: str


def refuse(found: Iterable[Contradiction], document: Document) -> None:
    """Raise for what was found.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``, one line per problem.
    """
    problems = [
        Problem(document.place_of(path), ".".join(map(str, path)), text) for path, text in found
    ]
    if problems:
        raise refused(*problems)


def unmet_needs(
    needs: Mapping[str, Mapping[str, int]], resources: Mapping[str, int | Sized], *, nodes: bool
) -> Iterator[Contradiction]:
    """Yield what inboxes need and there is not, with the line to add.

    `nodes` may bring more of what has members here, if only an empty list of them.
    """
    for inbox, wanted in needs.items():
        for name, count in wanted.items():
            there = resources.get(name, 0)
            size = there if isinstance(there, int) else len(there)
            if size < count and not (nodes and isinstance(there, Sized)):
                some = list(range(count)) if name == "gpu" else count
                text = f"{count} needed, and there {'are' if size > 1 else 'is'} {size or 'none'}"
                line = f"{text}; add to config.yaml  resources: {{{name}: {some}}}"
                line += f", or {{{name}: []}} when nodes alone have it" if nodes else ""
                yield Contradiction(("inboxes", inbox, "needs", name), line)


def broken_forwards(forwards: Mapping[str, str], inboxes: Iterable[str]) -> Iterator[Contradiction]:
    """Yield what is wrong with where results go on: nowhere, or round and round."""
    known = sorted(inboxes)
    for inbox, target in forwards.items():
        if target not in known:
            text = f"there is no inbox {target}; there are {', '.join(known)}"
            yield Contradiction(("inboxes", inbox, "forward"), text)
        way = [inbox]
        while (after := forwards.get(way[-1])) is not None and after not in way:
            way.append(after)
        if after == inbox == min(way):  # told once, of the first of those in the ring
            text = f"results would go round for ever: {' → '.join([*way, inbox])}; take one away"
            yield Contradiction(("inboxes", inbox, "forward"), text)
