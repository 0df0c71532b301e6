import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.models import Budgets
from daemon.jobs.job import FATES, FINAL, NOTHING_SPENT, Outcome, State, Tally, after, order_key_ms

NOW_MS = 1_795_211_101_000
BUDGETS = Budgets(failures=3, crashes=2, interruptions=5, backoff_s=30.0, backoff_max_s=1800.0)
OUTCOMES = st.sampled_from(Outcome)
FREE = (Outcome.INTERRUPTED, Outcome.SPLIT, Outcome.POSTPONED)
"""What may happen to a job without end: it has other limits, or none."""


def follow(*outcomes, budgets=BUDGETS):
    """Return what follows the last of these endings of one job."""
    tally = NOTHING_SPENT
    for outcome in outcomes:
        following = after(tally, outcome, budgets, now_ms=NOW_MS, chance=0.0)
        tally = following.tally
    return following


def attempts_until_final(outcome):
    """Return how many attempts a job gets when all of them end alike."""
    count = 1
    while follow(*[outcome] * count).state not in FINAL:
        count += 1
    return count


def test_fates_cover_every_outcome():
    """No attempt can end in a way that nobody has thought about."""
    assert set(Outcome) == set(FATES)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.DONE, State.DONE),
        (Outcome.NOTHING_TO_DO, State.SKIPPED),
        (Outcome.CANCELLED, State.CANCELLED),
        (Outcome.BAD_INPUT, State.FAILED),
    ],
)
def test_after_ends_at_once_what_would_not_change(outcome, state):
    """These outcomes are final whatever is left of the budgets, and cost nothing."""
    assert (state, NOTHING_SPENT, NOW_MS) == follow(outcome)


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [
        (Outcome.UNAVAILABLE, 3),
        (Outcome.TIMED_OUT, 3),
        (Outcome.STALLED, 3),
        (Outcome.FAILED, 2),
        (Outcome.CRASHED, 2),
        (Outcome.OUT_OF_MEMORY, 2),
        (Outcome.DAEMON_DIED, 5),
        (Outcome.START_FAILED, 5),
        (Outcome.BAD_CONFIG, 5),
    ],
)
def test_after_spends_a_budget_and_then_fails(outcome, attempts):
    """A job that always ends alike gets this many attempts, and fails with the last."""
    assert attempts == attempts_until_final(outcome)
    assert State.FAILED is follow(*[outcome] * attempts).state


def test_after_keeps_budgets_apart():
    """One crash, two failures and four interruptions leave a job its next attempt."""
    outcomes = [Outcome.CRASHED, *[Outcome.UNAVAILABLE] * 2, *[Outcome.DAEMON_DIED] * 4]

    assert (State.QUEUED, Tally(2, 1, 4)) == follow(*outcomes)[:2]


def test_after_retries_a_bug_once_even_with_a_large_budget():
    """The same code fails the same way: a larger budget of failures does not change that."""
    generous = Budgets(failures=100)

    assert State.FAILED is follow(Outcome.FAILED, Outcome.FAILED, budgets=generous).state


def test_after_lets_an_interrupted_job_go_on_at_once_however_often():
    """A drop neither waits nor pays because we stopped."""
    assert (State.QUEUED, NOTHING_SPENT, NOW_MS) == follow(*[Outcome.INTERRUPTED] * 100)


def test_after_postpones_without_end_and_at_no_cost():
    """A server that is away for a day costs a drop nothing; each time a minute at least passes."""
    following = follow(*[Outcome.POSTPONED] * 100)

    assert (State.QUEUED, NOTHING_SPENT) == following[:2]
    assert 60_000 <= following.not_before_ms - NOW_MS


def test_after_waits_longer_with_each_failure_of_a_kind():
    """The wait follows the count of the budget that pays: 15 s and 30 s at least."""
    first, second = (follow(*[Outcome.TIMED_OUT] * count) for count in (1, 2))

    assert [15_000, 30_000] == [first.not_before_ms - NOW_MS, second.not_before_ms - NOW_MS]


@settings(derandomize=True)
@given(st.lists(OUTCOMES.filter(lambda one: one not in FREE), min_size=8, max_size=8))
def test_after_ends_every_job(outcomes):
    """Whatever it does, the eighth attempt is the last: 2 + 1 + 4 may be retried."""
    states = [follow(*outcomes[:count]).state for count in range(1, 9)]

    assert FINAL & set(states)


@settings(derandomize=True)
@given(st.lists(OUTCOMES, min_size=1, max_size=12), OUTCOMES)
def test_after_never_forgives(outcomes, last):
    """What was spent of a budget stays spent."""
    before, now = follow(*outcomes).tally, follow(*outcomes, last).tally

    assert all(was <= is_ for was, is_ in zip(before, now, strict=True))


def test_order_lets_rush_overtake_but_not_for_ever():
    """A rush job passes normal ones that are less than 15 minutes older, and no others."""
    rush = order_key_ms(20 * 60_000, "rush")

    assert order_key_ms(4 * 60_000, "normal") < rush < order_key_ms(6 * 60_000, "normal")


def test_order_lets_normal_overtake_bulk_but_not_for_ever():
    """A normal job passes bulk ones that are less than 45 minutes older, and no others."""
    normal = order_key_ms(50 * 60_000, "normal")

    assert order_key_ms(4 * 60_000, "bulk") < normal < order_key_ms(6 * 60_000, "bulk")
