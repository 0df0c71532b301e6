"""What may come beside the songs of a folder: their truth, and a calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from daemon.config import yaml_reader
from daemon.config.validation import validate
from daemon.errors import BadInput
from daemon.handlers.contract import Note
from dsp.analysis.calibration import Calibration
from dsp.analysis.options import VERSION
from dsp.analysis.truth import Truth, TruthError, read_truth

_TABLE_BYTES = 4 << 20


def truth_in(source: Path, names: Sequence[str], notes: list[Note]) -> Mapping[str, Truth]:
    """Return what ``truth.csv`` says of the songs."""
    if (data := _beside(source / "truth.csv")) is None:
        return {}
    try:
        truth, unmatched = read_truth(data, names)
    except TruthError as error:
        notes.append(Note("TRUTH_UNREADABLE", f"truth.csv, {error}; it was not used"))
        return {}
    if unmatched:
        some = ", ".join(repr(row) for row in unmatched[:5])
        message = f"{len(unmatched)} rows of truth.csv name no song, or one of several: {some}"
        notes.append(Note("TRUTH_UNMATCHED", message))
    return truth


def calibration_in(
    source: Path, calibration: Calibration | None, notes: list[Note]
) -> Calibration | None:
    """Return what is to be applied: of the drop, else the given one, of the inbox."""
    name = "calibration.yaml"
    try:
        if (data := _beside(source / name)) is not None:
            calibration = validate(Calibration, yaml_reader.load(data, name=name))
    except (BadInput, ValidationError) as error:
        notes.append(Note("CALIBRATION_UNREADABLE", f"{error}; nothing was calibrated"))
        return None
    if calibration is not None and calibration.version != VERSION:
        message = f"{calibration.name} is of version {calibration.version}, this is {VERSION}"
        notes.append(Note("CALIBRATION_STALE", f"{message}; nothing was calibrated"))
        return None
    return calibration


def _beside(path: Path) -> bytes | None:
    """Return a small plain file that came with the songs; no link is followed."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(_TABLE_BYTES)
