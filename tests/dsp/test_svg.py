"""Pictures as numbers: nothing leaves the square, marks are round."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp.report.svg import (
    SIDE,
    Axis,
    band_path,
    bars_path,
    clock,
    figure,
    hz_ticks,
    level_ticks,
    marks_path,
    path_of,
    signed,
    spread,
    time_ticks,
    waveform_path,
    x_axis,
    y_axis,
)

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


def numbers(path):
    return [float(number) for number in NUMBER.findall(path)]


@given(VALUES)
def test_path_stays_inside_the_picture(values):
    """Whatever the values, no coordinate lies outside of the square."""
    x, y = x_axis(0.0, 10.0), y_axis(-60.0, 0.0)
    path = path_of(x, y, values, values)

    assert all(0.0 <= number <= SIDE for number in numbers(path))


@given(VALUES)
def test_closed_shapes_stay_inside_the_picture(values):
    """Bands, bars and marks keep to the square as curves do."""
    x, y = x_axis(20.0, 20_000.0, logarithmic=True), y_axis(-24.0, 24.0)
    hz = [abs(value) + 1.0 for value in values]
    edges = [(f, f * 1.2) for f in hz]
    paths = band_path(x, y, hz, values, values), bars_path(x, y, edges, values)

    assert all(0.0 <= n <= SIDE for path in (*paths, marks_path(x, y, edges, values))
               for n in numbers(path))  # fmt: skip


@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=30))
def test_waveform_stays_within_its_height(values):
    """Samples over full scale are drawn at the edge."""
    ys = numbers(waveform_path([-abs(v) for v in values], [abs(v) for v in values], 120.0))[1::2]

    assert all(0.0 <= y <= 120.0 for y in ys)


def test_empty_curves_draw_nothing():
    """No points, no path: an empty attribute, not a broken one."""
    x, y = x_axis(0.0, 1.0), y_axis(0.0, 1.0)

    assert ["", "", "", "", ""] == [
        path_of(x, y, [], []),
        band_path(x, y, [], [], []),
        bars_path(x, y, [], []),
        marks_path(x, y, [], []),
        waveform_path([], [], 120.0),
    ]


def test_ends_of_an_axis_are_the_ends_of_the_picture():
    """Upward for levels, to the right for time."""
    x, y = x_axis(0.0, 40.0), y_axis(-50.0, 0.0)

    assert [0.0, SIDE, SIDE, 0.0] == [x.at(0.0), x.at(40.0), y.at(-50.0), y.at(0.0)]


def test_logarithmic_axis_gives_every_octave_the_same_room():
    """From 100 Hz to 200 Hz as far as from 5 kHz to 10 kHz, to a tenth of a unit."""
    x = x_axis(20.0, 20_000.0, logarithmic=True)

    assert x.at(200.0) - x.at(100.0) == pytest.approx(x.at(10_000.0) - x.at(5_000.0), abs=0.11)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [math.pi, math.e, math.tau]])
def test_coordinates_have_one_decimal_at_most(values):
    """A picture is small, and the same numbers draw the same bytes."""
    path = path_of(x_axis(0.0, 7.0), y_axis(0.0, 7.0), values, values)

    assert all(round(number, 1) == number for number in numbers(path))


@pytest.mark.parametrize("seconds", [0.5, 3.0, 40.0, 59.9, 187.0, 240.0, 3600.0, 36_000.0])
def test_time_marks_are_round_few_and_start_at_zero(seconds):
    """At most nine, all the same distance apart, none behind the end."""
    marks = time_ticks(x_axis(0.0, seconds))
    gaps = {b.percent - a.percent for a, b in pairwise(marks)}

    assert "0:00" == marks[0].label
    assert len(marks) <= 9
    assert max(gaps, default=0.0) - min(gaps, default=0.0) <= 0.03
    assert marks[-1].percent <= 100.0


def test_time_marks_of_forty_seconds_are_every_five():
    """The picture that most people see first."""
    labels = [tick.label for tick in time_ticks(x_axis(0.0, 40.0))]

    assert ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25", "0:30", "0:35", "0:40"] == labels


def test_level_marks_are_multiples_with_a_true_minus():
    """Multiples of the step within the axis, written as in print."""
    labels = [tick.label for tick in level_ticks(y_axis(-23.0, 2.0), 10.0)]

    assert ["−20", "−10", "0"] == labels


def test_octave_marks_keep_to_their_axis():
    """Marks below or above the axis are left out, not piled up at its ends."""
    labels = [tick.label for tick in hz_ticks(x_axis(100.0, 9_000.0, logarithmic=True))]

    assert ["125", "250", "500", "1k", "2k", "4k", "8k"] == labels


def test_first_and_last_words_lean_into_the_picture():
    """A label at an edge would be cut if its middle stood there."""
    marks = time_ticks(x_axis(0.0, 40.0))

    assert ["start", "middle", "end"] == [marks[n].anchor for n in (0, 4, -1)]


def test_spread_puts_each_value_in_the_middle_of_its_share():
    """Four values over eight seconds stand at 1, 3, 5 and 7."""
    assert [1.0, 3.0, 5.0, 7.0] == spread(4, 0.0, 8.0)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3725.0, "1:02:05")]
)
def test_clock_rounds_to_whole_seconds(seconds, said):
    """Rounded before it is cut into minutes: never 0:60; hours are told from the first on."""
    assert said == clock(seconds)


@pytest.mark.parametrize(("value", "said"), [(None, "–"), (-14.04, "−14.04"), (6.0, "6")])
def test_figure_has_a_true_minus_and_a_dash_for_none(value, said):
    """What does not exist is a dash, not the word None."""
    assert said == figure(value)


@pytest.mark.parametrize(("value", "said"), [(None, "–"), (-0.55, "−0.6"), (3.0, "+3.0")])
def test_signed_always_has_a_sign(value, said):
    """A gain says its direction."""
    assert said == signed(value)


def test_axis_holds_its_ends_and_nothing_beyond():
    """Closed on both sides."""
    axis = Axis(1.0, 2.0, 0.0, SIDE)

    assert [True, True, False] == [axis.holds(1.0), axis.holds(2.0), axis.holds(2.1)]
