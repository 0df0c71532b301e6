"""``index.html``: the front page of the spool, for whoever opens the folder at 3 a.m.

One file that opens from disk or from any share: no server, no port, nothing loaded. It knows
when it was written, so a page that nobody rewrites any more says by itself that the daemon is
down; without JavaScript it says when it was written.

Rule 1: names are anybody's, and ``markup`` escapes them. Should markup slip in even so, the
page's policy lets nothing act but the one style and the one script whose hashes it names.

Rule 2: ``page`` is pure. ``Front`` alone knows the clock and the disk.

Rule 3: nothing is written when nothing new is to be seen, except every ``REFRESH_S`` for the age.

Costs, measured with 200 rows and a beat every 2 s: 1 ms for each comparison and 4 ms for each
page, so 0.1 % of a core while nothing happens; with 13 rows 0.01 %.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

from daemon.clock import Clock, rfc3339
from daemon.files import Files
from daemon.outbox import rows
from daemon.outbox.markup import Html, fill, joined
from daemon.outbox.overview import PERIODS, Document, Overview, picture

NAME = "index.html"
REFRESH_S = 10.0
"""The page is rewritten, and reloads itself, at least this often."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<noscript><meta http-equiv="refresh" content="{refresh_s}"></noscript>
<link rel="icon" href="data:,">
<title>{running} running, {waiting} waiting – Soundspool</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
  <h1>Soundspool</h1>
  <span id="phase" class="phase {phase}">{phase}</span>
  <span class="soft">{version}</span>
</header>
<div id="life" class="life {phase}" data-written="{written}" data-phase="{phase}"
  data-refresh-s="{refresh_s}" data-down-after-s="{down_after_s}">
{life}
<button id="pause" type="button" aria-pressed="false" hidden>Pause reloading</button>
</div>
<dl class="figures">
{figures}</dl>
{sections}</main>
<script>{script}</script>
</body>
</html>
"""
_START = "To start it: <code>systemctl start soundspool</code>, or <code>soundspool run</code>."
_STOPPED = (
    "<p>The daemon was stopped. This is how things stood {written}.</p>"
    "<p>" + _START + "</p>"
)  # fmt: skip
_ALIVE = (
    '<p><span id="age">While the daemon runs, it rewrites this page at least every'
    " {refresh_s} s.</span> As of {written}.</p>\n"
    '<p id="start" hidden>' + _START + "</p>"
)
_FIGURE = "<div><dt>{name}</dt><dd>{value}</dd></div>\n"


class Front:
    """The writer of ``index.html``."""

    def __init__(self, root: Path, *, files: Files, clock: Clock) -> None:
        self._path, self._files, self._clock = root / NAME, files, clock
        self._written_s = -1e9
        self._seen: Overview | None = None

    def write(self, state: Document, documents: Iterable[Document]) -> bool:
        """Write the page if there is something new to see; return whether it was written.

        Meant to be called with each heartbeat; `documents` are those of the drops that are
        not finished and of the latest that are.
        """
        now_s, drawn = self._clock.monotonic_s(), picture(state, documents)
        seen = replace(drawn, figures=(), health=())  # these hold ages, which always change
        if seen == self._seen and now_s - self._written_s < REFRESH_S:
            return False
        text = _drawn_page(drawn, state, self._clock.wall_ms())
        self._files.write("write front page", self._path, text.encode("utf-8"), durable=False)
        self._written_s, self._seen = now_s, seen
        return True


def page(state: Document, documents: Iterable[Document], *, now_ms: int) -> str:
    """Return the front page.

    Parameters
    ----------
    state : mapping
        What the supervisor gives to the heartbeat; see ``schema/daemon-1.json``.
    documents : iterable of mappings
        Status documents, in any order.
    now_ms : int
        When the page is written, wall clock.
    """
    return _drawn_page(picture(state, documents), state, now_ms)


def _drawn_page(drawn: Overview, state: Document, now_ms: int) -> str:
    style, style_hash = _static("index.css")
    script, script_hash = _static("index.js")
    written, refresh_s = rfc3339(now_ms), round(REFRESH_S)
    life = _STOPPED if drawn.phase == "stopped" else _ALIVE
    return fill(
        _PAGE,
        policy=f"default-src 'none'; style-src '{style_hash}'; script-src '{script_hash}'; "
        "img-src data:",
        refresh_s=refresh_s,
        down_after_s=round(PERIODS * REFRESH_S),
        running=len(drawn.running),
        waiting=drawn.waiting_in_all,
        style=style,
        phase=drawn.phase,
        version=state.get("version") or "",
        written=written,
        life=fill(life, refresh_s=refresh_s, written=rows.moment(written)),
        figures=joined(fill(_FIGURE, name=name, value=value) for name, value in drawn.figures),
        sections=rows.sections(drawn, inboxes=_inbox_paths(state)),
        script=script,
    )


def _inbox_paths(state: Document) -> list[str]:
    return [str(inbox.get("path")) for inbox in (state.get("inboxes") or {}).values()]


@cache
def _static(name: str) -> tuple[Html, str]:
    """Return a file of this package, and the hash by which the page's policy names it."""
    text = (resources.files("daemon.outbox") / name).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest())
    return Html(text), f"sha256-{digest.decode('ascii')}"
