"""The commands of ``soundspool``, with their arguments and their help.

What a command does lies in a module of its own, imported when the command runs.
"""

# ruff: noqa: PLC0415, FBT002 - a command imports what it needs; flags are booleans

import sys
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from daemon import __version__
from daemon.cli.exit_codes import answering
from daemon.cli.options import Config, Inbox, Json, Out, Set, Watch
from daemon.cli.spool_commands import cancel, clear, pause, resume, retry, scan


class DemoOf(StrEnum):
    """What ``soundspool demo`` can show."""

    MIX = "mix"
    PODCAST = "podcast"


app = typer.Typer(
    name="soundspool",
    help="Drop a folder of stems, find the mix.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Show or check the configuration.")
app.add_typer(config_app, name="config", no_args_is_help=True)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if asked:
        from dsp.kernels import ENGINE

        sys.stdout.write(f"soundspool {__version__}\nkernels {ENGINE}\n")
        raise typer.Exit


@app.callback()
def soundspool(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Drop a folder of stems, find the mix."""


@app.command()
def run(config: Config = None) -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    import daemon.logs  # noqa: F401 - before structlog, which would load rich and ssl
    from daemon.supervisor.serve import run as run_daemon

    with answering():
        sys.exit(run_daemon(config))


def _by_hand(name: str, source: Path, out: Path, wanted: list[str] | None, *, json: bool) -> None:
    from daemon.cli.by_hand import handled_by_hand

    module = import_module(f"daemon.handlers.{name}")
    sys.exit(handled_by_hand(module, source, out, wanted or [], as_json=json))


@app.command()
def mix(
    source: Annotated[Path, typer.Argument(help="A folder of stems, or one file.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Mix and master a folder of stems, here and now, without the daemon."""
    _by_hand("mix", source, out, settings, json=json)


@app.command()
def analyze(
    source: Annotated[Path, typer.Argument(help="A song, or a folder of songs.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Find tempo, beats, key, loudness and faults of songs, without the daemon."""
    _by_hand("analyze", source, out, settings, json=json)


@app.command()
def library(
    source: Annotated[Path, typer.Argument(help="A folder of audio files.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """List a folder with its tags, loudness, waveforms and duplicates, without the daemon."""
    _by_hand("library", source, out, settings, json=json)


@app.command()
def transcribe(
    source: Annotated[Path, typer.Argument(help="A recording, or a folder of them.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Write down what is said in recordings, without the daemon."""
    _by_hand("transcribe", source, out, settings, json=json)


@app.command()
def podcast(
    source: Annotated[Path, typer.Argument(help="An article, or a folder with it.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Speak an article: an episode with chapters, without the daemon."""
    _by_hand("podcast", source, out, settings, json=json)


@app.command()
def merge(
    source: Annotated[Path, typer.Argument(help="A folder of recorded chunks.", exists=True)],
    out: Out,
    settings: Set = None,
    json: Json = False,
) -> None:
    """Merge recorded chunks into one recording, without the daemon."""
    _by_hand("merge", source, out, settings, json=json)


@app.command()
def demo(
    what: Annotated[DemoOf, typer.Argument(help="A song, or an article.")] = DemoOf.MIX,
    spool: Annotated[
        Path | None, typer.Option(help="Where to create the demo's spool, which is kept.")
    ] = None,
    json: Json = False,
) -> None:
    """Create a short song or an article, start a daemon, drop it, and show what comes out."""
    from daemon.cli.demo import run_demo

    usual = Path("soundspool-demo" if what is DemoOf.MIX else f"soundspool-demo-{what}")
    with answering(as_json=json):
        sys.exit(run_demo(spool or usual, as_json=json, what=what))


@app.command()
def submit(
    path: Annotated[Path, typer.Argument(help="A folder of stems, or one file.", exists=True)],
    *,
    inbox: Inbox = None,
    settings: Set = None,
    priority: Annotated[
        str | None, typer.Option(metavar="LANE", help="rush, normal or bulk.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Copy a drop into an inbox, whole at once, so that it starts immediately."""
    from daemon.cli.submit_command import submit_and_follow

    with answering(as_json=json):
        asked = [*(settings or []), *([f"priority={priority}"] if priority else [])]
        sys.exit(submit_and_follow(config, path, inbox, asked, wait=wait, as_json=json))


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One drop; without it, everything.")] = None,
    inbox: Inbox = None,
    watch: Watch = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show the state of the daemon and its drops."""
    # Seldom reached: see daemon.cli.main.
    from daemon.cli.status_view import status as show

    with answering(as_json=json):
        sys.exit(show(config, name, inbox, watch=watch, as_json=json))


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    config: Config = None,
) -> None:
    """Show the daemon at work, full screen."""
    from daemon.cli.top import run_top
    from daemon.config.file import root_of

    with answering():
        sys.exit(run_top(root_of(config), once=once))


@app.command()
def explain(
    path: Annotated[str, typer.Argument(help="A path in an inbox or in failed/, or a name.")],
    inbox: Inbox = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Explain why something has not started, or why it failed."""
    from daemon.cli.diagnose.explain import explain_command

    with answering(as_json=json):
        sys.exit(explain_command(config, path, inbox, as_json=json))


for each in (scan, retry, clear, cancel, pause, resume):
    app.command()(each)


@app.command()
def check(json: Json = False, config: Config = None) -> None:
    """Check whether the daemon can work: the same as doctor --quick."""
    doctor(quick=True, json=json, config=config)


@app.command()
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only configuration, folders and limits.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Check the machine, and try every guarantee with jobs that hang, crash and worse."""
    from daemon.cli.diagnose.doctor import run_doctor

    with answering(as_json=json):
        sys.exit(run_doctor(config, quick=quick, as_json=json))


@app.command()
def nodes(json: Json = False, config: Config = None) -> None:
    """List the other machines that run jobs, and what each does."""
    from daemon.cli.nodes import show_nodes

    with answering(as_json=json):
        sys.exit(show_nodes(config, as_json=json))


@app.command()
def node(
    *,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Take orders from standard input.")
    ] = False,
    celery: Annotated[str, typer.Option(help="Take orders from a broker: amqps://…")] = "",
    root: Annotated[str, typer.Option(help="Where this machine sees the spool.")] = "",
    slots: Annotated[int | None, typer.Option(help="Jobs at once; 0: one per core.")] = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="What it has for jobs to hold: gpu=0,1.")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name; else that of the machine.")] = "",
    password_file: Annotated[str, typer.Option(help="Holds the broker's password.")] = "",
    ca_file: Annotated[str, typer.Option(help="Whose certificates are trusted.")] = "",
) -> None:
    """Run jobs for a daemon on another machine."""
    from daemon.cli import node

    if stdio == bool(celery):
        raise typer.BadParameter("say --stdio, or --celery with the URL of the broker")
    with answering():
        resources = node.resources_of(resource or ())
        if stdio:
            sys.exit(node.main(root=root, slots=slots, resources=resources))
        access = node.access_to(celery, password_file, ca_file)
        sys.exit(node.serve(access, root=root, slots=slots or 0, name=name, resources=resources))


@app.command("install-service")
def install_service(
    instance: Annotated[str, typer.Option(help="A name, for one of several spools.")] = "",
    user: Annotated[str, typer.Option(help="The user that the daemon runs as.")] = "soundspool",
    *,
    owners: Annotated[bool, typer.Option(help="Take folders that other accounts own.")] = False,
    network: Annotated[bool, typer.Option(help="Give handlers the network.")] = False,
    node: Annotated[bool, typer.Option("--node", help="A node, not a daemon.")] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Print it, write nothing.")] = False,
) -> None:
    """Install the daemon, or a node, as a service of this machine (systemd); needs root."""
    from daemon.cli import install_service

    with answering():
        service = install_service.Service(
            instance, user, install_service.own_command(), owners, network, node
        )
        install_service.install_service(service, print_only=print_only)


@config_app.command("show")
def config_show(config: Config = None) -> None:
    """Print the configuration in use, every default filled in, as JSON."""
    from daemon.config.models import load

    with answering():
        sys.stdout.write(load(config).model_dump_json(indent=1) + "\n")


@config_app.command("check")
def config_check(config: Config = None) -> None:
    """Check the configuration alone; each problem has its line."""
    from daemon.config.file import find
    from daemon.config.models import load

    with answering():
        load(config)
        sys.stderr.write(f"{find(config).path}: no problem found\n")
