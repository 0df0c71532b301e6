"""A node over a real ``srun``: a Slurm of the test's own, with one node, on loopback."""

import os
import signal
from contextlib import closing, suppress
from pathlib import Path

import pytest

from daemon.pool.interface import Outcome
from tests.support.daemons import read_json, until
from tests.support.nodes import COMMAND, node_pool
from tests.support.pools import ends, events, order
from tests.support.slurm import cluster, needs_slurm
from tests.support.truth import drop_song, states

pytestmark = [pytest.mark.slow, *needs_slurm]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


def ready(pool):
    events(pool, lambda _: pool.free_slots() == 2)
    return pool


def hanging(pool, folder, job):
    """Begin an attempt that never ends; return the processes of the node and of its worker."""
    pool.start(order(folder, job, "note_and_hang"))
    note = folder / job / f"{job}.pid"
    until(lambda: (pool.collect(), note.exists())[1], "the worker has begun")
    worker = int(note.read_text())
    return node_of(worker), worker


def node_of(worker):
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])


def gone(*pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_node_over_srun_runs_cancels_and_is_lost_as_others_are(slurm, tmp_path):
    """Killed at either end, it leaves no worker, costs no attempt, and comes back."""
    launch = slurm.launch(*COMMAND)
    with closing(ready(node_pool(tmp_path, launch=launch, lost_s=6.0))) as pool:
        pool.start(order(tmp_path, "first"))
        assert Outcome.DONE is ends(pool, 1)["first"].outcome
        _, worker = hanging(pool, tmp_path, "unwanted")
        assert pool.cancel("unwanted", 1)
        assert Outcome.CANCELLED is ends(pool, 1)["unwanted"].outcome
        assert gone(worker)

        node, worker = hanging(pool, tmp_path, "job")
        os.kill(node, signal.SIGKILL)
        assert "NODE_LOST" == ends(pool, 1)["job"].error["code"]
        assert gone(node, worker)

        # Nothing tells the node: its lease ends it, and Slurm ends the allocation.
        node, worker = hanging(ready(pool), tmp_path, "another")
        os.kill(pool.link.process_id, signal.SIGKILL)
        assert "NODE_LOST" == ends(pool, 1)["another"].error["code"]
        assert gone(node, worker)
        until(lambda: (pool.collect(), pool.free_slots() == 2)[1], "it is back", 240.0)
    until(lambda: not slurm.jobs(), "the allocation is given back")


def test_node_that_is_given_up_gives_its_allocation_back(slurm, tmp_path):
    """One that is not heard is ended so that ``srun`` can say so; the next does not wait."""
    launch = slurm.launch(*COMMAND)
    with closing(ready(node_pool(tmp_path, launch=launch, lost_s=3.0))) as pool:
        node, worker = hanging(pool, tmp_path, "job")
        os.kill(node, signal.SIGSTOP)
        assert "NODE_LOST" == ends(pool, 1)["job"].error["code"]
        ready(pool)
        assert gone(node, worker)


def test_dead_daemon_leaves_nothing_in_the_cluster(slurm, daemon, tmp_path):
    """The node leaves with the end of its input, and ``srun`` with the node."""
    journal, held = tmp_path / "journal", tmp_path / "held"
    held.touch()
    daemon.settings["inboxes"]["mix"] |= {
        "handler": "tests.support.journal",
        "options": {"journal": str(journal), "held_by": str(held)},
        "needs": {"gpu": 1},
    }
    launch = slurm.launch(*COMMAND, "--resource", "gpu=0")
    daemon.settings["resources"] = {"gpu": []}
    daemon.settings["pool"] |= {"nodes": {"farm": {"launch": launch}}}
    daemon.start()
    drop_song(daemon.root, "Song")
    until(journal.exists, "it has begun at the node, which alone has a gpu")
    (name,) = (one["name"] for one in read_json(daemon.root / "daemon.json")["pool"]["nodes"])
    assert ("farm", 1) == (name, len(slurm.jobs()))
    daemon.kill()
    until(lambda: not slurm.jobs(), "the allocation is given back")
    assert [] == workers_in(daemon.root)
    held.unlink()
    daemon.start()
    until(lambda: states(daemon.root) == {"Song": "done"}, "it is done")
    assert 0 == daemon.stop()

    assert 2 == len(journal.read_text().splitlines()) == len({*journal.read_text().splitlines()})


def workers_in(root):
    """Return the processes that have anything below the spool open, or work there."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            links = [place / "cwd", *(place / "fd").iterdir()]
            if any(link.readlink().is_relative_to(root) for link in links):
                found.append(int(place.name))
    return found
