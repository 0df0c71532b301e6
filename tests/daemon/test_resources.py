"""Named resources: who gets what, what is said of it, and that nothing is held twice."""

import json

import pytest

from daemon.clock import Clock
from daemon.config.models import Config, Inbox, Node, load
from daemon.config.models import Pool as PoolSettings
from daemon.errors import BadConfig
from daemon.files import Files
from daemon.jobs.job import Ending, NewPart, Outcome, Plan
from daemon.jobs.resources import Resources
from daemon.jobs.store import open_store
from daemon.outbox.part_lines import parts_of
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, bad, new_job
from tests.support.lives import ROOT, Life, WarmPool, config_for
from tests.support.truth import drop_song, states, statuses

GPUS = {"gpu": ("0", "1")}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(tmp_path, clock):
    opened = open_store(tmp_path / "queue.sqlite3", clock)
    yield opened
    opened.close()


def add(store, *names, inbox="mix", **fields):
    """Record jobs, each a second after the one before."""
    for name in names:
        store.adopt(new_job(name, inbox=inbox, created_ms=store._clock.wall_ms(), **fields))
        store._clock.advance(1)


def claimed(store, *inboxes):
    """Claim all there is; return what each got."""
    found = {}
    while claim := store.claim(inboxes or None):
        found[claim.job.id] = claim.held
    return found


# who gets what


def test_members_are_handed_out_once_and_come_back(store):
    """A job holds from its claim to its end, however it ends."""
    store.resources = Resources(GPUS, {"mix": {"gpu": 1}})
    add(store, "a", "b", "c")

    assert {"a": {"gpu": ("0",)}, "b": {"gpu": ("1",)}} == claimed(store)
    store.finish("a", 1, bad(Outcome.CRASHED))
    assert {"c": {"gpu": ("0",)}} == claimed(store)
    store.fail("b", bad(Outcome.FAILED).error)
    store._clock.advance(60)
    assert {"a": {"gpu": ("1",)}} == claimed(store)


def test_job_that_waits_keeps_no_other_inbox_waiting(store):
    """Neither one that needs nothing, nor one that needs something else."""
    store.resources = Resources({"gpu": 1, "tts": 1}, {"mix": {"gpu": 1}, "talk": {"tts": 1}})
    add(store, "a", "b")
    add(store, "c", inbox="free")
    add(store, "d", inbox="talk")

    assert ["a", "c", "d"] == list(claimed(store))
    assert {"mix": "gpu: 1 needed, 0 of 1 free"} == store.short()


def test_stream_of_small_needs_does_not_starve_a_large_one(store):
    """What is there for the first in the queue is kept for it."""
    store.resources = Resources(GPUS, {"small": {"gpu": 1}, "large": {"gpu": 2}})
    add(store, "small 1", inbox="small")
    claimed(store)
    add(store, "large", inbox="large")
    add(store, "small 2", inbox="small")

    assert {} == claimed(store)
    why = {"large": "gpu: 2 needed, 1 of 2 free", "small": "gpu: 1 needed, 0 of 2 free for it"}
    assert why == store.short()
    assert store.next_due_ms() is None, "the loop would spin"
    store.finish("small 1", 1, DONE)
    assert ["large"] == list(claimed(store))


def test_inbox_that_is_closed_keeps_nothing(store):
    """What may not run has no turn."""
    store.resources = Resources(GPUS, {"small": {"gpu": 1}, "large": {"gpu": 2}})
    add(store, "small 1", inbox="small")
    claimed(store)
    add(store, "large", inbox="large")
    add(store, "small 2", inbox="small")

    assert ["small 2"] == list(claimed(store, "small"))


def test_parts_hold_and_what_gathers_them_does_not(store):
    """Of a split job each part holds; the first run does, for it may do the work itself."""
    store.resources = Resources({"gpu": ("0",)}, {"mix": {"gpu": 1}})
    add(store, "a")
    assert {"a": {"gpu": ("0",)}} == claimed(store)
    store.finish("a", 1, Ending(Outcome.SPLIT, plan=Plan([NewPart("one"), NewPart("two")])))
    add(store, "b", lane="rush")

    for member in ("b", "a.1.0", "a.1.1"):
        assert {member: {"gpu": ("0",)}} == claimed(store)
        store.finish(member, 1, DONE)
    add(store, "c", lane="rush")
    assert {"c": {"gpu": ("0",)}, "a": {}} == claimed(store)


def test_daemon_that_died_holds_nothing(store, tmp_path, clock):
    """At the next start no worker has anything; and what is begun anew is held once."""
    store.resources = Resources(GPUS, {"mix": {"gpu": 1}})
    add(store, "a", "b")
    claimed(store)
    store.close(clean=False)
    again = open_store(tmp_path / "queue.sqlite3", clock)
    again.resources = store.resources
    assert {} == claimed(again)
    again.interrupt_running()

    assert [] == again.holders()
    assert ["a", "b"] == list(claimed(again))
    again.close()


def test_resources_change_while_they_are_held(store):
    """Fewer: nobody gets more than is left. Others: those are free."""
    store.resources = Resources({"gpu": ("0", "1"), "tts": 3}, {"a": {"gpu": 1}, "b": {"tts": 1}})
    add(store, "a1", inbox="a")
    add(store, "b1", "b2", inbox="b")
    claimed(store)
    store.resources = Resources({"gpu": ("1",), "tts": 2}, store.resources.needs)
    add(store, "a2", inbox="a")
    add(store, "b3", inbox="b")

    assert {"a2": {"gpu": ("1",)}} == claimed(store)
    store.finish("b1", 1, DONE)
    assert ["b3"] == list(claimed(store))


AT_NODES = {"farm": {"gpu": ["0", "1"]}, "east": {"gpu": ["0"], "fpga": ["a"]}}


def test_members_of_nodes_are_held_beside_those_of_this_machine(store):
    """Here first; no more than there are; a node that has left has none to give."""
    store.resources = Resources({"gpu": ("0",)}, {"mix": {"gpu": 1}}).with_nodes(AT_NODES)
    add(store, "a", "b", "c", "d", "e")

    got = [held["gpu"] for held in claimed(store).values()]
    assert [("0",), ("0@farm",), ("1@farm",), ("0@east",)] == got
    assert {"mix": "gpu: 1 needed, 0 of 4 free"} == store.short()
    store.resources = store.resources.with_nodes({})
    store.finish("b", 1, DONE)
    assert {} == claimed(store)
    store.finish("a", 1, DONE)
    assert {"e": {"gpu": ("0",)}} == claimed(store)


def test_job_gets_all_its_members_at_one_machine(store):
    """What is kept for it is kept where there is the most; elsewhere small needs go on."""
    needs = {"small": {"gpu": 1}, "large": {"gpu": 2}}
    store.resources = Resources({"gpu": ("0",)}, needs).with_nodes(AT_NODES)
    add(store, "s1", "s2", inbox="small")
    claimed(store)
    add(store, "large", inbox="large")
    add(store, "s3", "s4", inbox="small")

    assert {"s3": {"gpu": ("0@east",)}} == claimed(store)
    assert "gpu: 2 needed at one machine, 1 of 4 free" == store.short()["large"]
    store.finish("s1", 1, DONE)
    assert {"s4": {"gpu": ("0",)}} == claimed(store)
    store.finish("s2", 1, DONE)
    assert {"large": {"gpu": ("0@farm", "1@farm")}} == claimed(store)


def test_job_gets_members_where_a_slot_is_free(store):
    """And one that finds none there is not due, or the loop would spin."""
    store.resources = Resources(GPUS, {"mix": {"gpu": 1}}).with_nodes(AT_NODES)
    add(store, "a", "b")

    east, west = {"mix": ["east"]}, {"mix": ["west"]}
    assert store.claim(places=west) is None
    assert store.next_due_ms(places=west) is None
    claim = store.claim(places=east)
    assert {"gpu": ("0@east",)} == claim.held
    assert "east" == store.resources.place(claim.held)
    assert "0" == store.resources.environment(claim.held)["CUDA_VISIBLE_DEVICES"]


# what may be configured


ABSENT = r"config.yaml:1:.*: inboxes.a.needs.gpu: 1 needed, and there is none; .*{gpu: \[0\]}"


@pytest.mark.parametrize(
    ("needs", "resources", "problem"),
    [
        ("gpu: 1", "", ABSENT),
        ("tts: 3", "tts: 2", "3 needed, and there are 2; add to config.yaml  .*{tts: 3}"),
        ("gpu: 1", "gpu: []", ABSENT),
        ("", "gpu: [0, '0']", "resources.gpu: must name each once"),
        ("", "gpu: 0", "resources.gpu: .*greater than or equal to 1"),
        ("", "'a b': 1", "resources.a b"),
    ],
)
def test_needs_that_cannot_be_met_are_refused(tmp_path, needs, resources, problem):
    """At the start, with the line to add."""
    text = f"inboxes: {{a: {{needs: {{{needs}}}}}}}\nresources: {{{resources}}}\n"
    (tmp_path / "config.yaml").write_text(text)

    with pytest.raises(BadConfig, match=problem):
        load(tmp_path / "config.yaml")


def test_needs_that_nodes_may_meet_are_not_refused():
    """When the resource has members at least by its empty list; a misspelt one is refused still."""
    inboxes = {"a": Inbox(needs={"gpu": 2}), "b": Inbox(needs={"gup": 1})}
    pool = PoolSettings(nodes={"farm": Node(launch=["ssh"])})
    config = Config(inboxes=inboxes, resources={"gpu": []}, pool=pool)

    (found,) = config.contradictions()
    assert ("inboxes", "b", "needs", "gup") == found.path
    assert "{gup: []} when nodes alone have it" in found.message


def test_worker_is_told_what_its_job_holds():
    """Members by name; a count as a number; gpus so that CUDA shows no others."""
    config = Config(resources={"gpu": [2, "GPU-8932f937"], "tts": 4})
    held = {"gpu": ("2", "GPU-8932f937"), "tts": ("1", "4")}

    assert {
        "CUDA_VISIBLE_DEVICES": "2,GPU-8932f937",
        "SOUNDSPOOL_RESOURCE_GPU": "2,GPU-8932f937",
        "SOUNDSPOOL_RESOURCE_TTS": "2",
    } == Resources.of(config).environment(held)


def test_lists_say_what_all_parts_of_a_job_wait_for():
    """Beside how many there are."""
    parts = {"total": 2, "queued": 2, "waits_for": "waits for gpu: 1 needed, 0 of 1 free"}

    assert ["2 parts: 2 queued", parts["waits_for"]] == list(parts_of(parts))


# a daemon


@pytest.fixture(scope="module")
def pool():
    settings = PoolSettings(slots=2, confine=False)
    handlers = ["tests.support.sharing", "tests.support.counting"]
    warm = WarmPool(settings, Clock(), handlers=handlers, handler_paths=[ROOT])
    yield warm
    warm.end()


def test_daemon_says_what_a_job_waits_for_and_who_has_it(fleeting, pool):
    """The worker is told, too; a reload that brings more is enough; in the end nothing is held."""
    given = config_for(fleeting)
    mix = Inbox(
        handler="tests.support.sharing",
        settling=given.inboxes["mix"].settling,
        options={"locks": str(fleeting), "held_by": str(fleeting / "held")},
        needs={"gpu": 1, "tts": 2},
    )
    config = config_for(fleeting, inboxes={"mix": mix}, resources={"gpu": [7], "tts": 4})
    more = config.model_copy(update={"resources": {"gpu": [7, 8], "tts": 4}})
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    (fleeting / "held").touch()
    for name in ("First", "Second"):
        drop_song(fleeting, name)
    seen = {}

    def until(life):
        told = statuses(fleeting)
        wait = told.get("Second", {}).get("wait") or {}
        if wait.get("reason") == "resource" and not seen:
            life.supervisor._beat.now()
            seen["detail"] = wait["detail"]
            seen["daemon"] = json.loads((fleeting / "daemon.json").read_text())
            life.supervisor.reload(more)
        if seen and len(life.supervisor._store.holders()) == 6:
            (fleeting / "held").unlink(missing_ok=True)
        return bool(seen) and life.at_rest()

    Life(config, Files(), pool).live(until)

    assert "waits for gpu: 1 needed, 0 of 1 free" == seen["detail"]
    held = seen["daemon"]["resources"]
    assert ["1", "2"] == [one["member"] for one in held["tts"]["held"]]
    assert ["First"] == [one["label"] for one in held["gpu"]["held"]]
    assert {"First": "done", "Second": "done"} == states(fleeting)
    told = json.loads((fleeting / "outbox" / "mix" / "Second" / "told.json").read_text())
    assert {
        "CUDA_VISIBLE_DEVICES": "8",
        "SOUNDSPOOL_RESOURCE_GPU": "8",
        "SOUNDSPOOL_RESOURCE_TTS": "2",
    } == told
    last = json.loads((fleeting / "daemon.json").read_text())
    assert {"gpu": {"size": 2, "held": []}, "tts": {"size": 4, "held": []}} == last["resources"]
