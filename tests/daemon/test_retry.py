import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.jobs.job import backoff_s

COUNTS = st.integers(1, 100_000)
CHANCES = st.floats(0.0, 1.0, exclude_max=True)


@pytest.mark.parametrize(
    ("count", "whole_s"), [(1, 30), (2, 60), (3, 120), (6, 960), (7, 1800), (2000, 1800)]
)
def test_backoff_doubles_up_to_its_longest(count, whole_s):
    """Each wait is twice the one before, until the longest; half of it is fixed."""
    shortest_s = backoff_s(count, first_s=30.0, longest_s=1800.0, chance=0.0)

    assert whole_s / 2 == shortest_s


@settings(derandomize=True)
@given(count=COUNTS, chance=CHANCES)
def test_backoff_stays_in_the_random_half(count, chance):
    """Chance decides the second half of a wait and nothing else."""
    longest_s = 2 * backoff_s(count, first_s=30.0, longest_s=1800.0, chance=0.0)
    wait_s = backoff_s(count, first_s=30.0, longest_s=1800.0, chance=chance)

    assert longest_s / 2 <= wait_s <= longest_s


@settings(derandomize=True)
@given(count=COUNTS, chance=CHANCES)
def test_backoff_never_exceeds_the_longest(count, chance):
    """However often a job failed, and though the first wait were the longer one."""
    assert backoff_s(count, first_s=60.0, longest_s=45.0, chance=chance) <= 45.0


def test_backoff_spreads_what_failed_together():
    """Two jobs that failed at one moment come back at two."""
    early, late = (backoff_s(1, first_s=30.0, longest_s=1800.0, chance=c) for c in (0.1, 0.9))

    assert 12.0 == pytest.approx(late - early)
