"""From an order to the task that a handler is given: hashes compared, archives unpacked.

Rule: the daemon has read the settings of a drop before, but none that lie in an archive. Those
inside it go over the inbox's, and those beside it over both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon import trees
from daemon.archives import archive_suffix
from daemon.config.drop_settings import for_handler, merged, settings_of
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput
from daemon.handlers.contract import Task
from daemon.handlers.grants import Grants
from daemon.pool.interface import Order
from daemon.pool.parts import ended_parts
from daemon.pool.worker import manifest_check

_SETTINGS_BYTES = 1 << 20  # the inbox's own, smaller limit was held at its door
_OF_A_DROP = ("files", "depth", "bytes")


@contextmanager
def prepared(
    handler: Any,  # noqa: ANN401 - a module
    order: Order,
    report: Callable[[str, float], None],
    grants: Grants | None = None,
) -> Iterator[Task]:
    """Give the task for a handler; what was unpacked for it goes afterwards.

    Raises
    ------
    BadInput
        The drop is not what its manifest lists, an archive cannot be unpacked, or the settings
        cannot be used.
    """
    dropped = Path(order.source)
    if not order.round:  # parts and later rounds read what the first has compared
        manifest_check.compare(dropped, order.sha256, report)
    with _unpacked(dropped, order, handler, report) as source:
        document = _beside(dropped).with_value(order.options)
        if source != dropped:
            document = _with_inner(document, dropped, source, report)
        yield Task(
            name=order.name,
            source=source,
            workdir=Path(order.workdir),
            options=validate(handler.Options, for_handler(document, handler.Options)),
            report=report,
            limits={key: order.limits[key] for key in order.limits if key not in _OF_A_DROP},
            accept_truncated=order.accept_truncated,
            round=order.round,
            parts=ended_parts(order.parts),
            part=order.part or {},
            carried=Path(order.carried) if order.carried else None,
            kept=Path(order.kept) if order.kept else None,
            roots={name: Path(path) for name, path in order.roots.items()},
            grants=grants,
            secrets=order.secrets,
        )


@contextmanager
def _unpacked(
    dropped: Path,
    order: Order,
    handler: Any,  # noqa: ANN401 - a module
    report: Callable[[str, float], None],
) -> Iterator[Path]:
    """Give the drop as a handler is to see it: of an archive, the folder in it.

    A handler that says it works on archives gets them as they are.
    """
    wanted = Path(order.name).suffix.lower() in getattr(handler, "ACCEPTS", ())
    if wanted or not archive_suffix(order.name) or not dropped.is_file():
        yield dropped
        return
    # Few drops are archives, and three decompressors would be in every worker.
    from daemon.pool.worker.unpack import unpack  # noqa: PLC0415

    private = Path(order.workdir, ".unpacked")
    try:
        yield unpack(dropped, private, order.limits, report)
    finally:
        trees.remove(private)


def _beside(dropped: Path) -> Document:
    """Return the settings that came with the drop, for their places in a complaint."""
    try:
        return settings_of(dropped, {}, max_bytes=_SETTINGS_BYTES).options
    except (OSError, BadInput):  # the daemon has read it before; what it merged is what counts
        return Document.of({}, name="options")


def _with_inner(
    document: Document, dropped: Path, source: Path, report: Callable[[str, float], None]
) -> Document:
    """Return the options with those of the unpacked folder below what lies beside the archive."""
    inner = settings_of(source, document.value, max_bytes=_SETTINGS_BYTES)
    manifest_check.compare(source, inner.sha256, report)
    return inner.options.with_value(
        merged(inner.options.value, _beside(dropped).value), document.places
    )
