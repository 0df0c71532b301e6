"""What people are promised of a job between its drop and its end."""

import json

import pytest

from daemon.files import Files
from tests.support.lives import Life, config_for
from tests.support.truth import drop_folder, drop_song, states, statuses, write_wav


@pytest.fixture
def root(fleeting):
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    return fleeting


@pytest.fixture
def held(root):
    """A file: a song whose settings name it runs as long as it is there."""
    (root / "held").touch()
    drop_song(root, "Held", f"held_by: {root / 'held'}\n")
    return root / "held"


def live(root, pool, *, deeds=(), **settings):
    """Live until all is at rest; do each deed when the condition before it holds."""
    deeds = list(deeds)

    def is_over(life):
        if deeds and deeds[0][0](life):
            deeds.pop(0)[1]()
            life.supervisor._watchers.wake()
        return not deeds and life.at_rest()

    Life(config_for(root, **settings), Files(), pool).live(is_over)


def is_running(root, name):
    return lambda _: states(root).get(name) == "running"


def test_rush_goes_before_what_came_earlier(root, pool, held):
    """``priority`` in the settings of a drop decides, not the lane of its inbox."""

    def drop_both():
        drop_song(root, "Early")
        drop_song(root, "Urgent", "priority: rush\n")

    both_wait = lambda _: [*states(root).values()].count("queued") == 2  # noqa: E731
    live(root, pool, deeds=[(is_running(root, "Held"), drop_both), (both_wait, held.unlink)])
    told = statuses(root)

    assert told["Urgent"]["started"] < told["Early"]["started"]


def test_running_job_is_cancelled_and_the_request_goes_with_it(root, pool, held):
    """It ends, though it would have run on; the file that asked for it is removed."""
    ask = root / "inbox" / "mix" / "Held.cancel"
    gone = lambda _: not ask.exists()  # noqa: E731
    live(root, pool, deeds=[(is_running(root, "Held"), ask.touch), (gone, list)])

    assert held.exists()
    assert {"Held": "cancelled"} == states(root)


def test_result_whose_name_is_taken_meanwhile_gets_another(root, pool, held):
    """What a person put into the outbox stays; the drop has one status, under the new name."""
    taken = root / "outbox" / "mix" / "Held"
    live(root, pool, deeds=[(is_running(root, "Held"), taken.mkdir), (lambda _: True, held.unlink)])

    assert {"Held (2)": "done"} == states(root)
    assert [] == list(taken.iterdir())


def test_request_to_cancel_what_is_not_there_is_removed(root, pool):
    """Else it would cancel the next drop of that name."""
    ask = root / "inbox" / "mix" / "Nothing.cancel"
    ask.touch()
    live(root, pool, deeds=[(lambda _: not ask.exists(), list)])

    assert {} == states(root)


def test_place_in_a_short_queue_is_free_again_when_its_job_has_ended(root, pool):
    """Three songs through a queue of one."""
    for name in "ABC":
        drop_song(root, name)
    live(root, pool, queue_limit=1)

    assert dict.fromkeys("ABC", "done") == states(root)


def test_jobs_of_a_paused_inbox_wait(root, pool, held):
    """What was admitted before the pause, too."""
    pause, seen = root / "inbox" / "mix" / ".pause", []

    def see():
        seen.append(states(root))
        pause.unlink()

    def is_paused(life):
        return life.supervisor._watchers.closed("mix")

    deeds = [
        (is_running(root, "Held"), lambda: drop_song(root, "Next")),
        (lambda _: states(root).get("Next") == "queued", pause.touch),
        (is_paused, held.unlink),
        (lambda _: states(root)["Held"] == "done", list),
        (lambda life: life.pool.free_slots(), list),
        (lambda life: life.pool.free_slots(), see),
    ]
    live(root, pool, deeds=deeds)

    assert ["queued"] == [one["Next"] for one in seen]
    assert "done" == states(root)["Next"]


def test_drop_that_lists_hashes_is_compared_before_it_counts_as_known(root, pool):
    """A twin by size and content whose list says otherwise has been damaged on its way."""
    drop_folder(root, "Original", {"a.wav": bytes(400)})
    live(root, pool)
    listed = f"files: [{{name: a.wav, sha256: {'0' * 64}}}]\n"
    drop_folder(root, "Twin", {"a.wav": bytes(400)}, listed)
    live(root, pool)

    assert {"Original": "done", "Twin": "failed"} == states(root)


def test_leftovers_of_an_attempt_do_not_get_into_a_result(root, pool):
    """After the queue was lost, attempts are counted from one again."""
    work = root / "work" / "mix" / "20261120-214501-3f9a"
    (work / "in" / "Song").mkdir(parents=True)
    write_wav(work / "in" / "Song" / "a.wav", bytes(400))
    (work / "out.1" / "sheets").mkdir(parents=True)
    (work / "out.1" / "count.json").write_text("of old")
    live(root, pool)

    assert {"Song": "done"} == states(root)
    assert 1 == statuses(root)["Song"]["attempt"]
    assert json.loads((root / "outbox" / "mix" / "Song" / "count.json").read_text())


def test_attempts_are_counted_by_end_and_by_handler(root, pool):
    """What ``daemon.json`` and the metrics sum up; of a handler, those that ended well."""
    drop_song(root, "Good")
    drop_song(root, "Bad", "how: bad_input\n")
    live(root, pool)
    totals = json.loads((root / "daemon.json").read_text())["totals"]

    assert {"done": 1, "bad_input": 1} == totals["attempts"]
    assert 1 == totals["handlers"]["tests.support.counting"]["attempts"]
