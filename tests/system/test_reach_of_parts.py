"""What the parts of a job may reach, tried from inside their confined workers."""

import pytest

from tests.support.daemons import Daemon, settings_for, until
from tests.support.truth import drop_folder, statuses

HANDLER = "tests.support.reaching_parts"
OWN = ["own song", "own page", "write what is kept"]
OTHERS = ["other song", "other page", "parts", "write the plan", "write the drop"]


def _measured(tmp_path, *, confine, **keys):
    root = tmp_path / "spool"
    settings = settings_for(root, pool={"slots": 2, "confine": confine})
    settings["inboxes"]["mix"] |= {"handler": HANDLER, **keys}
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_folder(root, "Album", {"a.wav": b"\1\2" * 99, "b.wav": b"\3\4" * 99}, "")
    with Daemon(root, settings) as daemon:
        daemon.start()
        until(daemon.at_rest, "all is done")
        assert 0 == daemon.stop()
    told = statuses(root)["Album"]
    assert "done" == told["state"], told["error"]
    if any(warning["code"] == "NOT_CONFINED" for warning in told["warnings"]):
        pytest.skip(f"this kernel offers less: {told['warnings']}")
    return root, told["measurements"]


def test_part_reaches_what_it_names_and_a_later_round_what_parts_made(tmp_path):
    """Nothing of another part's, nothing of the plan's to write; the kept folder is for all."""
    root, measured = _measured(tmp_path, confine=True)

    assert {"a": OWN, "b": OWN} == measured["parts"]
    assert ["the drop", "the plan", "a part", "write what is kept"] == measured["went"]
    kept = sorted(path.name for path in (root / "state" / "kept" / "mix").iterdir())
    assert ["a", "b", "round"] == kept


def test_part_reads_roots_and_what_one_job_alone_keeps(tmp_path):
    """What two parts could write side by side would mingle: the job itself writes it."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"sound")
    keys = {"reads": {"music": str(tmp_path / "music")}, "keeps": True}
    root, measured = _measured(tmp_path, confine=True, **keys)

    own = [*OWN[:2], "root", "read what is kept"]
    assert {"a": own, "b": own} == measured["parts"]
    assert "write what is kept" in measured["went"]
    assert ["plan", "round"] == sorted(
        path.name for path in (root / "state" / "kept" / "mix").iterdir()
    )


def test_unconfined_part_reaches_everything(tmp_path):
    """Each of these attempts goes well without confinement: the test can fail."""
    _, measured = _measured(tmp_path, confine=False)

    assert sorted([*OWN, *OTHERS]) == sorted(measured["parts"]["a"])
