"""What services and codecs do to a master."""

import numpy as np
import pytest

from dsp.formats.reader import Limits
from dsp.formats.writer import Writer
from dsp.mixing.render.platforms import SERVICES, lossy_peaks_dbtp, platforms_of, turned_db
from dsp.mixing.render.verify import listen
from tests.support.tones import noise, tone

BY_NAME = {service.name: service for service in SERVICES}


@pytest.mark.parametrize(
    ("name", "lufs", "peak_dbtp", "turned"),
    [
        ("Spotify", -9.0, -1.0, -5.0),
        ("Spotify", -18.0, -9.0, 4.0),
        ("Spotify", -18.0, -2.0, 1.0),  # its peaks let it rise by no more
        ("Spotify", -18.0, 0.0, 0.0),
        ("YouTube", -18.0, -9.0, 0.0),  # turns nothing up
        ("Apple Music", -14.0, -1.0, -2.0),
        ("EBU R 128", -14.0, -1.0, -9.0),
    ],
)
def test_service_turns_a_master(name, lufs, peak_dbtp, turned):
    assert turned == pytest.approx(turned_db(BY_NAME[name], lufs, peak_dbtp))


def written(path, sound):
    with Writer(path, rate_hz=44_100, channels=2, format="wav") as file:
        file.write(sound)
    return listen(path, Limits())


def test_codecs_raise_the_peaks_of_a_clipped_master(tmp_path):
    """Flat tops are no peaks to a codec: what comes back stands above them."""
    loud = np.clip(noise(44_100, 8.0, rms_dbfs=-6.0, seed=3), -0.5, 0.5)
    heard = written(tmp_path / "master.wav", loud)

    peaks = lossy_peaks_dbtp(tmp_path / "master.wav", heard, Limits())

    assert {"mp3", "opus", "ogg"} == set(peaks)
    assert all(peak > 20 * np.log10(0.5) + 0.5 for peak in peaks.values())
    assert ["master.wav"] == [path.name for path in tmp_path.iterdir()]


def test_the_part_with_the_highest_peak_is_tried(tmp_path):
    heard = written(tmp_path / "master.wav", tone(44_100, [(29.0, -30.0), (1.0, -4.0)]))

    peaks = lossy_peaks_dbtp(tmp_path / "master.wav", heard, Limits())

    assert all(heard.true_peak_dbtp == pytest.approx(peak, abs=0.6) for peak in peaks.values())


def test_silence_has_no_platforms(tmp_path):
    heard = written(tmp_path / "master.wav", np.zeros((44_100, 2), np.float32))

    assert [] == platforms_of(heard)
