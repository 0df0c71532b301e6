"""``soundspool top``: the spool in a terminal, once a second.

It reads what every tool reads, ``daemon.json`` and the status files, so it also works when the
daemon is down, and says so.

Rule 1: nothing is printed but the words of an ``Overview`` as ``rich.text.Text``: names cannot
move the cursor, and square brackets in them are no markup.
"""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daemon.clock import Clock
from daemon.outbox.health import Document, Health
from daemon.outbox.heartbeat import NAME
from daemon.outbox.overview import Ended, Life, Overview, Running, Waiting, life, overview_of
from daemon.outbox.status_reader import StatusCache, read_status, standing
from daemon.text import age_s, shown, span

EX_OK, EX_NOT_RUNNING = 0, 3
REDRAW_S = 1.0
_START = "To start it: systemctl start soundspool, or soundspool run."
_BESIDE_ROWS = 16
"""Lines of a screen that are no rows: headings, figures, health."""
_ROWS = 50
_BAR = 24
_QUIT = ("q", "Q", "\x04", "")


def run_top(root: Path, *, once: bool = False) -> int:
    """Show the spool until a person presses ``q``; return the exit code.

    Parameters
    ----------
    root : Path
        The spool.
    once : bool
        Print one frame and end: 0, or 3 when the daemon does not run. So it is, too, when the
        output is no terminal.
    """
    console, statuses, clock = Console(), StatusCache(root / "outbox"), Clock()

    def draw(rows: int) -> tuple[RenderableType, Life]:
        state, now_ms = read_status(root / NAME, "daemon"), clock.wall_ms()
        documents = standing(root, statuses.documents())
        return frame(root, state, documents, now_ms, rows=rows), life(state, now_ms)

    if once or not console.is_terminal:
        drawn, found = draw(_ROWS)
        console.print(drawn)
        return EX_OK if found == "alive" else EX_NOT_RUNNING
    _watch(console, lambda: draw(max(3, (console.height - _BESIDE_ROWS) // 3))[0])
    return EX_OK


def frame(
    root: Path,
    state: Document | None,
    documents: Iterable[Document],
    now_ms: int,
    *,
    rows: int,
) -> RenderableType:
    """Return one frame, at most ``rows`` rows in each part.

    ``state`` is what ``daemon.json`` says, ``None`` when there is none.
    """
    seen = overview_of(state or {}, documents)
    parts: list[RenderableType] = [_headline(root, state, seen, now_ms)]
    parts += [_figures(seen)] if state else []
    parts += [Text(f"! {sentence}", "yellow") for sentence in seen.attention[:rows]]
    parts += _more(len(seen.attention), rows)
    parts += _part("Failed", _failed(seen.failed[:rows], now_ms), len(seen.failed), rows)
    parts += _part("Running", _running(seen.running[:rows]), len(seen.running), rows)
    parts += _part("Waiting", _waiting(seen.waiting[:rows], now_ms), seen.waiting_in_all, rows)
    parts += _part("Results", _results(seen.results[:rows], now_ms), len(seen.results), rows)
    parts += _part("Health", _health(seen.health[:rows]), len(seen.health), rows)
    return Group(*parts)


# The parts of a frame


def _headline(root: Path, state: Document | None, seen: Overview, now_ms: int) -> Text:
    found = life(state, now_ms)
    told = Text("Soundspool ", "bold")
    if state is None:
        told.append(f"There is no daemon in {shown(root)}. {_START}", "bold red")
    elif found == "down":
        since = _ago(state.get("heartbeat"), now_ms) or "never"
        told.append(f"The daemon is down; its last heartbeat: {since}. {_START}", "bold red")
    elif found == "stopped":
        told.append(f"The daemon was stopped {_ago(state.get('heartbeat'), now_ms)}. ", "bold red")
        told.append(_START)
    else:
        told.append(seen.phase, "green" if seen.phase == "running" else "yellow")
        told.append(f"  {shown(state.get('version') or '')}  {shown(root)}", "dim")
    return told


def _figures(seen: Overview) -> Text:
    told = Text()
    for name, value in seen.figures:
        told.append(f"{name}\u00a0", "dim").append(value.replace(" ", "\u00a0"), "bold").append(
            "   "
        )
    return told


def _part(title: str, table: Table, number: int, rows: int) -> list[RenderableType]:
    if not number:
        return []
    return [Text(f"\n{title}", "bold"), table, *_more(number, rows)]


def _more(number: int, rows: int) -> list[RenderableType]:
    return [Text(f"  and {number - rows} more", "dim")] if number > rows else []


def _table(*ratios: int, wrap: bool = False) -> Table:
    """Return a table without lines; a column of ratio 0 is as wide as its widest cell."""
    table = Table(box=None, show_header=False, expand=True, padding=(0, 1))
    for ratio in ratios:
        overflow: OverflowMethod = "fold" if wrap else "ellipsis"
        table.add_column(ratio=ratio or None, no_wrap=not (wrap and ratio), overflow=overflow)
    return table


def _name(name: str, inbox: str) -> Text:
    return Text(name).append(f" {inbox}", "dim")


def _running(running: Iterable[Running]) -> Table:
    table = _table(2, 0, 0, 2, 0)
    for one in running:
        again = one.attempt > 1 and not one.parts
        stage = f"{one.stage}, attempt {one.attempt}" if again else one.stage
        table.add_row(
            _name(one.name, one.inbox),
            ProgressBar(total=1.0, completed=one.progress, width=_BAR),
            Text(f"{one.progress:4.0%}"),
            Text("\n".join([stage, *one.parts])),
            Text(one.left, "dim"),
        )
    return table


def _waiting(waiting: Iterable[Waiting], now_ms: int) -> Table:
    table = _table(2, 3, 0)
    for one in waiting:
        overdue_s = age_s(one.until, now_ms)
        due = overdue_s is not None and overdue_s < 0
        when = f"in {span(-(overdue_s or 0.0))}" if due else _ago(one.since, now_ms)
        table.add_row(_name(one.name, one.inbox), Text(one.why), Text(when, "dim"))
    return table


def _failed(failed: Iterable[Ended], now_ms: int) -> Table:
    table = _table(2, 3, 0, wrap=True)  # the next step must be readable to its end
    for one in failed:
        why = Text(one.notes, "red").append(f" {one.code}", "dim").append(f"\nNext: {one.step}", "")
        table.add_row(_name(one.name, one.inbox), why, Text(_ago(one.finished, now_ms), "dim"))
    return table


def _results(results: Iterable[Ended], now_ms: int) -> Table:
    table = _table(2, 3, 0)
    for one in results:
        state = Text(one.state, "green" if one.state == "done" else "dim").append(f"  {one.notes}")
        table.add_row(_name(one.name, one.inbox), state, Text(_ago(one.finished, now_ms), "dim"))
    return table


def _health(health: Iterable[Health]) -> Table:
    table = _table(1, 4)
    for one in health:
        table.add_row(Text(one.name), Text(one.notes, "" if one.fine else "red"))
    return table


def _ago(moment: str | None, now_ms: int) -> str:
    age = age_s(moment, now_ms)
    return "" if age is None else f"{span(age)} ago"


# The terminal


def _watch(console: Console, draw: Callable[[], RenderableType]) -> None:
    """Draw again and again, until a key that quits or Ctrl-C."""
    try:
        with (
            _keys() as key_within,
            Live(draw(), console=console, screen=True, auto_refresh=False) as live,
        ):
            while key_within(REDRAW_S) not in _QUIT:
                live.update(draw(), refresh=True)
    except KeyboardInterrupt:
        return


@contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Let single keys be read, each within some seconds; ``None``: none was pressed."""
    if not sys.stdin.isatty():
        yield time.sleep
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)

    def key_within(seconds: float) -> str | None:
        ready, _, _ = select.select([fd], [], [], seconds)
        return os.read(fd, 1).decode("ascii", "replace") if ready else None

    try:
        yield key_within
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
