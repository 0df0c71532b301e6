"""Fuzz the header walk: any bytes at all get an answer, within bounds.

Run: ``python -m tests.fuzz.fuzz_headers -max_total_time=300 FOLDER tests/fuzz/corpus/headers``;
what is found goes into FOLDER. Needs the extra ``fuzz``.
"""

import sys

import atheris

with atheris.instrument_imports(include=["dsp.containers"]):
    from tests.support.untrusted import header_of


def one(data: bytes) -> None:
    """Judge one file."""
    header_of(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
