"""Power cuts: whatever was acknowledged ends once and whole, wherever the power went.

A daemon is recorded with all that it and its workers write, rename and sync, over the life of
drops of every kind (``life.py``). Then the power is cut at random events: what the disk may hold
(``disk.py``) is read as any reader would, laid out, and a daemon is started on it and run to
the end.

The same cuts on a daemon whose commits, directories or live documents are not synced must show
losses: else this file would prove nothing.
"""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from daemon.files import Files
from tests.support import lives
from tests.support.lives import ROOT, Life, WarmPool, config_for
from tests.support.surroundings import needs
from tests.support.truth import broken_sentences, statuses, torn_outputs
from tests.system.power.disk import WAYS, Disk, Event, events_of, lay_out
from tests.system.power.life import DROPS, counted, samples

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

pytestmark = needs("cc", "gcc", "clang", debian="gcc libc6-dev")


@dataclass
class Recording:
    """One life, call by call."""

    root_inode: int
    events: list[Event]
    known: dict[str, int]
    """Drop -> the event by which a status had called it queued, or more."""
    promised: list[tuple[int, str, int]]
    """(event, path, ``seq``): from this event on, no older document may be found there."""


@dataclass
class Cut:
    """What may be found after a cut."""

    tree: dict[str, bytes | None]
    known: set[str]
    """Drops that a status had called queued before."""
    promised: dict[str, int]
    """Path of a status -> the least ``seq`` that may be found."""
    when: str


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    """The library that records."""
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    source = HERE / "recorder.c"
    command = [COMPILER, "-O1", "-shared", "-fPIC", "-pthread", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def recorded(recorder: Path, folder: Path, sabotage: str = "none") -> Recording:
    """Let a daemon live, and return all that it did; nothing escaped the recorder."""
    root, log = folder / "spool", folder / "log"
    root.mkdir()
    preload = {"LD_PRELOAD": recorder, "SPOOL_RECORD_ROOT": root, "SPOOL_RECORD_LOG": log}
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)} | {
        name: str(value) for name, value in preload.items()
    }
    command = [sys.executable, "-m", "tests.system.power.life", root, sabotage]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    recording = Recording(root.stat().st_ino, events_of(log), {}, [])
    disk, seen, waiting = Disk(recording.root_inode), {}, []
    outbox = (root / "outbox" / "mix").stat().st_ino
    for number, event in enumerate(recording.events):
        disk.apply(event)
        if event.op == "R" and event.second.endswith(b".status.json"):
            for path, told in _status_documents(disk.tree_now()):
                if told["state"] == "receiving":
                    continue
                recording.known.setdefault(told["name"], number)
                if (told["state"] == "queued" or told["terminal"]) and seen.get(path) != told[
                    "state"
                ]:
                    waiting.append((path, told["seq"]))
                seen[path] = told["state"]
        elif event.op == "S" and event.a == outbox:
            recording.promised += [(number, *each) for each in waiting]
            waiting = []
    real = {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
    }
    assert real == disk.tree_now()
    assert set(recording.known) == set(DROPS)
    return recording


def _status_documents(tree: dict[str, bytes | None]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, content in tree.items():
        if path.endswith(".status.json") and content is not None:
            yield path, json.loads(content)


def cuts(recording: Recording, number: int, seed: int) -> Iterator[Cut]:
    """Cut the power at random events of a life, in every way of losing what was not synced."""
    dice = random.Random(seed)
    instants = sorted(dice.choices(range(len(recording.events)), k=number))
    disk, done = Disk(recording.root_inode), 0
    for instant, way in zip(instants, cycle(WAYS), strict=False):
        for event in recording.events[done : instant + 1]:
            disk.apply(event)
        done = instant + 1
        known = {name for name, since in recording.known.items() if since <= instant}
        event = recording.events[instant]
        when = f"{way} after event {instant}: {event.op} {event.first[:40]!r} {event.second!r}"
        promised = {path: seq for since, path, seq in recording.promised if since <= instant}
        yield Cut(disk.tree_after_cut(dice, way), known, promised, when)


def what_was_lost(cut: Cut, root: Path, pool: WarmPool) -> list[str]:
    """Lay a cut out, run a daemon on it, and return what is not as it must be."""
    lay_out(cut.tree, root)
    wrong = [*unreadable(cut), *_archived_too_early(root)]
    try:
        Life(config_for(root), Files(), pool).live(Life.at_rest)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is found out here
        return [*wrong, f"{cut.when}: {problem!r}"]
    wrong += [*broken_sentences(root), *torn_outputs(root)]
    for name in sorted(cut.known):
        wrong += _not_once_and_whole(root, name)
    return [f"{cut.when}: {each}" for each in wrong]


def unreadable(cut: Cut) -> Iterator[str]:
    """Yield what a reader must not meet before the next daemon starts."""
    seqs = {}
    for path, content in cut.tree.items():
        name = path.rpartition("/")[2]
        if content is None or path.startswith("work/") or name.startswith("."):
            continue
        if name == "index.html" and not content.endswith(b"</html>\n"):
            yield f"{cut.when}: {path} is torn"
        if name.endswith(".json"):
            try:
                found = json.loads(content)
                seqs[path] = found["seq"] if name.endswith(".status.json") else 0
            except ValueError:
                yield f"{cut.when}: {path} is torn"
    for path, seq in cut.promised.items():
        if seqs.get(path, 0) < seq:
            yield f"{cut.when}: {path} has seq {seqs.get(path)}, {seq} was promised"


def _archived_too_early(root: Path) -> Iterator[str]:
    for drop in root.glob("archive/mix/*/*"):
        if DROPS.get(drop.name) == "done" and not _results(root, drop.name):
            yield f"{drop.name} was archived before its result was there"


def _not_once_and_whole(root: Path, name: str) -> Iterator[str]:
    told = statuses(root).get(name, {"state": "nothing", "duplicate_of": None})
    if told["state"] != DROPS[name]:
        yield f"{name} is {told['state']}, not {DROPS[name]}"
    kept, aside = list(root.glob(f"archive/mix/*/{name}")), root / "failed" / "mix" / name
    if len(kept) + aside.exists() != 1:
        yield f"the drop {name} lies in {len(kept) + aside.exists()} places"
    twins = [each for each in DROPS if samples(each) == samples(name)]
    most = sum(DROPS[each] == "done" for each in twins)
    found = len(_results(root, name))
    if DROPS[name] == "done" and not 1 <= found <= most:
        yield f"{name} has {found} results"


def _results(root: Path, name: str) -> list[Path]:
    """Return the results that are exactly those of this drop's sound."""
    counts = (root / "outbox" / "mix").glob("*/count.json")
    return [path.parent for path in counts if path.read_text() == counted(name)]


@pytest.fixture(scope="module")
def recording(recorder, tmp_path_factory):
    """The life of a daemon that keeps all its promises."""
    return recorded(recorder, tmp_path_factory.mktemp("life"))


def test_reader_meets_the_old_document_or_the_new_one_after_a_power_cut(recording):
    """No status, heartbeat or page is empty or torn, and none is older than was promised."""
    assert [] == [wrong for cut in cuts(recording, 600, seed=1) for wrong in unreadable(cut)]


def test_reader_meets_torn_documents_where_content_is_not_synced(recorder, tmp_path):
    """Without the syncs of live documents, the same cuts tear them."""
    recording = recorded(recorder, tmp_path, "contents")
    wrong = [each for cut in cuts(recording, 600, seed=1) for each in unreadable(cut)]

    for name in ("daemon.json", "index.html", ".status.json"):
        assert any(f"{name} is torn" in each for each in wrong)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [36, pytest.param(600, marks=pytest.mark.slow)])
def test_power_cut_loses_nothing_that_was_acknowledged(fleeting, recording, pool, number):
    """Every drop that a status had called queued has exactly one whole result; nothing is torn."""
    assert [] == losses(recording, number, fleeting, pool)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("sabotage", "number"), [("normal", 400), ("names", 100), ("contents", 100)]
)
def test_power_cut_shows_what_is_not_synced(
    fleeting, recorder, pool, monkeypatch, *, sabotage, number
):
    """Without synced commits, directories or live documents, the same cuts lose something."""
    monkeypatch.setattr(lives, "PATIENCE_S", 3.0)
    recording = recorded(recorder, fleeting, sabotage)
    lost = losses(recording, number, fleeting, pool)

    sys.stdout.write(f"{sabotage}: {len(lost)} of {number} cuts lose something\n")
    assert lost


def losses(recording: Recording, number: int, folder: Path, pool: WarmPool) -> list[list[str]]:
    """Return what each cut lost, of those that lost something."""
    found = []
    for place, cut in enumerate(cuts(recording, number, seed=number)):
        root = folder / f"cut {place}"
        if wrong := what_was_lost(cut, root, pool):
            found.append(wrong)
        shutil.rmtree(root)
    return found
