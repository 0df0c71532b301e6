"""A podcast from its microphones: who speaks is heard, everybody alike, and the music below."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import lfilter

from dsp.measure.loudness import StepEnergies, integrated_lufs
from dsp.mixing.conversation import separated
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from dsp.units import dbs_of
from tests.support.analyses import track_named
from tests.support.tones import noise

RATE_HZ, SECONDS = 44_100, 40.0
HOST = ((0.5, 4.0), (10.0, 13.5), (20.0, 24.0), (31.0, 33.0))
GUEST = ((5.0, 9.0), (14.5, 18.5), (25.5, 29.5), (34.0, 38.0))
CROSSTALK_DB = -20.0


def voice(turns, level_db, seed):
    """Return words of noise in somebody's turns, a quarter of a second each."""
    white = noise(RATE_HZ, SECONDS, rms_dbfs=level_db - 12.0, seed=seed, channels=1)[:, 0]
    sound = lfilter([1.0], [1.0, -0.97], white)  # as dark as a voice
    word = np.concatenate([np.ones(RATE_HZ // 4), np.full(RATE_HZ // 20, 0.03)])
    at = np.arange(len(sound)) / RATE_HZ
    speaks = np.any([(start <= at) & (at < stop) for start, stop in turns], axis=0)
    return sound * np.resize(word, len(sound)) * speaks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return host and guest, 12 dB apart, each in the other's microphone, and music."""
    folder = tmp_path_factory.mktemp("podcast") / "Episode"
    folder.mkdir()
    host, guest = voice(HOST, -22.0, 1), voice(GUEST, -34.0, 2)
    leak = 10.0 ** (CROSSTALK_DB / 20.0)
    hiss = noise(RATE_HZ, SECONDS, rms_dbfs=-75.0, seed=3, channels=2)
    tracks = {
        "host": host + leak * guest + hiss[:, 0],
        "guest": guest + leak * host + hiss[:, 1],
        "music": noise(RATE_HZ, SECONDS, rms_dbfs=-20.0, seed=4, channels=1)[:, 0],
    }
    for name, sound in tracks.items():
        sf.write(folder / f"{name}.wav", sound, RATE_HZ, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def episode(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    made = mix(
        folder,
        out,
        Settings.model_validate(
            {"preset": "podcast", "also": [{"stems": "processed"}, {"stems": "speakers"}]}
        ),
        report=lambda *_: None,
        resources=Resources(),
    )
    stems = {name: sf.read(out / f"stems/{name}.wav")[0] for name in ("host", "guest", "music")}
    stems |= {
        f"{name} alone": sf.read(out / f"speakers/{name}.wav")[0] for name in ("host", "guest")
    }
    return made, stems


def part(sound, start_s, stop_s):
    return sound[round(start_s * RATE_HZ) : round(stop_s * RATE_HZ)]


def lufs(sound):
    meter = StepEnergies(RATE_HZ, 2, step_s=0.1)
    meter.update(sound.astype(np.float32))
    return integrated_lufs(meter.taken().sum(axis=1), step_s=0.1)


def rms_db(sound):
    return float(dbs_of(np.sqrt(np.square(sound).mean())))


def spoken(sound, turns):
    return np.concatenate([part(sound, start + 0.1, stop - 0.1) for start, stop in turns])


def test_speakers_are_alike_and_the_episode_is_as_loud_as_asked(episode):
    """Within 1 LU of each other, 12 dB apart as recorded."""
    made, stems = episode

    assert lufs(spoken(stems["host"], HOST)) == pytest.approx(
        lufs(spoken(stems["guest"], GUEST)), abs=1.0
    )
    assert -16.0 == pytest.approx(made.heard.integrated_lufs, abs=0.1)


def test_nothing_of_the_others_is_left_in_a_closed_microphone(episode):
    """What a microphone hears of somebody else is 50 dB below who speaks into it."""
    _, stems = episode
    for own, other, turns in (("host", "guest", GUEST), ("guest", "host", HOST)):
        left = np.concatenate([part(stems[own], a + 0.5, b - 0.5) for a, b in turns])
        assert rms_db(left) - rms_db(spoken(stems[other], turns)) <= -50.0


def test_words_are_not_cut(episode):
    """The first 30 ms of every turn are no softer than what follows, as they were recorded."""
    _, stems = episode
    for name, turns in (("host", HOST), ("guest", GUEST)):
        for start, _ in turns:
            first, rest = (
                rms_db(part(stems[name], start + a, start + b))
                for a, b in ((0.0, 0.03), (0.03, 0.2))
            )
            assert first >= rest - 1.0


def test_music_lies_18_lu_under_speech_and_comes_back_alone(episode):
    _, stems = episode
    speech = lufs(np.concatenate([spoken(stems["host"], HOST), spoken(stems["guest"], GUEST)]))
    under = lufs(spoken(stems["music"], (*HOST, *GUEST)))
    alone = lufs(part(stems["music"], 39.6, 40.0))

    assert -18.0 == pytest.approx(under - speech, abs=2.0)
    assert alone > under + 6.0


def test_each_speaker_is_there_in_mono(episode):
    """As loud as in the middle of the mix, and no other stem is."""
    made, stems = episode

    for name in ("host", "guest"):
        alone, sides = stems[f"{name} alone"], stems[name]
        assert alone.ndim == 1
        assert rms_db(alone - sides.sum(axis=1) / 2**0.5) < -120.0
    assert {"speakers/host", "speakers/guest"} == {r for r in made.outputs if "speakers" in r}


@pytest.mark.parametrize(("hiss_db", "lowered_db"), [(-72.0, 8.0), (-100.0, 0.0)])
def test_noise_of_a_microphone_is_lowered_and_words_are_not(tmp_path, hiss_db, lowered_db):
    """Between the words of one speaker, whose microphone nothing closes; if there is any."""
    words = voice(((0.5, 3.0), (5.0, 8.0), (11.0, 15.0), (18.0, 21.0)), -22.0, 1)[: 22 * RATE_HZ]
    hiss = noise(RATE_HZ, 22.0, rms_dbfs=hiss_db, seed=3, channels=1)[:, 0]
    (tmp_path / "in").mkdir()
    sf.write(tmp_path / "in" / "speaker.wav", words + hiss, RATE_HZ, subtype="FLOAT")
    done = {}
    for denoise in (True, False):
        out = tmp_path / f"{denoise}"
        out.mkdir()
        stages = {"denoise": denoise, "ride": False, "compressor": False}
        asked = {"preset": "podcast", "stages": stages, "also": [{"stems": "processed"}]}
        mix(tmp_path / "in", out, Settings.model_validate(asked), report=lambda *_: None)
        done[denoise] = sf.read(out / "stems" / "speaker.wav")[0]
    pause, word = (
        rms_db(part(done[True], *span)) - rms_db(part(done[False], *span))
        for span in ((9.0, 10.5), (11.0, 15.0))
    )

    assert -12.1 <= pause <= 0.1 - lowered_db
    assert 0.0 == pytest.approx(word, abs=0.1)


def test_who_speaks_without_pausing_loses_no_soft_word(tmp_path):
    """What is softest for half a second may be words, and is no noise."""
    words = voice(((0.0, 12.0),), -22.0, 1)[: 12 * RATE_HZ]
    words *= np.where((np.arange(len(words)) / RATE_HZ) % 2.0 < 1.0, 1.0, 0.15)
    (tmp_path / "in").mkdir()
    sf.write(tmp_path / "in" / "speaker.wav", words, RATE_HZ, subtype="FLOAT")
    done = []
    for denoise in (True, False):
        out = tmp_path / f"{denoise}"
        out.mkdir()
        stages = {"denoise": denoise, "ride": False, "compressor": False}
        asked = {"preset": "podcast", "stages": stages, "also": [{"stems": "processed"}]}
        mix(tmp_path / "in", out, Settings.model_validate(asked), report=lambda *_: None)
        done.append(sf.read(out / "stems" / "speaker.wav")[0])
    soft = [rms_db(part(sound, 3.0, 3.25)) for sound in done]

    assert soft[0] == pytest.approx(soft[1], abs=0.2)


def test_somebody_who_is_silent_throughout_is_left_as_they_are():
    silent = track_named("guest.wav", lufs=-90.0)
    (host, guest) = separated([track_named("host.wav"), silent])

    assert guest is silent
    assert host.active.any()


def test_soft_beginning_of_a_turn_is_open_where_nobody_else_speaks():
    """An h at a recorder's noise: the microphone opened 0.2 s into it, and a word was cut."""
    soft, loud = np.zeros((2, 200), np.bool_)
    loud[60:80], soft[57:60] = True, True
    loud[100:120] = True
    host = track_named("host.wav")
    energy = np.where(loud, 1e-3, np.where(soft, 3e-6, 1e-8))
    other = np.zeros(200)
    other[40:59] = 1e-3
    tracks = [
        replace(host, name=name, role="speech", energy=e, active=e > 1e-4)
        for name, e in (("host", energy), ("guest", other + 1e-8))
    ]

    spoken, guest = (np.flatnonzero(track.active) for track in separated(tracks))

    assert [*range(59, 80), *range(98, 120)] == spoken.tolist()
    assert 58 == guest[-1]


def test_without_the_stages_nothing_moves(folder, tmp_path):
    off = {"gate": False, "duck": False, "ride": False}
    (tmp_path / "out").mkdir()
    made = mix(
        folder,
        tmp_path / "out",
        Settings.model_validate({"preset": "podcast", "stages": off}),
        report=lambda *_: None,
        resources=Resources(),
    )
    text = (tmp_path / "out" / made.outputs["sheet"]).read_text()

    assert "closed while" not in text
    assert "steps back" not in text
