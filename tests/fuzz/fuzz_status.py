"""Fuzz the readers of status files: what they cannot use counts as absent.

Bytes that are no JSON are refused early; so every other input is a recipe by which parts of
a sound document are replaced or taken away.

Run: ``python -m tests.fuzz.fuzz_status -max_total_time=300 FOLDER tests/fuzz/corpus/status``;
what is found goes into FOLDER. Needs the extra ``fuzz``.
"""

import copy
import json
import sys

import atheris

with atheris.instrument_imports(include=["daemon"]):
    from tests.support.untrusted import heartbeat_of, status_of

from tests.support.spools import daemon_json, done, drop, failed

SOUND = (
    done(),
    failed(),
    drop("running", stage="rendering", progress=0.5, eta_s=3.0),
    drop("queued", wait={"reason": "retry", "until": "2026-11-20T21:45:00Z", "position": 1}),
    daemon_json(),
)
VALUES = (None, "", "x", 0, -1, 7, 0.5, 1e308, 2**62, True, [], {}, [{}], {"x": {}}, "2026-11-20")


def one(data: bytes) -> None:
    """Read one document as either kind."""
    if data[:1] == b"!":
        data = json.dumps(altered(atheris.FuzzedDataProvider(data[1:]))).encode()
    status_of(data)
    heartbeat_of(data)


def altered(choices: atheris.FuzzedDataProvider) -> object:
    """Return a sound document with some parts replaced or taken away."""
    document = copy.deepcopy(SOUND[choices.ConsumeIntInRange(0, len(SOUND) - 1)])
    for _ in range(choices.ConsumeIntInRange(1, 4)):
        _alter(document, choices)
    return document


def _alter(holder: dict[str, object], choices: atheris.FuzzedDataProvider) -> None:
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = keys[choices.ConsumeIntInRange(0, len(keys) - 1)]
        if holder[key] and isinstance(holder[key], dict | list) and choices.ConsumeBool():
            holder = holder[key]
        elif choices.ConsumeIntInRange(0, 4) == 0:
            del holder[key]
            return
        else:
            which = choices.ConsumeIntInRange(0, len(VALUES))
            text = choices.ConsumeUnicode(12)
            holder[key] = text if which == len(VALUES) else copy.deepcopy(VALUES[which])
            return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
