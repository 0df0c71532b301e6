"""The three lanes of the queue, apart from the models: a worker imports them at every start."""

from collections.abc import Mapping
from typing import Literal

Lane = Literal["rush", "normal", "bulk"]

ALLOWANCE_MS: Mapping[str, int] = {"rush": 0, "normal": 15 * 60_000, "bulk": 60 * 60_000}
"""How much later a lane's jobs count as created: a rush job overtakes a normal one that is
less than 15 minutes older, and no lane can starve another."""
