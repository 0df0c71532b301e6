"""Every failure says what to do: in the row, in the status and in the error file."""

import os
from copy import deepcopy

import pytest

from daemon.codes import CODES
from daemon.errors import BadInput, Fault, Unavailable
from daemon.jobs.job import OutputFile
from daemon.outbox.status_document import _output
from tests.support.containers import noise_bytes
from tests.support.daemons import Daemon, read_json, settings_for, until

WORKER = ("code", "class", "message", "hint", "path", "stage", "traceback", "details")


@pytest.mark.parametrize("code", CODES)
def test_fault_without_a_hint_gets_that_of_its_code(code):
    """Whoever makes a fault of a known code need not repeat what to do."""
    assert CODES[code].hint == Fault(code, "m").document()["hint"]


def test_fault_keeps_the_hint_it_was_given():
    """What is known at the place of the error is better than what the table says."""
    assert "ask Ada" == Fault.of(BadInput("INPUT_EMPTY", "m", hint="ask Ada")).hint


def test_code_of_a_handlers_own_has_a_hint():
    """A handler may raise codes that no table lists."""
    assert Fault("UNCOUNTABLE", "m").hint


def test_document_of_a_fault_can_be_read_again():
    """What was written down comes back; a document of an earlier version gains its hint."""
    fault = Fault("INPUT_EMPTY", "m", path="a.wav", stage="reading", kind="BadInput")

    assert WORKER == tuple(fault.document())
    assert fault == Fault.read(fault.document())
    assert fault == Fault.read({**fault.document(), "hint": ""})


@pytest.mark.parametrize("document", [{}, {"code": None}, {"code": ["x"], "hint": {"a": 1}}])
def test_document_that_a_person_has_changed_can_be_read(document):
    """The error file lies where everybody may edit it."""
    assert Fault.read(document).hint


def test_fault_of_an_exception_that_cannot_speak():
    """Its class stands in for its words, and no text keeps a half of a character."""

    class Speechless(Exception):
        def __str__(self):
            raise RuntimeError

    assert "KeyError: 'song'" == Fault.of(KeyError("song")).message
    assert "No space left on device: x" == Fault.of(OSError(28, os.strerror(28), "x")).message
    assert "not enough memory" == Fault.of(MemoryError()).message
    assert "Speechless" == Fault.of(Speechless()).message
    assert "\\udcff" == Fault.of(Exception("\udcff")).message


def test_traceback_is_kept_when_the_fault_is_not_the_drops():
    """A bug or a broken disk is looked for in the code; a damaged file is not."""

    def fault_of(error):
        try:
            raise error
        except type(error) as raised:
            return Fault.of(raised)

    assert "in fault_of" in fault_of(KeyError("x")).traceback
    assert "in fault_of" in fault_of(Unavailable("DISK_FULL", "m")).traceback
    assert "" == fault_of(BadInput("INPUT_EMPTY", "m")).traceback


# Inbox, settings of the drop, code.
FAILURES = [
    ("mix", "how: bad_input", "INPUT_TRUNCATED"),
    ("mix", "how: unrebuildable", "INTERNAL"),
    ("mix", "how: segfault", "CRASHED"),
    ("mix", "how: no_result", "RESULT_INVALID"),
    ("mix", "how: babble", "BAD_MESSAGE"),
    ("mix", "how: disk_full", "DISK_FULL"),
    ("mix", "how: nothing_made", "NO_OUTPUT"),
    ("mix", "priority: now", "SETTINGS_INVALID"),
    ("late", "how: hang_without_gil", "TIMED_OUT"),
]


def test_every_kind_of_failure_says_what_to_do(fleeting):
    """Status, each attempt in it, and error.json carry a hint, whoever found the failure."""
    root = fleeting / "spool"
    settings = settings_for(root)
    inbox = {**settings["inboxes"]["mix"], "handler": "tests.support.misbehaving"}
    settings["inboxes"] = {"mix": inbox, "late": {**deepcopy(inbox), "timeout_s": 0.5}}
    settings["budgets"] |= {"failures": 1, "crashes": 1}
    with Daemon(root, settings) as daemon:
        daemon.start()
        for inbox, text, code in FAILURES:
            drop = root / "inbox" / inbox / code
            drop.mkdir()
            (drop / "a.wav").write_bytes(noise_bytes("wav"))
            (drop / "job.yaml").write_text(f"{text}\n")
            (drop / ".done").touch()
        for inbox, _, code in FAILURES:
            status_file = root / "outbox" / inbox / f"{code}.status.json"
            until(lambda file=status_file: read_json(file).get("terminal"), f"{code} has ended")

    for inbox, _, code in FAILURES:
        status = read_json(root / "outbox" / inbox / f"{code}.status.json")
        error = read_json(root / "failed" / inbox / f"{code}.error.json")
        faults = [error, status["error"], *(one["error"] for one in status["attempts"])]

        assert {code} == {fault["code"] for fault in faults}
        assert all(fault["hint"] for fault in faults), code


def test_measurements_of_a_handler_do_not_overrule_what_was_checked():
    """A measurement called sha256 or path is no fact about the file."""
    lies = {"path": "/etc/passwd", "bytes": "many", "sha256": "", "role": 1, "lufs": -14.0}
    shown = _output(OutputFile("mix.wav", "master", 9, "0" * 64, lies))

    assert {"path": "mix.wav", "role": "master", "bytes": 9, "sha256": "0" * 64} == {
        key: value for key, value in shown.items() if key != "lufs"
    }
