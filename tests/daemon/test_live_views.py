"""Live views: replaced whole, in their place before the job is over, whatever dies meanwhile."""

import shutil

import pytest

from daemon.config.models import Inbox
from daemon.files import Files
from daemon.jobs.job import Job, Outcome, Plan
from daemon.outbox.places import place_of
from daemon.pool.interface import Ended
from daemon.supervisor.endings import ending_of
from daemon.supervisor.retention import tidy
from tests.support.clocks import FakeClock
from tests.support.files import OtherDevice, SnapshotFiles
from tests.support.jobs import new_job
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, drop_song, states, statuses

STEPS = ("publish", "commit finish")
"""Those around which a view moves."""


class SnapshotsAcross(OtherDevice, SnapshotFiles):
    pass


class FilesAcross(OtherDevice, Files):
    pass


def config(root):
    """Return a configuration whose inbox has one job at a time."""
    found = config_for(root)
    inbox = found.inboxes["mix"].model_copy(update={"keeps": True})
    return found.model_copy(update={"inboxes": {"mix": inbox}})


def views(root):
    """Return what each live view says, and what the outbox holds besides statuses."""
    outbox = root / "outbox" / "mix"
    rest = [path.name for path in outbox.iterdir() if not path.name.endswith(".json")]
    return {name: (outbox / name).read_text() for name in rest if name.startswith("view")}, sorted(
        name for name in rest if not name.startswith("view")
    )


def problems(root, *, results):
    """Return what is not as it must be after two jobs; one of views alone has split once."""
    said = "Second, round 0" if results else "Second, round 1"
    wrong = [*broken_sentences(root)]
    if {"First": "done", "Second": "done"} != (told := states(root)):
        wrong.append(f"statuses: {told}")
    expected = {"view 0.txt": said, "view 1.txt": said}, results
    if expected != (found := views(root)):
        wrong.append(f"outbox: {found}")
    for name in results:
        made = sorted(path.name for path in (root / "outbox" / "mix" / name).iterdir())
        if made != ["count.json", "sheets"]:
            wrong.append(f"{name} holds {made}")
    if left := list((root / "work" / "mix").iterdir()):
        wrong.append(f"left in work: {left}")
    return wrong


@pytest.mark.parametrize(
    ("across", "only"), [(False, True), (True, False)], ids=["views alone", "across disks"]
)
def test_views_of_the_last_job_lie_there_whatever_step_the_daemon_dies_at(
    fleeting, pool, only, across
):
    """All of them, once the job is over; a result has what else there is, or there is none.

    Those that come with parts lie there before the parts have ended, after a death, too.
    """
    root, wrong, early = fleeting / "spool", {}, {}
    (root / "inbox" / "mix").mkdir(parents=True)
    settings, results = f"live: 2\nonly_live: {only}\n", [] if only else ["First", "Second"]
    settings += "parts: 1\n" if only else ""
    drop_song(root, "First", settings)
    Life(config(root), FilesAcross() if across else Files(), pool).live(Life.at_rest)
    drop_song(root, "Second", settings)
    files = (SnapshotsAcross if across else SnapshotFiles)(root, root.parent)
    Life(config(root), files, pool).live(Life.at_rest)
    assert [] == problems(root, results=results)
    listed = statuses(root)["Second"]["outputs"]
    for death, left in files.snapshots.items():
        if any(step in death for step in STEPS):
            shutil.rmtree(root)
            left.rename(root)
            said = early[death] = set()

            def over(life, said=said):
                said |= set(views(root)[0].values())
                return life.at_rest()

            Life(config(root), FilesAcross() if across else Files(), pool).live(over)
            if found := problems(root, results=results):
                wrong[death] = found

    assert {} == wrong
    assert {"after publish view (1)", "after publish view (2)"} <= files.snapshots.keys()
    assert not only or "Second, round 0" in early["before publish view (1)"]
    assert ["view 0.txt", "view 1.txt"] == [one["path"] for one in listed if one["role"] == "live"]


def test_views_outlive_what_made_them(fleeting, pool):
    """History and statuses grow old and go; the view is what the inbox has to say now."""
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_song(root, "First", "live: 1\nonly_live: true\n")
    clock = FakeClock()
    life = Life(config(root), Files(), pool)

    def over(_):
        if not life.at_rest():
            return False
        opened = life.supervisor._opened
        clock.now_ms = opened.clock.wall_ms() + 400 * 86_400_000
        opened.store._clock = clock
        tidy(opened.config, opened.spool, opened.store, files=opened.files, clock=clock)
        return opened.store.named("mix", "First") == []

    life.live(over)

    assert {} == statuses(root)
    assert ({"view 0.txt": "First, round 0"}, []) == views(root)


@pytest.mark.parametrize(
    ("path", "why", "where"),
    [
        ("folder/view.html", "plain name", {}),
        (".view.html", "plain name", {}),
        ("Song.status.json", "plain name", {}),
        ("v" * 201, "more than 200 bytes", {}),
        ("Song", "called like a result", {}),
        ("view.html", "keeps: true", {"keeps": False}),
        ("view.html", "by the job, not by a part", {"parent": "whole"}),
    ],
)
def test_view_that_cannot_be_published_fails_its_job(tmp_path, path, why, where):
    """Before anything of it is moved; the sentence says what a view must be."""
    (tmp_path / "Song").mkdir()
    made = {"path": path, "role": "live", "bytes": 1, "sha256": "5a" * 32, "measurements": {}}
    job = Job(**vars(new_job()), parent=where.get("parent"))
    done = Ended(job.id, 1, Outcome.DONE, result={"outputs": [made]})
    split = Ended(job.id, 1, Outcome.SPLIT, split={"views": [made]}, plan=Plan(()))
    for ended in (done, split):
        ending = ending_of(ended, job, Inbox(keeps=where.get("keeps", True)), tmp_path)

        assert ("failed", "RESULT_INVALID", 0, None) == (
            ending.outcome,
            ending.error["code"],
            len(ending.outputs),
            ending.plan,
        )
        assert why in ending.error["message"]


def test_readers_find_views_beside_the_result():
    """A view lies in the outbox itself; what has no folder of its own may be nothing but views."""
    status = {"inbox": "archive", "output_folder": "scan.scan"}
    page, rows = {"path": "library.html", "role": "live"}, {"path": "a/b.csv", "role": "data"}

    assert ("outbox", "archive", "library.html") == place_of(status, page)
    assert ("outbox", "archive", "scan.scan", "a", "b.csv") == place_of(status, rows)
    assert () == place_of({"inbox": "archive", "output_folder": None}, rows)
