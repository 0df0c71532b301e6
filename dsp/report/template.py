"""From a template to a page that opens from disk and needs nothing.

Rule 1: every text goes through Jinja's escaping and ``plain``: file names are untrusted.

Rule 2: a page asks for nothing and runs nothing but its own script, by its hash: should a name
ever escape the escaping, the browser refuses it.

Rule 3: what a script reads stands in the page as JSON in which no ``<`` is left: no name ends the
element it stands in.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dsp.report import svg

if TYPE_CHECKING:
    from jinja2 import Environment


def rendered(
    template: str, *, styles: Sequence[str], scripts: Sequence[str], media: str, **values: object
) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
    styles, scripts : sequence of str
        Files of ours, put one behind the other.
    media : str
        Where sound may come from, as the security policy says it.
    **values : object
        What the template shows.
    """
    style, script = "".join(map(_own, styles)), "".join(map(_own, scripts))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        f"media-src {media}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return page.render(style=style, script=script, policy=policy, **values)


@cache
def _environment() -> "Environment":
    # Here, because every worker imports this module, and few come to make a page: a tenth of
    # what a worker needs to be ready.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("dsp.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = svg.signed
    environment.filters["figure"] = svg.figure
    environment.filters["clock"] = svg.clock
    environment.filters["percent"] = svg.percent
    return environment


def _own(name: str) -> str:
    """Return a file of ours: the only text that is not escaped."""
    return files("dsp.report").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def plain(value: object) -> object:
    """Return text without characters that steer a terminal or turn the line around."""
    if not isinstance(value, str) or value.replace("\n", "").isprintable():
        return value
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in value)
    return type(value)("".join(shown))


def embedded(value: object) -> str:
    """Return JSON that may stand inside a page (rule 3)."""
    told = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return told.replace("<", "\\u003c")
