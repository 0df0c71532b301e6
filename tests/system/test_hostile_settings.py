"""One running daemon against settings and control files of every kind: it serves on."""

import os
import signal

import pytest
import yaml

from daemon.config.drop_settings import DaemonKeys
from tests.support.daemons import Daemon, settings_for, until
from tests.support.hostile_files import KINDS, make
from tests.support.hostile_yaml import HOSTILE, document
from tests.support.truth import drop_folder, drop_song, states, statuses, write_wav

KEYS = [*((key,) for key in DaemonKeys.model_fields), ("files", "- name"), ("how",), ("unknown",)]
CONFIG_KEYS = [("inboxes",), ("inboxes", "mix", "path"), ("inboxes", "mix", "timeout_s"), ("disk",)]


@pytest.fixture
def daemon(tmp_path):
    """A daemon that serves, with a handler that takes no time."""
    settings = settings_for(tmp_path / "spool")
    settings["inboxes"]["mix"]["settling"]["manifest_after_s"] = 0.05
    with Daemon(tmp_path / "spool", settings) as made:
        made.start()
        yield made
        assert made.process.poll() is None, made.log.read_text()[-4000:]
        assert "Traceback" not in made.log.read_text()
        assert 0 == made.stop()


def ended(daemon, names):
    """Wait until drops of all these names have ended; return their statuses."""

    def are_final():
        known = states(daemon.root)
        return all(known.get(name) in ("done", "failed") for name in names)

    until(are_final, "all have ended", 120.0)
    return {name: statuses(daemon.root)[name] for name in names}


def test_daemon_answers_every_job_yaml(daemon):
    """Each drop is done or refused for its settings, and the neighbour that came last is done."""
    said = [
        document(key, value)
        for number, key in enumerate(KEYS)
        for value in ("[rush]", "{a: 1}", *HOSTILE[number % 12 :: 12])
    ]
    drops = {f"Song {number}": text for number, text in enumerate(said)}
    for name, text in drops.items():
        drop_folder(daemon.root, name, {"a.wav": name.encode()}, text)
    drop_song(daemon.root, "Neighbour")

    found = ended(daemon, [*drops, "Neighbour"])

    assert "done" == found["Neighbour"]["state"]
    for name, text in drops.items():
        error = found[name]["error"]
        assert error is None or error["code"] in ("SETTINGS_INVALID", "MANIFEST_MISSING_FILES"), (
            text
        )
        assert error is None or error["hint"], text


def test_daemon_answers_settings_of_every_kind(daemon):
    """What lies where a settings file belongs is read, or refused in words; nothing hangs."""
    inbox = daemon.root / "inbox" / "mix"
    for kind in KINDS:
        make(inbox / f"{kind}.wav.job.yaml", kind)
        write_wav(inbox / f"{kind}.wav", kind.encode() * 100)
        staged = daemon.root / "staged" / f"In {kind}"
        staged.mkdir(parents=True)
        write_wav(staged / "a.wav", kind.encode() * 200)
        make(staged / "job.yaml", kind)
        staged.rename(inbox / staged.name)
    drop_song(daemon.root, "Neighbour")

    names = [f"{kind}.wav" for kind in KINDS] + [f"In {kind}" for kind in KINDS]
    found = ended(daemon, [*names, "Neighbour"])

    assert "done" == found.pop("Neighbour")["state"]
    readable = {"unreadable"} if os.geteuid() == 0 else set()
    for name, status in found.items():
        fine = name.removeprefix("In ").removesuffix(".wav") in readable
        assert ("done" if fine else "failed") == status["state"], (name, status)
        assert fine or status["error"]["hint"], status


def test_daemon_serves_on_among_control_files_of_every_kind(daemon):
    """Pauses, wishes and markers that are no plain files mean what their names say, or nothing."""
    inbox = daemon.root / "inbox" / "mix"
    for kind in KINDS:
        make(inbox / ".pause", kind)
        until(lambda: "paused" in (daemon.root / "daemon.json").read_text(), "it is paused")
        (inbox / ".pause").rename(daemon.root / f"was {kind}")
        make(inbox / f"nothing {kind}.cancel", kind)
        make(inbox / f"Marked {kind}.done", kind)
        write_wav(daemon.root / "staged.wav", kind.encode() * 100)
        (daemon.root / "staged.wav").rename(inbox / f"Marked {kind}.wav")
        make(inbox / f"Marked {kind}.wav.done", kind)
    drop_song(daemon.root, "Neighbour")

    found = ended(daemon, [*(f"Marked {kind}.wav" for kind in KINDS), "Neighbour"])

    assert {"done"} == {status["state"] for status in found.values()}


def test_daemon_goes_on_with_its_configuration_when_another_is_hostile(daemon):
    """Each reload is answered: taken, or refused in the log and in daemon.json."""
    file = daemon.root.with_name("spool.yaml")
    good = yaml.safe_dump(daemon.settings)
    texts = [document(key, value) for key in CONFIG_KEYS for value in HOSTILE[::4]]
    for number, text in enumerate([*texts, good], start=1):
        file.write_bytes((text if text is good else f"root: {daemon.root}\n{text}").encode())
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda number=number: answers(daemon) == number, f"{text!r} is answered")
    drop_song(daemon.root, "Neighbour")

    assert "done" == ended(daemon, ["Neighbour"])["Neighbour"]["state"]


def answers(daemon):
    """Return how many reloads were answered so far."""
    log = daemon.log.read_text()
    return log.count("reloaded") + log.count("the new configuration is refused")
