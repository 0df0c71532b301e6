"""Every key of both settings files × every YAML type × hostile values: a value or a refusal."""

import json
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.config.drop_settings import DaemonKeys, daemon_keys, settings_of
from daemon.config.models import Config, Inbox, load
from daemon.config.validation import validate
from daemon.config.yaml_reader import load as read
from daemon.errors import BadConfig, BadInput
from daemon.handlers.mix import Options
from tests.support.hostile_yaml import HOSTILE, document, keys_of, values

A_LINE = [
    ("files", "- name"),
    ("files", "- bytes"),
    ("files", "- sha256"),
    ("files", "- name", "a"),
]
JOB_KEYS = [*keys_of(DaemonKeys), *A_LINE, *keys_of(Options), ("no such key",)]
CONFIG_KEYS = [*keys_of(Config, inboxes=Inbox), ("no such key",), ("inboxes", "other", "path")]
KEYS = DaemonKeys.model_fields
LONGEST_MESSAGE = 8_000


def well_told(refusal, place):
    """See that a refusal begins with its place, and is fit for a person."""
    text = str(refusal)
    assert text.startswith(place)
    assert len(text) < LONGEST_MESSAGE
    text.encode()


def job(text):
    """Read a job.yaml as the daemon and a worker do; return what it says, or the refusal."""
    try:
        found = read(text.encode("utf-8", "surrogatepass"), name="job.yaml")
        daemon_keys(found)
        options = {key: found.value[key] for key in set(found.value or ()) - set(KEYS)}
        validate(Options, found.with_value(options))
    except BadInput as refusal:
        well_told(refusal, "SETTINGS_INVALID: job.yaml")
        return None
    json.dumps(found.value, allow_nan=False)
    return found.value


def config(file, text):
    """Read a config.yaml as every command does; return it, or ``None`` when it is refused."""
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = load(file, {})
    except BadConfig as refusal:
        well_told(refusal, str(file))
        return None
    found.model_dump_json()
    return found


@pytest.mark.parametrize("key", JOB_KEYS, ids=".".join)
def test_job_yaml_has_an_answer_to_every_value(key):
    """Whatever stands there: checked, or refused with its place."""
    for value in HOSTILE:
        job(document(key, value))


@pytest.mark.parametrize("key", CONFIG_KEYS, ids=".".join)
def test_config_yaml_has_an_answer_to_every_value(tmp_path, key):
    """The operator is answered as a drop is, and nothing is read that overflows later."""
    for value in HOSTILE:
        config(tmp_path / "config.yaml", document(key, value))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(JOB_KEYS).filter(lambda key: len(key) == 1), values()))
@example({("priority",): "[rush]"})
@example({("priority",): "{a: 1}"})
@example({("force",): "1", ("files",): '[{"name": "a.wav", "bytes": 1e3}]'})
def test_job_yaml_of_many_keys_has_an_answer(found):
    """Values of several keys at once, nested in any way."""
    job("".join(document(key, value) for key, value in found.items()))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CONFIG_KEYS), values())
def test_config_yaml_of_nested_values_has_an_answer(tmp_path_factory, key, value):
    """Nested in any way, at every key."""
    config(tmp_path_factory.getbasetemp() / "config.yaml", document(key, value))


@pytest.mark.parametrize("key", [key for key in CONFIG_KEYS if len(key) > 1], ids=".".join)
@pytest.mark.parametrize("value", ["9" * 30, "1e300"])
def test_no_number_of_the_configuration_is_without_bound(tmp_path, key, value):
    """What is far beyond sense would overflow in a sum, an hour later."""
    assert config(tmp_path / "config.yaml", document(key, value)) is None


@pytest.mark.parametrize("value", ["[rush]", "{a: 1}", "2026-11-20", "1", "''"])
def test_priority_that_is_no_lane_is_told_with_its_place(tmp_path, value):
    """What was found, what is expected, and where: a list was once fatal to the daemon."""
    (tmp_path / "job.yaml").write_text(f"preset: song\npriority: {value}\n")

    with pytest.raises(BadInput) as refused:
        settings_of(tmp_path, {}, max_bytes=1_000)

    assert refused.value.message.startswith(
        "job.yaml:2:1: priority: input should be 'rush', 'normal' or 'bulk'"
    )


def test_settings_of_very_many_mistakes_name_the_first_ones():
    """A status is for people; the rest is counted."""
    with pytest.raises(BadInput) as refused:
        daemon_keys(read(b"files: [" + b"1, " * 20_000 + b"]", name="job.yaml"))

    assert "and 19980 more problems" in refused.value.message
    assert len(refused.value.message) < LONGEST_MESSAGE


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nothing"])
def test_settings_file_that_changed_its_kind_is_not_waited_for(tmp_path, kind, monkeypatch):
    """Between the look at a drop and its reading, anything may take the place of its settings."""
    monkeypatch.setattr(
        "daemon.config.drop_settings.settings_beside", lambda drop: drop / "job.yaml"
    )
    place = tmp_path / "job.yaml"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("/dev/zero")

    with pytest.raises(BadInput, match=r"SETTINGS_INVALID: job\.yaml: "):
        settings_of(tmp_path, {}, max_bytes=1_000)


def test_variable_of_the_environment_that_is_no_text_is_refused(tmp_path):
    """Bytes that are not UTF-8 come as lone surrogates."""
    (tmp_path / "config.yaml").touch()

    with pytest.raises(BadConfig, match=r"\$SOUNDSPOOL_DRAIN_S: .*not text in UTF-8"):
        load(tmp_path / "config.yaml", {"SOUNDSPOOL_DRAIN_S": "\udcff"})
