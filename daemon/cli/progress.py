"""Progress of a job by hand: bars on a terminal, JSON lines for programs, nothing into a pipe."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from daemon.text import shown

_Report = Callable[[str, float], None]


@contextmanager
def reporting(console: Console, *, as_json: bool) -> Iterator[tuple[_Report, _Report]]:
    """Give what a task reports with: of the whole by stage, and of a piece by name."""
    if as_json:
        lines = _Lines()
        yield lines.report, lines.report_piece
        return
    with _Bars(console) as bars:
        yield bars.report, bars.report_piece


def say(**fields: object) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class _Lines:
    """A line for each report."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def report(self, stage: str, fraction: float) -> None:
        self._say(event="progress", stage=stage, progress=round(fraction, 4))

    def report_piece(self, name: str, fraction: float) -> None:
        self._say(event="piece", name=name, progress=round(fraction, 4))

    def _say(self, **fields: object) -> None:
        say(**fields, elapsed_s=round(time.monotonic() - self._began_s, 2))


class _Bars(Progress):
    """The bar of the whole at the bottom, above it that of the piece at work.

    The bars of pieces that have ended scroll away upwards: there may be thousands.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn(
                "{task.description}",
                markup=False,  # names come from files
                table_column=Column(no_wrap=True, overflow="ellipsis", width=32),
            ),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._whole = self.add_task("starting", total=1.0)
        self._piece: tuple[str, TaskID] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks[::-1])

    def report(self, stage: str, fraction: float) -> None:
        self.update(self._whole, description=stage.replace("_", " "), completed=fraction)

    def report_piece(self, name: str, fraction: float) -> None:
        if self._piece is None or self._piece[0] != name:
            self._piece = name, self.add_task(shown(name), total=1.0)
        _, row = self._piece
        self.update(row, completed=fraction)
        if fraction >= 1.0:
            ended = [task for task in self.tasks if task.id == row]
            self.remove_task(row)
            self._piece = None
            self.refresh()
            if not self.disable:
                self.print(self.make_tasks_table(ended))
