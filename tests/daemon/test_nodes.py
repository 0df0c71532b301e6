"""Nodes that die, stop, lie or never answer; launchers that do; and what the drop pays for it."""

import json
import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cli.node import resources_of
from daemon.errors import BadConfig
from daemon.pool.interface import Demand, Ended, Outcome
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.messages import assign, line_down
from daemon.pool.nodes.node import lease_clock_s
from tests.support.crew import HANDLER
from tests.support.daemons import until
from tests.support.nodes import COMMAND, LOST_S, ShiftedClock, misbehaving, node_pool
from tests.support.pools import ends, events, order


@pytest.fixture
def clock():
    return ShiftedClock()


def joined(pool):
    events(pool, lambda _: pool.free_slots())
    return pool


def problem(pool, code):
    """Go on until a problem is told; return its message."""
    events(pool, lambda _: pool.link.problem and pool.link.problem.code == code)
    return pool.link.problem.message


def lose(pool, clock):
    """Let the lease pass, and return how the attempts ended."""
    events(pool, lambda _: pool.link.phase == "leaving")
    clock.ahead_s += LOST_S
    return ends(pool, 1)


def worker_of(pool, tmp_path):
    """Return the process that works on an order to ``note_and_hang``."""
    note = tmp_path / "job" / "job.pid"
    until(lambda: (pool.collect(), note.exists())[1], "the worker has begun")
    return int(note.read_text())


def heard(node, kind):
    """Return the next message of a kind that a node says."""
    found = []

    def listen():
        found.extend(json.loads(line) for line in node.wire.read())
        return [one for one in found if one["kind"] == kind]

    return until(listen, f"it says {kind}")[0]


def gone(pid):
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("launch", "code", "words"),
    [
        (["/nowhere/ssh", "farm"], "NODE_NOT_STARTED", "No such file"),
        (["sh", "-c", "echo no route to farm >&2; exit 255"], "NODE_NOT_STARTED", "no route"),
        (misbehaving("wrong version", "hang"), "NODE_VERSION", "99.0.0"),
        (misbehaving("wrong protocol", "hang"), "NODE_VERSION", "version"),
        (misbehaving("join", "babble", "hang"), "NODE_LOST", "unintelligible"),
        (misbehaving("join", "flood", "hang"), "NODE_LOST", "more messages"),
        (misbehaving("join", "gone", "hang"), "NODE_LOST", "enough"),
    ],
)
def test_node_that_cannot_be_used_says_why(launch, code, words, tmp_path):
    """It offers no slot, and the reason stands in the description."""
    with closing(node_pool(tmp_path, launch=launch)) as pool:
        assert words in problem(pool, code)
        assert 0 == pool.free_slots()
        assert code == pool.describe()["problem"]["code"]


def test_launcher_that_never_answers_is_killed_and_started_again(tmp_path, clock):
    """After half a minute; what it had said is told."""
    launch = ["sh", "-c", "echo Password: ; exec sleep 600"]
    with closing(node_pool(tmp_path, launch=launch, clock=clock)) as pool:
        events(pool, lambda _: pool.link._noise)
        clock.ahead_s += 31
        assert "Password:" in problem(pool, "NODE_NOT_STARTED")
        events(pool, lambda _: pool.link.phase == "launched")


def test_node_that_sees_another_folder_is_refused(tmp_path):
    """The same path on another machine is not the same spool."""
    (tmp_path / "other" / "work").mkdir(parents=True)
    with closing(node_pool(tmp_path, root=tmp_path / "other")) as pool:
        assert "does not see the spool" in problem(pool, "NODE_STORAGE")
        assert [] == list((tmp_path / "work").iterdir())


def test_login_shell_may_print_before_the_node_does(tmp_path):
    """What comes before the greeting is ignored."""
    launch = ["sh", "-c", 'echo "Welcome!"; exec "$@"', "sh", *COMMAND]
    with closing(joined(node_pool(tmp_path, launch=launch))) as pool:
        assert 2 == pool.size


def test_proof_is_removed_and_no_other_is_touched(tmp_path):
    """That of another node may lie there, and that of a doctor who tries the same one."""
    others = {tmp_path / "work" / name for name in (".node-farm-2-0123", ".node-farm-4567")}
    with closing(node_pool(tmp_path)) as pool:
        for other in others:
            other.write_text("of another")
        joined(pool)

        assert others == set((tmp_path / "work").iterdir())


def test_spool_lies_elsewhere_on_the_node(tmp_path):
    """Paths of an order are the node's; what was made is checked at home."""
    spool, there = tmp_path / "spool", tmp_path / "there"
    spool.mkdir()
    there.symlink_to(spool)
    with closing(joined(node_pool(spool, root=there))) as pool:
        one = order(spool, "job", "where")
        assert str(there / "job" / "out.1") == assign(one, spool, there).order["workdir"]
        pool.start(replace(one, options={"how": "well"}))
        assert Outcome.DONE is ends(pool, 1)["job"].outcome


def test_killed_node_costs_the_drop_nothing(tmp_path, clock):
    """Its workers die with it; the attempt is interrupted when the lease is over; it comes back."""
    with closing(joined(node_pool(tmp_path, clock=clock))) as pool:
        pool.start(order(tmp_path, "job", "note_and_hang"))
        worker_of(pool, tmp_path)
        os.kill(pool.link.process_id, signal.SIGKILL)
        end = lose(pool, clock)["job"]

        assert (Outcome.INTERRUPTED, "NODE_LOST") == (end.outcome, end.error["code"])
        assert "farm" in end.error["message"]
        clock.ahead_s += 2
        joined(pool).start(order(tmp_path, "again"))
        assert Outcome.DONE is ends(pool, 1)["again"].outcome


def test_node_joins_when_the_one_before_it_has_ended(tmp_path):
    """So what a restarted daemon begins on a gpu, it begins when the old worker is off it."""
    before = joined(node_pool(tmp_path))
    before.start(order(tmp_path, "job", "note_and_hang"))
    worker = worker_of(before, tmp_path)
    with closing(node_pool(tmp_path, lost_s=1.0)) as after:
        assert "has not ended" in problem(after, "NODE_LOST")
        assert not gone(worker)
        before.close()
        joined(after)

    assert gone(worker)


def test_node_that_leaves_in_words_is_believed_at_once(tmp_path):
    """Every worker has died, so its attempts go elsewhere without a wait."""
    with closing(joined(node_pool(tmp_path))) as pool:
        pool.start(order(tmp_path, "job", "note_and_hang"))
        worker_of(pool, tmp_path)
        os.kill(pool.link.process_id, signal.SIGTERM)

        assert "NODE_LOST" == ends(pool, 1)["job"].error["code"]


def test_stopped_node_leaves_before_it_hears_what_has_piled_up(tmp_path):
    """Its lease is over when it wakes up: an order that lay in the pipe begins no more."""
    pool = node_pool(tmp_path)
    node = Launcher(COMMAND)
    with closing(pool):
        heard(node, "greeting")
        (tmp_path / "work" / "proof").write_text("seen")
        hello = replace(pool._hello(), dead_s=4.0, here_s=0.5)
        node.wire.send(line_down(replace(hello, proof=str(tmp_path / "work" / "proof"))))
        assert "seen" == heard(node, "joined")["proof"]
        os.kill(node.process_id, signal.SIGSTOP)
        stopped_s = lease_clock_s()
        node.wire.send(line_down(assign(order(tmp_path, "job", "journal"), tmp_path, tmp_path)))
        until(lambda: lease_clock_s() > stopped_s + 4.0, "the lease is over")
        os.kill(node.process_id, signal.SIGCONT)

        assert "not heard" in heard(node, "gone")["why"]
        assert not (tmp_path / "journal").exists()
        node.end()


@pytest.mark.slow
def test_node_that_a_daemon_meets_late_stays(tmp_path):
    """Its greeting lay at a broker for longer than a lease, for no daemon was there."""
    node, proof = Launcher(COMMAND), tmp_path / "work" / "proof"
    with closing(node_pool(tmp_path)) as pool:
        heard(node, "greeting")
        greeted_s = lease_clock_s()
        proof.write_text("seen")
        hello = replace(pool._hello(), proof=str(proof), dead_s=5.0, here_s=0.1)
        until(lambda: lease_clock_s() > greeted_s + 5.0, "a lease would be over")
        node.wire.send(line_down(hello))
        said = []
        until(
            lambda: (
                said.extend(json.loads(line)["kind"] for line in node.wire.read()),
                {"gone"} & {*said} or said.count("here") == 2,
            )[1],
            "it is here, and still is",
        )
        assert "gone" not in said
        node.end()


def test_cut_cable_ends_the_workers_before_the_attempt_counts_as_lost(tmp_path):
    """Nothing says so to the node: its lease runs out, and first."""
    launch = ["sh", "-c", 'cat | setsid "$@" | cat', "sh", *COMMAND]
    with closing(joined(node_pool(tmp_path, launch=launch, lost_s=4.0))) as pool:
        pool.start(order(tmp_path, "job", "note_and_hang"))
        worker = worker_of(pool, tmp_path)
        for pid in children_of(pool.link.process_id):
            if b"cat" == Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGSTOP)
        end = ends(pool, 1)["job"]

        assert "NODE_LOST" == end.error["code"]
        assert gone(worker)


def test_attempt_that_is_assigned_twice_begins_once(tmp_path):
    """The fence stands at the node, too."""
    with closing(joined(node_pool(tmp_path))) as pool:
        one = order(tmp_path, "job", "journal")
        pool.start(one)
        for _ in range(2):
            pool.link.send(assign(one, tmp_path, tmp_path))
        ends(pool, 1)
        pool.link.send(assign(one, tmp_path, tmp_path))
        pool.start(order(tmp_path, "next", "journal"))
        ends(pool, 1)

        assert ["job", "next"] == (tmp_path / "journal").read_text().splitlines()


def test_attempt_that_ends_twice_counts_once(tmp_path):
    """And what was never assigned ends not at all."""
    launch = misbehaving("join", "await order", "end another", "end", "end", "gone")
    with closing(joined(node_pool(tmp_path, launch=launch))) as pool:
        pool.start(order(tmp_path, "job"))
        found = events(pool, lambda _: pool.link.problem)

        assert [Outcome.NOTHING_TO_DO] == [one.outcome for one in found if isinstance(one, Ended)]


def test_half_a_line_is_no_end(tmp_path, clock):
    """The node died while it spoke: the attempt is lost with it."""
    launch = misbehaving("join", "await order", "half a line")
    with closing(joined(node_pool(tmp_path, launch=launch, clock=clock))) as pool:
        pool.start(order(tmp_path, "job"))

        assert "NODE_LOST" == lose(pool, clock)["job"].error["code"]


def test_word_of_a_node_about_outputs_is_not_believed(tmp_path):
    """Each is opened, sized and hashed here."""
    launch = misbehaving("join", "await order", "lie", "hang")
    with closing(joined(node_pool(tmp_path, launch=launch))) as pool:
        pool.start(order(tmp_path, "job"))
        end = ends(pool, 1)["job"]

        assert (Outcome.FAILED, "RESULT_INVALID") == (end.outcome, end.error["code"])


def test_cancelled_attempt_of_a_lost_node_is_cancelled(tmp_path, clock):
    """What a person asked for holds, though the node never heard of it."""
    launch = misbehaving("join", "await order", "hang")
    with closing(joined(node_pool(tmp_path, launch=launch, clock=clock))) as pool:
        pool.start(order(tmp_path, "job"))
        assert pool.cancel("job", 1)
        clock.ahead_s += LOST_S

        assert Outcome.CANCELLED is ends(pool, 1)["job"].outcome


def test_node_that_is_lost_at_work_again_and_again_is_set_aside(tmp_path, clock):
    """Three times within ten minutes; then it rests for as long."""
    launch = misbehaving("join", "await order", "gone")
    with closing(node_pool(tmp_path, launch=launch, clock=clock)) as pool:
        for number in range(3):
            clock.ahead_s += 30
            joined(pool).start(order(tmp_path, f"job-{number}"))
            ends(pool, 1)

        assert "3 times" in problem(pool, "NODE_SUSPECT")
        events(pool, lambda _: not pool.link._ending)
        assert pool.next_deadline_s() > 500


def test_node_is_given_what_it_can_do(tmp_path):
    """Neither a program that it lacks, nor a server that is another one there."""
    with closing(joined(node_pool(tmp_path))) as pool:
        pool.serve([HANDLER], ["sh", "no-such-program"])
        events(pool, lambda _: pool.told and pool._offer.programs)

        assert 2 == pool.free_slots(Demand(HANDLER, ("sh",)))
        assert 0 == pool.free_slots(Demand(HANDLER, ("no-such-program",)))
        assert 0 == pool.free_slots(Demand("another.handler"))
        assert 0 == pool.free_slots(Demand(HANDLER, place=""))
        assert 2 == pool.free_slots(Demand(HANDLER, place="farm"))


def test_node_says_what_devices_it_has(tmp_path):
    """Only while it is there; what needs more of them than it has goes elsewhere."""
    launch = [*COMMAND, "--resource", "gpu=4,GPU-8932"]
    with closing(joined(node_pool(tmp_path, launch=launch))) as pool:
        assert {"farm": {"gpu": ["4", "GPU-8932"]}} == pool.devices()
        assert ["farm"] == pool.places(Demand(HANDLER, devices={"gpu": 2}))
        assert [] == pool.places(Demand(HANDLER, devices={"gpu": 3}))
        assert [] == pool.places(Demand(HANDLER, devices={"fpga": 1}))
        os.kill(pool.link.process_id, signal.SIGKILL)
        events(pool, lambda _: pool.link.problem)

        assert {} == pool.devices()


def test_devices_that_are_misspelt_are_refused():
    """In words, before the node greets."""
    assert {"gpu": ["0", "1"], "fpga": ["a"]} == resources_of(["gpu=0,1", "fpga=a"])
    for said in (["gpu"], ["gpu="], ["GPU=0"], ["gpu=0,0"], ["gpu=0", "gpu=1"]):
        with pytest.raises(BadConfig, match="must be like gpu=0,1"):
            resources_of(said)


def children_of(pid):
    """Return the children that a process has now."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed.split()]
