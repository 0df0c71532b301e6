"""Trouble stays where it belongs: with a job, an inbox, or the whole disk, and says so."""

import json
import shutil

import pytest

from daemon.config.models import Budgets, Inbox, Settling
from daemon.files import Files
from daemon.supervisor import outage
from tests.support.lives import HANDLER, Life, config_for
from tests.support.truth import write_wav

BUDGETS = Budgets(backoff_s=0.01, backoff_max_s=0.01)


class RefusingFiles(Files):
    """Do no step in one folder, for as long as it is named."""

    folder = None

    def _refuse(self, path):
        if self.folder is not None and path.is_relative_to(self.folder):
            raise PermissionError(13, "the test's", str(path))

    def write(self, step, path, data, **more):
        self._refuse(path)
        super().write(step, path, data, **more)

    def write_all(self, contents, **more):
        for path in contents:
            self._refuse(path)
        super().write_all(contents, **more)

    def rename(self, step, source, target, **more):
        self._refuse(target)
        super().rename(step, source, target, **more)


@pytest.fixture
def config(fleeting, monkeypatch):
    """A daemon with two inboxes, ``mix`` and ``radio``, that tries again soon."""
    monkeypatch.setattr(outage, "RETRY_S", 0.1)
    settling = Settling(**dict.fromkeys(Settling.model_fields.keys() - {"on_truncated"}, 0.02))
    inbox = Inbox(handler=HANDLER, settling=settling)
    for name in ("mix", "radio"):
        (fleeting / "inbox" / name).mkdir(parents=True)
    inboxes = {"mix": inbox, "radio": inbox}
    return config_for(fleeting, budgets=BUDGETS, heartbeat_s=0.05, inboxes=inboxes)


def drop_to(root, inbox, name):
    """Drop a small file, whole."""
    staged = root / f"{inbox}-{name}"
    write_wav(staged, name.encode() * 200)
    (root / "inbox" / inbox / f"{name}.done").touch()
    staged.rename(root / "inbox" / inbox / name)


def told(root, inbox, name):
    """Return the status of a drop, empty while there is none."""
    try:
        return json.loads((root / "outbox" / inbox / f"{name}.status.json").read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        return {}


def state(root, inbox, name):
    return told(root, inbox, name).get("state")


def warnings(root):
    return " ".join(
        one["message"] for one in json.loads((root / "daemon.json").read_bytes())["warnings"]
    )


def test_status_that_cannot_be_written_holds_up_its_own_drop_only(fleeting, config, pool):
    """A folder has the name of one status: that job waits until it has gone; others do not."""
    in_the_way = fleeting / "outbox" / "mix" / "Blocked.wav.status.json"
    in_the_way.mkdir(parents=True)
    drop_to(fleeting, "mix", "Blocked.wav")

    def until(_):
        if not (fleeting / "outbox" / "mix" / "Blocked.wav").is_dir():
            return False
        if state(fleeting, "mix", "Free.wav") is None and not in_the_way.is_dir():
            return state(fleeting, "mix", "Blocked.wav") == "done"
        if not list((fleeting / "archive" / "mix").glob("*/Free.wav")):
            if not (fleeting / "inbox" / "mix" / "Free.wav.done").exists():
                drop_to(fleeting, "mix", "Free.wav")
            return False
        if in_the_way.is_dir() and "Blocked.wav" in warnings(fleeting):
            in_the_way.rmdir()
        return state(fleeting, "mix", "Blocked.wav") == state(fleeting, "mix", "Free.wav") == "done"

    Life(config, Files(), pool).live(until)


def test_outbox_folder_that_is_removed_is_made_again(fleeting, config, pool):
    """``rm -r outbox/mix`` costs what was in it, and nothing that comes after."""
    gone = []

    def until(life):
        if not gone:
            shutil.rmtree(fleeting / "outbox" / "mix")
            gone.append(True)
            for inbox in ("mix", "radio"):
                drop_to(fleeting, inbox, "Song.wav")
            life.supervisor._watchers.wake()
        return all(state(fleeting, inbox, "Song.wav") == "done" for inbox in ("mix", "radio"))

    Life(config, Files(), pool).live(until)


def test_folder_that_cannot_be_written_holds_up_its_inbox_only(fleeting, config, pool):
    """The jobs of that inbox wait, and its daemon.json says for what; the other inbox works."""
    files = RefusingFiles()
    seen = []

    def until(life):
        if files.folder is None and not seen:
            files.folder = fleeting / "outbox" / "mix"
            drop_to(fleeting, "mix", "First.wav")
            life.supervisor._watchers.wake()
        if not seen and "outbox/mix" in warnings(fleeting):
            seen.append(warnings(fleeting))
            for inbox in ("mix", "radio"):
                drop_to(fleeting, inbox, "Later.wav")
            life.supervisor._watchers.wake()
        if seen and state(fleeting, "radio", "Later.wav") == "done" and files.folder is not None:
            assert not list((fleeting / "outbox" / "mix").glob("Later.wav"))
            files.folder = None
        return all(state(fleeting, "mix", name) == "done" for name in ("First.wav", "Later.wav"))

    Life(config, files, pool).live(until)

    assert "the test's" in seen[0]


def test_job_that_waits_for_a_folder_says_so(fleeting, config, pool):
    """Not "waiting for a free slot": a person cannot mend what is not named."""
    files = RefusingFiles()
    waits = []

    def until(life):
        if files.folder is None and not waits:
            files.folder = fleeting / "archive" / "mix"
            drop_to(fleeting, "mix", "First.wav")
            life.supervisor._watchers.wake()
        # The archive refuses the first one's drop: from then on, the inbox waits.
        if files.folder is not None and "archive/mix" in warnings(fleeting):
            if not list((fleeting / "work" / "mix").glob("*/in/Second.wav")):
                if not (fleeting / "inbox" / "mix" / "Second.wav").exists():
                    drop_to(fleeting, "mix", "Second.wav")
                life.supervisor._watchers.wake()
            wait = told(fleeting, "mix", "Second.wav").get("wait") or {}
            if wait.get("reason") == "disk":
                waits.append(wait["detail"])
                files.folder = None
        return all(state(fleeting, "mix", n) == "done" for n in ("First.wav", "Second.wav"))

    Life(config, files, pool).live(until)

    assert waits[0].startswith("archive/mix: ")


def test_result_is_not_published_through_a_link_between_two_beats(fleeting, config, pool):
    """In another inbox it would be a drop; the folder is looked at before anything goes there."""
    outbox, aside, radio = fleeting / "outbox" / "mix", fleeting / "aside", fleeting / "inbox/radio"
    reached = []

    def until(life):
        troubles = " ".join(text for _, text in life.supervisor._outage.warnings())
        if not reached:
            outbox.rename(aside)
            outbox.symlink_to(radio)
            drop_to(fleeting, "mix", "Song.wav")
            life.supervisor._watchers.wake()
            reached.append("led astray")
        elif outbox.is_symlink() and "leads to" in troubles and "completion" in troubles:
            assert not (radio / "Song.wav").exists()
            outbox.unlink()
            aside.rename(outbox)
        return (outbox / "Song.wav").is_dir() and state(fleeting, "mix", "Song.wav") == "done"

    seldom = config.model_copy(update={"heartbeat_s": 60.0})
    Life(seldom, Files(), pool).live(until)

    assert not list((fleeting / "work").glob("*/*"))


@pytest.mark.parametrize("target", [".", "..", "inbox", "inbox/radio", "outbox", "work/radio"])
def test_inbox_that_leads_elsewhere_in_the_spool_takes_nothing(fleeting, config, pool, target):
    """A link to the spool would make one drop of all inboxes, a link to an inbox a drop of two."""
    mix, aside = fleeting / "inbox" / "mix", fleeting.parent / "aside"
    steps = iter(("led astray", "seen", "others are served"))
    reached = []

    def until(life):
        life.supervisor._watchers.wake()
        problem = life.supervisor._watchers.watchers["mix"].health.problem
        if not reached:
            mix.rename(aside)
            mix.symlink_to(fleeting / target)
            reached.append(next(steps))
        elif len(reached) == 1 and problem.startswith("the inbox leads "):
            drop_to(fleeting, "radio", "Song.wav")
            reached.append(next(steps))
        elif len(reached) == 2 and state(fleeting, "radio", "Song.wav") == "done":
            mix.unlink()
            aside.rename(mix)
            drop_to(fleeting, "mix", "Later.wav")
            reached.append(next(steps))
        return state(fleeting, "mix", "Later.wav") == "done"

    Life(config, Files(), pool).live(until)

    assert ["Later.wav"] == [path.name for path in (fleeting / "archive/mix").glob("*/*")]
