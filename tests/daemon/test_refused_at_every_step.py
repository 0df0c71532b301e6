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

from daemon.errors import Unavailable
from daemon.files import Files
from daemon.supervisor import context
from tests.support.files import OtherDevice, RecordingFiles
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, drop_folder, statuses, torn_outputs

SETTINGS = {"done": "", "failed": "how: bad_input\n", "across": ""}
"""What the one drop is told to do; ``across``: from an inbox on another file system."""


class RefusingFiles(Files):
    """Do every step, but one of them only the second time."""

    def __init__(self, at: str, occurrence: int, code: int) -> None:
        self.at, self.occurrence, self.code = at, occurrence, code
        self.seen = 0

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        if name == self.at:
            self.seen += 1
            if self.seen == self.occurrence:
                if name.startswith("commit"):
                    raise Unavailable("DISK_FULL", "as the test wanted")
                raise OSError(self.code, os.strerror(self.code), "the test's")
        yield


class RefusingAcross(OtherDevice, RefusingFiles):
    pass


class RecordingAcross(OtherDevice, RecordingFiles):
    pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("end", list(SETTINGS))
def test_what_is_refused_once_is_done_later(fleeting, pool, monkeypatch, end, code):
    """One step fails; the same run ends the job as if it had not."""
    monkeypatch.setattr(context, "AGAIN_S", 0.02)
    wrong = {}
    for number, (name, occurrence) in enumerate(_steps(fleeting / "recorded", end, pool)):
        refusing = (RefusingAcross if end == "across" else RefusingFiles)(name, occurrence, code)
        root = fleeting / str(number)
        try:
            _live(root, end, refusing, pool)
            problems = _problems(root, end)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is found out here
            problems = [repr(problem)]
        if problems:
            wrong[f"{name} ({occurrence})"] = problems

    assert {} == wrong


class StrandingFiles(Files):
    """Move a drop in and say that it failed; refuse to move it back."""

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        if name == "admit.back":
            raise OSError(errno.EIO, os.strerror(errno.EIO), "the test's")
        yield
        if name == "admit.drop":
            raise OSError(errno.EIO, os.strerror(errno.EIO), "the test's")


def test_drop_that_can_neither_be_taken_nor_put_back_is_adopted(fleeting, pool):
    """Not at the next start only: it has left its inbox, and nobody else looks for it."""
    _live(fleeting, "done", StrandingFiles(), pool)

    assert [] == _problems(fleeting, "done")


def _steps(root, end, pool):
    """Return the steps after the start: what refuses to start is told in one line."""
    recording = (RecordingAcross if end == "across" else RecordingFiles)()
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
            drop_folder(root, "Song", {"a.wav": b"\1\2" * 900}, SETTINGS[end])
            life.supervisor._inboxes.watchers["mix"].wake()
        return life.at_rest() and not any((root / "inbox" / "mix").iterdir())

    (root / "inbox" / "mix").mkdir(parents=True)
    assert Life(config_for(root, heartbeat_s=0.05), files, pool).live(rested)
    return began[0]


def _problems(root, end):
    told = {label: status["state"] for label, status in statuses(root).items()}
    wrong = [*broken_sentences(root), *torn_outputs(root)]
    if told != {"Song": "failed" if end == "failed" else "done"}:
        wrong.append(f"statuses: {told}")
    places = [*root.glob("archive/mix/*/Song"), *root.glob("failed/mix/Song")]
    if left := sorted(path.name for path in (root / "inbox" / "mix").iterdir()):
        wrong.append(f"left in the inbox: {left}")
    if len(places) != 1:
        wrong.append(f"the drop lies in {places}")
    return wrong
