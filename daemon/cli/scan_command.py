"""``soundspool scan``: drop at once what the timer of an inbox would drop when it is due."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemon.cli.submit_command import submit_and_follow
from daemon.clock import Clock
from daemon.layout import scan_name


def scan(
    config: Path | None,
    inbox: str | None,
    under: Sequence[str],
    *,
    full: bool,
    accept_removals: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Drop a scan that asks for this; return the exit code.

    Raises
    ------
    SpoolError
        See ``submit_command.submit_and_follow``.
    """
    wanted = {"under": list(under), "full": full, "accept_removals": accept_removals}
    asked = {key: value for key, value in wanted.items() if value}
    with tempfile.TemporaryDirectory() as folder:
        drop = Path(folder, scan_name(Clock().wall_ms()))
        drop.write_text(json.dumps(asked) + "\n", "utf-8")
        return submit_and_follow(config, drop, inbox, (), wait=wait, as_json=as_json)
