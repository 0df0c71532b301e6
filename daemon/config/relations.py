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
    needs: Mapping[str, Mapping[str, int]], resources: Mapping[str, int | Sized]
) -> Iterator[Contradiction]:
    """Yield what inboxes need and there is not, with the line to add."""
    for inbox, wanted in needs.items():
        for name, count in wanted.items():
            there = resources.get(name, 0)
            size = there if isinstance(there, int) else len(there)
            if size < count:
                some = list(range(count)) if name == "gpu" else count
                text = f"{count} needed, and there {'are' if size > 1 else 'is'} {size or 'none'}"
                line = f"{text}; add to config.yaml  resources: {{{name}: {some}}}"
                yield Contradiction(("inboxes", inbox, "needs", name), line)
