"""How the arguments that several commands share are written on the command line.

Rule: ``main`` reads the plain ``run`` and ``status`` without Typer, and ``commands`` describes
them to Typer; both take the flags from here.
"""

FLAGS = {
    "config": ("--config", "-c"),
    "inbox": ("--inbox", "-i"),
    "json": ("--json",),
    "watch": ("--watch", "-w"),
}
OF_STATUS = ("inbox", "watch", "json", "config")
"""What ``status`` takes besides a name."""
SWITCHES = frozenset({"json", "watch"})
