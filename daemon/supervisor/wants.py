"""Asked by ``grants`` in a process of its own: what handlers want with the options of inboxes."""

import importlib
import json
import sys
from typing import Any

from daemon.config.drop_settings import for_handler
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document
from daemon.handlers.grants import wanted


def answer() -> None:
    """Read the question from standard input, and write the answer as its last line."""
    asked = json.load(sys.stdin)
    sys.path += asked["handler_paths"]
    found = {}
    for name, inbox in asked["inboxes"].items():
        try:
            found[name] = sorted(wants_of(inbox["handler"], inbox["options"], name))
        except Exception:  # noqa: BLE001, S112 - the pool says of each handler why it is no use
            continue
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def wants_of(handler: str, options: dict[str, Any], inbox: str) -> frozenset[str]:
    """Return what a handler wants with the options of an inbox."""
    module = importlib.import_module(handler)
    document = Document.of(dict(options), name=f"inboxes.{inbox}.options")
    return wanted(module, validate(module.Options, for_handler(document, module.Options)))
