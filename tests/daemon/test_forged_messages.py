"""Whatever a worker says, in whichever field: the pool ends that attempt and serves the next."""

import hashlib
import itertools
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.config.models import Pool as Settings
from daemon.jobs.row_mapping import encoded
from daemon.pool import orphans
from daemon.pool.protocol import OUTPUTS, BadMessage, said
from daemon.text import shown
from tests.support import forging
from tests.support.crew import Crew

NUMBERS = itertools.count()
FILE = {"path": "out.txt", "role": "data", "bytes": 5, "sha256": "0" * 64, "measurements": {}}
RESULT = {
    "outputs": [FILE],
    "measurements": {"lufs": -14.0},
    "notes": [{"code": "N", "message": "m"}],
    "inputs": [{"path": "a.wav", "bytes": 1, "sha256": "0" * 64, "frames": 1, "rate_hz": 1}],
}
ERROR = {
    "code": "C",
    "kind": "K",
    "message": "m",
    "hint": "h",
    "path": "p",
    "stage": "s",
    "traceback": "t",
    "details": {"a": [1]},
}
DONE = forging.HONEST | {"outcome": "done", "result": RESULT, "error": None}
FAILED = forging.HONEST | {"outcome": "failed", "result": None, "error": ERROR}
HANDLER = {"accepts": [".wav"], "judge": "all", "headline": ["lufs"], "stages": ["s"]}
MESSAGES = {
    "ready": {"kind": "ready", "unusable": {"a": "b"}, "handlers": {"a": HANDLER}},
    "begun": {"kind": "begun"},
    "beat": {"kind": "beat"},
    "report": {"kind": "report", "stage": "s", "fraction": 0.5},
    "done": DONE,
    "failed": FAILED,
}


def places(value, path=()):
    """Yield the path to every value in a message, the message itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value, path, new):
    """Return the message with another value at a place."""
    if not path:
        return new
    key, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[key] = changed(value[key], rest, new)
    return copy


PLACES = [(name, path) for name, message in MESSAGES.items() for path in places(message)]

DEEP: object = 1
for _ in range(100):
    DEEP = [DEEP]

HOSTILE = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, -0.5, 1.5, 2**63, 2**70, -(2**63) - 1, 10**400),
            *(math.nan, math.inf, -math.inf, 1e308, 1e-320),
            *("", ".", "..", "/etc/passwd", "../x", "a//b", "a/", "a\0b", "\x1b[2J", "\u202etxt"),
            *("x" * 300, "é" * 5_000, "x" * 70_000, "a/" * 100 + "a", "done", "cancelled"),
            *([], {}, [[]], [None], {"": ""}, {"kind": "beat"}, DEEP, [0] * 5_000),
            {"k" * 300: 1},
            {"nan": math.nan, "deep": {"inf": [math.inf]}},
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
)


def line_of(message) -> bytes:
    """Return what a liar sends: JSON with what JSON has no word for."""
    return json.dumps(message).encode()


def numbers_and_texts(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from numbers_and_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_and_texts(item)
    else:
        yield value


@pytest.mark.parametrize("place", PLACES, ids=lambda at: ".".join(map(str, (at[0], *at[1]))))
@settings(max_examples=25)
@given(new=HOSTILE)
def test_field_is_within_its_bounds_or_the_message_is_refused(place, new):
    """What passes can be stored and shown: finite, within 64 bits, printable, not deep."""
    name, path = place
    try:
        message = said(line_of(changed(MESSAGES[name], path, new)))
    except BadMessage as refusal:
        text = str(refusal)
        assert len(text) < 500
        assert shown(text) == text
        return
    document = message.model_dump(mode="json")
    encoded(document)
    for one in numbers_and_texts(document):
        if isinstance(one, str):
            assert all(shown(line) == line for line in one.split("\n"))
        elif isinstance(one, int | float):
            assert math.isfinite(one)
            assert abs(one) < 2**63 or isinstance(one, float)


@settings(max_examples=200)
@given(new=HOSTILE, key=st.text())
def test_field_that_no_message_has_is_refused(new, key):
    """Nothing rides along."""
    with pytest.raises(BadMessage):
        said(line_of(MESSAGES["report"] | {f"_{key}": new}))


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    """A pool whose workers say what they are asked to say."""
    folder = tmp_path_factory.mktemp("forged")
    settings = Settings(slots=2, confine=False)
    crew = Crew(folder, settings, python=forging.program(folder))
    yield crew
    crew.pool.close()
    assert [] == orphans.children(os.getpid())


def answered(crew: Crew, says):
    """Let a worker say this; return how that ended, and where."""
    number = next(NUMBERS)
    times = [one if isinstance(one, tuple) else (one, 1) for one in says]
    texts = [(text.decode("latin-1"), often) for text, often in times]
    liar = crew.order(f"liar {number}", more={"says": texts}, stall_s=0.3)
    ended = crew.run([liar, crew.order(f"beside {number}"), crew.order(f"after {number}")])
    victim = ended.pop(liar.job)
    assert ["done", "done"] == [end.outcome for end in ended.values()]
    return victim, Path(liar.workdir)


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(place=st.sampled_from(PLACES), new=HOSTILE)
def test_pool_serves_the_next_whatever_a_field_holds(crew, place, new):
    """The attempt ends, nothing false is believed, and the jobs beside and after it are done."""
    name, path = place
    victim, _ = answered(crew, [line_of(changed(MESSAGES[name], path, new)) + b"\n"])

    assert victim.outcome in {"crashed", "failed", "stalled", *(["done"] if not path else [])} | {
        "nothing_to_do", "bad_input", "unavailable", "bad_config", "out_of_memory", "done"
    }  # fmt: skip
    assert victim.outcome != "done" or not victim.result["outputs"]
    encoded({"result": victim.result, "error": victim.error})


def listing(*files, count=None):
    """Return the verdict of a worker that lists its outputs, and the list."""
    lines = "".join(json.dumps(file) + "\n" for file in files)
    listed = len(files) if count is None else count
    return [line_of(DONE | {"result": {"outputs": [], "listed": listed}}) + b"\n"], lines


HONEST_FILE = FILE | {"sha256": hashlib.sha256(b"made\n").hexdigest()}
LINK = object()

# What the list holds, the outcome, the code.
LISTS = {
    "one that is right": (listing(HONEST_FILE), "done", None),
    "a count that is too high": (listing(HONEST_FILE, count=2), "failed", "RESULT_INVALID"),
    "a count that is too low": (listing(HONEST_FILE, HONEST_FILE, count=1),
                                "failed", "RESULT_INVALID"),
    "a count beyond all bounds": (listing(HONEST_FILE, count=10**9), "crashed", "BAD_MESSAGE"),
    "a path to the drop": (listing(HONEST_FILE | {"path": "../drop.txt"}),
                           "failed", "RESULT_INVALID"),
    "an absolute path": (listing(HONEST_FILE | {"path": "/etc/passwd"}),
                         "failed", "RESULT_INVALID"),
    "one output twice": (listing(HONEST_FILE, HONEST_FILE), "failed", "RESULT_INVALID"),
    "another hash": (listing(FILE), "failed", "RESULT_INVALID"),
    "a line that is no file": (listing([1, 2]), "failed", "RESULT_INVALID"),
    "more than eight mebibytes": (
        lambda: listing(*[HONEST_FILE | {"path": f"{n}" + "x" * 250} for n in range(25_000)]),
        "failed", "RESULT_INVALID"),
    "no list at all": ((listing(HONEST_FILE)[0], None), "failed", "RESULT_INVALID"),
    "a link to a list": ((listing(HONEST_FILE)[0], LINK), "failed", "RESULT_INVALID"),
    "outputs in both places": (
        ([line_of(DONE | {"result": {"outputs": [HONEST_FILE], "listed": 1}}) + b"\n"],
         listing(HONEST_FILE)[1]), "crashed", "BAD_MESSAGE"),
}  # fmt: skip


@pytest.mark.parametrize("row", LISTS.values(), ids=LISTS.keys())
def test_list_of_outputs_is_held_against_what_was_said(crew, tmp_path, row):
    """One row: what a worker leaves as its list, and what comes of it."""
    given, outcome, code = row
    says, lines = given() if callable(given) else given
    number = next(NUMBERS)
    texts = [(text.decode("latin-1"), 1) for text in says]
    liar = crew.order(f"lister {number}", more={"says": texts})
    path = Path(liar.workdir, OUTPUTS)
    if lines is LINK:
        (tmp_path / "elsewhere").write_text(listing(HONEST_FILE)[1])
        path.symlink_to(tmp_path / "elsewhere")
    elif lines is not None:
        path.write_text(lines)
    ended = crew.run([liar, crew.order(f"beside {number}")])
    victim = ended.pop(liar.job)

    assert ["done"] == [end.outcome for end in ended.values()]
    assert (outcome, code) == (victim.outcome, victim.error and victim.error["code"])
    if outcome == "done":
        assert ["out.txt"] == [file["path"] for file in victim.result["outputs"]]
        assert ["out.txt"] == [left.name for left in Path(liar.workdir).iterdir()]


BEGUN, BEAT, REPORT = (line_of(MESSAGES[name]) + b"\n" for name in ("begun", "beat", "report"))
NOTHING = line_of(DONE | {"result": {"outputs": []}}) + b"\n"


# What is said after an honest Begun, the outcome, the code.
SAID = {
    "a second begun": ([BEGUN], "crashed", "BAD_MESSAGE"),
    "ready again": ([line_of(MESSAGES["ready"]) + b"\n"], "crashed", "BAD_MESSAGE"),
    "an order": ([b'{"kind":"order"}\n'], "crashed", "BAD_MESSAGE"),
    "nothing at all": ([], "stalled", "STALLED"),
    "half a message": ([NOTHING[:20]], "stalled", "STALLED"),
    "a message in two halves": ([NOTHING[:20], NOTHING[20:]], "done", None),
    "an empty line": ([b"\n"], "crashed", "BAD_MESSAGE"),
    "a pickle": ([b"\x80\x04\x95.\n"], "crashed", "BAD_MESSAGE"),
    "bytes that are no text": ([b'{"kind":"report","stage":"\xff","fraction":0.5}\n'],
                               "crashed", "BAD_MESSAGE"),
    "half a surrogate": ([b'{"kind":"report","stage":"\\ud800","fraction":0.5}\n'],
                         "crashed", "BAD_MESSAGE"),
    "a line of two mebibytes": ([(b"x", 2 << 20)], "crashed", "BAD_MESSAGE"),
    "a flood of beats": ([(BEAT, 60_000)], "crashed", "BAD_MESSAGE"),
    "a flood of reports": ([(REPORT, 60_000)], "crashed", "BAD_MESSAGE"),
    "brackets without an end": ([(b"[", 500_000), b"\n"], "crashed", "BAD_MESSAGE"),
    "an outcome of the pool's": ([line_of(FAILED | {"outcome": "interrupted"}) + b"\n"],
                                 "crashed", "BAD_MESSAGE"),
    "a size beyond 64 bits": (
        [line_of(changed(DONE, ("result", "outputs", 0, "bytes"), 2**70)) + b"\n"],
        "crashed", "BAD_MESSAGE"),
    "the same key twice": ([NOTHING.replace(b'"clean"', b'"clean": false, "clean"')],
                           "done", None),
    "a verdict, then another": ([NOTHING, line_of(FAILED) + b"\n"], "done", None),
    "a verdict, then a report": ([NOTHING, REPORT], "done", None),
    "a verdict, then noise": ([NOTHING, b"\x00\xff\n"], "done", None),
    "one output twice": ([line_of(changed(DONE, ("result", "outputs"), [FILE, FILE])) + b"\n"],
                         "crashed", "BAD_MESSAGE"),
    "another hash": ([line_of(DONE) + b"\n"], "failed", "RESULT_INVALID"),
    "another size": ([line_of(changed(DONE, ("result", "outputs", 0, "bytes"), 4)) + b"\n"],
                     "failed", "RESULT_INVALID"),
    "an output that is not there": (
        [line_of(changed(DONE, ("result", "outputs", 0, "path"), "never.txt")) + b"\n"],
        "failed", "RESULT_INVALID"),
    "the drop as an output": (
        [line_of(changed(DONE, ("result", "outputs", 0, "path"), "../drop.txt")) + b"\n"],
        "crashed", "BAD_MESSAGE"),
    "a folder as an output": (
        [line_of(changed(DONE, ("result", "outputs", 0, "path"), "out.txt/x")) + b"\n"],
        "failed", "RESULT_INVALID"),
}  # fmt: skip


@pytest.mark.parametrize("row", SAID.values(), ids=SAID.keys())
def test_pool_makes_sense_of_what_is_said(crew, row):
    """One row: what a worker says after Begun, and what comes of it."""
    says, outcome, code = row
    victim, _ = answered(crew, says)

    assert (outcome, code) == (victim.outcome, victim.error and victim.error["code"])
