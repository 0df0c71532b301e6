"""``index.html``: the front page of the spool, for whoever opens the folder at 3 a.m.

One file that opens from disk or from any share: no server, no port, nothing loaded. It knows
when it was written, so a page that is no longer rewritten says by itself that the daemon is
down; without JavaScript it says when it was written.

Rule 1: every text in the template is escaped and passes ``text.shown``; only our own style and
script are not. Should markup slip in even so, the page's policy lets nothing act but those two,
by their hashes.

Rule 2: ``page`` is pure. ``FrontPage`` alone knows the clock and the disk.

Rule 3: nothing is written when nothing new is to be seen, except every ``REFRESH_S`` for the age.
In a burst, when something always is, that takes a small share of the daemon's time.

Costs, measured with 200 rows: 8 ms for each page; 3 MB for Jinja2 and the compiled template.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from daemon.clock import Clock, rfc3339
from daemon.files import Files
from daemon.outbox.health import Document
from daemon.outbox.overview import PERIODS, Overview, overview_of
from daemon.outbox.status_reader import standing
from daemon.text import shown

NAME, RESULTS = "index.html", "results.html"
REFRESH_S = 10.0
"""The page is rewritten, and reloads itself, at least this often."""
_WRITING_SHARE = 0.02
"""Of the time, for the front page: the drops wait while it is made."""
ROWS, SHARE = 50, 5
"""Failures that are listed, and results; the rest is counted, or on a page of its own. Of each
list, so many rows stand on the page at once, and the others are folded: old failures must not
push the queue off it."""


class FrontPage:
    """The writer of ``index.html``, and of ``results.html`` beside it."""

    def __init__(self, root: Path, *, files: Files, clock: Clock) -> None:
        self._root, self._files, self._clock = root, files, clock
        self._written_s = self._next_s = -1e9
        self._seen: Overview | None = None
        self._results_written_s, self._endings = -1e9, -1

    def write(self, state: Document, documents: Iterable[Document]) -> bool:
        """Write the page if there is something new to see; return whether it was written.

        Meant to be called with each heartbeat; `documents` are those of the drops that are
        not finished and of the latest that are.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s and self._seen and self._seen.phase == state.get("phase"):
            return False
        found = overview_of(state, standing(self._root, documents))
        seen = replace(found, figures=(), health=())  # these hold ages, which always change
        if seen == self._seen and now_s - self._written_s < REFRESH_S:
            return False
        data = _rendered(found, state, self._clock.wall_ms()).encode("utf-8")
        self._files.write("write front page", self._root / NAME, data, durable=False)
        self._written_s, self._seen = now_s, seen
        took_s = self._clock.monotonic_s() - now_s
        self._next_s = now_s + min(took_s / _WRITING_SHARE, REFRESH_S)
        return True

    def write_results(
        self, state: Document, documents: Callable[[], Iterable[Document]], endings: int
    ) -> bool:
        """Write the page of all results when `endings` has changed, but not again and again."""
        now_s = self._clock.monotonic_s()
        if endings == self._endings or now_s - self._results_written_s < REFRESH_S:
            return False
        text = page(state, documents(), now_ms=self._clock.wall_ms(), all_results=True)
        data = text.encode("utf-8")
        self._files.write("write page of results", self._root / RESULTS, data, durable=False)
        self._results_written_s, self._endings = now_s, endings
        return True


def page(
    state: Document, documents: Iterable[Document], *, now_ms: int, all_results: bool = False
) -> str:
    """Return the front page, or the page of all results.

    Parameters
    ----------
    state : mapping
        What the supervisor gives to the heartbeat; see ``schema/daemon-1.json``.
    documents : iterable of mappings
        Status documents, in any order.
    now_ms : int
        When the page is written, wall clock.
    """
    return _rendered(overview_of(state, documents), state, now_ms, all_results=all_results)


def _rendered(seen: Overview, state: Document, now_ms: int, *, all_results: bool = False) -> str:
    style, style_hash = _own("index.css")
    script, script_hash = _own("index.js")
    return _TEMPLATE.render(
        seen=seen,
        policy=f"default-src 'none'; style-src '{style_hash}'; script-src '{script_hash}'; "
        "media-src 'self' file:; img-src data:; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        version=state.get("version") or "",
        written=rfc3339(now_ms),
        refresh_s=round(REFRESH_S),
        down_after_s=round(PERIODS * REFRESH_S),
        inboxes=list(_inboxes(state)),
        all_results=all_results,
        rows=ROWS,
        share=SHARE,
    )


def _inboxes(state: Document) -> Iterator[tuple[str, str]]:
    """Yield what each inbox is called for whoever looks at the page, and a link to it.

    Where the spool lies on the server helps nobody at the other end of a share.
    """
    share = str(state.get("share") or "")
    for name, inbox in (state.get("inboxes") or {}).items():
        path = str(inbox.get("path") or "")
        if not path.endswith(f"/inbox/{name}"):
            yield path, ""
            continue
        slash = "\\" if "\\" in share else "/"
        place = ["inbox", str(name)]
        yield slash.join([share.rstrip(slash), *place] if share else place), _link(place)


def _compiled(template: str) -> Template:
    environment = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else shown(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["link"] = _link
    return environment.from_string(template)


def _link(parts: Sequence[str]) -> str:
    """Return a relative link; each part of the path is quoted on its own."""
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in parts)


@cache
def _own(name: str) -> tuple[Markup, str]:
    """Return a file of ours, unescaped, and the hash by which the page's policy names it."""
    text = _read(name)
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest())
    return Markup(text), f"sha256-{digest.decode('ascii')}"  # noqa: S704 - not anyone else's


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


# Now, not at the first beat: what the compiler lets go of is used by what is imported later.
_TEMPLATE = _compiled(_read("page.html.j2"))
