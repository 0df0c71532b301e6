"""Make the daemon a service of this machine: ``soundspool install-service``.

Theory of operation
-------------------
The files in ``systemd/`` are whole and valid as they stand, for an installation in
``/opt/soundspool`` and a spool in ``/srv/soundspool``. Installing is copying them, with the
executable, the user and the spool of *this* installation in their place. Nothing is started
and no user is made here; the commands that do so are printed.

Rules
-----
1. What the operator owns stays: an existing configuration is never written over, and changes
   to a unit belong into ``systemctl edit``.
2. A path that the service could not see (it has no homes and a ``/tmp`` of its own) is refused
   here, in words, rather than there, as ``203/EXEC``. ``--print`` says so and prints all the same.
3. No hint names a package index: what is installed as root comes from where this came from.

References
----------
systemd.unit(5), systemd.exec(5) ``ProtectHome=``, sysusers.d(5), tmpfiles.d(5).
"""

import re
import shlex
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from daemon import __version__
from daemon.config.file import packaged
from daemon.config.models import load
from daemon.errors import BadConfig

_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - named, not used
_NODE = "soundspool-node"
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Service:
    """What is to be installed."""

    instance: str = ""
    """A name for one of several spools; empty for the only one."""
    user: str = "soundspool"
    command: str = "/opt/soundspool/bin/soundspool"
    owners: bool = False
    """Take folders that people copied in under accounts of their own; see owners.conf."""
    network: bool = False
    """Give handlers the network; see network.conf."""
    node: bool = False
    """A node for a daemon on another machine, instead of a daemon."""

    @property
    def unit(self) -> str:
        """What ``systemctl`` calls it."""
        if self.node:
            return "soundspool-node"
        return f"soundspool@{self.instance}" if self.instance else "soundspool"

    @property
    def spool(self) -> str:
        """The root of its spool."""
        return f"/srv/soundspool/{self.instance}" if self.instance else "/srv/soundspool"

    @property
    def config(self) -> str:
        """Its configuration."""
        return f"/etc/soundspool/{self.instance or 'config'}.yaml"


@dataclass(frozen=True)
class Placed:
    """A file, and where it belongs."""

    path: str
    text: str
    keep: bool = False
    """The operator's: written only where there is none."""


def install_service(
    service: Service,
    *,
    root: Path = Path("/"),
    print_only: bool = False,
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Write the service's files below `root`, or print them; return the paths written.

    Raises
    ------
    BadConfig
        The user, the instance or the executable cannot be used, or only root may write there.
    """
    _check(service)
    if not service.node:
        network = service.network or _asks_for_network(service, root)
        service = replace(service, network=network)
    files = placed(service)
    if print_only:
        for file in files:
            say(f"# {file.path}\n{file.text}")
        if hidden := _hidden(service):
            sys.stderr.write(f"{hidden}\n")
        return []
    if hidden := _hidden(service):
        raise BadConfig("command", hidden)
    changed = [path for file in files if (path := _write(file, root, say))]
    say("\nNext:")
    for command in commands(service):
        say(f"  {command}")
    return changed


def placed(service: Service) -> list[Placed]:
    """Return every file of the service, with this installation's paths in it."""
    folder = "/etc/systemd/system"
    if service.node:
        return [
            Placed(f"{folder}/{_NODE}.service", _unit(service, _text(f"{_NODE}.service"))),
            Placed("/etc/sysusers.d/soundspool.conf", _users(service)),
            Placed(f"/etc/default/{_NODE}", _text(f"{_NODE}.default"), keep=True),
        ]
    unit = "soundspool@.service" if service.instance else "soundspool.service"
    suffix = f"-{service.instance}" if service.instance else ""
    drop_ins = {"owners": service.owners, "network": service.network}
    return [
        Placed(f"{folder}/{unit}", _unit(service, _text(unit))),
        *(
            Placed(f"{folder}/{service.unit}.service.d/{name}.conf", _text(f"{name}.conf"))
            for name, wanted in drop_ins.items()
            if wanted
        ),
        Placed("/etc/sysusers.d/soundspool.conf", _users(service)),
        Placed(f"/etc/tmpfiles.d/soundspool{suffix}.conf", _folders(service)),
        Placed(service.config, _config(service), keep=True),
    ]


def commands(service: Service) -> list[str]:
    """Return what to run next, as root, in this order."""
    if service.node:
        return [
            "systemd-sysusers",
            f"editor /etc/default/{_NODE}    # the broker, and where the spool is mounted",
            "systemctl daemon-reload",
            f"systemctl enable --now {service.unit}",
        ]
    return [
        "systemd-sysusers",
        "systemd-tmpfiles --create",
        "systemctl daemon-reload",
        f"systemctl enable --now {service.unit}",
        "usermod -aG audio-drop NAME    # who may drop; from the next login",
        f"cp -r SONG {service.spool}/inbox/mix/",
    ]


def own_command() -> str:
    """Return the command of the installation that is running: pip's, pipx's or a venv's."""
    script = Path(sysconfig.get_path("scripts"), "soundspool")
    return str(script) if script.is_file() else f"{sys.executable} -m daemon"


def _check(service: Service) -> None:
    if service.instance and not _INSTANCE.fullmatch(service.instance):
        raise BadConfig("instance", "must be small letters, digits, - and _", service.instance)
    if service.node and (service.instance or service.owners or service.network):
        raise BadConfig("--node", "is a service of its own, without the other options")
    if not _USER.fullmatch(service.user):
        raise BadConfig("user", "is no name that a user can have", service.user)


def _hidden(service: Service) -> str:
    """Return why the service could not reach its program; empty when it can."""
    command = Path(service.command.split()[0])
    python = command.parent / "python"
    ours = (command, python.resolve(), Path(__file__)) if python.exists() else (command,)
    for path in ours:
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            return (
                f"{path} is in a folder that a service cannot see; install into /opt: python3 -m "
                f"venv /opt/soundspool && /opt/soundspool/bin/pip install {installable()}"
            )
    return ""


def installable() -> str:
    """Return what this installation was made from: its checkout, or the name of its wheel."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return shlex.quote(str(checkout))
    return f"soundspool-{__version__}-py3-none-any.whl"


def _text(name: str) -> str:
    """Return a file of ``systemd/``: packaged, or in a checkout beside the package."""
    here = Path(__file__).parents[1]
    installed = here / "systemd" / name
    return (installed if installed.is_file() else here.with_name("systemd") / name).read_text()


def _asks_for_network(service: Service, root: Path) -> bool:
    """Tell whether an inbox of the service's configuration is granted a way to a server."""
    path = root / service.config.lstrip("/")
    if not path.is_file():
        return False
    config = load(path, {})  # one that cannot be used is better refused now than by the service
    return any(inbox.allow.network for inbox in config.inboxes.values())


def _unit(service: Service, text: str) -> str:
    text = text.replace("ExecStart=/opt/soundspool/bin/soundspool", f"ExecStart={service.command}")
    return text.replace("User=soundspool", f"User={service.user}")


def _users(service: Service) -> str:
    text = _text("soundspool.sysusers")
    if service.user == "soundspool":
        return text
    # An account of another name exists already; it only joins the group.
    kept = [line for line in text.splitlines() if not line.startswith(("u ", "# A static"))]
    return "\n".join(kept).replace("m soundspool", f"m {service.user}") + "\n"


def _folders(service: Service) -> str:
    text = _text("soundspool.tmpfiles")
    text = text.replace(" soundspool audio-drop", f" {service.user} audio-drop")
    return text.replace("/srv/soundspool", service.spool)


def _config(service: Service) -> str:
    """Return the default configuration with the root of the service."""
    return packaged().read_text().replace("\nroot: spool\n", f"\nroot: {service.spool}\n")


def _write(file: Placed, root: Path, say: Callable[[str], object]) -> Path | None:
    path = root / file.path.lstrip("/")
    old = path.read_text() if path.is_file() else None
    if old is not None and (file.keep or old == file.text):
        say(f"kept    {path}" if file.keep else f"as was  {path}")
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        path.chmod(0o644)
    except PermissionError:
        problem = "only root may write there; --print shows what it would be"
        raise BadConfig("install-service", problem, str(path)) from None
    say(f"{'wrote  ' if old is None else 'renewed'} {path}")
    return path
