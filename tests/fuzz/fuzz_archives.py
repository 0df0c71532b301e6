"""Fuzz the unpacking of archives: files within their limits, or a code of ours.

The first byte chooses the suffix. Run: ``python -m tests.fuzz.fuzz_archives
-max_total_time=300 FOLDER tests/fuzz/corpus/archives``; what is found goes into FOLDER.
Needs the extra ``fuzz``.
"""

import sys

import atheris

with atheris.instrument_imports(include=["daemon", "tarfile", "zipfile"]):
    from tests.support.untrusted import archive_of


def one(data: bytes) -> None:
    """Judge and unpack one archive."""
    archive_of(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
