"""The pieces of an article spoken, so many at a time, and where they stand.

Theory of operation
-------------------
Each piece is a call of the engine in a thread: it waits for a server, and a process each would
cost more than most of them take. What the job reports moves with every piece that is done and
with every try that has failed, and names the piece that has been under way for longest: a job
that does not move is ended by its inbox's ``no_progress_s``, and the message names that piece.

Rules
-----
1. At most ``at_once`` requests are under way: a thread asks again when its connection is closed.
2. The first piece that cannot be spoken ends it. Those under way are waited for and kept, but
   not tried again.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from daemon.errors import Postponed, SpoolError
from daemon.handlers.speech.voices import Cache
from daemon.text import shown, span

_LOOK_S = 1.0
_QUOTED_CHARS = 30
_SHARE_OF_TRY = 0.02
"""Of a piece, for the progress: tries that failed are less than one together."""


@dataclass(frozen=True)
class Wish:
    """What is to be spoken."""

    text: str
    voice: str


@dataclass(frozen=True)
class Made:
    """A piece that was spoken."""

    path: Path
    cached: bool
    tries: int
    took_s: float


@dataclass
class _Speaking:
    """What the threads share."""

    cache: Cache
    speed: float
    places: Mapping[Wish, int]
    stop: threading.Event = field(default_factory=threading.Event)
    began_s: dict[Wish, float] = field(default_factory=dict)
    """Of those under way, the first first."""
    failed_tries: int = 0

    def make(self, wish: Wish) -> Made:
        began_s = self.began_s[wish] = time.monotonic()
        try:
            path, tries = self.cache.spoken(wish.text, wish.voice, self.speed, self._between)
        except SpoolError as error:
            after = span(time.monotonic() - began_s)
            error.message = f"{self.name(wish)}, asked for {after} ago: {error.message}"
            raise
        finally:
            del self.began_s[wish]
        return Made(path, not tries, tries, time.monotonic() - began_s)

    def name(self, wish: Wish) -> str:
        text = shown(wish.text)
        text = text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS].rstrip()}…"
        return f"piece {self.places[wish] + 1} of {len(self.places)} (“{text}”)"

    def _between(self, seconds: float) -> None:
        """Wait for the next try, unless it is of no use any more."""
        self.failed_tries += 1
        if self.stop.wait(seconds):
            raise Postponed("SPEECH_TIMED_OUT", "given up, for another piece could not be spoken")

    def where(self) -> str:
        """Return the stage: which piece has been under way for longest."""
        first = next(iter(tuple(self.began_s)), None)
        return "speak" if first is None else f"speak: {self.name(first)}"


def speak(
    wishes: Sequence[Wish],
    cache: Cache,
    *,
    speed: float,
    at_once: int,
    report: Callable[[str, float], None],
) -> list[Made]:
    """Return each piece in its place; what is wished for twice is spoken once.

    Parameters
    ----------
    report : callable
        Given the stage and how much is done, 0 to 1.

    Raises
    ------
    SpoolError
        A piece cannot be spoken; the message names it.
    """
    places = {wish: place for place, wish in enumerate(dict.fromkeys(wishes))}
    speaking = _Speaking(cache, speed, places)
    with ThreadPoolExecutor(at_once) as pool:
        jobs: dict[Wish, Future[Made]] = {wish: pool.submit(speaking.make, wish) for wish in places}
        waiting, tries_before = set(jobs.values()), 0
        try:
            while waiting:
                done, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
                for one in done:
                    one.result()
                tries_before = speaking.failed_tries if done else tries_before
                begun = min(0.9, _SHARE_OF_TRY * (speaking.failed_tries - tries_before))
                report(speaking.where(), (len(jobs) - len(waiting) + begun) / len(jobs))
        except BaseException:
            speaking.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [jobs[wish].result() for wish in wishes]
