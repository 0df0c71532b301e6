"""What is said of two results of one drop's name."""

from dataclasses import asdict

from daemon.jobs.job import Job
from daemon.outbox.changes import changes_of
from tests.support.jobs import new_job


def job(options=None, files=(), **figures):
    inputs = [{"path": path, "sha256": sha256} for path, sha256 in files]
    fields = asdict(new_job(options=options or {}))
    return Job(**fields, result={"inputs": inputs, "measurements": figures})


def test_settings_files_and_figures_that_differ_are_named():
    """The number that was edited, not the whole sheet; the reasons beside numbers are none."""
    stems = {"bass.wav": {"fader_db": -6.0, "fader_why": "its role"}}
    before = job(
        {"target_lufs": -14.0, "stems": stems},
        [("bass.wav", "a"), ("kick.wav", "b")],
        integrated_lufs=-14.0, range_lu=5.0, frames=100,
    )  # fmt: skip
    louder = {"bass.wav": {"fader_db": -3.0, "fader_why": "edited"}}
    now = job(
        {"target_lufs": -14.0, "stems": louder},
        [("bass.wav", "c"), ("mix.yaml", "d")],
        integrated_lufs=-12.5, range_lu=5.0, frames=200,
    )  # fmt: skip

    assert [
        "stems.bass.wav.fader_db -6.0 → -3.0",
        "mix.yaml: new",
        "kick.wav: gone",
        "bass.wav: another version",
        "−14.0 LUFS → −12.5 LUFS",
    ] == changes_of(before, now)


def test_what_changed_is_bounded():
    """A sheet with a hundred stems, and a value of any length, make a few short words."""

    def sheet(fader_db, note):
        return {"stems": {f"{n}.wav": {"fader_db": fader_db} for n in range(100)}, "note": note}

    told = changes_of(job(sheet(1.0, "x" * 9_000)), job(sheet(2.0, "y" * 9_000)))

    assert 7 == len(told)
    assert "95 more settings" == told[-1]
    assert max(map(len, told)) < 250
    assert ["with a recall sheet as settings", "note a → b"] == changes_of(
        job({"note": "a"}), job(sheet(1.0, "b"))
    )
