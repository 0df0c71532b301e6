"""The version stands in three places, because none may know another: they agree."""

import tomllib
from pathlib import Path

from daemon import __version__
from dsp.mixing import plan


def test_versions_agree():
    """That of the package, of the daemon, and of the engine's decisions.

    The engine does not import the daemon, the daemon's parent not the engine, and asking the
    package's metadata costs every start of the command more than all that is left to save.
    """
    project = Path(__file__).parents[2] / "pyproject.toml"
    packaged = tomllib.loads(project.read_text("utf-8"))["project"]["version"]

    assert {packaged} == {__version__, plan.VERSION}
