"""Every stable code that a person can meet: what it means, and what to do.

Statuses, ``.error.json`` files, logs and the command line carry the codes. ``docs/errors.md``
is made from ``codes.txt``: ``python -m daemon.codes > docs/errors.md``. Tests fail when a code is
raised that is not listed here, and when the page is not current.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FAULTS = {
    "drop": "The drop",
    "surroundings": "The surroundings",
    "operator": "The operator",
    "soundspool": "Soundspool, or a handler",
    "nobody": "Warnings: the job went on",
}
"""Whose fault it is, and the heading on the page."""


@dataclass(frozen=True)
class Code:
    """What a stable error code means, and what a person can do."""

    meaning: str
    hint: str
    fault: str
    """A key of ``FAULTS``."""


# A section for each fault; then each code, what it means, what to do.
_TABLE = Path(__file__).with_name("codes.txt").read_text("utf-8")


def _read(table: str) -> Iterator[tuple[str, Code]]:
    for section in table.strip().split("[")[1:]:
        fault, _, body = section.partition("]\n")
        code, meaning, hint = (body.splitlines()[part::3] for part in range(3))
        for name, means, do in zip(code, meaning, hint, strict=True):
            yield name, Code(means.strip(), do.strip(), fault)


CODES = dict(_read(_TABLE))

_OF_A_HANDLER = "The message says what is wrong; when it is mended, drop it again."


def hint_of(code: str) -> str:
    """Return what a person can do about a code; handlers may have codes of their own."""
    return CODES[code].hint if code in CODES else _OF_A_HANDLER


def fault_of(code: str) -> str:
    """Return whose fault a code is: a key of ``FAULTS``; what is not listed is a handler's."""
    return CODES[code].fault if code in CODES else "soundspool"


_HEAD = """\
# When something failed

The drop lies in `failed/<inbox>/`, untouched, with the reason beside it in `NAME.error.json`.
Its code is one of these. Mend what it names, then move the drop back into the inbox:
`soundspool retry NAME`, or drag it there.

This page is made from `daemon/codes.txt`: `python -m daemon.codes > docs/errors.md`.
"""


def page() -> Iterator[str]:
    """Yield the lines of ``docs/errors.md``."""
    yield from _HEAD.splitlines()
    for fault, heading in FAULTS.items():
        yield from ("", f"## {heading}", "", "| Code | Meaning | What to do |", "|---|---|---|")
        for code, about in sorted(CODES.items()):
            if about.fault == fault:
                yield f"| `{code}` | {about.meaning} | {about.hint} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
