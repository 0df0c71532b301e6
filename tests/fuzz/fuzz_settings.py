"""Fuzz the settings loader: a value, or ``SETTINGS_INVALID`` with its place.

Run: ``python -m tests.fuzz.fuzz_settings -max_total_time=300 FOLDER tests/fuzz/corpus/settings``;
what is found goes into FOLDER. Needs the extra ``fuzz``.
"""

import sys

import atheris

with atheris.instrument_imports(include=["daemon", "yaml"]):
    from tests.support.untrusted import settings_of


def one(data: bytes) -> None:
    """Read one document."""
    settings_of(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
