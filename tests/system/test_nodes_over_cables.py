"""Nodes on hosts of their own, at the ends of cables, over Celery and a RabbitMQ here."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("celery")

from daemon.pool.interface import Outcome
from tests.support.broker import Broker, needs_rabbitmq
from tests.support.brokered import JOURNAL, CeleryNode, brokered_pool
from tests.support.cables import host, needs_cables
from tests.support.daemons import until
from tests.support.pools import ends, events, order

pytestmark = [pytest.mark.slow, needs_rabbitmq, needs_cables]


def test_attempt_behind_a_pulled_cable_runs_elsewhere(tmp_path):
    """Its worker is dead by then; with the cable the node comes back; nothing begins twice."""
    spool, held = tmp_path / "spool", tmp_path / "held"
    spool.mkdir()
    held.touch()
    options = {"journal": str(tmp_path / "journal"), "held_by": str(held)}

    def noted(job, attempt=1):
        one = order(spool, f"{job}-{attempt}")
        return replace(one, job=job, attempt=attempt, handler=JOURNAL, options=options)

    def journal():
        path = tmp_path / "journal"
        return path.read_text().splitlines() if path.exists() else []

    with ExitStack() as stack:
        hosts = {name: stack.enter_context(host()) for name in ("east", "west")}
        here = [one.here for one in hosts.values()]
        broker = stack.enter_context(closing(Broker(tmp_path / "broker", *here))).start()
        for name, one in hosts.items():
            words = ("--name", name, "--celery", broker.url_at(one.here))
            node = CeleryNode(broker, spool, *words, slots=1, within=one.within())
            stack.callback(node.close)
        pool = stack.enter_context(closing(brokered_pool(broker, spool, lost_s=6.0)))
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(noted("job"))
        until(lambda: (pool.collect(), len(journal()) == 1)[1], "it has begun")
        where = pool.place_of("job")
        (worker,) = workers(spool)
        hosts[where].pull()
        end = ends(pool, 1)["job"]
        assert "NODE_LOST" == end.error["code"]
        assert not Path(f"/proc/{worker}").exists()

        pool.start(noted("job", 2))
        assert {where, pool.place_of("job")} == {*hosts}
        held.unlink()
        assert Outcome.DONE is ends(pool, 1)["job"].outcome
        hosts[where].put_back()
        until(lambda: (pool.collect(), pool.free_slots() == 2)[1], "it is back", 300.0)
    assert 2 == len(journal()) == len(set(journal()))


def workers(spool):
    """Return the processes that work below a spool."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").readlink().is_relative_to(spool):
                found.append(int(place.name))
        except OSError:
            continue
    return found
