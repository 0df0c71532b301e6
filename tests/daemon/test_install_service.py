"""What ``install-service`` writes, and what systemd itself thinks of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli.install_service import Service, commands, install_service, own_command, placed
from daemon.errors import BadConfig
from tests.support.surroundings import needs

UNITS = Path(__file__).parents[2] / "systemd"

needs_analyze = needs("systemd-analyze", debian="systemd")


def settings(text: str) -> list[str]:
    """Return the lines of a unit that say something."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def by_path(service: Service) -> dict[str, str]:
    return {file.path: file.text for file in placed(service)}


def exposure(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_analyze
@pytest.mark.parametrize("unit", ["soundspool.service", "soundspool@.service"])
def test_unit_is_exposed_at_most_a_hair(unit):
    """``systemd-analyze security`` gives the unit at most 0.3 of 10."""
    verdict = exposure("--threshold=3", str(UNITS / unit))

    assert 0 == verdict.returncode, verdict.stdout


@needs_analyze
def test_node_is_exposed_as_little_as_the_network_allows():
    """It reaches a broker; nothing else is more open than the daemon's unit."""
    node, daemon = (
        settings((UNITS / f"{name}.service").read_text())
        for name in ("soundspool-node", "soundspool")
    )
    verdict = exposure("--threshold=12", str(UNITS / "soundspool-node.service"))
    hardening = daemon[daemon.index("ReadWritePaths=/srv/soundspool") :]

    assert 0 == verdict.returncode, verdict.stdout
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"} == {
        line for line in hardening if line not in node
    }


@needs_analyze
def test_unit_with_owners_is_exposed_as_its_comment_says(tmp_path):
    """With owners.conf it is 0.6, which is what that file tells its reader."""
    shutil.copy(UNITS / "soundspool.service", tmp_path)
    (tmp_path / "soundspool.service.d").mkdir()
    shutil.copy(UNITS / "owners.conf", tmp_path / "soundspool.service.d")
    verdict = exposure("--threshold=6", str(tmp_path / "soundspool.service"))

    assert 0 == verdict.returncode, verdict.stdout
    assert "0.6 with it" in (UNITS / "owners.conf").read_text()


@needs_analyze
@pytest.mark.parametrize(
    "options", [{"network": True}, {"network": True, "instance": "studio"}, {"node": True}], ids=str
)
def test_rendered_unit_verifies_without_a_word(options, tmp_path):
    """``systemd-analyze verify`` finds nothing to say about what is installed."""
    command = shutil.which("true")
    service = Service(command=command, **options)
    install_service(service, root=tmp_path, say=lambda _: None)
    folder = tmp_path / "etc/systemd/system"
    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(folder / f"{service.unit}.service")],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    about_us = [line for line in verdict.stderr.splitlines() if "soundspool" in line]
    assert ([], 0) == (about_us, verdict.returncode)


def test_template_is_the_unit_but_for_its_paths():
    """Every setting of the template is the unit's, with %i in the places that differ."""
    unit = settings((UNITS / "soundspool.service").read_text())
    template = settings((UNITS / "soundspool@.service").read_text())
    back = [
        line.replace("/%i.yaml", "/config.yaml")
        .replace("-%i", "")
        .replace("/%i", "")
        .replace(" (%i)", "")
        for line in template
    ]

    assert unit == back


def test_unit_names_this_installation_and_its_user():
    """The command and the user in the unit are the ones that were given."""
    service = Service(user="mixer", command="/usr/local/bin/soundspool")
    unit = by_path(service)["/etc/systemd/system/soundspool.service"]

    assert "ExecStart=/usr/local/bin/soundspool run --config /etc/soundspool/config.yaml" in unit
    assert "User=mixer" in unit


def test_user_of_its_own_is_made_and_a_given_one_only_joins():
    """sysusers.d makes the user ``soundspool``; somebody's account is only put into the group."""
    made = by_path(Service())["/etc/sysusers.d/soundspool.conf"]
    joins = by_path(Service(user="mixer"))["/etc/sysusers.d/soundspool.conf"]

    assert ["g audio-drop -", "m soundspool audio-drop"] == settings(made)[::2]
    assert ["g audio-drop -", "m mixer audio-drop"] == settings(joins)


def test_instance_has_folders_a_configuration_and_drop_ins_of_its_own():
    """Two instances share nothing but the unit's template, the user and the group."""
    one, two = by_path(Service(instance="one")), by_path(Service(instance="two"))

    assert {"/etc/systemd/system/soundspool@.service", "/etc/sysusers.d/soundspool.conf"} == set(
        one
    ) & set(two)
    assert "d /srv/soundspool/one/inbox/mix 2770" in one["/etc/tmpfiles.d/soundspool-one.conf"]
    assert "\nroot: /srv/soundspool/two\n" in two["/etc/soundspool/two.yaml"]


def test_node_reads_what_it_joins_from_a_file_of_the_operator(tmp_path):
    """Its words stand there, and installing again leaves them alone; it makes no spool."""
    service = Service(node=True)
    install_service(service, root=tmp_path, say=lambda _: None)
    joins = tmp_path / "etc/default/soundspool-node"
    assert "--celery amqps://" in joins.read_text()
    joins.write_text("SOUNDSPOOL_NODE=--celery\n")

    assert [] == install_service(service, root=tmp_path, say=lambda _: None)
    assert "SOUNDSPOOL_NODE=--celery\n" == joins.read_text()
    assert [] == [file.path for file in placed(service) if "tmpfiles" in file.path]


def test_drop_ins_are_there_when_wanted():
    """Nothing is granted that was not asked for."""
    plain = [Path(path).name for path in by_path(Service())]
    other = [Path(path).name for path in by_path(Service(owners=True, network=True))]

    assert (False, False) == ("owners.conf" in plain, "network.conf" in plain)
    assert (True, True) == ("owners.conf" in other, "network.conf" in other)


def test_configuration_of_the_operator_stays(tmp_path):
    """Installing again renews the units and leaves the configuration alone."""
    install_service(Service(), root=tmp_path, say=lambda _: None)
    config = tmp_path / "etc/soundspool/config.yaml"
    unit = tmp_path / "etc/systemd/system/soundspool.service"
    config.write_text("root: /elsewhere\n")
    unit.write_text("[Unit]\n")

    assert [unit] == install_service(Service(), root=tmp_path, say=lambda _: None)
    assert "root: /elsewhere\n" == config.read_text()


def test_installing_says_what_it_did_and_what_comes_next(tmp_path):
    """Every file is named with what became of it, then every command in order."""
    said = []
    files = install_service(Service(), root=tmp_path, say=said.append)

    assert [f"wrote   {path}" for path in files] == said[: len(files)]
    assert [f"  {command}" for command in commands(Service())] == said[-6:]


def test_printing_writes_nothing(tmp_path):
    """With ``print_only`` the files are shown, each under its path, and none is made."""
    said = []
    install_service(Service(), root=tmp_path, print_only=True, say=said.append)

    assert [] == list(tmp_path.iterdir())
    assert [f"# {file.path}" for file in placed(Service())] == [
        text.split("\n", 1)[0] for text in said
    ]


def test_printing_outside_opt_shows_the_files_and_the_reason(capsys):
    """Whoever only looks is told what would be in the way, and how to install it from here."""
    said = []
    service = Service(command="/home/alice/.local/bin/soundspool")
    install_service(service, print_only=True, say=said.append)

    assert len(placed(service)) == len(said)
    told = capsys.readouterr().err
    assert "/home/alice/.local/bin/soundspool is in a folder that a service cannot see" in told
    assert f"pip install {Path(__file__).parents[2]}\n" in told


@pytest.mark.parametrize(
    "service",
    [
        Service(instance="../x"),
        Service(instance="Über"),
        Service(user="root; reboot"),
        Service(command="/home/alice/.local/bin/soundspool"),
        Service(command="/root/venv/bin/python -m daemon"),
    ],
)
def test_service_that_could_not_run_is_refused(service, tmp_path):
    """A name that is none, or a program in a home, is refused before anything is written."""
    with pytest.raises(BadConfig):
        install_service(service, root=tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_who_may_not_write_is_told_who_may(tmp_path):
    """Without root the first file is refused, in words."""
    tmp_path.chmod(0o500)

    with pytest.raises(BadConfig, match="only root"):
        install_service(Service(), root=tmp_path)


def test_own_command_runs_this_installation():
    """What goes into ExecStart is a program of this very Python."""
    program = Path(own_command().split()[0])

    assert program.is_file()
    assert program.parent == Path(sys.executable).parent
