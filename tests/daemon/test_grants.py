"""What an inbox grants its handler, and that a confined worker gets that and nothing more."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest

from daemon.cli.install_service import Service, install_service
from daemon.config.drop_settings import settings_of
from daemon.config.models import Config, Inbox
from daemon.config.models import Pool as Settings
from daemon.errors import BadConfig, BadInput
from daemon.pool.worker import seccomp
from daemon.pool.worker.confinement import WITH_NETWORK, landlock_version
from daemon.supervisor.grants import programs_of, refuse_ungranted
from tests.support.containers import noise_bytes
from tests.support.crew import ROOT, Crew
from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.surroundings import needs

HANDLER = "tests.support.reaching"
KEY = "sk-a-secret-that-must-stay-one"

needs_confinement = pytest.mark.skipif(
    platform.machine() not in seccomp.ARCHES or landlock_version() < WITH_NETWORK,
    reason="needs a kernel whose Landlock knows ports",
)


@pytest.fixture
def ports():
    """Two ports on which somebody listens."""
    with ExitStack() as stack:
        found = {}
        for name in ("granted", "other"):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found[name] = listener.getsockname()[1]
        yield found


def came_of(tmp_path, more, *, confine=True, **granted):
    crew = Crew(tmp_path, Settings(slots=1, confine=confine), handlers=(HANDLER,))
    end = crew.run_one("", handler=HANDLER, more=more, **granted)
    crew.pool.close()
    assert end.result is not None, end
    return end.result["measurements"]


@needs_confinement
def test_without_grant_nothing_is_reached_or_started(tmp_path, ports):
    """The default: no connection, no program, no socket of any kind."""
    programs = {"true": [shutil.which("true")]}
    came = came_of(tmp_path, {"ports": ports, "programs": programs})["came"]

    assert {"denied"} == set(came.values()), came


def test_unconfined_it_reaches_all_of_them(tmp_path, ports):
    """The attempts are ones that succeed: a denial is a denial."""
    programs = {"true": [shutil.which("true")]}
    more = {"ports": ports, "programs": programs}
    came = came_of(tmp_path, more, confine=False)["came"]

    reached = ("connect to granted", "connect to other", "start true", "send datagrams", "serve")
    assert {"done"} == {came[name] for name in reached}, came


@needs_confinement
def test_granted_port_is_reached_and_no_other(tmp_path, ports):
    """TCP to that port; no other port, no datagram, no server, no second door."""
    endpoint = f"127.0.0.1:{ports['granted']}"
    said = came_of(tmp_path, {"ports": ports}, network=(endpoint,))

    came = dict(said["came"])
    assert [endpoint] == said["granted"]["network"]
    assert "done" == came.pop("connect to granted")
    assert {"denied"} == set(came.values()), came


@needs_confinement
def test_granted_program_is_started_and_no_other(tmp_path):
    """That one, with what it loads; it can be stopped, and nothing else can be started."""
    mine = {name: os.path.realpath(shutil.which(name)) for name in ("sleep", "true")}
    commands = {"granted": [mine["sleep"], "0"], "other": [mine["true"]], "shell": ["/bin/sh"]}
    more = {"programs": commands, "sleep": mine["sleep"]}
    came = came_of(tmp_path, more, programs={"sleep": mine["sleep"]})["came"]

    assert ("done", "denied", "denied", "done") == (
        came["start granted"],
        came["start other"],
        came["start shell"],
        came["stop a child"],
    )


@needs_confinement
def test_granted_program_is_as_confined_as_its_worker(tmp_path):
    """It reads no other file and connects nowhere: all that is inherited."""
    secret = tmp_path / "secret"
    secret.write_text("of another job")
    cat = os.path.realpath(shutil.which("cat"))
    commands = {"read": [cat, str(secret)], "read itself": [cat, "/etc/ld.so.cache"]}
    came = came_of(tmp_path, {"programs": commands}, programs={"cat": cat})["came"]

    assert "CalledProcessError(1," in came["start read"]
    assert "done" == came["start read itself"]


@needs_confinement
@needs("ffmpeg", debian="ffmpeg")
@pytest.mark.parametrize("suffix", ["m4a", "webm"])
def test_what_libsndfile_cannot_read_is_read_where_ffmpeg_is_granted(tmp_path, suffix):
    """Under the same confinement; where it is not granted, the refusal says what is missing."""
    wave, song = tmp_path / "song.wav", tmp_path / f"song.{suffix}"
    wave.write_bytes(noise_bytes("wav"))
    subprocess.run(["ffmpeg", "-v", "error", "-i", wave, song], check=True)
    handler = "daemon.handlers.analyze"
    crew = Crew(tmp_path, Settings(slots=1, confine=True), handlers=(handler,))
    programs = programs_of(Inbox.model_validate({"allow": {"programs": ["ffmpeg"]}}))
    orders = [
        crew.order("granted", handler=handler, programs=programs),
        crew.order("refused", handler=handler),
    ]
    orders = [replace(one, source=str(song), name=song.name, options={}) for one in orders]
    ends = crew.run(orders, patience_s=60.0)
    crew.pool.close()

    assert "done" == ends["granted"].outcome, ends["granted"].error
    assert "INPUT_NOT_SUPPORTED" == ends["refused"].error["code"]
    assert "allow: {programs: [ffmpeg]}" in ends["refused"].error["hint"]


@pytest.mark.parametrize("arch", seccomp.ARCHES)
def test_filter_with_grants_is_short_enough_for_the_kernel(arch):
    """At most 4,096 steps (BPF_MAXINSNS), and no jump beyond 255."""
    opened = seccomp.Opened(network=True, programs=True, signals=True)

    assert 4_096 > len(seccomp.program(*seccomp.ARCHES[arch], 1, opened))


# At the start


def config_of(tmp_path, **inbox):
    return Config.model_validate(
        {
            "root": str(tmp_path / "spool"),
            "handler_paths": [str(ROOT)],
            "inboxes": {"talk": {"handler": HANDLER, **inbox}},
        }
    )


def test_what_is_wanted_and_not_granted_is_refused_with_the_line_to_add(tmp_path):
    """Host and program by name, beside what is granted already."""
    config = config_of(
        tmp_path,
        options={"uses": ["127.0.0.1:8880", "true"]},
        allow={"network": ["127.0.0.1:9"]},
    )
    with pytest.raises(BadConfig) as raised:
        refuse_ungranted(config)

    assert "inboxes.talk.allow" == raised.value.key
    line = 'allow: {network: ["127.0.0.1:9", "127.0.0.1:8880"], programs: ["true"]}'
    assert line in raised.value.problem


def test_what_is_granted_is_served(tmp_path):
    """And a handler that wants nothing with these options needs no grant."""
    allow = {"network": ["127.0.0.1:8880"], "programs": ["true"]}
    refuse_ungranted(config_of(tmp_path, options={"uses": ["127.0.0.1:8880"]}, allow=allow))
    refuse_ungranted(config_of(tmp_path))


def test_granted_program_that_is_not_there_is_refused(tmp_path):
    """Found out at the start, not by a drop."""
    with pytest.raises(BadConfig, match="is not installed"):
        refuse_ungranted(config_of(tmp_path, allow={"programs": ["no-such-program"]}))


def test_daemon_refuses_to_start_without_the_grant(tmp_path):
    """Exit code 78, as for any configuration that cannot be used."""
    inbox = {"handler": HANDLER, "options": {"uses": ["127.0.0.1:8880"]}}
    daemon = Daemon(tmp_path / "spool", settings_for(tmp_path / "spool", inboxes={"talk": inbox}))

    assert 78 == daemon.spawn().wait(60)
    assert "127.0.0.1:8880" in daemon.log.read_text()


def test_doctor_says_what_is_granted(tmp_path):
    """And that a missing grant is a problem."""
    config = tmp_path / "config.yaml"
    talk = {"handler": HANDLER, "allow": {"network": ["127.0.0.1:8880"]}}
    poor = {"handler": HANDLER, "options": {"uses": ["true"]}}
    told = {"root": "spool", "handler_paths": [str(ROOT)], "inboxes": {"talk": talk, "poor": poor}}
    config.write_text(json.dumps(told))
    command = [sys.executable, "-m", "daemon", "doctor", "--quick", "--json", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    found = {one["what"]: one for one in json.loads(done.stdout)["findings"]}

    assert found["grants of talk"]["text"].startswith("127.0.0.1:8880")
    assert ("problem", True) == (
        found["handler of poor"]["verdict"],
        'programs: ["true"]' in found["handler of poor"]["text"],
    )


def test_service_gets_the_network_when_an_inbox_asks_for_it(tmp_path):
    """The drop-in is written because of the configuration that is there."""
    config = tmp_path / "etc/soundspool/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text('inboxes: {talk: {allow: {network: ["127.0.0.1:8880"]}}}\n')
    service = Service(command=shutil.which("true"))
    written = install_service(service, root=tmp_path, say=lambda _: None)

    assert "network.conf" in [path.name for path in written]


# Secrets


@pytest.mark.parametrize("broken", [False, True])
def test_secret_reaches_the_handler_and_is_written_nowhere(tmp_path, broken):
    """No file of the spool and no line of the log has it, whether the job is done or fails."""
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    root = tmp_path / "spool"
    settling = settings_for(root)["inboxes"]["mix"]["settling"] | {"settle_unknown_s": 0.2}
    options = {"api_key_file": str(key), "break_with_key": broken}
    inbox = {"handler": HANDLER, "options": options, "settling": settling}
    given = settings_for(root, inboxes={"talk": inbox}, log_level="debug")
    given["pool"] = {"slots": 1}
    with Daemon(root, given) as daemon:
        daemon.start()
        (root / "inbox/talk/drop.txt").write_text("a drop\n")
        status = root / "outbox/talk/drop.txt.status.json"
        until(lambda: read_json(status).get("state") in ("done", "failed"), "it ends")
        assert ("failed" if broken else "done") == read_json(status)["state"]
        command = [sys.executable, "-m", "daemon", "explain", "drop.txt", "--config"]
        explained = subprocess.run(
            [*command, root.with_name("spool.yaml")], capture_output=True, check=False, cwd=ROOT
        )
        assert 0 == daemon.stop()
    everything = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    said = [daemon.log.read_bytes(), explained.stdout, explained.stderr]
    if not broken:
        assert ["api_key"] == read_json(status)["measurements"]["secrets"]

    assert [] == [data for data in (*everything, *said) if KEY.encode() in data]
    assert len(everything) > 3


def test_secret_that_cannot_be_read_is_refused_at_the_start(tmp_path):
    """The file or the variable is named; nothing of it is shown."""
    for options in ({"api_key_file": str(tmp_path / "none")}, {"api_key_env": "NO_SUCH_KEY"}):
        with pytest.raises(BadConfig, match=r"none|NO_SUCH_KEY"):
            refuse_ungranted(config_of(tmp_path, options=options))


@pytest.mark.parametrize("key", ["endpoint", "api_key_file", "summary.endpoint"])
def test_drop_may_not_say_where_bytes_and_keys_go(tmp_path, key):
    """The line and the column are named; the inbox's own setting is not touched."""
    (tmp_path / "drop").mkdir()
    outer, _, inner = key.rpartition(".")
    line = f"{outer}: {{{inner}: x}}" if outer else f"{inner}: x"
    (tmp_path / "drop" / "job.yaml").write_text(f"language: en\n{line}\n")
    with pytest.raises(BadInput, match=rf"job.yaml:2:.*{key}: is the operator's") as raised:
        settings_of(tmp_path / "drop", {}, max_bytes=1_000)

    assert "SETTINGS_INVALID" == raised.value.code
