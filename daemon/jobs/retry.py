"""How long a job waits before its next attempt.

Doubling keeps a machine in trouble from being asked too often; the random half keeps jobs
that failed together from coming back together. The wait stands in the row, not in a timer.
"""


def backoff_s(count: int, *, first_s: float, longest_s: float, chance: float) -> float:
    """Return the wait after the `count`-th failure, in seconds.

    Parameters
    ----------
    count : int
        1 for the first failure.
    first_s, longest_s : float
        The wait doubles from `first_s` and never exceeds `longest_s`.
    chance : float
        In [0, 1): decides the random half.
    """
    doublings = min(count - 1, 64)  # beyond, longest_s rules; 2.0**1024 would overflow
    whole_s = min(longest_s, first_s * 2.0**doublings)
    return whole_s / 2 + chance * whole_s / 2
