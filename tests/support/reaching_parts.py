"""A handler whose parts, and whose last round, reach for more than they are given."""

from collections.abc import Callable

from pydantic import BaseModel

from daemon.handlers.contract import Output, Part, Result, Split, Task

KEEPS = True


class Options(BaseModel, extra="forbid"):
    """None."""


def handle(task: Task) -> Result | Split:
    """Split into two parts that read a song and a page of the plan each; then say what went."""
    if task.round == 0:
        for page in ("a", "b"):
            (task.workdir / f"{page}.txt").write_text(page)
        if task.roots:
            (task.kept / "plan").write_text("kept")
        return Split(tuple(_part(page) for page in ("a", "b")))
    first = task.parts[0]
    tries = {
        "the drop": (task.source / "a.wav").read_bytes,
        "the plan": (task.carried / "a.txt").read_text,
        "a part": (first.folder / "went.txt").read_text,
        "write a part": (first.folder / "new").touch,
        "write the plan": (task.carried / "new").touch,
        "write what is kept": (task.kept / "round").touch,
    }
    went = _went(tries)
    (task.workdir / "went.txt").write_text("\n".join(went))
    parts = {part.name: part.measurements.get("went") for part in task.parts}
    return Result((Output("went.txt", "data"),), {"went": went, "parts": parts})


def part(task: Task) -> Result:
    """Reach for what is one's own, and for what is the other's."""
    own, other = task.part["page"], task.part["other"]
    tries = {
        "own song": (task.source / f"{own}.wav").read_bytes,
        "own page": (task.carried / f"{own}.txt").read_text,
        "other song": (task.source / f"{other}.wav").read_bytes,
        "other page": (task.carried / f"{other}.txt").read_text,
        "parts": lambda: list(task.workdir.parent.parent.iterdir()),
        "write the plan": (task.carried / "new").touch,
        "write the drop": (task.source / "new").touch,
        "write what is kept": (task.kept / own).touch,
        "root": (task.roots.get("music", task.workdir / "no root") / "a.wav").read_bytes,
        "read what is kept": (task.kept / "plan").read_text,
    }
    went = _went(tries)
    (task.workdir / "went.txt").write_text("\n".join(went))
    return Result((Output("went.txt", "data"),), {"went": went})


def _part(page: str) -> Part:
    other = "ab".replace(page, "")
    return Part(page, {"page": page, "other": other}, reads=(f"{page}.wav", f"{page}.txt"))


def _went(tries: dict[str, Callable[[], object]]) -> list[str]:
    return [name for name, attempt in tries.items() if _goes(attempt)]


def _goes(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
