"""Whether the other machines that run jobs can be reached, and can do what the inboxes ask."""

import select
from collections.abc import Iterator
from contextlib import closing

from daemon.cli.diagnose.findings import Finding
from daemon.clock import Clock
from daemon.config.models import Celery, Config
from daemon.errors import classed_words
from daemon.pool.nodes.joined import node_pools
from daemon.pool.nodes.remote import RemotePool
from daemon.supervisor.grants import demand_of, programs_wanted
from daemon.text import count

PATIENCE_S = 40.0
_ROUND_MS = 500


def node_findings(config: Config) -> Iterator[Finding]:
    """Launch a node on each machine, beside the one that the daemon may run there."""
    if config.pool.celery:
        yield _broker_found(config.pool.celery)
    for pool in node_pools(config, Clock(), programs_wanted(config)):
        with closing(pool):
            yield _found(pool, config)


def _broker_found(settings: Celery) -> Finding:
    """Ask who is at the broker, as Celery's own tools do."""
    what = "broker"
    try:
        from daemon.pool.nodes.broker.app import Access, application  # noqa: PLC0415 - the extra

        password_file, ca_file = (
            str(one or "") for one in (settings.password_file, settings.ca_file)
        )
        access = Access.read(settings.broker, password_file, ca_file)
        with access.connection() as connection:
            connection.ensure_connection(max_retries=1)
            answers = application(access).control.ping(timeout=1.0, connection=connection)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being used is the finding
        text = f"{settings.broker}: {classed_words(error)}"
        return Finding(what, "warning", f"{text}\nno node joins through it")
    names = sorted(name.partition("@")[2] for answer in answers for name in answer)
    if not names:
        return Finding(what, "warning", f"{settings.broker}\nno node is there")
    return Finding(
        what, "ok", f"{settings.broker}, {count(len(names), 'node')}: {', '.join(names)}"
    )


def _found(pool: RemotePool, config: Config) -> Finding:
    what, clock = f"node {pool.name}", Clock()
    give_up_s = clock.monotonic_s() + PATIENCE_S
    while clock.monotonic_s() < give_up_s and not pool.told and pool.link.problem is None:
        poll = select.poll()
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        poll.poll(_ROUND_MS)
        pool.collect()
    if pool.degraded:
        return Finding(what, "warning", f"{pool.degraded}\nits share of the jobs runs elsewhere")
    slots = f"{count(pool.size, 'slot')}, host {pool.link.host}, sees the spool"
    unfit = [name for name in config.inboxes if not pool.free_slots(demand_of(name, config))]
    if unfit:
        why = "; ".join(pool.unusable.values())
        text = f"{slots}\nit does not run the jobs of {', '.join(unfit)}{f': {why}' if why else ''}"
        return Finding(what, "warning", text)
    return Finding(what, "ok", slots)
