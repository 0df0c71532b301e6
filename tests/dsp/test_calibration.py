"""What is learned of truth, and what is not."""

import pytest

from dsp.analysis.calibration import calibrated, fitted, folded
from dsp.analysis.truth import Found, Truth
from tests.support.analysed import example


def found(bpm=120.0, p=0.9, energy=0.5):
    return Found(bpm, p, (bpm,), "C major", 0.8, 4, {"energy": energy, "danceability": None})


def test_range_is_the_one_with_fewest_octave_errors():
    """Doubled slow songs are halved; songs in the range stay."""
    true = [70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 100.0, 110.0, 120.0]
    pairs = [(Truth(bpm=bpm), found(2 * bpm if bpm < 90 else bpm)) for bpm in true]
    low, high = fitted("mine", pairs).tempo_range

    assert low <= 70
    assert 120 <= high == 2 * low
    assert true == [folded(f.bpm, (low, high)) for _, f in pairs]


def test_range_is_left_alone_where_none_does_better():
    """Right results are not touched."""
    pairs = [(Truth(bpm=bpm), found(bpm)) for bpm in range(60, 240, 10)]

    assert fitted("mine", pairs).tempo_range is None


def test_probabilities_are_calibrated_from_thirty_songs_and_rise():
    """A wrong order is pooled; 29 songs teach nothing."""
    pairs = [(Truth(bpm=120 if place % 3 else 97), found(p=place / 40)) for place in range(40)]
    bins = fitted("mine", pairs).tempo_p

    assert bins
    assert sorted(bins) == list(bins)
    assert sorted(right for _, right in bins) == [right for _, right in bins]
    assert () == fitted("mine", pairs[:29]).tempo_p


def test_scale_is_fitted_only_where_it_helps_songs_left_out():
    """A line through noise makes nothing better, and seven songs are too few."""
    lines = [(Truth(energy=0.2 + 0.5 * e), found(energy=e)) for e in (0.1 * n for n in range(9))]
    noise = [(Truth(energy=0.5 + 0.1 * (-1) ** n), found(energy=0.5 + 0.001 * n)) for n in range(9)]

    assert (0.5, 0.2) == pytest.approx(fitted("mine", lines).scale["energy"])
    assert {} == fitted("mine", lines[:7]).scale
    assert {} == fitted("mine", noise).scale


def test_calibrated_figures_keep_what_was_found():
    """The raw value stands beside the new one; loudness is never touched."""
    fit = fitted("mine", []).model_copy(
        update={
            "tempo_range": (50.0, 100.0),
            "key_p": ((0.5, 0.4), (1.0, 0.8)),
            "scale": {"energy": (0.5, 0.1)},
        }
    )
    before = example()
    after = calibrated(before, fit)

    assert (60.0, 120.0, "calibrated", None) == (
        after.tempo.bpm.value, after.tempo.bpm.raw, after.tempo.bpm.source, after.tempo.bpm.p
    )  # fmt: skip
    assert 0.664 == after.key.name.p
    assert (0.43, 0.66) == (after.energy.score.value, after.energy.score.raw)
    assert "mine" == after.analysis.calibration
    assert before.loudness == after.loudness
    assert before.danceability == after.danceability
