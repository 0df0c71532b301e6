"""``soundspool nodes``: the other machines that run jobs, as ``daemon.json`` tells of them."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daemon.cli.exit_codes import EX_DOWN
from daemon.cli.spool_reader import SpoolReader, pulse_of
from daemon.outbox.node_lines import broker_line, health_of
from daemon.text import shown

EX_OK = 0
_NONE, _NONE_CAME = "There are no nodes", "No node has come to the broker yet"


def show_nodes(config: Path | None, *, as_json: bool) -> int:
    """Print the nodes and what runs on each; return the exit code."""
    pulse = pulse_of(SpoolReader.of(config).root)
    pool = pulse.document.get("pool") or {}
    nodes, broker = pool.get("nodes") or [], pool.get("broker")
    running = pulse.document.get("running") or []
    if as_json:
        told = {"daemon": pulse.life, "nodes": nodes} | ({"broker": broker} if broker else {})
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        none = _NONE_CAME if broker else _NONE
        lines = [*_lines(nodes, running, none, running_daemon=pulse.running), *_of_broker(broker)]
        sys.stdout.write("\n".join(lines) + "\n")
    return EX_OK if pulse.running else EX_DOWN


def _of_broker(broker: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield how the broker is at which nodes report by themselves."""
    if broker:
        problem = broker.get("problem") or {}
        yield f"{'DOWN' if problem else 'up  '}  {shown(broker_line(broker))}"
        if problem:
            yield f"      {shown(problem['code'])}: {shown(problem['hint'])}"


def _lines(
    nodes: list[Mapping[str, Any]],
    running: list[Mapping[str, Any]],
    none: str,
    *,
    running_daemon: bool,
) -> Iterator[str]:
    if not running_daemon:
        yield "The daemon does not run; this is the last state. Start it: soundspool run"
    if not nodes:
        yield f"{none}: all jobs run on this machine. docs/nodes.md says how to add one."
    for node in nodes:
        name, fine, notes = health_of(node)
        yield f"{'up  ' if fine else 'DOWN'}  {name}  {notes}"
        problem = node.get("problem") or {}
        if problem.get("hint"):
            yield f"      {shown(problem['code'])}: {shown(problem['hint'])}"
        for one in running:
            if one.get("node") == node.get("name"):
                share = f"{float(one.get('progress') or 0.0):.0%}"
                yield f"      {shown(one.get('name'))} ({shown(one.get('inbox'))}) {share}"
