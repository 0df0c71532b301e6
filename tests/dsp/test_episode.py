"""Speech and music, measured in the encoded file."""

import numpy as np
import pytest
import soundfile

from dsp.episode.music import BED_LU, DUCK_DB, LEAD_S, RELEASE_S, TAIL_S, Music
from dsp.episode.narration import RATE_HZ, VOICE_LUFS, Spoken, narrate
from dsp.units import db_of, ratio_of

SPEECH_HZ, BED_HZ, INTRO_HZ, OUTRO_HZ = 700.0, 1_300.0, 300.0, 450.0


def tone(path, hz, seconds, level=0.2, *, channels=1):
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    soundfile.write(path, np.repeat(wave[:, np.newaxis], channels, axis=1), RATE_HZ)
    return path


def level_db(sound, hz, start_s, end_s):
    """Return the level of one tone between two instants."""
    part = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ), 0]
    turn = np.exp(-2j * np.pi * hz * np.arange(len(part)) / RATE_HZ) * np.hanning(len(part))
    return db_of(abs(np.vdot(part.astype(complex), turn)) / len(part))


def episode(tmp_path, pauses, music):
    voice = tone(tmp_path / "voice.wav", SPEECH_HZ, 2.0)
    spoken = [Spoken(voice, "a", pause_s) for pause_s in pauses]
    out = tmp_path / "e.mp3"
    made = narrate(spoken, tmp_path, out, format="mp3", report=lambda _: None, music=music)
    return made, soundfile.read(out, always_2d=True)[0]


def test_bed_makes_way_for_speech(tmp_path):
    """Down when a word begins, up in a long pause, and down through a short one."""
    bed = tone(tmp_path / "bed.wav", BED_HZ, 25.0, channels=2)
    made, sound = episode(tmp_path, [0.0, 4.0, 1.0], Music(bed=bed))
    (first, end), (again, _), (third, last) = made.spans_s

    up = level_db(sound, BED_HZ, end + RELEASE_S + 0.1, again - 0.4)
    assert up + DUCK_DB == pytest.approx(level_db(sound, BED_HZ, first, end), abs=0.3)
    assert up + DUCK_DB == pytest.approx(level_db(sound, BED_HZ, again, third), abs=0.3)
    assert up - level_db(sound, SPEECH_HZ, first, end) == pytest.approx(
        BED_LU, abs=2.0
    )  # gated, weighted
    assert first == pytest.approx(LEAD_S + 0.03)
    assert made.duration_s - last == pytest.approx(TAIL_S + 0.03, abs=0.001)
    assert again - end == pytest.approx(4.0, abs=0.005)
    assert made.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    assert made.true_peak_dbtp <= -1.0


def test_short_bed_is_begun_anew(tmp_path):
    """Without a gap: its end fades into its beginning."""
    bed = tone(tmp_path / "bed.wav", 1_200.0, 1.5)  # whole periods: what overlaps is in phase
    made, sound = episode(tmp_path, [0.0], Music(bed=bed))
    end = made.spans_s[-1][1]

    levels = [
        level_db(sound, 1_200.0, at, at + 0.2) for at in (1.0, 1.5, 2.0, end + 1.5, end + 2.5)
    ]
    assert max(levels) - min(levels) < 3.5


def test_intro_and_outro_overlap_with_speech_that_is_not_faded(tmp_path):
    """They sound at full level before and after it, and fade where both are heard."""
    music = Music(
        intro=tone(tmp_path / "i.wav", INTRO_HZ, 5.0), outro=tone(tmp_path / "o.wav", OUTRO_HZ, 6.0)
    )
    made, sound = episode(tmp_path, [0.0, 0.5, 0.5], music)
    (start, _), *_, (_, end) = made.spans_s

    assert start == pytest.approx(5.0 - 2.0 + 0.03)
    assert made.duration_s == pytest.approx(end + 0.03 + 4.0, abs=0.001)
    speech = level_db(sound, SPEECH_HZ, start + 0.05, start + 0.25)
    assert speech == pytest.approx(level_db(sound, SPEECH_HZ, start + 1.6, start + 1.9), abs=0.3)
    full = level_db(sound, INTRO_HZ, 1.0, 2.5)
    assert level_db(sound, INTRO_HZ, 3.9, 4.1) == pytest.approx(full - 3.0, abs=0.5)
    assert level_db(sound, INTRO_HZ, 5.0, 6.0) < full - 50.0
    full = level_db(sound, OUTRO_HZ, end + 0.5, end + 3.0)
    assert level_db(sound, OUTRO_HZ, end - 1.05, end - 0.85) == pytest.approx(full - 3.0, abs=0.5)


def test_sharp_s_is_held_down_and_the_rest_is_not_touched(tmp_path):
    """A burst at 6.5 kHz above the voice loses some decibels; a soft one keeps its level."""
    rate = np.arange(3 * RATE_HZ) / RATE_HZ
    voice = 0.1 * np.sin(2 * np.pi * SPEECH_HZ * rate)
    ess = np.sin(2 * np.pi * 6_500.0 * rate)

    def left(level):
        burst = np.where((rate > 1.0) & (rate < 1.2), level, 0.0)
        soundfile.write(tmp_path / "v.wav", voice + burst * ess, RATE_HZ)
        spoken = [Spoken(tmp_path / "v.wav", "a", 0.0)]
        out = tmp_path / "e.mp3"
        narrate(spoken, tmp_path, out, format="mp3", report=lambda _: None)
        sound = soundfile.read(out, always_2d=True)[0]
        against = level_db(sound, SPEECH_HZ, 0.2, 0.9) - db_of(0.1)
        return level_db(sound, 6_500.0, 1.08, 1.18) - against - db_of(level)

    assert left(ratio_of(VOICE_LUFS - 12.0)) == pytest.approx(left(ratio_of(-60.0)), abs=0.3)
    assert left(0.2) < left(ratio_of(-60.0)) - 2.0
