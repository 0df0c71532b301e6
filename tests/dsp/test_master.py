"""Mastering: what was written is what was meant, or it is our fault."""

import os

import pytest

from dsp.formats.reader import Limits
from dsp.formats.writer import Writer
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.master import Unverified, _verified
from tests.support.analyses import band, in_time
from tests.support.tones import noise

FRAMES = 30_000
FORMATS = ["wav", "flac", "ogg", "opus", "mp3"]


@pytest.fixture(params=FORMATS)
def made(request, tmp_path):
    """A file of each format, and the sheet that asked for it."""
    sheet = plan(band(2.0), in_time(band(2.0)), Settings(format=request.param)).sheet
    path = tmp_path / "a"
    with Writer(path, rate_hz=sheet.rate_hz, channels=2, format=sheet.format) as writer:
        writer.write(noise(FRAMES, 1.0, rms_dbfs=-20.0, seed=1))
    return path, sheet


def test_file_is_heard_as_it_was_written(made):
    """All of its frames, by the reader that trusts nobody."""
    path, sheet = made

    assert FRAMES == _verified(path, Limits(), FRAMES, sheet).frames


def test_file_that_lost_its_end_is_our_fault(made):
    """And not the drop's, as a cut stem is."""
    path, sheet = made
    os.truncate(path, path.stat().st_size * 3 // 4)

    with pytest.raises(Unverified, match=r"cannot be read again|were written"):
        _verified(path, Limits(), FRAMES, sheet)


def test_file_of_another_length_or_rate_is_our_fault(made):
    """One frame less than was meant is a mismatch."""
    path, sheet = made

    with pytest.raises(Unverified, match="frames"):
        _verified(path, Limits(), FRAMES + 1, sheet)
    with pytest.raises(Unverified, match="44100 Hz were written"):
        _verified(path, Limits(), FRAMES, sheet.model_copy(update={"rate_hz": 44_100}))
