"""The loop: configurations that change under way, and jobs that nobody serves."""

import json
import os
import shutil

import jsonschema
import pytest

from daemon.config.models import Config
from daemon.errors import BadConfig
from daemon.outbox.status_reader import read_status
from daemon.supervisor.supervisor import Supervisor
from dsp.containers.identify import AUDIO_SUFFIXES
from tests.support.clocks import FakeClock
from tests.support.jobs import new_job
from tests.support.spools import schema


def config(root, *names, **more):
    inboxes = {name: {"handler": "tests.support.counting"} for name in names}
    settings = {"root": root, "inboxes": inboxes, "pool": {"slots": 1, "spare": False}}
    return Config.model_validate({**settings, **more})


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def paused_job(spool, name="old"):
    """Leave one job of an inbox behind that has not ended, as a daemon that was stopped does."""
    supervisor = Supervisor(config(spool, name, "mix", queue_limit=10))
    supervisor.start()
    drop = spool / "drop.wav"
    drop.write_bytes(_wav())
    held = spool.parent / "held"
    held.touch()
    (spool / "inbox" / name / "drop.wav.job.yaml").write_text(f"held_by: {held}\n")
    (spool / "inbox" / name / "drop.wav.done").touch()
    drop.rename(spool / "inbox" / name / "drop.wav")
    while not list((spool / "outbox" / name).glob("*.status.json")):
        supervisor.round()
    supervisor.close(clean=False)
    held.unlink()


def _wav():
    head = b"RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\xbb\x00\x00"
    return head + b"\x00\x77\x01\x00\x02\x00\x10\x00data\x08\x00\x00\x00" + bytes(8)


def test_jobs_of_an_inbox_that_is_gone_wait_and_harm_nobody(spool):
    """Taking an inbox out of the configuration loses no job and stops no daemon."""
    paused_job(spool)
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    for _ in range(3):
        supervisor.round()
    supervisor.close(clean=True)

    assert list((spool / "work" / "old").glob("*/in/drop.wav"))


def test_jobs_of_an_inbox_that_comes_back_are_handled(spool):
    """What waited for its inbox goes on when the inbox is there again."""
    paused_job(spool)
    supervisor = Supervisor(config(spool, "old"))
    supervisor.start()
    status = spool / "outbox" / "old" / "drop.wav.status.json"
    while not json.loads(status.read_bytes())["terminal"]:
        supervisor.round()
    supervisor.close(clean=True)

    assert "done" == json.loads(status.read_bytes())["state"]


@pytest.mark.parametrize("key", ["root", "pool"])
def test_reload_refuses_what_only_a_restart_can_change(spool, tmp_path, key):
    """The old configuration goes on, inboxes open."""
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    other = {"root": tmp_path / "elsewhere", "pool": config(spool, pool={"slots": 2}).pool}
    with pytest.raises(BadConfig, match=key):
        supervisor.reload(config(spool, "mix").model_copy(update={key: other[key]}))
    supervisor.round()
    heartbeat = json.loads((spool / "daemon.json").read_bytes())
    supervisor.close(clean=True)

    assert ["mix"] == list(heartbeat["inboxes"])


def test_heartbeat_can_be_read_before_and_after_the_handlers_have_told(spool):
    """A command in the first second after the start must not take the daemon for absent."""
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    found = [read_status(spool / "daemon.json", "daemon")]
    while found[-1]["inboxes"]["mix"]["accepts"] is None:
        supervisor.round()
        supervisor._beat.now()
        found.append(read_status(spool / "daemon.json", "daemon"))
    supervisor.close(clean=True)

    assert None is found[0]["inboxes"]["mix"]["judge"]
    assert "all" == found[-1]["inboxes"]["mix"]["judge"]
    assert sorted(AUDIO_SUFFIXES | {".scan"}) == found[-1]["inboxes"]["mix"]["accepts"]


def test_reload_that_cannot_make_its_folders_changes_nothing(spool):
    """A new inbox in an impossible place is refused, and the old ones stay open."""
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    wanted = config(spool, "mix", "new")
    broken = wanted.model_copy(
        update={"inboxes": {**wanted.inboxes, "new": wanted.inboxes["new"].model_copy(
            update={"path": spool / "daemon.json" / "no"})}}
    )  # fmt: skip
    with pytest.raises(BadConfig):
        supervisor.reload(broken)
    supervisor.round()
    open_inboxes = set(supervisor._watchers.watchers)
    supervisor.close(clean=True)

    assert {"mix"} == open_inboxes


def test_drops_that_wait_are_told_how_many_go_before_them(spool):
    """With every slot taken, each status says the place in the queue."""
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    for name in ("a", "b", "c"):
        (spool / f"{name}.wav").write_bytes(_wav())
        (spool / f"{name}.wav.job.yaml").write_text("seconds: 60")
        for suffix in (".wav.job.yaml", ".wav"):
            (spool / f"{name}{suffix}").rename(spool / "inbox" / "mix" / f"{name}{suffix}")
        (spool / "inbox" / "mix" / f"{name}.wav.done").touch()

    def positions():
        found = (json.loads(path.read_bytes()) for path in (spool / "outbox").rglob("*.json"))
        return sorted((s["wait"] or {}).get("position") or 0 for s in found if s["job"])

    while positions() != [0, 1, 2]:
        supervisor.round()
    supervisor.close(clean=False)


def test_every_drop_that_waits_is_told_of_an_obstacle_that_comes_later(spool):
    """Not only those whose place in the queue is shown."""
    clock = FakeClock()
    daemon = Supervisor(config(spool, "old", "mix"), clock=clock)
    for number in range(70):
        job = f"j{number}"
        daemon._store.adopt(new_job(job, inbox="old", label=job))
        daemon._completion.after(job, "old")
    daemon._completion.settle()
    daemon._opened.take(config(spool, "mix"))
    clock.advance(10)
    for _ in range(10):
        daemon._beat.now()
    daemon.close(clean=True)
    told = [json.loads(path.read_bytes()) for path in (spool / "outbox" / "old").glob("*.json")]

    assert 70 * ["paused"] == [status["wait"]["reason"] for status in told]
    assert {None, *range(1, 51)} == {status["wait"]["position"] for status in told}


@pytest.mark.parametrize("drop_is_there", [False, True])
def test_job_of_which_only_its_status_is_left_has_failed(spool, drop_is_there):
    """Whoever waits for its end hears of it; a drop that is there is taken up instead."""
    paused_job(spool)
    status = spool / "outbox" / "old" / "drop.wav.status.json"
    before = json.loads(status.read_bytes())
    shutil.rmtree(spool / "state")
    if not drop_is_there:
        shutil.rmtree(spool / "work" / "old" / before["job"])
    daemon = Supervisor(config(spool, "old"))
    daemon.start()
    daemon.close(clean=True)
    after = json.loads(status.read_bytes())
    jsonschema.validate(after, schema("status-1.json"))

    assert ("queued" if drop_is_there else "failed") == after["state"]
    assert before["job"] == after["job"]
    if not drop_is_there:
        assert before["inputs"] == after["inputs"]
        assert ("DROP_GONE", None) == (after["error"]["code"], after["wait"])
        assert after["error"]["hint"]


@pytest.mark.parametrize("beside", [False, True], ids=["folder", "file"])
def test_wrong_setting_is_named_with_its_line_and_the_nearest_key(spool, beside):
    """What a person mistyped is answered with file, line, column and what was meant."""
    supervisor = Supervisor(config(spool, "mix"))
    supervisor.start()
    if beside:
        (spool / "song.wav").write_bytes(_wav())
        (spool / "inbox" / "mix" / "song.wav.job.yaml").write_text("# mine\nsecons: 1\n")
        (spool / "inbox" / "mix" / "song.wav.done").touch()
        (spool / "song.wav").rename(spool / "inbox" / "mix" / "song.wav")
    else:
        (spool / "song.wav").mkdir()
        (spool / "song.wav" / "a.wav").write_bytes(_wav())
        (spool / "song.wav" / "job.yaml").write_text("# mine\nsecons: 1\n")
        (spool / "song.wav" / ".done").touch()
        (spool / "song.wav").rename(spool / "inbox" / "mix" / "song.wav")
    status = spool / "outbox" / "mix" / "song.wav.status.json"
    while not (status.exists() and json.loads(status.read_bytes())["terminal"]):
        supervisor.round()
    supervisor.close(clean=True)
    message = json.loads(status.read_bytes())["error"]["message"]

    assert "job.yaml:2:1" in message
    assert "seconds" in message


def test_more_slots_than_the_machine_can_bear_are_clamped_and_said(spool):
    """A pool that is far too large is made smaller, and ``daemon.json`` warns of it."""
    supervisor = Supervisor(config(spool, "mix", pool={"slots": 256, "spare": False}))
    supervisor.start()
    heartbeat = json.loads((spool / "daemon.json").read_bytes())
    supervisor.close(clean=True)

    assert 4 * len(os.sched_getaffinity(0)) == heartbeat["pool"]["slots"]
    assert "SLOTS_CLAMPED" in {warning["code"] for warning in heartbeat["warnings"]}


def test_configuration_that_was_refused_is_no_warning_once_it_is_mended(spool):
    """SIGHUP again, after the mistake was found."""
    answers = [BadConfig("root", "nonsense"), config(spool, "mix")]

    def reload():
        answer = answers.pop(0)
        if isinstance(answer, BadConfig):
            raise answer
        return answer

    daemon = Supervisor(config(spool, "mix"), reload=reload)
    daemon.start()
    seen = []
    for _ in range(2):
        daemon._reload_from_file()
        daemon._beat.now()
        told = json.loads((spool / "daemon.json").read_text())
        seen.append("CONFIG_REFUSED" in {one["code"] for one in told["warnings"]})
    daemon.close(clean=True)

    assert [True, False] == seen
