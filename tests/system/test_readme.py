"""What the README shows is what works."""

import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.support.containers import noise_bytes
from tests.support.daemons import Daemon, read_json, settings_for, until

README = Path(__file__).parents[2] / "README.md"


def block(kind, containing):
    """Return the one block of the README in this language that holds this text."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (found,) = [each for each in blocks if containing in each]
    return found


@pytest.fixture
def daemon(tmp_path):
    """A daemon with the README's handler and configuration, word for word but for its folder."""
    folder = tmp_path / "handlers"
    folder.mkdir()
    for name in ("shout", "words"):
        text = block("python", {"shout": ".upper()", "words": "Split("}[name])
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    text = block("yaml", "handler: shout").replace("/srv/handlers", str(folder))
    settings = settings_for(tmp_path / "spool") | yaml.safe_load(text)
    quick = dict.fromkeys(
        ("settle_s", "settle_folder_s", "settle_single_s", "settle_unknown_s"), 0.05
    )
    settings["inboxes"]["words"] = {"handler": "words"}
    for inbox in settings["inboxes"].values():
        inbox["settling"] = dict(quick)  # no YAML alias
    with Daemon(tmp_path / "spool", settings) as daemon:
        daemon.start()
        yield daemon


def ended(daemon, inbox, label):
    """Return the final status of a drop."""
    path = daemon.root / "outbox" / inbox / f"{label}.status.json"
    until(lambda: read_json(path).get("terminal"), f"{label} has ended")
    return read_json(path)


def into(daemon, inbox, name, files):
    """Drop a folder with these files, or a loose file."""
    place = daemon.root.parent / name
    if isinstance(files, bytes):
        place.write_bytes(files)
    else:
        place.mkdir()
        for path, content in files.items():
            (place / path).write_bytes(content)
    place.rename(daemon.root / "inbox" / inbox / name)


def test_handler_of_ones_own_takes_what_it_says(daemon):
    """Text in folders and loose files, with its options; beside it, songs are mixed."""
    into(daemon, "shout", "Article", {"article.md": b"# Hello", "job.yaml": b"ending: '!'"})
    into(daemon, "shout", "note.txt", b"one line")
    into(daemon, "shout", "Song", {"kick.wav": noise_bytes("wav")})
    into(daemon, "mix", "loud.wav", noise_bytes("wav"))
    into(daemon, "mix", "words", {"article.md": b"# Hello"})
    article, note = (ended(daemon, "shout", name) for name in ("Article", "note.txt"))
    refused = ended(daemon, "shout", "Song")["error"]
    mixed, silent = ended(daemon, "mix", "loud.wav"), ended(daemon, "mix", "words")["error"]
    made = {
        name: (daemon.root / "outbox" / "shout" / name / "names.txt").read_text("utf-8")
        for name in ("Article", "note.txt")
    }

    assert ("done", "done", "done") == (article["state"], note["state"], mixed["state"])
    assert {"Article": "ARTICLE.MD!\nJOB.YAML!", "note.txt": "NOTE.TXT?"} == made
    assert 1 == note["measurements"]["names"]
    assert ("NO_INPUT", "NO_AUDIO") == (refused["code"], silent["code"])
    assert ".md .txt" in refused["message"]


def test_handler_that_splits_counts_each_text(daemon):
    """In parts; of a loose file, in one."""
    into(daemon, "words", "Poems", {"a.md": b"# one two", "b.txt": b"one", "c.wav": b"none"})
    into(daemon, "words", "note.txt", b"only one line")
    made = {}
    for name in ("Poems", "note.txt"):
        status = ended(daemon, "words", name)
        table = daemon.root / "outbox" / "words" / name / "words.csv"
        made[name] = status["parts"]["done"], table.read_text("utf-8")

    assert {"Poems": (2, "a.md;3\nb.txt;1"), "note.txt": (1, "note.txt;3")} == made


def test_inbox_leaves_alone_what_its_handler_does_not_take(daemon):
    """A loose file of another kind is no drop; the heartbeat names it in the inbox it lies in."""
    into(daemon, "shout", "kick.wav", noise_bytes("wav"))
    into(daemon, "mix", "note.txt", b"one line")

    def left_alone():
        inboxes = read_json(daemon.root / "daemon.json")["inboxes"]
        return {name: list(one["left_alone"]) for name, one in inboxes.items() if one["left_alone"]}

    until(lambda: {"mix": ["note.txt"], "shout": ["kick.wav"]} == left_alone(), "both are named")
    told = read_json(daemon.root / "daemon.json")["inboxes"]["shout"]
    assert [".md", ".txt"] == told["accepts"]
    assert ("shout", "all", ["names"]) == (told["handler"], told["judge"], told["headline"])


def test_drops_wait_for_a_handler_that_cannot_be_imported(daemon):
    """They stay in the inbox and say why; mended and reloaded, they are taken."""
    module = Path(daemon.settings["handler_paths"][0]) / "shout.py"
    good = module.read_text("utf-8")
    module.write_text("import nowhere_to_be_found\n")
    daemon.process.send_signal(signal.SIGHUP)
    unusable = "unusable_handlers"
    until(lambda: read_json(daemon.root / "daemon.json")["pool"][unusable], "it is known")
    into(daemon, "shout", "note.txt", b"one line")
    into(daemon, "mix", "loud.wav", noise_bytes("wav"))
    status = daemon.root / "outbox" / "shout" / "note.txt.status.json"
    until(lambda: read_json(status).get("wait"), "the drop says why it waits")
    waiting = read_json(status)
    mixed = ended(daemon, "mix", "loud.wav")

    assert "receiving" == waiting["state"]
    assert "No module named 'nowhere_to_be_found'" in waiting["wait"]["detail"]
    assert (daemon.root / "inbox" / "shout" / "note.txt").exists()
    assert "done" == mixed["state"]

    module.write_text(good)
    daemon.process.send_signal(signal.SIGHUP)
    assert "done" == ended(daemon, "shout", "note.txt")["state"]


def test_every_local_link_of_the_readme_leads_somewhere():
    """No picture and no page that the README names is missing."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8"))

    assert [] == [link for link in links if not (README.parent / link).exists()]
