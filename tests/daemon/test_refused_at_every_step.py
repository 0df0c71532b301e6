"""Whatever the disk refuses once, the same run does later: nothing is lost, and nothing hangs.

A first song tells the steps of its way, commits of the queue among them. Then, for each step, the
same daemon gets a song for which that step fails once, with ENOSPC or with EIO: it goes on, and
the song comes to the same end.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.errors import Unavailable
from daemon.files import Files
from daemon.supervisor import outage
from tests.support.files import OtherDevice
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, drop_folder, rows, statuses, torn_outputs

SETTINGS = {
    "done": "",
    "failed": "how: bad_input\n",
    "across": "",
    "together": "",
    "split": "parts: 2\n",
}
"""What a drop is told to do; ``across``: from an inbox on another file system; ``together``: it
comes to each step with a second one."""


class RefusingFiles(Files):
    """Remember every step; refuse those named by ``refuse``, once each."""

    def __init__(self, code: int) -> None:
        self.code, self.steps = code, list[str]()
        self._left: dict[str, int] = {}

    def refuse(self, left: dict[str, int]) -> None:
        """From now on, refuse each step when it comes for the given time; forget what was."""
        self._left, self.steps = left, []

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.steps.append(name)
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] == 0:
                if name.startswith("commit"):
                    raise Unavailable("DISK_FULL", "as the test wanted")
                raise OSError(self.code, os.strerror(self.code), "the test's")
        yield


class RefusingAcross(OtherDevice, RefusingFiles):
    pass


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(
            end,
            code,
            # Another number takes the same ways: both where all is plain, else before a release.
            marks=[pytest.mark.slow] if code == errno.EIO and end != "done" else [],
            id=f"{end}-{errno.errorcode[code]}",
        )
        for end in SETTINGS
        for code in (errno.ENOSPC, errno.EIO)
    ],
)
def test_what_is_refused_once_is_done_later(fleeting, pool, monkeypatch, end, code):
    """One step fails; the same run ends the job as if it had not."""
    monkeypatch.setattr(outage, "RETRY_S", 0.02)
    files = (RefusingAcross if end == "across" else RefusingFiles)(code)
    wrong: dict[str, list[str]] = {}
    _live(fleeting, files, pool, _songs(fleeting, end, files, wrong))

    assert {} == wrong


def _songs(root, end, files, wrong):
    """Drop song after song, and refuse another step for each; yield while one is on its way."""
    files.refuse({})
    _drop(root, "Song", end)
    yield "nothing"
    assert [] == _problems(root, "Song", end)
    seen: Counter[str] = Counter()
    for step in files.steps:
        seen[step] += 1
        if seen[step] > 2:
            continue
        refused = f"{step} ({seen[step]})"
        files.refuse({step: seen[step]})
        _drop(root, refused, end)
        yield refused
        if problems := _problems(root, refused, end):
            wrong[refused] = problems
    files.refuse(dict.fromkeys(set(files.steps) - {"commit close"}, 1))  # while it stops


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

    def song():
        _drop(fleeting, "Song", "done")
        yield "nothing"

    _live(fleeting, StrandingFiles(), pool, song())

    assert [] == _problems(fleeting, "Song", "done")


def _drop(root, name, end):
    if end == "together":
        drop_folder(root, f"{name}, second", {"a.wav": name.encode() * 201}, SETTINGS[end])
    drop_folder(root, name, {"a.wav": name.encode() * 200}, SETTINGS[end])


def _live(root, files, pool, songs) -> None:
    """Live until the last song has ended; each is dropped when the one before it has."""
    inbox, refused = root / "inbox" / "mix", "nothing"
    inbox.mkdir(parents=True)

    def ended(life: Life) -> bool:
        nonlocal refused
        if life.at_rest() and not any(inbox.iterdir()):
            refused = next(songs, "")
            life.supervisor._watchers.watchers["mix"].wake()
        return not refused

    try:
        Life(config_for(root, heartbeat_s=0.05), files, pool).live(ended)
    except Exception as error:
        raise AssertionError(f"after {refused} was refused") from error


def _problems(root, name, end):
    if end == "together":
        return [*_problems(root, name, "done"), *_problems(root, f"{name}, second", "done")]
    told = {label: status["state"] for label, status in statuses(root).items()}
    wrong = [*broken_sentences(root), *torn_outputs(root)]
    if told.get(name) != ("failed" if end == "failed" else "done"):
        wrong.append(f"statuses: {told}")
    if len(told) != (jobs := len(rows(root))):
        wrong.append(f"{len(told)} statuses of {jobs} jobs")
    places = [*root.glob(f"archive/mix/*/{name}"), *root.glob(f"failed/mix/{name}")]
    if len(places) != 1:
        wrong.append(f"the drop lies in {places}")
    return wrong
