"""Compressors, de-essers and saturation: settings that do what they say to the sound."""

import numpy as np
import pytest

from dsp.formats.reader import Limits, probe
from dsp.measure.loudness import StepEnergies, integrated_lufs
from dsp.mixing.compression import (
    compression_change_db,
    compression_of,
    deess_of,
    drive_of,
    glue_of,
    saturation_change_db,
)
from dsp.mixing.render.strip import DEESS_ATTACK_MS, DEESS_RELEASE_MS, compressor_of
from dsp.mixing.roles import PROFILES
from dsp.mixing.source import Resources
from dsp.mixing.stem_analysis import analyse
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.track import track_of
from dsp.processors.compressor import DeEsser
from dsp.processors.saturation import Saturation
from tests.support.analyses import track_named
from tests.support.stems import written

RATE_HZ = 48_000
TIME_S = np.arange(8 * RATE_HZ) / RATE_HZ


def loudness(sound):
    meter = StepEnergies(RATE_HZ, 1, step_s=STEP_S)
    meter.update(sound)
    return integrated_lufs(meter.energies()[:, 0], step_s=STEP_S)


def beats():
    """A deep kick that makes the peaks, and hiss between that makes the loudness."""
    kick = np.sin(2 * np.pi * 60 * TIME_S) * np.exp(-((TIME_S * 2) % 1.0) * 9.0)
    hiss = np.random.default_rng(1).standard_normal(len(TIME_S)) * 0.06
    hiss *= np.exp(-((TIME_S * 8 + 0.5) % 1.0) * 5.0)
    return (0.5 * (kick + hiss)).astype(np.float32)[:, np.newaxis]


def voice():
    """A voice of vowels with an s of a tenth of a second now and then."""
    rng = np.random.default_rng(2)
    vowels = sum(np.sin(2 * np.pi * 200 * n * TIME_S) / n for n in range(1, 12))
    vowels *= np.sin(2 * np.pi * 0.9 * TIME_S) > -0.6
    hiss = np.fft.rfft(rng.standard_normal(len(TIME_S)))
    hz = np.fft.rfftfreq(len(TIME_S), 1 / RATE_HZ)
    hiss = np.fft.irfft(hiss * ((hz > 5_000) & (hz < 9_500)), len(TIME_S))
    s = TIME_S % 0.8 < 0.09
    return (0.07 * vowels * ~s + 0.12 * hiss * s).astype(np.float32)[:, np.newaxis], s


@pytest.fixture
def track(tmp_path):
    """Return a function that analyses a sound as a stem."""

    def of(sound, role):
        path = written(tmp_path / f"{role}.wav", sound)
        found = probe(path, name=path.name, limits=Limits())
        analysis = analyse(
            found, resources=Resources(), onsets=False, voice=True, heard=lambda _: None
        )
        return track_of(
            analysis,
            name=path.name,
            role=role,
            profile=PROFILES[role],
            lag_s=0.0,
            song_steps=len(analysis.energy),
        )

    return of


@pytest.mark.parametrize("role", ["lead", "bass", "drums"])
def test_compressor_takes_what_the_role_wants_on_average(track, role):
    """The mean reduction of the real processor is near the one in the reason."""
    panel = compression_of(track(beats(), role), 0.0)
    wanted = float(panel.why.split(", ")[1].split(" dB")[0])
    compressor = compressor_of(panel, rate_hz=RATE_HZ, channels=1)
    compressor.process(beats())

    assert wanted == pytest.approx(compressor.reduction.mean_db, abs=0.4)


@pytest.mark.parametrize("role", ["lead", "drums"])
def test_compressor_changes_the_shape_and_not_the_loudness(track, role):
    """Loudness after make-up is that before, though the peaks are another instrument's."""
    panel = compression_of(track(beats(), role), 0.0)
    done = compressor_of(panel, rate_hz=RATE_HZ, channels=1).process(beats())

    assert loudness(beats()) == pytest.approx(loudness(done), abs=1.0)


def test_change_of_a_compressor_set_by_hand_is_foretold(track):
    """A panel that nobody solved for is heard as it was told."""
    stem = track(beats(), "drums")
    panel = compression_of(stem, 0.0).model_copy(update={"threshold_db": -24.0, "make_up_db": 1.0})
    done = compressor_of(panel, rate_hz=RATE_HZ, channels=1).process(beats())

    assert loudness(done) - loudness(beats()) == pytest.approx(
        compression_change_db(stem, 0.0, panel), abs=1.0
    )


def test_change_of_saturation_is_foretold(track):
    """What a soft clip takes from a driven bass is known before."""
    sound = (0.7 * np.sin(2 * np.pi * 100 * TIME_S)).astype(np.float32)[:, np.newaxis]
    stem = track(sound, "bass")
    drive = drive_of(stem)
    done = Saturation(drive_db=drive.drive_db, mix=drive.mix, rate_hz=RATE_HZ, channels=1)

    assert loudness(done.process(sound)) - loudness(sound) == pytest.approx(
        saturation_change_db(stem, 0.0, drive), abs=0.15
    )


def test_peaky_stems_are_let_through_quickly():
    """Attack and release are shorter, the ratio higher, for a higher crest factor."""
    peaky, dense = (
        compression_of(track_named("vox.wav", crest_db=crest), 0.0) for crest in (20, 8)
    )

    assert peaky.attack_ms < dense.attack_ms
    assert peaky.release_ms < dense.release_ms
    assert peaky.ratio > dense.ratio


@pytest.mark.parametrize("name", ["pad.wav", "strings.wav", "fx.wav", "hats.wav"])
def test_roles_that_want_no_compressor_get_none(name):
    """What is dense already, or is meant to be loose, is left as it is."""
    assert compression_of(track_named(name), 0.0) is None


def test_silence_is_not_compressed():
    """There is no level to set a threshold by."""
    track_ = track_named("vox.wav", lufs=-150.0)

    assert compression_of(track_, 0.0) is None


def deesser_of(panel):
    return DeEsser(
        hz=panel.hz,
        q=panel.q,
        threshold_db=panel.threshold_db,
        ratio=panel.ratio,
        range_db=panel.range_db,
        attack_ms=DEESS_ATTACK_MS,
        release_ms=DEESS_RELEASE_MS,
        rate_hz=RATE_HZ,
        channels=1,
    )


def test_deesser_waits_for_an_s(track):
    """It takes several dB of an s and next to nothing of a vowel."""
    sound, is_s = voice()
    deesser = deesser_of(panel := deess_of(track(sound, "lead"), 0.0))
    taken = sound - deesser.process(sound)
    share = [np.square(taken[at]).sum() / np.square(sound[at]).sum() for at in (is_s, ~is_s)]

    assert 3.0 < deesser.reduction.max_db <= panel.range_db
    assert 0.5 >= deesser.reduction.mean_db
    assert share[0] > 100 * share[1]


@pytest.mark.parametrize("gain_db", [0.0, 9.0])
def test_deesser_leaves_a_bright_voice_bright(track, gain_db):
    """A lead that is bright all the time, as on a finished song, is not held down all the time."""
    sound, _ = voice()
    air = np.random.default_rng(7).standard_normal((len(sound), 1)).astype(np.float32)
    swells = (np.sin(2 * np.pi * 2.1 * TIME_S) ** 8)[:, np.newaxis].astype(np.float32)
    bright = (sound + 0.06 * air * swells) * np.float32(10 ** (gain_db / 20))
    deesser = deesser_of(deess_of(track(bright, "lead"), 0.0))
    deesser.process(bright)

    assert 0.5 >= deesser.reduction.mean_db


def test_voice_without_sibilance_is_not_deessed():
    """A dark voice is left alone, and so is a bright guitar."""
    assert deess_of(track_named("vox.wav", hz=500.0, octaves=1.0), 0.0) is None
    assert deess_of(track_named("guitar.wav", hz=6000.0), 0.0) is None


def test_one_stem_is_not_glued():
    """It has nothing to be glued to."""
    assert glue_of([np.ones(50)]) is None
    assert 1.0 < glue_of([np.ones(50), np.ones(50)]).ratio <= 2.0


@pytest.mark.parametrize("gain_db", [-20.0, 0.0, 10.0])
def test_glue_follows_the_level_of_the_sum(gain_db):
    """A quiet sum is held together as much as a loud one: stems come at any level."""
    usual, other = (
        glue_of([np.full(50, 0.1 * 10 ** (gain / 20))] * 3).threshold_db for gain in (0, gain_db)
    )

    assert usual + gain_db == pytest.approx(other, abs=0.3)
