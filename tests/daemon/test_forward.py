"""Results that go on into another inbox: once, whatever dies when, and as what was planned."""

import errno
import json
import shutil
from contextlib import contextmanager

import pytest

from daemon.config.models import Forward, Retention, load
from daemon.errors import BadConfig
from daemon.files import Files
from daemon.jobs.forwards import Forward as Planned
from daemon.jobs.store import open_store
from daemon.supervisor import forwards, outage
from tests.support.clocks import FakeClock
from tests.support.counting import count
from tests.support.files import SnapshotFiles
from tests.support.jobs import DONE, new_job
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, drop_folder, drop_song, rows, write_wav

BY_TIME = frozenset({"write heartbeat", "write status progress"})


@pytest.fixture
def root(fleeting):
    return fleeting / "spool"


def config(root, **forward):
    """Return a configuration of two inboxes; the results of ``mix`` go on into ``second``."""
    given = config_for(root)
    mix = given.inboxes["mix"]
    goes_on = mix.model_copy(update={"forward": Forward(inbox="second", **forward)})
    for name in ("mix", "second"):
        (root / "inbox" / name).mkdir(parents=True, exist_ok=True)
    return given.model_copy(update={"inboxes": {"mix": goes_on, "second": mix}})


def at_rest(life):
    """Tell whether nothing is under way any more, in either inbox."""
    store = life.supervisor._store
    left = any(any((life.config.root / "work" / inbox).iterdir()) for inbox in life.config.inboxes)
    return life.at_rest() and not (left or store.due_forwards(9) or store.unpublished())


def live(root, pool, files=None, until=at_rest, **forward):
    Life(config(root, **forward), files or Files(), pool).live(until)


def told(root, inbox):
    """Return the statuses of an inbox by their labels."""
    found = (root / "outbox" / inbox).glob("*.status.json")
    return {path.name.removesuffix(".status.json"): json.loads(path.read_text()) for path in found}


def problems(root):
    """Yield what is not as it must be: one job made one other, of what it had made."""
    yield from broken_sentences(root)
    found = sorted((row["inbox"], row["name"].decode(), row["state"]) for row in rows(root))
    if [("mix", "Song", "done"), ("second", "Song.json", "done")] != found:
        yield f"rows: {found}"
    results = sorted(str(path.relative_to(root)) for path in root.glob("outbox/*/*/count.json"))
    if ["outbox/mix/Song/count.json", "outbox/second/Song.json/count.json"] != results:
        yield f"results: {results}"
    kept = list(root.glob("archive/second/*/*"))
    if [path.name for path in kept] != ["Song.json"]:
        yield f"archive: {kept}"
    elif kept[0].read_bytes() != (root / results[0]).read_bytes():
        yield "what went on is not the result"
    elif kept[0].samefile(root / results[0]):
        yield "the drop is the result itself"
    first, second = told(root, "mix").get("Song", {}), told(root, "second").get("Song.json", {})
    to, back = first.get("forwarded_to"), second.get("forwarded_from")
    if {"inbox": "second", "name": "Song.json", "job": second.get("job")} != to:
        yield f"forwarded to: {to}"
    if {"inbox": "mix", "label": "Song", "job": first.get("job")} != back:
        yield f"forwarded from: {back}"
    if left := [path for name in ("inbox", "work") for path in root.glob(f"{name}/*/*")]:
        yield f"left: {left}"


def test_next_run_lets_a_result_go_on_once(root, pool):
    """Whatever step the daemon dies at, the other inbox gets it, once."""
    files, wrong = SnapshotFiles(root, root.parent, BY_TIME), {}
    config(root)
    drop_song(root, "Song")
    live(root, pool, files)
    assert [] == list(problems(root))
    deaths = list(files.snapshots)
    first = deaths.index("after publish result (1)")
    # What comes before is that of any drop, and of its own test.
    for death in deaths[first:]:
        shutil.rmtree(root)
        files.snapshots[death].rename(root)
        live(root, pool)
        if found := list(problems(root)):
            wrong[death] = found

    assert {} == wrong
    steps = [death for death in deaths[first:] if "forward" in death]
    assert {"after forward.copy (1)", "after forward.drop (1)"} <= {*steps}


class RefusingFiles(Files):
    """Refuse a step a few times."""

    def __init__(self, refused, code):
        self.refused, self.code, self.times = refused, code, 2

    @contextmanager
    def _step(self, name):
        if name == self.refused and self.times:
            self.times -= 1
            raise OSError(self.code, "as the test wanted")
        yield


def test_history_keeps_a_job_until_its_result_has_gone_on(tmp_path):
    """However old it is."""
    clock = FakeClock()
    store = open_store(tmp_path / "queue.sqlite3", clock)
    for name in ("a", "b"):
        store.adopt(new_job(name))
        store.finish(store.claim().job.id, 1, DONE)
        store.mark_published(name, drop_at="")
    store.plan_forward(Planned("a", "second", "c", "Song", ["x"], folder=False, settings={}))
    clock.advance(400 * 86_400)

    assert 1 == store.prune(Retention())
    assert ["a"] == [each.job for each in store.due_forwards(9)]
    store.end_forward("a")
    assert 1 == store.prune(Retention())
    store.close()


@pytest.mark.parametrize("step", ["forward.copy", "forward.drop", "commit adopt"])
def test_full_disk_loses_nothing_and_doubles_nothing(root, pool, monkeypatch, step):
    """It is tried again, and says so meanwhile."""
    for module in (forwards, outage):
        monkeypatch.setattr(module, "RETRY_S", 0.05)
    config(root)
    drop_song(root, "Song")
    seen = set()

    def until(life):
        seen.update(code for code, _ in life.supervisor._document._all_warnings())
        return at_rest(life)

    live(root, pool, RefusingFiles(step, errno.ENOSPC), until)

    assert [] == list(problems(root))
    assert seen


def test_outputs_of_some_roles_go_on_as_a_folder_with_its_settings(root, pool):
    """Paths stay; the lane that the first drop asked for is that of the second."""
    config(root)
    drop_song(root, "Song", "priority: rush\n")
    live(root, pool, roles=["sheet", "data"], settings={"seconds": 0.01})

    (kept,) = root.glob("archive/second/*/Song")
    found = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
    assert ["count.json", "job.yaml", "sheets/by file/names.txt"] == found
    assert {"seconds": 0.01, "priority": "rush"} == json.loads((kept / "job.yaml").read_text())
    (second,) = [row for row in rows(root) if row["inbox"] == "second"]
    assert ("rush", 0.01) == (second["lane"], json.loads(second["options"])["seconds"])
    assert count(kept) == []


def test_what_goes_on_is_called_after_the_drop(root, pool):
    """A file's own suffix gives way to that of the result; a twin's result goes on, too."""
    config(root)
    write_wav(root / "inbox" / "mix" / "take.wav", b"\1\2" * 100)
    for name in ("One", "Two"):
        drop_folder(root, name, {"a.wav": b"\3\4" * 100})
        live(root, pool)

    assert told(root, "mix")["Two"]["duplicate_of"]
    assert {"take.json": "done", "One.json": "done", "Two.json": "done"} == {
        name: status["state"] for name, status in told(root, "second").items()
    }


def test_result_that_was_taken_away_goes_nowhere(root, pool, monkeypatch):
    """The daemon says so, and lets the other inbox be."""
    gone = []

    config(root)
    drop_song(root, "Song")
    begin = forwards.Forwards._begin_copy

    def begin_later(self, each):
        if not gone:
            gone.append((root / "outbox" / "mix" / "Song").rename(root / "taken"))
        begin(self, each)

    monkeypatch.setattr(forwards.Forwards, "_begin_copy", begin_later)
    warnings = {}

    def until(life):
        warnings.update(life.supervisor._document._all_warnings())
        return at_rest(life)

    live(root, pool, until=until)

    assert "taken out of the outbox" in warnings["FORWARD_GONE"]
    assert [("mix", "done")] == [(row["inbox"], row["state"]) for row in rows(root)]


@pytest.mark.parametrize(
    ("inboxes", "problem"),
    [
        ("a: {forward: b}", "config.yaml:1:.*: inboxes.a.forward: there is no inbox b; .* are a"),
        ("a: {forward: a}", "inboxes.a.forward: .*for ever: a → a;"),
        ("b: {forward: {inbox: a}}, a: {forward: b}, c: {forward: a}",
         "inboxes.a.forward: .*for ever: a → b → a;"),
        ("a: {forward: {inbox: A}}", "inboxes.a.forward.inbox"),
    ],
)  # fmt: skip
def test_way_that_leads_nowhere_or_round_is_refused(tmp_path, inboxes, problem):
    """At the start, and once."""
    (tmp_path / "config.yaml").write_text(f"inboxes: {{{inboxes}}}\n")

    with pytest.raises(BadConfig, match=problem) as refused:
        load(tmp_path / "config.yaml")
    assert 1 == len(str(refused.value).splitlines())
