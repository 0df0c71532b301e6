"""The command line: ``soundspool``.

Every command acts through files or reads them; none opens the database. What a command
does lies in a module of its own, imported when the command runs, so that ``soundspool
status`` starts in a blink.

Exit codes: 0 done · 1 the job failed · 3 the daemon does not run · 64 usage · 65 bad input ·
70 our bug · 75 try later · 78 configuration.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="soundspool",
    help="Drop a folder of stems, find the mix.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

EX_USAGE, EX_SOFTWARE = 64, 70

Json = Annotated[bool, typer.Option("--json", help="Print JSON for tools.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A setting, as job.yaml has it."),
]


@app.command()
def mix(
    source: Annotated[Path, typer.Argument(help="A folder of stems, or one file.", exists=True)],
    out: Annotated[Path, typer.Argument(help="The folder to make; it must not exist yet.")],
    settings: Set = None,
    json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Mix and master a folder of stems, here and now, without the daemon."""
    from daemon.by_hand import mix_by_hand  # noqa: PLC0415 - NumPy only when it is needed

    raise typer.Exit(mix_by_hand(source, out, settings or [], as_json=json))


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as stop:
        # Click calls a wrong command line 2; sysexits.h and our manual call it 64.
        sys.exit(EX_USAGE if stop.code == 2 else stop.code)  # noqa: PLR2004 - Click's number


if __name__ == "__main__":
    main()
