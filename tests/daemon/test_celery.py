"""Nodes over Celery and a real RabbitMQ: the promises of every pool, and those of the transport."""

import json
import random
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("celery")

from daemon.pool.interface import Ended, Outcome
from daemon.pool.nodes.broker.app import TASK, UP, Access, application, orders_of
from daemon.pool.nodes.broker.session import Frame, Session
from tests.daemon.test_pool_conformance import (  # noqa: F401 - run once more, here
    test_attempt_that_takes_too_long_is_ended,
    test_cancelled_attempt_ends_so_and_the_other_goes_on,
    test_failure_has_a_document_with_a_hint,
    test_handlers_tell_of_themselves,
    test_interrupted_attempts_end_so,
    test_pool_takes_as_many_orders_as_it_has_slots,
    test_progress_comes_before_the_end_and_never_after,
    test_what_is_done_lies_in_its_folder_and_nothing_else,
)
from tests.support.broker import FOREIGN_VHOST, PASSWORD, VHOST, Broker, needs_rabbitmq
from tests.support.brokered import HANDLERS, JOURNAL, CeleryNode, brokered_pool
from tests.support.crew import HANDLER
from tests.support.daemons import until
from tests.support.pools import ends, events, order

pytestmark = needs_rabbitmq


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with closing(Broker(tmp_path_factory.mktemp("broker"))) as made:
        yield made.start()


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def node(broker, spool):
    """One Celery worker for all tests."""
    made = CeleryNode(broker, spool)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(broker, spool, node):  # noqa: ARG001 - it must run
    with closing(brokered_pool(broker, spool)) as made:
        yield made


def serving(pool, *handlers):
    pool.serve(handlers)
    events(pool, lambda _: pool.free_slots() == 2 and pool.handlers.keys() == {*handlers})
    return pool


@pytest.fixture
def pool(shared):
    """The daemon's end, with a node that knows no order of another test."""
    shared.serve([HANDLER])
    for node in shared.nodes:
        node.link.close()
        node.handlers = {}
    return serving(shared, HANDLER)


@pytest.fixture
def noting(pool):
    return serving(pool, *HANDLERS)


def noted(folder, job, **options):
    """Return an order whose beginnings are written down."""
    options = {"journal": str(folder / "journal"), **options}
    return replace(order(folder, job), handler=JOURNAL, options=options)


def journal(folder):
    path = folder / "journal"
    return path.read_text().splitlines() if path.exists() else []


def access(broker):
    return Access(broker.url, PASSWORD, str(broker.ca_file))


def begun(pool, folder, count=1):
    until(lambda: (pool.collect(), len(journal(folder)) == count)[1], "it has begun")


def test_broker_that_dies_in_mid_job_and_comes_back_costs_nothing(noting, broker, tmp_path):
    """The attempts go on; what was said meanwhile is said again; none begins twice."""
    held = tmp_path / "held"
    held.touch()
    for job in ("one", "two"):
        noting.start(noted(tmp_path, job, held_by=str(held)))
    begun(noting, tmp_path, 2)
    broker.kill()
    events(noting, lambda _: noting.problem)
    held.unlink()
    assert "BROKER_LOST" == noting.describe()["broker"]["problem"]["code"]
    broker.start()
    found = []

    def ended():
        found.extend(event for event in noting.collect() if isinstance(event, Ended))
        return len(found) == 2

    until(ended, "both have ended", 240.0)
    assert [Outcome.DONE, Outcome.DONE] == [end.outcome for end in found]
    assert 2 == len(set(journal(tmp_path))) == len(journal(tmp_path))
    noting.start(noted(tmp_path, "after"))
    assert Outcome.DONE is ends(noting, 1)["after"].outcome


def test_what_a_node_says_when_it_is_met_is_heard_in_the_same_round(pool):
    """Nothing else would wake the daemon: it would wait for half a minute, and try again."""
    before, unheard = set(pool._open), []  # nobody listens to a conversation that was closed

    def joined(_):
        met = (channel for instance, channel in pool._open.items() if instance not in before)
        unheard.extend(channel for channel in met if channel._come)
        return pool.free_slots() == 2

    pool.nodes[0].link.close()
    events(pool, joined)

    assert [] == unheard


def test_order_that_the_broker_delivers_again_begins_once(noting, broker, tmp_path):
    """While its attempt runs, and when it has ended."""
    ((instance, _),) = noting._open.items()
    held = tmp_path / "held"
    held.touch()
    noting.start(noted(tmp_path, "job", held_by=str(held)))
    begun(noting, tmp_path)
    line = json.dumps({"kind": "assign", "order": {"job": "job", "attempt": 1, "name": "job"}})
    number = 2  # the first line to a node is the greeting's answer
    again = {"node": "farm", "instance": instance, "number": number, "line": line}
    frame = Frame.of(json.loads(json.dumps(again)))
    app, orders = application(access(broker)), orders_of("soundspool@farm")

    def send():
        where = {"exchange": orders.exchange, "routing_key": orders.routing_key}
        app.send_task(TASK, args=[vars(frame)], task_id="job.1", **where)

    send()
    held.unlink()
    assert Outcome.DONE is ends(noting, 1)["job"].outcome
    send()
    noting.start(noted(tmp_path, "next"))
    assert Outcome.DONE is ends(noting, 1)["next"].outcome
    assert 2 == len(journal(tmp_path))


def test_end_that_is_told_again_counts_once(pool, broker, tmp_path):
    """What a node has said is not heard twice, and no other word passes for it."""
    ((instance, _),) = pool._open.items()
    pool.start(order(tmp_path, "job"))
    ends(pool, 1)
    over = {"kind": "over", "job": "job", "attempt": 1, "outcome": "nothing_to_do"}
    frame = Frame("farm", instance, number=1, line=json.dumps(over))
    with access(broker).connection() as connection:
        producer = connection.Producer()
        for body in (vars(frame), {"no": "frame"}, vars(frame)):
            producer.publish(body, serializer="json", routing_key=UP)
    pool.start(order(tmp_path, "next"))
    found = events(pool, lambda found: any(isinstance(one, Ended) for one in found))

    assert ["next"] == [one.job for one in found if isinstance(one, Ended)]


def test_celery_tools_show_orders_and_not_what_they_hold(noting, broker, tmp_path):
    """Events and ``inspect`` name job, attempt and drop; a key for a server is in neither."""
    app, seen = application(access(broker)), []
    held = tmp_path / "held"
    held.touch()
    with access(broker).connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context() as (events_of, _, _):
            # Of its own name: what another test left may still be at work there.
            secret = noted(tmp_path, "shown", held_by=str(held))
            noting.start(replace(secret, secrets={"options.key": "hush-hush"}))
            begun(noting, tmp_path)
            active = app.control.inspect(timeout=5.0, limit=1).active()
            held.unlink()
            ends(noting, 1)
            until(
                lambda: (
                    events_of.drain_events(timeout=60.0),
                    ("task-succeeded", "shown.1")
                    in [(one["type"], one.get("uuid")) for one in seen],
                )[1],
                "it has succeeded",
            )
    shown = {task["id"]: task["args"] for tasks in active.values() for task in tasks}
    kinds = [one["type"] for one in seen if one.get("uuid") == "shown.1"]

    assert "('shown', attempt 1)" == shown["shown.1"]
    assert {"task-sent", "task-received", "task-started", "task-succeeded"} <= set(kinds)
    assert "hush-hush" not in json.dumps([seen, active])


@pytest.mark.parametrize(
    "case",
    [
        (PASSWORD, "", "CERTIFICATE_VERIFY_FAILED", "ca_file"),
        ("guess", "ca.pem", "ACCESS_REFUSED", "password"),
        (None, "ca.pem", "No such file", "password_file"),
        (PASSWORD, "ca.pem", "RESOURCE_LOCKED", "virtual host of its own"),
        (PASSWORD, "ca.pem", "vhost nowhere not found", "add_vhost", "nowhere"),
        (PASSWORD, "ca.pem", "refused for user", "set_permissions", FOREIGN_VHOST),
    ],
    ids=lambda case: case[2],
)
def test_broker_that_cannot_be_used_says_why(pool, broker, tmp_path, case):
    """Certificate, password and its file; another daemon; no such virtual host, or not for us."""
    password, authority, words, hint, *vhost = case
    held = tmp_path / "password"
    if password:
        held.write_text(password)
    changes = {"password_file": held, "ca_file": broker.folder / authority if authority else None}
    if vhost:
        changes["broker"] = broker.url.replace(f"/{VHOST}", f"/{vhost[0]}")
    with closing(brokered_pool(broker, tmp_path, **changes)) as refused:
        events(refused, lambda _: words in str(refused.problem))

        problem = refused.describe()["broker"]["problem"]
        assert "BROKER_LOST" == problem["code"]
        assert hint in problem["hint"]
        assert (0, None) == (refused.size, pool.problem)


def test_name_that_is_taken_is_told_in_words_by_the_node(pool, broker, spool):  # noqa: ARG001 - the first of the name
    """A second node of the name; or a queue that another program has made."""
    second = CeleryNode(broker, spool)
    with access(broker).connection() as connection:
        channel, name = connection.channel(), orders_of("soundspool@other").name
        channel.queue_declare(name, durable=False, arguments={"x-max-length": 1})
        third = CeleryNode(broker, spool, "--name", "other")
        codes = [node.process.wait(60) for node in (second, third)]
        channel.queue_delete(name)
    said = [node.said.read_text() for node in (second, third)]

    assert [75, 75] == codes
    assert "another node has this name" in said[0]
    assert f"rabbitmqctl -p spool delete_queue '{name}'" in said[1]
    assert "Traceback" not in "".join(said)


def test_lines_come_once_and_in_order_whatever_a_broker_does_to_frames():
    """It may lose, repeat and reorder them."""
    chance, now_s = random.Random(5), 0.0
    sender, receiver = Session(), Session()
    wanted, found, under_way = [str(number) for number in range(300)], [], []
    while len(found) < len(wanted):
        now_s += 1.0
        if len(found) + len(under_way) < 300 and (number := sender._number) < 300:
            under_way.append((receiver, Frame("a", "b", **sender.send(wanted[number], now_s))))
        for one, other in ((sender, receiver), (receiver, sender)):
            under_way += [(other, Frame("a", "b", **fields)) for fields in one.due(now_s)]
        chance.shuffle(under_way)
        for _ in range(min(4, len(under_way))):
            whom, frame = under_way[-1] if chance.random() < 0.2 else under_way.pop()
            if chance.random() < 0.7:
                found += whom.take(frame, now_s)
        assert now_s < 10_000

    assert wanted == found
