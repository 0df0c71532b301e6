"""The architecture: imports point down, no cycles, few rooms, and the parent stays small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DAEMON = (
    ("daemon.archives", "daemon.clock", "daemon.codes", "daemon.errors", "daemon.files",
     "daemon.imports", "daemon.layout", "daemon.text", "daemon.trees"),
    ("daemon.config", "daemon.handlers", "daemon.logs"),
    ("daemon.jobs", "daemon.pool"),
    ("daemon.intake", "daemon.outbox"),
    ("daemon.supervisor",),
    ("daemon.cli",),
)  # fmt: skip
"""Floors from the ground up; what is not listed (``__main__``) stands on top of all."""

DSP = (
    ("dsp.kernels",),
    (
        "dsp.audio",
        "dsp.units",
        "dsp.errors",
        "dsp.sums",
        "dsp.stem_roles",
        "dsp.containers",
        "dsp.report",
    ),
    ("dsp.processors", "dsp.formats"),
    ("dsp.measure",),
    ("dsp.mixing", "dsp.analysis", "dsp.episode"),
)


def modules(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path, *, lazy=True):
    tree = ast.parse(path.read_text("utf-8"))
    nodes = ast.walk(tree) if lazy else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(name, floors):
    """Return the floor of the longest listed prefix; unlisted modules stand on top."""
    best, found = -1, len(floors)
    for number, entries in enumerate(floors):
        for entry in entries:
            if (name == entry or name.startswith(f"{entry}.")) and len(entry) > best:
                best, found = len(entry), number
    return found


KNOWN = {name for package in ("daemon", "dsp") for name, _ in modules(package)}


def test_imports_point_down():
    """No module knows one on a floor above its own."""
    edges = {
        (name, target)
        for package in ("daemon", "dsp")
        for name, path in modules(package)
        for target in imports_of(path)
        if target in KNOWN and target not in ("daemon", "dsp", name)
    }

    assert [] == sorted(edge for edge in edges if not _may_import(*edge))


def _may_import(name, target):
    if name.startswith("dsp."):
        return target.startswith("dsp.") and floor_of(name, DSP) >= floor_of(target, DSP)
    if target.startswith("dsp.containers"):
        return not name.startswith(("daemon.jobs.", "daemon.pool.", "daemon.outbox."))
    if target.startswith("dsp."):
        return name.startswith("daemon.handlers.") or (
            name.startswith("daemon.cli.") and target.startswith("dsp.kernels")
        )
    return floor_of(name, DAEMON) >= floor_of(target, DAEMON)


def test_modules_do_not_import_each_other_in_a_circle():
    """What is imported when a module is imported forms no cycle."""
    graph = {
        name: {t for t in imports_of(path, lazy=False) if t in KNOWN and t != name}
        for package in ("daemon", "dsp")
        for name, path in modules(package)
    }
    done, path = set(), []

    def visit(name):
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for target in sorted(graph[name]):
                visit(target)
            path.pop()
            done.add(name)

    for name in sorted(graph):
        visit(name)


def test_parent_process_imports_neither_numpy_nor_the_sound_engine():
    """The supervisor and all it imports stay without the libraries of the workers."""
    imported = _imported_by_the_parent()
    of_dsp = {name for name in imported if name.partition(".")[0] == "dsp"}

    assert not {"numpy", "scipy", "soundfile", "soxr"} & imported
    assert {"dsp"} == {name for name in of_dsp if not name.startswith("dsp.containers")}


def test_engine_runs_without_scipy():
    """A worker serves one job: it would pay a second and 60 MB for it, each time."""
    who = {name for name, path in modules("dsp") for t in imports_of(path) if "scipy" in t}

    assert {"dsp.kernels.plain_filters"} == who


def test_containers_import_the_standard_library_alone():
    """What a header says is read in the daemon's own process."""
    for name, path in modules("dsp/containers"):
        for target in imports_of(path):
            top = target.partition(".")[0]
            assert top in sys.stdlib_module_names or target.startswith("dsp.containers"), name


def test_parent_process_imports_nothing_for_people():
    """A process that lives for months carries no command line, no colours, no TLS, no mail.

    Jinja2 it does carry, 3 MB with its template: escaping by hand costs more than that.
    """
    assert not {"typer", "rich", "ssl", "asyncio", "email", "zipfile"} & _imported_by_the_parent()


def _imported_by_the_parent():
    code = "import sys, daemon.supervisor.serve; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_modules_fit_in_one_look():
    """No module is longer than 350 lines, no function longer than 60."""
    assert [] == [path for _, path in (*modules("daemon"), *modules("dsp")) if not _is_short(path)]


def _is_short(path):
    text = path.read_text("utf-8")
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef))
    longest = max((node.end_lineno - node.lineno + 1 for node in functions), default=0)
    return len(text.splitlines()) <= 350 and longest <= 60


@pytest.mark.parametrize(
    ("package", "most_loose", "most_rooms"), [("daemon", 10, 9), ("dsp", 5, 9)]
)
def test_ground_floor_stays_small(package, most_loose, most_rooms):
    """What is new goes into a room; the rooms can be counted on two hands."""
    loose = [path.stem for path in (ROOT / package).glob("*.py") if not path.stem.startswith("__")]
    rooms = [path.parent.name for path in (ROOT / package).glob("*/__init__.py")]

    assert len(loose) <= most_loose, loose
    assert len(rooms) <= most_rooms, rooms


def test_top_level_holds_what_it_may():
    """The layout of the project is fixed."""
    allowed = {"pyproject.toml", "daemon", "dsp", "tests", "systemd", "config.yaml", "README.md",
               "LICENSE", "CHANGELOG.md", "benchmarks", "docs", "hatch_build.py"}  # fmt: skip
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    top = {line.split("/")[0] for line in tracked}

    assert {name for name in top if not name.startswith(".")} <= allowed
