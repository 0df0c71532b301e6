"""Whatever the disk refuses once, the same run does later: nothing is lost, and nothing hangs.

The steps of one life are recorded, commits of the queue among them. Then, for each step, a life
in which that step fails once with ENOSPC, or with EIO. It goes on, and comes to the same end.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon import house
from daemon.errors import Unavailable
from daemon.files import Files
from tests.support.files import OtherDevice, RecordingFiles
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, statuses, torn_outputs, write_wav

SETTINGS = {"done": "", "failed": "how: bad_input\n"}


class RefusingFiles(Files):
    """Do every step, but one of them only the second time, or say so when it is done."""

    def __init__(self, at: str, occurrence: int, code: int, *, after: bool = False) -> None:
        self.at, self.occurrence, self.code, self.after = at, occurrence, code, after
        self.seen = 0

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.seen += name == self.at
        here = name == self.at and self.seen == self.occurrence
        if here and name.startswith("commit"):
            raise Unavailable("DISK_FULL", "as the test wanted")
        if here and not self.after:
            self._refuse()
        yield
        if here:
            self._refuse()

    def _refuse(self) -> None:
        raise OSError(self.code, os.strerror(self.code), "the test's")


class RecordingAcross(OtherDevice, RecordingFiles):
    pass


class RefusingAcross(OtherDevice, RefusingFiles):
    pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("end", list(SETTINGS))
def test_what_is_refused_once_is_done_later(fleeting, pool, monkeypatch, end, code):
    """One step fails; the same run ends the job as if it had not."""
    monkeypatch.setattr(house, "AGAIN_S", 0.02)
    steps = _steps(fleeting / "recorded", end, pool, RecordingFiles())
    assert {} == _wrong(fleeting, end, pool, {step: RefusingFiles(*step, code) for step in steps})


@pytest.mark.parametrize("across", [False, True], ids=["one device", "many"])
def test_what_is_done_but_not_synced_is_known_to_be_done(fleeting, pool, monkeypatch, across):
    """A rename may succeed and the sync of its folder fail: for lack of a descriptor, say."""
    monkeypatch.setattr(house, "AGAIN_S", 0.02)
    recording, refusing = (
        (RecordingAcross, RefusingAcross) if across else (RecordingFiles, RefusingFiles)
    )
    steps = _steps(fleeting / "recorded", "done", pool, recording())
    files = {step: refusing(*step, errno.EMFILE, after=True) for step in steps}
    assert {} == _wrong(fleeting, "done", pool, files)


def _wrong(folder, end, pool, refusing):
    """Return what went wrong, by the step that was refused."""
    wrong = {}
    for number, ((name, occurrence), files) in enumerate(refusing.items()):
        root = folder / str(number)
        try:
            _live(root, end, files, pool)
            problems = _problems(root, end)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is found out here
            problems = [repr(problem)]
        if problems:
            wrong[f"{name} ({occurrence})"] = problems
    return wrong


def _steps(root, end, pool, recording):
    """Yield the steps after the start: what refuses to start is told in one line."""
    before = _live(root, end, recording, pool)
    assert [] == _problems(root, end)
    seen = Counter(recording.steps[:before])
    for name in recording.steps[before:]:
        seen[name] += 1
        if seen[name] <= 2 and name != "commit close":
            yield name, seen[name]


def _live(root, end, files, pool) -> int:
    """Live until the one drop has ended; return how many steps the start took."""
    began: list[int] = []

    def rested(life: Life) -> bool:
        if not began:
            began.append(len(getattr(files, "steps", ())))
            _drop(root, SETTINGS[end])
            life.supervisor._watchers["mix"].wake()
        door = life.supervisor._watchers["mix"]._scanner._door
        return life.at_rest() and not door.owed

    (root / "inbox" / "mix").mkdir(parents=True)
    assert Life(config_for(root, heartbeat_s=0.05), files, pool).live(rested)
    return began[0]


def _drop(root, settings):
    """Drop one file, with its settings and its marker beside it."""
    inbox = root / "inbox" / "mix"
    (inbox / "Song.wav.job.yaml").write_text(settings)
    write_wav(inbox / ".Song.wav", b"\1\2" * 900)
    (inbox / ".Song.wav").rename(inbox / "Song.wav")
    (inbox / "Song.wav.done").touch()


def _problems(root, end):
    told = {label: status["state"] for label, status in statuses(root).items()}
    wrong = [*broken_sentences(root), *torn_outputs(root)]
    if told != {"Song.wav": end}:
        wrong.append(f"statuses: {told}")
    places = [*root.glob("archive/mix/*/Song.wav"), *root.glob("failed/mix/Song.wav")]
    if len(places) != 1:
        wrong.append(f"the drop lies in {places}")
    if left := [
        path.name for kind in ("inbox", "work") for path in (root / kind / "mix").iterdir()
    ]:
        wrong.append(f"left: {left}")
    return wrong
