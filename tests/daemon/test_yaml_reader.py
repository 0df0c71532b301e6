import json
import re
from contextlib import suppress
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from daemon.config import yaml_reader
from daemon.config.validation import assign, validate
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput


class Band(BaseModel):
    model_config = ConfigDict(extra="forbid")

    corner_hz: float = Field(gt=0)
    kind: Literal["shelf", "peak"] = "peak"


class Song(BaseModel):
    model_config = ConfigDict(extra="forbid")

    preset: str = "song"
    bits: int = 24
    limiter: bool = True
    bands: list[Band] = []
    sends: dict[str, Band | None] = {}


def read(text):
    """Return what a text says."""
    return yaml_reader.load(text.encode(), name="job.yaml").value


def complaint(text, model=None):
    """Return the message with which a text, or its content, is refused."""
    with pytest.raises(BadInput) as refused:
        validate(model, yaml_reader.load(text.encode(), name="job.yaml"))
    assert "SETTINGS_INVALID" == refused.value.code
    return refused.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: true", {"a": True}),
        ("a: -3", {"a": -3}),
        ("a: 1e-3", {"a": 0.001}),
        ("a: .5", {"a": 0.5}),
        ("a: '4'", {"a": "4"}),
        ("a: [1, two, {b: 3}]", {"a": [1, "two", {"b": 3}]}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("ä: 🎵", {"ä": "🎵"}),
    ],
)
def test_load_returns_plain_data(text, value):
    """Mappings, lists, strings, numbers, true, false and null; nothing else."""
    assert value == read(text)


@pytest.mark.parametrize("text", ["2026-11-20", "12:30", "no", "on", "0x1F", "1_000", "=", ".nan"])
def test_load_leaves_words_alone(text):
    """What YAML 1.1 turns into dates, base-60 numbers and booleans is what was written."""
    assert {"a": text} == read(f"a: {text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x", "job.yaml:1:4: anchors (&) and aliases (*) are not read"),
        ("a: 1\nb: *x", "job.yaml:2:4: anchors (&) and aliases (*) are not read"),
        ("a:\n  <<: {b: 1}", "job.yaml:2:3: merge keys (<<) are not read"),
        ("a: !!python/object:os.system x", "job.yaml:1:4: tags (!) are not read"),
        ("a: 1\nb: 2\na: 3", "job.yaml:3:1: 'a' is set twice"),
        ("[a]: 1", "job.yaml:1:1: a key must be plain text"),
        ("a: 1\n---\nb: 2", "job.yaml:2:1: a second document"),
        ("a: [1", "job.yaml:1:6: expected ',' or ']'"),
        ("a:\n\tb: 1", r"job.yaml:2:1: found character '\t'"),
        ("[" * 30 + "]" * 30, "job.yaml:1:22: nested deeper than 20"),
        ("a: " + "9" * 5000, "too large a number"),
        ("a: 1e999", "job.yaml:1:4: '1e999': too large a number"),
        (r'a: "\0"', r"job.yaml:1:4: '\x00' contains characters that are not text"),
        (r'a: "\ud800"', r"job.yaml:1:4: '\ud800' contains characters that are not text"),
        (r'a: "\UFFFFFFFF"', "job.yaml: not text in UTF-8"),
        ("a: 1\n" + "#" * 70_000, "job.yaml: 70005 bytes; at most 65536 are read"),
    ],
)
def test_load_refuses_what_is_more_than_plain_data(text, message):
    """The complaint says where, and what."""
    assert message in complaint(text)


def test_load_refuses_bytes_that_are_no_text():
    """A WAV that was renamed to job.yaml."""
    with pytest.raises(BadInput, match=r"job\.yaml: not text in UTF-8"):
        yaml_reader.load(b"RIFF\xa4\x00\xff\xff\x00\x00\x9d", name="job.yaml")


@given(
    st.binary(max_size=200) | st.text("[]{}:,-?&*!|>'\"%@# \n\tab1.~<", max_size=60).map(str.encode)
)
@example(b"\xff\xfe[")
@example(b"%YAML 1." + b"9" * 5000 + b"\n---\na")
@example(b"? ")
def test_load_answers_any_bytes(data):
    """Whatever a stranger drops: plain data or a refusal, never another error."""
    with suppress(BadInput):
        document = yaml_reader.load(data, name="job.yaml")

        assert document.value == json.loads(json.dumps(document.value))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (["bands"], "job.yaml:2:1"),
        (["bands", 1], "job.yaml:4:5"),
        (["bands", 1, "kind"], "job.yaml:4:18"),
        (["bands", 1, "corner_hz"], "job.yaml:4:5"),
        (["absent", "deep"], "job.yaml:1:1"),
    ],
)
def test_place_is_that_of_the_key(path, place):
    """Or of what should have held it, when it is absent."""
    text = "preset: song\nbands:\n  - corner_hz: 80\n  - {hz: 90,     kind: shelf}\n"
    document = yaml_reader.load(text.encode(), name="job.yaml")

    assert place == document.place_of(path)


def test_validate_returns_an_instance():
    """Defaults fill what the document leaves out; YAML's plain words become what is wanted."""
    document = yaml_reader.load(b"limiter: no\nbands: [{corner_hz: 80}]", name="job.yaml")

    expected = Song(limiter=False, bands=[Band(corner_hz=80.0)])
    assert expected == validate(Song, document)


def test_validate_takes_an_empty_document_as_no_settings():
    """An empty job.yaml is a job with the defaults."""
    assert Song() == validate(Song, yaml_reader.load(b"", name="job.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prset: a", "job.yaml:1:1: prset: unknown key; did you mean preset?"),
        ("x: 1", "job.yaml:1:1: x: unknown key; known are bands, bits, limiter, preset, sends"),
        (
            "bands:\n- {corner_hz: 80, knid: peak}",
            "job.yaml:2:19: bands.0.knid: unknown key; did you mean kind?",
        ),
        (
            "sends:\n  hall: {corner_hz: 9, corner: 1}",
            "job.yaml:2:24: sends.hall.corner: unknown key; did you mean corner_hz?",
        ),
        ("bands: [{kind: peak}]", "job.yaml:1:9: bands.0.corner_hz: is missing"),
        ("bands:\n- corner_hz: -1", "input should be greater than 0, found -1"),
        ("bits: many", "job.yaml:1:1: bits: input should be a valid integer"),
        ("bands: [{corner_hz: 1, kind: bell}]", "should be 'shelf' or 'peak', found 'bell'"),
        ("[1, 2]", "job.yaml:1:1: must hold keys and values, found [1, 2]"),
        ("bands: [7]", "job.yaml:1:9: bands.0: must hold keys and values, found 7"),
    ],
)
def test_validate_says_where_what_and_what_instead(text, message):
    """Place, key, what was found, what was expected, the nearest known key."""
    assert message in complaint(text, Song)


def test_validate_tells_all_problems_at_once():
    """One line each; the details have them apart."""
    with pytest.raises(BadInput) as refused:
        validate(Song, yaml_reader.load(b"bits: x\nbts: 1", name="job.yaml"))

    assert 2 == len(refused.value.message.splitlines())
    assert ["bits", "bts"] == [one["key"] for one in refused.value.details["problems"]]


def test_validate_never_repeats_a_whole_file():
    """A message is for people: a long value is cut."""
    message = complaint(f"bits: {'x' * 1000}", Song)

    assert re.search("found 'x{50,60}…$", message)


def test_validate_prints_keys_that_could_steer_a_terminal_as_escapes():
    """Keys are a stranger's text."""
    assert r"'\x1b[2J': unknown key" in complaint(r'"\e[2J": 1', Song)


def test_assign_makes_the_way():
    """A dotted key reaches into mappings and makes those that are absent."""
    value = {"a": {"b": 1}, "c": 2}
    assign(value, "a.d", 3)
    assign(value, "c.e.f", 4)

    assert {"a": {"b": 1, "d": 3}, "c": {"e": {"f": 4}}} == value


def test_document_of_values_has_its_name_for_a_place():
    """What came from a command line stands nowhere in a file."""
    with pytest.raises(BadInput, match=r"^SETTINGS_INVALID: --set: bits: input should be"):
        validate(Song, Document.of({"bits": "x"}, name="--set"))
