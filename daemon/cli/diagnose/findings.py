"""What the commands find out: findings, and how they are printed."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from daemon.text import shown

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was found about one thing.

    ``ok``: as it must be. ``warning``: the daemon works, but not as well as it could; the text
    says what follows. ``problem``: the daemon cannot work, or cannot keep its word.
    """

    what: str
    verdict: Verdict
    text: str


def write(found: list[Finding], good: str, *, as_json: bool) -> None:
    """Print findings; `good` is what JSON calls the absence of problems."""
    well = all(one.verdict != "problem" for one in found)
    body = {good: well, "findings": [asdict(one) for one in found]}
    sys.stdout.write((json.dumps(body) if as_json else table(found)) + "\n")


def table(found: list[Finding]) -> str:
    """Return the findings for people, one a line."""
    width = max(len(one.what) for one in found)
    lines = []
    for one in found:
        first, *more = one.text.split("\n")
        lines.append(f"{one.verdict:<8} {one.what:<{width}}  {shown(first)}".rstrip())
        lines += [f"{'':<{9 + width}}  {shown(line)}" for line in more]
    return "\n".join(lines)


@contextmanager
def probe_file(folder: Path) -> Iterator[Path]:
    """Create an empty hidden file for a moment; scans do not see it."""
    path = folder / f".soundspool-check-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
