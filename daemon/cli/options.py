"""The arguments that several commands take, as Typer wants them."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.arguments import FLAGS

Config = Annotated[
    Path | None, typer.Option(*FLAGS["config"], metavar="FILE", help="The configuration file.")
]
Inbox = Annotated[
    str | None, typer.Option(*FLAGS["inbox"], metavar="NAME", help="Which inbox, if several.")
]
Out = Annotated[Path, typer.Argument(help="The folder to make; it must not exist yet.")]
Json = Annotated[bool, typer.Option(*FLAGS["json"], help="Print JSON for tools.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A setting, as job.yaml has it."),
]
Failed = Annotated[list[str] | None, typer.Argument(help="Drops in failed/.")]
Watch = Annotated[bool, typer.Option(*FLAGS["watch"], help="Keep showing it until it ends.")]
