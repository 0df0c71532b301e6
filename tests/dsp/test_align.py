"""Which stems are moved, by how much, and which are left alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.errors import ParameterError
from dsp.mixing.align.align import align
from dsp.mixing.align.stamps import stamps_of
from tests.support.songs import RATE_HZ, evidence, late, notes, rhythm

LENGTH_S = 30.0
DRUMS = notes(rhythm(1), LENGTH_S, hz=90.0)
KEYS = notes(np.union1d(rhythm(1)[::2], rhythm(2)), LENGTH_S + 1, hz=300.0)
GUITAR = notes(np.union1d(rhythm(1)[1::2], rhythm(3)), LENGTH_S + 2, hz=500.0)
LAGS_MS = [-170.0, -110.0, -47.0, 85.0, 160.0, 187.0]


def song(**lags_ms):
    """Return the evidence of three stems of unequal length, some of them late."""
    return [
        evidence("drums", "drums", DRUMS),
        evidence("keys", "keys", late(KEYS, lags_ms.get("keys", 0.0))),
        evidence("guitar", "guitar", late(GUITAR, lags_ms.get("guitar", 0.0))),
    ]


def placed(stems, name, **options):
    placements = align(stems, **{"mode": "rhythm", **options})
    return next(p for p in placements if p.name == name)


@pytest.mark.parametrize("lag_ms", LAGS_MS)
def test_late_stem_is_moved_to_its_place(lag_ms):
    """What is moved ends within 5 ms of where it belongs, early or late."""
    keys = placed(song(keys=lag_ms), "keys")

    assert keys.moved, keys.why
    assert lag_ms == pytest.approx(keys.lag_ms, abs=5.0)


def test_right_stems_stay():
    """A song that is right is left alone, however its files were cut."""
    assert not any(p.moved for p in align(song(), mode="rhythm"))


def test_small_lag_stays():
    """Players are 30 ms apart on purpose."""
    keys = placed(song(keys=30.0), "keys")

    assert (False, 0.0, "right within 40 ms") == (keys.moved, keys.lag_ms, keys.why)


def test_rhythm_alone_moves_nothing_unasked():
    """Notes that meet are no proof: without ``rhythm`` a stem stays where its file has it."""
    assert not any(p.moved for p in align(song(keys=160.0), mode="auto"))


def test_equal_lengths_are_trusted():
    """Files exported together are not second-guessed, not even by the sound they share."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "other", late(DRUMS, 60.0)[: len(DRUMS)]),
    ]

    assert "equal lengths: files trusted" == placed(stems, "double", mode="auto").why


def test_time_stamps_place_the_stems():
    """A stem starts as long after the earliest one as its stamp says, whatever it sounds like."""
    stems = [
        evidence("drums", "drums", DRUMS, start_s=36_000.0),
        evidence("keys", "keys", late(KEYS, 160.0), start_s=36_002.0),
    ]
    keys = placed(stems, "keys", mode="auto")

    assert (-2000.0, False) == (keys.lag_ms, keys.moved)
    assert 0.0 == placed(stems, "drums", mode="auto").lag_ms


def test_session_past_midnight_is_placed():
    """Stamps begin again at midnight; the session went on."""
    stems = [
        evidence("drums", "drums", DRUMS, start_s=86_399.0),
        evidence("keys", "keys", KEYS, start_s=1.5),
    ]

    assert -2500.0 == placed(stems, "keys", mode="auto").lag_ms


@pytest.mark.parametrize(
    ("starts_s", "doubt"),
    [
        pytest.param((0.0, 30_000.0), "8 h 20 min apart", id="clock never set"),
        pytest.param((36_000.0, None), "only 1 of 2 stems", id="one has none"),
    ],
)
def test_stamps_that_cannot_be_right_place_nothing(starts_s, doubt):
    """Stamps hours apart, or on some stems only, say nothing about one song."""
    assert doubt in stamps_of(starts_s).doubt
    stems = [
        evidence("drums", "drums", DRUMS, start_s=starts_s[0]),
        evidence("keys", "keys", KEYS, start_s=starts_s[1]),
    ]
    assert [0.0, 0.0] == [p.lag_ms for p in align(stems, mode="auto")]


def test_stamps_alone_may_be_asked_for():
    """``stamps`` moves by nothing else."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "other", 0.3 * late(DRUMS, 12.5)[: RATE_HZ * 25]),
    ]

    assert (0.0, "no time stamps") == (
        placed(stems, "double", mode="stamps").lag_ms,
        placed(stems, "double", mode="stamps").why,
    )


def test_off_moves_nothing():
    """Who asks for no alignment gets none."""
    assert not placed(song(keys=160.0), "keys", mode="off").moved


def test_first_onset_brings_first_notes_together():
    """The plain rule: the first notes start at the same instant."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "keys", late(notes(rhythm(1), LENGTH_S, hz=300.0), 93.0)),
    ]

    assert 93.0 == pytest.approx(placed(stems, "double", mode="first_onset").lag_ms, abs=4.0)


def test_first_onset_keeps_to_the_window():
    """A stem that enters at bar nine is not late."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "keys", late(DRUMS, 900.0)),
    ]

    assert not placed(stems, "double", mode="first_onset").moved


def test_part_off_the_beat_is_not_moved_onto_it():
    """A guitar that always plays a sixteenth before the beat is right."""
    beats = np.arange(50) * 0.53 + 0.6
    stems = [
        evidence("drums", "drums", notes(beats, 29.0, hz=90.0)),
        evidence("guitar", "guitar", notes(beats - 0.53 / 4, 30.0, hz=500.0)),
    ]

    assert not placed(stems, "guitar").moved


def test_stem_whose_halves_disagree_stays():
    """A take that drifts has no single place."""
    times = np.union1d(rhythm(1)[::2], rhythm(2))
    times = np.where(times < LENGTH_S / 2, times + 0.09, times + 0.11)
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("keys", "keys", notes(times, LENGTH_S + 1, hz=300.0)),
    ]

    assert "left: halves disagree by 20 ms" == placed(stems, "keys").why


def test_stem_that_never_rests_stays():
    """Where no note comes out of a rest, the attack cannot be timed."""
    rng = np.random.default_rng(3)
    hum = late(KEYS, 160.0)
    hum += (0.05 * rng.standard_normal(hum.shape)).astype(np.float32)
    stems = [evidence("drums", "drums", DRUMS), evidence("keys", "keys", hum)]

    assert not placed(stems, "keys").moved


def pad(seconds):
    """Return a chord that swells and fades every few seconds."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * t / 3.7)
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220.0, 277.2, 329.6))
    return (0.1 * swell * chord).astype(np.float32)[:, None]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(np.zeros((RATE_HZ * 20, 1), np.float32), id="silence"),
        pytest.param(np.zeros((0, 1), np.float32), id="nothing"),
        pytest.param(KEYS[: RATE_HZ * 3 // 2], id="one second"),
        pytest.param(pad(20.0), id="pad"),
        *(
            pytest.param(
                0.1 * np.random.default_rng(s).standard_normal((RATE_HZ * 20, 1), np.float32),
                id=f"noise {s}",
            )
            for s in range(4)
        ),
    ],
)
def test_stem_without_rhythm_stays(frames):
    """What has no notes to compare is never moved, and nothing fails."""
    stems = [evidence("drums", "drums", DRUMS), evidence("strange", "other", frames)]

    assert not placed(stems, "strange").moved
    assert not placed(stems[::-1], "strange").moved


def test_double_is_placed_to_the_sample():
    """A second recording of the same sound is placed within a tenth of a sample at 48 kHz."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "other", 0.3 * late(DRUMS, 12.5)[: RATE_HZ * 25]),
    ]
    double = placed(stems, "double", mode="auto")

    assert (True, 1) == (double.moved, double.polarity)
    assert 12.5 == pytest.approx(double.lag_ms, abs=0.002)


def test_inverted_double_is_turned_over():
    """An inverted copy gets polarity −1 and its place."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("double", "other", -0.5 * late(DRUMS, 60.0)),
    ]
    double = placed(stems, "double", mode="auto")

    assert -1 == double.polarity
    assert 60.0 == pytest.approx(double.lag_ms, abs=0.002)


def test_inverted_double_of_trusted_files_is_turned_over_where_it_lies():
    """Equal lengths forbid moving, not turning over."""
    stems = [evidence("drums", "drums", DRUMS), evidence("double", "other", -DRUMS)]
    double = placed(stems, "double", mode="auto")

    assert (False, -1) == (double.moved, double.polarity)


def test_bleed_alone_moves_nothing_far():
    """A microphone that hears the drums faintly, and late, may be right and the drums wrong."""
    voice = notes(rhythm(7) + 0.07, LENGTH_S, hz=350.0, attack_ms=40.0)
    mic = late(voice + 0.3 * DRUMS, 150.0)
    stems = [evidence("drums", "drums", DRUMS), evidence("voice", "lead", mic)]
    voice = placed(stems, "voice", mode="auto")

    assert (False, 0.0) == (voice.moved, voice.lag_ms)
    assert "shares sound with drums +150 ms away" in voice.why


def test_right_double_stays_beside_one_late_stem():
    """Of two that share sound one is late; a third that shares it too tells which."""
    stems = [
        evidence("kick", "kick", DRUMS),
        evidence("hats", "hats", late(0.5 * DRUMS, 80.0)),
        evidence("room", "other", np.concatenate([0.7 * DRUMS, np.zeros((99, 1), np.float32)])),
    ]
    placements = {p.name: p for p in align(stems, mode="auto")}

    assert (0.0, 0.0) == (placements["kick"].lag_ms, placements["room"].lag_ms)


def test_stem_that_two_others_place_is_moved_far():
    """A copy that is late against two stems which agree is moved, to the sample."""
    stems = [
        evidence("kick", "kick", DRUMS),
        evidence("room", "other", np.concatenate([0.7 * DRUMS, np.zeros((99, 1), np.float32)])),
        evidence("camera", "other", late(0.5 * DRUMS, 80.0)),
    ]
    camera = placed(stems, "camera", mode="auto")

    assert camera.moved
    assert 80.0 == pytest.approx(camera.lag_ms, abs=0.01)


def test_bleed_within_a_room_stays():
    """Sound that crosses a room is late by right, and its polarity says nothing."""
    voice = notes(rhythm(7) + 0.07, LENGTH_S, hz=350.0, attack_ms=40.0)
    mic = voice - 0.3 * late(DRUMS, 9.0)[: len(voice)]
    mic = np.concatenate([mic, np.zeros((RATE_HZ, 1), np.float32)])
    stems = [evidence("drums", "drums", DRUMS), evidence("voice", "lead", mic)]
    voice = placed(stems, "voice")

    assert (False, 1) == (voice.moved, voice.polarity)


def test_effect_return_stays():
    """An echo is late on purpose."""
    stems = [
        evidence("drums", "drums", DRUMS),
        evidence("echo", "fx", 0.5 * late(DRUMS, 190.0)),
    ]

    assert not placed(stems, "echo").moved


def test_reference_is_the_beat():
    """Drums stay; the rest comes to them."""
    assert "reference" == placed(song(keys=160.0), "drums").why


def test_reference_may_be_named():
    """Whoever is named stays."""
    assert "reference" == placed(song(), "keys", reference="keys").why


def test_unknown_reference_is_refused():
    """A name that no stem has is the caller's mistake."""
    with pytest.raises(ParameterError, match="reference must be one of"):
        align(song(), mode="rhythm", reference="tuba")


def test_no_stems_no_placements():
    """Nothing in, nothing out."""
    assert [] == align([], mode="auto")


def test_placements_keep_the_order_given():
    """One placement per stem, in order."""
    assert ["drums", "keys", "guitar"] == [p.name for p in align(song(keys=85.0), mode="auto")]


REAL = os.environ.get("REAL_AUDIO", "")
TRUE_MS = {
    "vocal_lead_sax.wav": 198.61,
    "bass.flac": 186.78,
    "piano.wav": 160.61,
    "guitar.aiff": -16.03,
    "brass.wav": -110.79,
    "pad.ogg": -27.46,
    "beat_kick_snare.wav": 0.0,
    "beat_hats_perc.wav": 0.0,
}
ROLES = {"beat_kick_snare.wav": "drums", "beat_hats_perc.wav": "hats"}
MOVABLE = [name for name in TRUE_MS if name not in ROLES]


def real_song(extra_ms, cut_s=0.0):
    """Return the evidence of the real song, every stem moved to its place and then late."""
    for i, (name, true_ms) in enumerate(TRUE_MS.items()):
        frames, rate_hz = soundfile.read(
            Path(REAL, "song_keep_on_rolling", name), dtype="float32", always_2d=True
        )
        placed_right = late(late(frames, -true_ms, rate_hz), extra_ms.get(name, 0.0), rate_hz)
        end = len(placed_right) - round((0.1 * i + cut_s) * rate_hz)
        yield evidence(name, ROLES.get(name, "other"), placed_right[:end], rate_hz=rate_hz)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="REAL_AUDIO names no folder of real audio")
@pytest.mark.parametrize("seed", range(6))
def test_real_stems_are_moved_right_or_not_at_all(seed):
    """Real stems at random offsets: what is moved ends within 15 ms of the truth."""
    rng = np.random.default_rng(seed)
    extra_ms = dict(TRUE_MS) if seed == 0 else {n: rng.uniform(-200, 200) for n in MOVABLE}
    placements = align(list(real_song(extra_ms)), mode="rhythm")
    wrong = [p for p in placements if p.moved and abs(p.lag_ms - extra_ms.get(p.name, 0.0)) > 15.0]

    assert [] == wrong


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="REAL_AUDIO names no folder of real audio")
@pytest.mark.parametrize("cut_s", [0.0, 7.0, 15.0])
def test_real_stems_that_are_right_stay(cut_s):
    """A real song in its place is left alone, however much of it there is."""
    assert not any(p.moved for p in align(list(real_song({}, cut_s)), mode="rhythm"))
