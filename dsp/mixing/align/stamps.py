"""Where the time stamps of Broadcast Waves put the stems.

Recorders and workstations write into a file when its sound began. Stems that were exported from
their first clip start at different moments, and only the stamp says so.

Rules
-----
1. Stamps count only where every stem has one: nothing relates a stem without one to the others.
2. They count from midnight, so a session may pass it. More than ``MOST_APART_S`` between two
   stems of a song is a clock that was never set, and no stamp is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_APART_S = 3600.0
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Stamps:
    """What the time stamps of a song's stems say."""

    lags_ms: tuple[float, ...] = ()
    """Of each stem; negative: it starts so long after the earliest one. Empty: not to be used."""
    doubt: str = ""
    """Why the stamps that are there are not used."""


def stamps_of(starts_s: Sequence[float | None]) -> Stamps:
    """Return what the stamps say.

    Parameters
    ----------
    starts_s : sequence of float
        When each stem begins, in seconds since midnight; ``None`` where it does not say.
    """
    known = [start for start in starts_s if start is not None]
    if not known:
        return Stamps()
    if len(known) < len(starts_s):
        return Stamps(doubt=f"only {len(known)} of {len(starts_s)} stems have a time stamp")
    if max(known) - min(known) > _DAY_S / 2:
        known = [start + _DAY_S if start < _DAY_S / 2 else start for start in known]
    earliest, apart_s = min(known), max(known) - min(known)
    if apart_s > MOST_APART_S:
        hours, minutes = divmod(round(apart_s / 60.0), 60)
        return Stamps(doubt=f"the time stamps are {hours} h {minutes:02} min apart")
    return Stamps(tuple((earliest - start) * 1000.0 for start in known))
