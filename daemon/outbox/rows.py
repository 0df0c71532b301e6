"""The lists of the front page: what runs, waits, failed and was made, and how all parts are."""

from collections.abc import Callable, Sequence
from typing import LiteralString, TypeVar

from daemon.outbox.markup import Html, fill, joined, link
from daemon.outbox.overview import Ended, Health, Overview, Running, Waiting

FAILED, RESULTS = 50, 50
"""Rows that are shown; the rest is counted."""

T = TypeVar("T")

_NOTHING = Html("")
_SECTION = """<h2 id="{place}">{title}</h2>
<ul class="{kind}" aria-labelledby="{place}">
{items}</ul>
{more}"""
_MORE = '<p class="soft">And {number} more: <code>soundspool status</code></p>\n'
_EMPTY = """<h2>{title}</h2>
<p class="soft">{text}</p>
"""
_ITEM = """<li>
  <span class="name"><bdi>{name}</bdi> <span class="inbox">{inbox}</span></span>
  {what}
  <span class="when{fault}">{when}</span>{step}
</li>
"""
_WHAT = '<span class="what">{text}</span>'
_PROGRESS = """<span class="what running">
    <progress max="1" value="{progress}" aria-label="Progress of {name}"></progress>
    <span class="percent">{percent} %</span> <span>{stage}</span>{again}
  </span>"""
_AGAIN = ' <span class="soft">attempt {attempt}</span>'
_NOT_BEFORE = "{why}; not before {until}"
_FAULT = '{notes} <span class="soft">({code})</span>'
_STEP = """
  <span class="step">Next: {step} It lies in <a href="{href}/">{folder}</a>{again}</span>"""
_RETRY = (
    '; to try again: <code>{command}</code> <button type="button" class="copy" hidden>Copy</button>'
)
_LINK = '<a href="{href}">{name}</a>'
_FILES = '{notes} <a href="{href}/" aria-label="Files of {name}">files</a>'
_TIME = '<time datetime="{at}">{text} UTC</time>'


def sections(drawn: Overview, *, inboxes: Sequence[str]) -> Html:
    """Return all lists; `inboxes` are the paths to name when nothing runs."""
    return joined(
        (
            _section("Needs attention", drawn.attention, _sentence, kind="attention"),
            _section("Running", drawn.running, _running) or _idle(inboxes),
            _section("Waiting", drawn.waiting, _waiting, in_all=drawn.waiting_in_all),
            _section("Failed", drawn.failed, _failed, kind="rows failed", limit=FAILED),
            _section("Last results", drawn.results, _result, limit=RESULTS)
            or fill(_EMPTY, title="Last results", text="None yet."),
            _section("Health", drawn.health, _health),
        )
    )


def moment(at: str | None) -> Html:
    """Return an RFC 3339 time, which is UTC; the page's script turns it into local time."""
    return fill(_TIME, at=at, text=at[:19].replace("T", " ")) if at else _NOTHING


def _section(
    title: str,
    things: Sequence[T],
    item: Callable[[T], Html],
    *,
    kind: str = "rows",
    limit: int | None = None,
    in_all: int = 0,
) -> Html:
    """Return a heading and a list; nothing when there is nothing to list."""
    if not things:
        return _NOTHING
    left_out = max(len(things), in_all) - len(things[:limit])
    return fill(
        _SECTION,
        place=title.lower().replace(" ", "-"),
        title=title,
        kind=kind,
        items=joined(item(thing) for thing in things[:limit]),
        more=fill(_MORE, number=left_out) if left_out > 0 else _NOTHING,
    )


def _idle(inboxes: Sequence[str]) -> Html:
    code: LiteralString = "<code>{path}</code> "
    paths = joined(fill(code, path=path) for path in inboxes)
    text = fill("Nothing. Drop a folder of stems into {paths}", paths=paths)
    return fill(_EMPTY, title="Running", text=text if inboxes else "Nothing.")


def _sentence(sentence: str) -> Html:
    return fill("<li>{sentence}</li>\n", sentence=sentence)


def _item(
    name: object,
    inbox: str,
    what: Html,
    when: object,
    *,
    step: Html = _NOTHING,
    fault: bool = False,
) -> Html:
    return fill(
        _ITEM,
        name=name,
        inbox=inbox,
        what=what,
        when=when,
        step=step,
        fault=" fault" if fault else "",
    )


def _running(one: Running) -> Html:
    what = fill(
        _PROGRESS,
        name=one.name,
        progress=one.progress,
        percent=int(one.progress * 100),
        stage=one.stage,
        again=fill(_AGAIN, attempt=one.attempt) if one.attempt > 1 else _NOTHING,
    )
    return _item(one.name, one.inbox, what, one.left)


def _waiting(one: Waiting) -> Html:
    why = fill(_NOT_BEFORE, why=one.why, until=moment(one.until)) if one.until else one.why
    since = fill("since {at}", at=moment(one.since)) if one.since else ""
    return _item(one.name, one.inbox, fill(_WHAT, text=why), since)


def _failed(one: Ended) -> Html:
    what = fill(_WHAT, text=fill(_FAULT, notes=one.notes, code=one.code))
    step = fill(
        _STEP,
        step=one.step,
        href=link(one.folder),
        folder="/".join(one.folder),
        again=fill(_RETRY, command=one.command) if one.command else _NOTHING,
    )
    return _item(one.name, one.inbox, what, moment(one.finished), step=step)


def _result(one: Ended) -> Html:
    href = link(one.report) if one.report else f"{link(one.folder)}/" if one.folder else ""
    name = fill(_LINK, href=href, name=one.name) if href else one.name
    notes: object = one.notes if one.state == "done" else f"{one.state} {one.notes}"
    if one.report:
        notes = fill(_FILES, notes=notes, href=link(one.folder), name=one.name)
    return _item(name, one.inbox, fill(_WHAT, text=notes), moment(one.finished))


def _health(one: Health) -> Html:
    when = "in order" if one.fine else "not in order"
    return _item(one.name, "", fill(_WHAT, text=one.notes), when, fault=not one.fine)
