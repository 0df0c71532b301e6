"""Whatever one handler does, the jobs beside it are done: the rows are in ``support.deeds``."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemon.files import Files
from tests.support.deeds import DEEDS
from tests.support.survey import ROOT

NOBODY = 65_534
KINDS = sorted({deed.kind for deed in DEEDS.values()})
WORDS = {"results", "errors", "messages"}
"""Kinds in which nothing is asked of the kernel: who the worker is should change nothing."""
RARE = {"other signals"}
"""Kinds whose rows come out as those of another kind do: tried before a release."""


def cases():
    """Yield every kind in every mode; the quick ones are how a service runs."""
    as_we_are = "root" if os.getuid() == 0 else "user"
    for kind in KINDS:
        quick = {("unconfined", as_we_are) if kind in WORDS else ("confined", "user")}
        for mode in itertools.product(("confined", "unconfined"), ("root", "user")):
            marks = () if mode in quick and kind not in RARE else pytest.mark.slow
            yield pytest.param(kind, *mode, id="-".join((kind, *mode)), marks=marks)


CASES = list(cases())


@pytest.fixture
def anybodys():
    """Give a folder that every user may enter: pytest closes those above its own at each start."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    Files().remove_tree("clear", folder)  # deeper than Python's own removal reaches


def survey(folder, kind, confinement, user):
    """Run the rows of a kind in a process of its own; return what came of them."""
    uid = 0 if user == "root" else (os.getuid() or NOBODY)
    script = str(ROOT / "tests" / "support" / "survey.py")
    done = subprocess.run(
        [sys.executable, script, str(folder / "spool"), kind, confinement, str(uid)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(("kind", "confinement", "user"), CASES)
def test_pool_survives(anybodys, kind, confinement, user):
    """Each row has its outcome and its code, and the job beside it is done."""
    if user == "root" and os.getuid() != 0:
        pytest.skip("needs root: run the tests with sudo")
    came = survey(anybodys, kind, confinement, user)
    wrong = []
    for name, one in came["found"].items():
        deed = DEEDS[name]
        row = deed.expected(confined=confinement == "confined", root=user == "root")
        untouched = all(["made\n", 0o644] == file for file in one["elsewhere"])
        hinted = one["row"][0] == "done" or one["hint"]
        if [list(row), [], True] != [one["row"], one["strays"], untouched]:
            wrong.append(f"{name}: expected {row}, came {one}")
        assert hinted, name

    assert not wrong, "\n".join(wrong)
    assert ["done"] == came["beside"]
    assert [] == came["left"]


def test_table_is_as_long_as_it_was():
    """Rows are added, not lost."""
    assert len(DEEDS) >= 130
