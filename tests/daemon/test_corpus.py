"""What fuzzing found interesting, once more: whatever the bytes, an answer.

The files were kept because each took a way through the code that no smaller one took.
``tests/fuzz`` has the programs that look for more.
"""

from pathlib import Path

import pytest

from daemon.config.models import Pool as Settings
from daemon.pool.interface import Ended
from tests.support.crew import Crew
from tests.support.decoding import corpus
from tests.support.untrusted import archive_of, header_of, heartbeat_of, settings_of, status_of

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


def each(kind):
    files = corpus(CORPUS / kind)
    assert files
    return pytest.mark.parametrize(
        "data", [f.read_bytes() for f in files], ids=[f.name for f in files]
    )


def test_corpus_is_small():
    """It travels with the source."""
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 200_000


@each("headers")
def test_header_walk_answers(data):
    """Each file has a verdict, a container and a reason."""
    header = header_of(data)

    assert header.verdict
    assert header.bytes_expected is None or header.bytes_expected >= 0


@each("settings")
def test_settings_loader_answers(data):
    """A value, or a refusal that says where."""
    value = settings_of(data)

    assert value is None or isinstance(value, str | int | float | bool | dict | list)


@each("archives")
def test_unpacking_answers(data):
    """Files within their limits, or a code of ours."""
    found = archive_of(data)

    assert found is None or found


@each("status")
def test_status_readers_answer(data):
    """What cannot be used counts as absent; what can be used is shown."""
    for found in (status_of(data), heartbeat_of(data)):
        assert found is None or isinstance(found, dict)


def test_decoder_answers(tmp_path):
    """In a confined worker, each file gives its blocks or a code; the worker outlives them all."""
    crew = Crew(tmp_path, Settings(slots=1, memory_mb=1024), ("tests.support.decoding",))
    order = crew.order("job", handler="tests.support.decoding", read_paths=(str(CORPUS),))
    order.options.clear()
    order.options.update(corpus=str(CORPUS / "audio"))
    try:
        (ended,) = crew.run([order]).values()
    finally:
        crew.pool.close()

    assert "done" == ended.outcome, ended
    assert [] == unexplained(ended)
    assert len(corpus(CORPUS / "audio")) == sum(ended.result["measurements"].values())


def unexplained(ended: Ended):
    """Return the endings that are neither sound nor a code of ours."""
    ends = ended.result["measurements"]
    return [end for end in ends if end != "decoded" and not end.startswith("INPUT_")]
