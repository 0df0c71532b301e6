"""What is shown every ``heartbeat_s``: ``daemon.json``, metrics, page, places in the queue.

Rule: each part has a guard of its own, so that one that fails silences no other.
"""

from collections.abc import Callable, Mapping
from typing import Any

from daemon.outbox.heartbeat import Heartbeat
from daemon.outbox.metrics import Metrics
from daemon.outbox.page import FrontPage
from daemon.supervisor import systemd
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.dispatcher import Dispatcher
from daemon.supervisor.startup import Opened


class Beat:
    """The daemon's signs of life."""

    def __init__(
        self,
        opened: Opened,
        *,
        document: DaemonDocument,
        dispatcher: Dispatcher,
        admissions: Admissions,
        completion: Completion,
    ) -> None:
        root, period_s = opened.spool.root, opened.config.heartbeat_s
        common: dict[str, Any] = {"files": opened.files, "clock": opened.clock}
        self._heartbeat = Heartbeat(root, **common, instance=opened.instance, period_s=period_s)
        self._metrics, self._front = Metrics(root, **common), FrontPage(root, **common)
        self._folders, self._outage, self._statuses = opened.folders, opened.outage, opened.statuses
        self._document, self._dispatcher = document, dispatcher
        self._admissions, self._completion = admissions, completion
        self._shown: Mapping[str, Any] = {}
        self._sentence = "serving"

    def due_in_s(self) -> float:
        """Return the seconds until the next beat."""
        return self._heartbeat.due_in_s()

    def when_due(self) -> None:
        """Beat, if it is time."""
        if self.due_in_s() <= 0:
            self.now()

    def now(self) -> None:
        """Look at our own folders, and show how the daemon is."""
        self._step("folders", self._folders.check)
        if self._step("heartbeat", self._write_heartbeat):
            self._step("metrics", lambda: self._metrics.write(self._shown))
            self._step("page", lambda: self._front.write(self._shown, self._statuses.recent()))
            ended = self._statuses.ended
            self._step(
                "results",
                lambda: self._front.write_results(self._shown, ended, self._statuses.endings),
            )
        self._step("waits", self._completion.show_waits)
        # Said whatever failed above: the loop goes round, and that is what systemd asks.
        systemd.notify("WATCHDOG=1", f"STATUS={self._sentence}")

    def _step(self, name: str, step: Callable[[], object]) -> bool:
        return not self._outage.holds(name) and self._outage.guard(name, step)

    def _write_heartbeat(self) -> None:
        state = self._document.state(
            running=self._dispatcher.running, receiving=self._admissions.receiving
        )
        self._shown = self._heartbeat.beat(state)
        self._sentence = self._document.sentence(state)
