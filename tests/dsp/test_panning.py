"""Places in the picture."""

import dataclasses

import pytest

from dsp.mixing.panning import LOWS_MONO_HZ, pannings
from dsp.mixing.roles import PROFILES
from tests.support.analyses import track_named


def placed(*tracks):
    return pannings(tracks, {t.name: t.profile.level_lu for t in tracks})


def aside(track, left_share):
    analysis = dataclasses.replace(track.analysis, left_share=left_share)
    return dataclasses.replace(track, analysis=analysis)


@pytest.mark.parametrize("name", ["vox.wav", "bass.wav", "kick.wav", "snare.wav", "host.wav"])
def test_leads_and_what_carries_the_beat_stay_in_the_middle(name):
    """They are not panned."""
    assert 0.0 == placed(track_named(name), track_named("guitar.wav"))[name].pan


def test_equals_go_to_opposite_sides():
    """Two guitars stand left and right."""
    found = placed(track_named("guitar a.wav"), track_named("guitar b.wav"))

    assert 0.0 == found["guitar a.wav"].pan + found["guitar b.wav"].pan
    assert PROFILES["guitar"].pan == abs(found["guitar a.wav"].pan)


@pytest.mark.parametrize(("correlation", "share"), [(0.1, 0.3), (0.97, 0.97), (1.0, 1.0)])
def test_picture_of_its_own_leans_less(correlation, share):
    """A wide stem leans a third as far as a mono one; one that is nearly mono almost as far."""
    track = track_named("guitar.wav", channels=2, correlation=correlation)

    assert share * PROFILES["guitar"].pan == pytest.approx(
        abs(placed(track)["guitar.wav"].pan), abs=0.01
    )


def test_stem_that_stands_aside_stays_and_counts():
    """It is not panned again, and the next one goes to the other side."""
    left = aside(track_named("brass.wav", channels=2, correlation=0.9), 0.8)
    found = placed(left, track_named("guitar.wav"))

    assert 0.0 == found["brass.wav"].pan
    assert 0.0 < found["guitar.wav"].pan


def test_stem_that_would_vanish_in_mono_is_narrowed():
    """Channels against each other are brought together, and the sheet says why."""
    panning = placed(track_named("pad.wav", channels=2, correlation=-0.6))["pad.wav"]

    assert 1.0 > panning.width
    assert "mono" in panning.why


def test_what_is_wide_is_not_widened():
    """A pad is widened only while its channels are alike."""
    wide, narrow = (
        placed(track_named("pad.wav", channels=2, correlation=c))["pad.wav"].width
        for c in (0.3, 0.8)
    )

    assert 1.0 == wide
    assert PROFILES["pad"].width == narrow


def test_lows_of_stereo_stems_are_mono():
    """A mono stem has none to bring together."""
    stereo = placed(track_named("keys.wav", channels=2, correlation=0.4))["keys.wav"]

    assert LOWS_MONO_HZ == stereo.lows_mono_hz
    assert 0.0 == placed(track_named("keys.wav"))["keys.wav"].lows_mono_hz


def test_order_of_the_stems_does_not_matter():
    """The same stems get the same places."""
    tracks = [track_named(n) for n in ("guitar.wav", "piano.wav", "strings.wav")]

    assert placed(*tracks) == placed(*tracks[::-1])
