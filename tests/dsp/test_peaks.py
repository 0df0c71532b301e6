"""Waveform data: the bytes that other programs read, held against the format's description."""

import json
import struct

import numpy as np
import pytest

from dsp.report.peaks import peaks_dat, peaks_json, thinned

RATE_HZ = 44_100


def outline(pairs):
    return np.random.default_rng(1).integers(-128, 128, (pairs, 2), dtype=np.int8)


def test_dat_is_version_2_with_8_bits():
    """Six little-endian fields, then a signed byte for each least and greatest sample."""
    data = peaks_dat(np.array([[-128, 127], [-1, 16]], np.int8), RATE_HZ)

    assert (2, 1, RATE_HZ, 512, 2, 1) == struct.unpack("<iIiiIi", data[:24])
    assert (-128, 127, -1, 16) == struct.unpack("4b", data[24:])


def test_json_says_what_dat_says():
    """Both forms hold the same numbers under the names that readers look for."""
    told = json.loads(b"".join(peaks_json(outline(10), RATE_HZ)))
    data = peaks_dat(outline(10), RATE_HZ)

    assert list(struct.unpack("20b", data[24:])) == told.pop("data")
    assert {"version": 2, "channels": 1, "sample_rate": RATE_HZ, "samples_per_pixel": 512,
            "bits": 8, "length": 10} == told  # fmt: skip


def test_json_of_hours_holds_every_number():
    """It is written part by part, and the parts are one list."""
    hours = outline(70_000)

    assert hours.ravel().tolist() == json.loads(b"".join(peaks_json(hours, RATE_HZ)))["data"]


def test_file_without_sound_has_a_header():
    """No pair is no reason to write nothing."""
    none = outline(0)

    assert (24, 0) == (
        len(peaks_dat(none, RATE_HZ)),
        json.loads(b"".join(peaks_json(none, RATE_HZ)))["length"],
    )


@pytest.mark.parametrize(("pairs", "left"), [(0, 0), (7, 7), (1_500, 1_500), (4_001, 1_500)])
def test_drawing_loses_no_peak(pairs, left):
    """Fewer pairs than there are stand for all of them."""
    whole = outline(pairs)
    drawn = thinned(whole, 1_500)

    assert (left, 2) == drawn.shape
    if pairs:
        assert [whole.min(), whole.max()] == [drawn.min(), drawn.max()]
