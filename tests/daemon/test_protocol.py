"""The line protocol: what is understood, and what kills the worker that said it."""

import json
import math
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.pool.interface import Order, Outcome
from daemon.pool.protocol import (
    LINE_BYTES,
    ORDER_BYTES,
    BadMessage,
    Beat,
    Begun,
    Failure,
    Hello,
    Lines,
    Made,
    MadeFile,
    Ready,
    Remark,
    Report,
    Verdict,
    hello_of,
    line_down,
    line_up,
    order_of,
    plain,
    said,
)

FILE = MadeFile(path="a/master.wav", role="master", bytes=9, sha256="0" * 64)
FAULT = Failure(code="CUT", kind="BadInput", message="cut")
DONE = Verdict(
    outcome=Outcome.DONE,
    result=Made(outputs=[FILE], notes=[Remark(code="N", message="n")]),
    max_rss_mb=1.0,
    clean=True,
)
FAILED = Verdict(outcome=Outcome.BAD_INPUT, error=FAULT, max_rss_mb=1.0, clean=False)


@pytest.mark.parametrize(
    "message",
    [Ready(unusable={"a": "b"}), Begun(), Beat(), Report(stage="s", fraction=0.5), DONE, FAILED],
    ids=lambda message: type(message).__name__,
)
def test_message_arrives_as_it_was_sent(message):
    """What a worker says is what the pool hears."""
    assert message == said(line_up(message))


def test_order_arrives_as_it_was_given():
    """Every field survives, even a file name that is no Unicode."""
    order = Order("job", 3, "a.b", "na\udcffme", "/s", "/w", {"x": [1]}, read_paths=("/r",))

    assert order == order_of(line_down(order))


def test_hello_arrives_as_it_was_given():
    """Every field survives."""
    hello = Hello(("a.b",), ("/p",), 512, confine=True)

    assert hello == hello_of(line_down(hello))


BAD = {
    "nothing": b"",
    "no JSON": b"\x80\x04\x95 a pickle",
    "no object": b"[1, 2]",
    "cut": b'{"kind":"beat"',
    "unknown kind": b'{"kind":"shutdown"}',
    "unknown field": b'{"kind":"beat","pid":1}',
    "fraction above one": b'{"kind":"report","stage":"s","fraction":1.5}',
    "fraction that is no number": b'{"kind":"report","stage":"s","fraction":NaN}',
    "endless stage": b'{"kind":"report","stage":"' + b"s" * 300 + b'","fraction":0.5}',
    "deep": b"[" * 100_000,
    "deep inside": b'{"kind":"ready","unusable":' + b'{"a":' * 100_000,
    "an outcome that only the pool knows": line_up(DONE).replace(b'"done"', b'"cancelled"'),
    "done without a result": b'{"kind":"verdict","outcome":"done","max_rss_mb":1,"clean":true}',
    "failed without a reason": b'{"kind":"verdict","outcome":"failed","max_rss_mb":1,"clean":true}',
    "a path that leaves": line_up(DONE).replace(b"a/master.wav", b"../../etc/x"),
    "a path from the root": line_up(DONE).replace(b"a/master.wav", b"/etc/passwd"),
    "a path that is the folder": line_up(DONE).replace(b"a/master.wav", b"."),
    "a hash that is none": line_up(DONE).replace(b"0" * 64, b"0" * 63),
    "a negative size": line_up(DONE).replace(b'"bytes":9', b'"bytes":-9'),
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_what_is_no_message_is_refused(line):
    """Anything that is not exactly one of ours is a BadMessage, never another error."""
    with pytest.raises(BadMessage):
        said(line)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(line):
    """No bytes whatever raise anything but BadMessage."""
    try:
        message = said(line)
    except BadMessage:
        return
    assert message in (Begun(), Beat(), Ready())


def test_message_longer_than_a_line_is_not_sent():
    """A worker finds out by itself that its result is too long."""
    made = Made(outputs=[], measurements={"texts": ["x" * 1_000] * 2_000})

    with pytest.raises(BadMessage, match="are allowed"):
        line_up(Verdict(outcome=Outcome.DONE, result=made, max_rss_mb=1.0, clean=True))


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b""))), st.data())
def test_lines_do_not_depend_on_how_bytes_arrive(lines, data):
    """Whatever the portions, the same lines come out."""
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = Lines()

    heard = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += reader.feed(stream[start:end])
    assert lines == heard


def test_line_without_an_end_is_refused_before_it_fills_the_memory():
    """One byte more than a line may have is too much, end or no end."""
    reader = Lines()
    reader.feed(b"x" * (LINE_BYTES - 1))

    with pytest.raises(BadMessage):
        reader.feed(b"x")


def test_order_of_the_allowed_size_goes_at_once():
    """A fresh socket takes the longest order whole, without anybody reading."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_blocking(ours.fileno(), False)

        assert ORDER_BYTES == ours.send(b"x" * ORDER_BYTES)


class _Scalar:
    """Like a number of numpy."""

    def tolist(self):
        return 0.5


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (None, math.inf),
        (None, math.nan),
        (0.5, _Scalar()),
        ([1, [2.0]], (1, [2.0])),
        ({"1": 2}, {1: 2}),
        ("a\\udcff", "a\udcff"),
    ],
)
def test_plain_says_it_in_the_words_of_json(expected, value):
    """Tuples, numpy's numbers, infinities and wild names all have a form that JSON knows."""
    told = plain(value)

    assert expected == told
    assert told == json.loads(json.dumps(told, allow_nan=False))


def test_plain_names_the_place_of_what_json_cannot_say():
    """The message says where in the result the trouble is."""
    with pytest.raises(TypeError, match=r"result\.tracks\[1\] is a object, which JSON cannot say"):
        plain({"tracks": [1, object()]})
