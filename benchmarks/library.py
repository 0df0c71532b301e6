"""A library of many files: what a scan of it costs, beside the bare walk and beside others.

    python benchmarks/library.py
    python benchmarks/library.py --files 20000 --tagged 500 --folder DIR --beet ~/beets/bin/beet

Each scan is a process of its own; of an unchanged one the best of three counts, of the bare walk
the best of two between them, so that both had the same machine. ``find`` lists what is newer than
a stamp, as loops in shells do: it sees no file that is gone, moved, or copied with an old time.
``beet import -A`` reads the tags of the same files into its own catalogue. A daemon is asked for a
first scan, and its outbox watched until the first tags are there.
"""

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from library_tree import make_tree
from measure import Cost, cost_of

from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.ends import RemovalRules
from daemon.handlers.library.runs import Look, Scope
from daemon.handlers.library.work import done

_IN_FOLDER = 20
_CHANGES = {"added": 122, "changed": 130, "moved": 130, "missing": 125}
_HOUR_MS = 3_600_000


def main() -> None:
    """Measure and print; or do one thing, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--tagged", type=int, default=2_000, help="files whose tags are read")
    parser.add_argument("--beet", default=shutil.which("beet"), help="the program, to compare with")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        what, root, catalogue = args.one
        (_walk if what == "walk" else _scan)(Path(root), Path(catalogue))
        return
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="soundspool-benchmark-") as name:
        folder = Path(name)
        root = folder / "music"
        print(f"{args.files} files in {args.files // _IN_FOLDER} folders")
        _make(root, args.files)
        _measure_scans(folder, root, args.files)
        _measure_outbox(folder / "spool", root)
        shutil.rmtree(root)
        _measure_tags(folder, args.tagged, args.beet)


def _make(root: Path, files: int) -> None:
    for number in range(files):
        folder = root / f"{number // (_IN_FOLDER * 100):03}" / f"{number // _IN_FOLDER % 100:02}"
        if number % _IN_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number % _IN_FOLDER:02} song {number}.flac").write_bytes(b"%d" % number)


def _measure_scans(folder: Path, root: Path, files: int) -> None:
    catalogue = folder / "catalogue.sqlite3"
    first, first_s = _cost("scan", root, catalogue)
    _say("first scan", first, files, f"; first rows after {first_s:.2f} s")
    bare, again = [], []
    for number in range(3):
        again.append(_cost("scan", root, catalogue)[0])
        if number < 2:  # noqa: PLR2004 - between the scans
            bare.append(_cost("walk", root, catalogue)[0])
    best = min(again, key=lambda cost: cost.wall_s)
    walk = min(bare, key=lambda cost: cost.wall_s)
    _say("bare walk", walk, files)
    wall, cpu = best.wall_s / walk.wall_s, best.cpu_s / walk.cpu_s
    _say("nothing changed", best, files, f"; {wall:.2f} × the bare walk, {cpu:.2f} × its CPU")
    stamp = folder / "stamp"
    stamp.touch()
    _say("find -newer", cost_of(["find", root, "-type", "f", "-newer", stamp]), files)
    print(f"catalogue: {catalogue.stat().st_size / files:.0f} bytes a file")
    _change(root)
    _cost("scan", root, catalogue)
    with Catalogue(catalogue) as known:
        rows = known.execute(
            "SELECT kind, count(*) FROM change WHERE run = (SELECT max(id) FROM run) GROUP BY kind"
        )
        found = {row[0]: row[1] for row in rows}
    print(f"differences: {found}, {'exact' if found == _CHANGES else f'but {_CHANGES} were made'}")


def _change(root: Path) -> None:
    """Add, change, rename and remove files, each a file of its own."""
    dice = random.Random(1)  # noqa: S311 - guards nothing
    files = dice.sample(sorted(root.rglob("*.flac")), sum(_CHANGES.values()) - _CHANGES["added"])
    for number in range(_CHANGES["added"]):
        (files[number].parent / f"new {number}.flac").write_bytes(b"new")
    for number, path in enumerate(files):
        if number < _CHANGES["changed"]:
            path.write_bytes(b"changed, and longer")
        elif number < _CHANGES["changed"] + _CHANGES["moved"]:
            path.rename(files[dice.randrange(100)].parent / f"moved {number}.flac")
        else:
            path.unlink()


def _measure_outbox(spool: Path, root: Path) -> None:
    """Say when readers of the outbox see the first rows of a first scan, and the first tags."""
    inbox, view = spool / "inbox/archive", spool / "outbox/archive/catalogue.sqlite"
    inbox.mkdir(parents=True)
    settings = {"handler": "daemon.handlers.library", "reads": {"music": str(root)}}
    settings |= {"keeps": True, "options": {"settle_s": 0}}
    (spool / "config.yaml").write_text(
        json.dumps({"root": str(spool), "pool": {"slots": 2}, "inboxes": {"archive": settings}})
    )
    with (
        (spool / "log").open("wb") as log,
        subprocess.Popen(
            ["soundspool", "run", "--config", spool / "config.yaml"], stdout=log, stderr=log
        ) as daemon,
    ):
        while not _ready(spool / "daemon.json"):
            time.sleep(0.05)
        (inbox / "now.scan").write_text("full: false\n")
        began_s = time.perf_counter()
        for what, table in (("rows", "file"), ("tags", "meta")):
            while not (found := _counted(view, table)):
                time.sleep(0.05)
            took_s = time.perf_counter() - began_s
            print(f"first {what} in the outbox: {found} after {took_s:.1f} s")
        daemon.terminate()


def _ready(status: Path) -> bool:
    """Return whether a daemon has been there for some beats, so that its workers have started."""
    return status.exists() and json.loads(status.read_bytes())["seq"] >= 3  # noqa: PLR2004


def _counted(view: Path, table: str) -> int:
    if not view.exists():
        return 0
    connection = sqlite3.connect(view)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
    finally:
        connection.close()


def _measure_tags(folder: Path, files: int, beet: str | None) -> None:
    root = folder / "tagged"
    make_tree(root, files)
    listed, rows = folder / "list.jsonl", folder / "rows.jsonl"
    with listed.open("w") as out:
        for number, path in enumerate(sorted(root.rglob("[0-9]*.*"))):
            told = path.stat()
            asked = {"id": number, "root": "tagged", "size": told.st_size, "known": None}
            asked |= {"mtime_ns": told.st_mtime_ns, "folder": path.parent.name, "name": path.name}
            out.write(json.dumps(asked) + "\n")
    cpu_s = []
    for _ in range(3):
        began = time.process_time()
        done("tags", listed, {"tagged": root}, rows, hear=lambda *_: {}, report=lambda _: None)
        cpu_s.append(time.process_time() - began)
    titled = sum("Song" in json.loads(line)["tags"].get("title", "") for line in rows.open())
    print(
        f"tags of {files} files, {titled} with a title:"
        f" {files / min(cpu_s):.0f} files a second of CPU"
    )
    ours = cost_of(["soundspool", "library", root, folder / "out", "-s", "settle_s=0",
                    "-s", "follow=[tags]"])  # fmt: skip
    _say("soundspool library, tags", ours, files)
    stamp = folder / "stamp"
    stamp.touch()
    _say("find -newer", cost_of(["find", root, "-type", "f", "-newer", stamp]), files)
    if beet is None:
        print("beet: not installed")
        return
    settings = folder / "beets.yaml"
    paths = f"directory: {folder}/beets\nlibrary: {folder}/beets.db\n"
    settings.write_text(f"{paths}plugins: []\nimport: {{copy: no, write: no, resume: no}}\n")
    command = [beet, "-c", settings, "import", "-A", "-q", root]
    theirs = cost_of(command, log=folder / "beet.log")
    _say("beet import -A", theirs, files, f"; {theirs.cpu_s / ours.cpu_s:.1f} × our CPU")
    again = cost_of(command, log=folder / "beet.log")
    _cost("scan", root, folder / "tagged.sqlite3")
    rescan, _ = _cost("scan", root, folder / "tagged.sqlite3")
    _say("nothing changed, our scan", rescan, files)
    _say("beet import -A again", again, files, f"; {again.cpu_s / rescan.cpu_s:.0f} × our CPU")


def _cost(what: str, root: Path, catalogue: Path) -> tuple[Cost, float]:
    """Do one thing in a process of its own; return what it cost without the start of Python."""
    said = subprocess.run(
        [sys.executable, __file__, "--one", what, root, catalogue],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(said.stdout)
    return Cost(told["wall_s"], told["cpu_s"], told["peak_mib"]), told["first_s"]


def _say(what: str, cost: Cost, files: int, more: str = "") -> None:
    each_us = 1e6 / files
    print(
        f"{what}: {cost.wall_s * each_us:.1f} µs a file, {cost.cpu_s * each_us:.1f} of CPU,"
        f" {cost.peak_mib:.0f} MiB{more}"
    )


def _scan(root: Path, catalogue: Path) -> None:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    commits_s: list[float] = []
    with Catalogue(catalogue, lambda: commits_s.append(time.perf_counter() - began_s)) as known:
        # An hour ahead: what was just made is not young, and a day is not over.
        now_ms = time.time_ns() // 1_000_000 + _HOUR_MS
        look = Look(known, {"music": root}, Scope(), now_ms=now_ms)
        look.begin()
        begun = len(commits_s)
        look.go(1 << 62, RemovalRules())
    _tell(began_s, began_cpu_s, commits_s[min(begun + 1, len(commits_s) - 1)])


def _walk(root: Path, _: Path) -> None:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    stack = [os.fspath(root)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
    _tell(began_s, began_cpu_s, 0.0)


def _tell(began_s: float, began_cpu_s: float, first_s: float) -> None:
    told = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told | {"first_s": first_s, "peak_mib": peak_mib}))


if __name__ == "__main__":
    main()
