import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from daemon.config import file as config_file
from daemon.config import yaml_reader
from daemon.config.models import Config, Inbox, load
from daemon.config.validation import validate
from daemon.errors import BadConfig

MANUAL = Path(__file__).parents[2] / "config.yaml"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path, text):
    """Write a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def keys_of(model, above=""):
    """Yield every key of a model, dotted, in order; of inboxes, those of ``mix``."""
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        inner = Inbox if name == "inboxes" else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(
                inner, f"{above}{name}.mix." if inner is Inbox else f"{above}{name}."
            )


def manual():
    """Return the manual as a document."""
    return yaml_reader.load(MANUAL.read_bytes(), name="config.yaml")


# the manual


def test_manual_names_every_key_in_order():
    """What can be set is what the manual shows, in the order of the models."""
    document = manual()
    found = [".".join(path) for path in document.places if path and path != ("inboxes", "mix")]

    assert list(keys_of(Config)) == found


def test_manual_shows_the_defaults():
    """Running with the manual is running with nothing."""
    assert Config() == validate(Config, manual())


def test_manual_explains_every_key():
    """A sentence stands right above each key, and ends."""
    lines = MANUAL.read_text().splitlines()
    for path, place in manual().places.items():
        line = int(place.split(":")[1]) - 1
        if path and path != ("inboxes", "mix"):
            above = lines[line - 1].strip()
            assert above.startswith("# "), path
            assert above.endswith("."), path


def test_manual_is_what_the_package_falls_back_to(here):
    """Without any configuration there is ``./spool`` and one inbox."""
    config = load(environment={})

    assert MANUAL == config_file.packaged()
    assert (here / "spool", ["mix"]) == (config.root, list(config.inboxes))


# which file


def test_find_follows_its_order(here):
    """The named file, the variable, ``./config.yaml``, the packaged copy."""
    named = written(here / "named" / "a.yaml", "drain_s: 1")
    by_variable = written(here / "variable" / "b.yaml", "drain_s: 2")
    environment = {"SOUNDSPOOL_CONFIG": str(by_variable)}
    without = load(environment={}).drain_s
    written(here / "config.yaml", "drain_s: 3")

    assert [1, 2, 3, 60] == [
        load(named, environment).drain_s,
        load(environment=environment).drain_s,
        load(environment={}).drain_s,
        without,
    ]


@pytest.mark.usefixtures("here")
def test_find_refuses_a_named_file_that_is_not_there():
    """A typo in a path is no reason to run with the defaults."""
    with pytest.raises(BadConfig, match=r"^nowhere\.yaml: config: there is no such file$"):
        load(Path("nowhere.yaml"), {})


def test_relative_paths_start_at_the_folder_of_their_file(here):
    """The same file means the same spool, from wherever the daemon is started."""
    text = "root: ../spool\ninboxes: {nas: {path: nas}}\nhandler_paths: [mine, /opt/handlers]\n"
    file = written(here / "etc" / "config.yaml", text)
    config = load(file, {})

    assert (here / "spool") == config.root.resolve()
    assert (here / "etc" / "nas") == config.inboxes["nas"].path
    assert [here / "etc" / "mine", Path("/opt/handlers")] == config.handler_paths


def test_tilde_is_the_home_of_the_daemon(here, monkeypatch):
    """As a shell would have it."""
    monkeypatch.setenv("HOME", "/home/radio")

    assert Path("/home/radio/spool") == load(written(here / "c.yaml", "root: ~/spool"), {}).root


def test_environment_overrules_the_file(here):
    """``SOUNDSPOOL_A__B`` is the key ``a.b``."""
    file = written(here / "c.yaml", "pool: {slots: 1, memory_mb: 99}\ndrain_s: 1")
    environment = {"SOUNDSPOOL_POOL__SLOTS": "2", "SOUNDSPOOL_INBOXES__TALK__LANE": "rush"}
    config = load(file, environment)

    assert (2, 99, 1) == (config.pool.slots, config.pool.memory_mb, config.drain_s)
    assert "rush" == config.inboxes["talk"].lane


# what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool:\n  slotz: 2", "c.yaml:2:3: pool.slotz: unknown key; did you mean slots?"),
        ("drain_s: soon", "c.yaml:1:1: drain_s: input should be a valid number"),
        ("drain_s: nan", "c.yaml:1:1: drain_s: input should be a finite number"),
        ("drain_s: -1", "c.yaml:1:1: drain_s: input should be greater than or equal to 0"),
        ("inboxes:\n  ../etc: {}", "c.yaml:2:3: inboxes.../etc: string should match"),
        ("inboxes:\n  a:\n    limits: {chanels: 2}", "c.yaml:3:14: inboxes.a.limits.chanels: "),
        ("a: 1\na: 2", "c.yaml:2:1: config: 'a' is set twice"),
        ("- root", "c.yaml:1:1: config: must hold keys and values"),
    ],
)
def test_load_says_where_and_what(here, text, message):
    """``file:line:col: key: message``."""
    written(here / "c.yaml", text)
    with pytest.raises(BadConfig) as refused:
        load(Path("c.yaml"), {})

    assert message in str(refused.value)


def test_load_tells_all_problems_at_once(here):
    """One round of corrections is enough."""
    written(here / "c.yaml", "drain_s: x\npool: {slots: y}\n")
    with pytest.raises(BadConfig) as refused:
        load(Path("c.yaml"), {})

    lines = str(refused.value).splitlines()
    assert ["c.yaml:2:8: pool.slots", "c.yaml:1:1: drain_s"] == [
        line.split(": input")[0] for line in lines
    ]


@pytest.mark.usefixtures("here")
def test_load_names_the_variable_at_fault():
    """An override has a place too."""
    with pytest.raises(BadConfig, match=r"^\$SOUNDSPOOL_POOL__SLOT: pool\.slot: unknown key; did"):
        load(environment={"SOUNDSPOOL_POOL__SLOT": "2"})


# the root, quickly


@pytest.mark.parametrize("text", ["root: /srv/spool", "root: here", "drain_s: 1", "", "- odd"])
def test_root_of_agrees_with_load(here, text):
    """The short way and the long way find the same spool; the short one checks nothing."""
    file = written(here / "c.yaml", text)
    expected = load(file, {}).root if text != "- odd" else here / "spool"

    assert expected == config_file.root_of(file, {})


def test_root_of_needs_no_pydantic():
    """``soundspool status`` starts in a blink."""
    code = "import sys, daemon.config.file as c; c.root_of(); sys.exit('pydantic' in sys.modules)"

    assert (
        0 == subprocess.run([sys.executable, "-c", code], cwd=MANUAL.parent, check=False).returncode
    )
