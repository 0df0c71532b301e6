"""A thread that publishes: to do so may block, for as long as the broker's memory is full."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from celery import Celery
from kombu import Connection, Producer
from kombu.exceptions import KombuError

_AGAIN_S = 0.5

Deed = Callable[[Producer], object]


class Publisher:
    """What is to be published, one after the other; what fails is lost, and sent again later."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open = open_connection
        self._deeds: queue.SimpleQueue[Deed | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether something waits to be published: nothing needs be sent again then."""
        return not self._deeds.empty()

    def frame(self, body: object, routing_key: str) -> None:
        """Publish a frame to a queue."""
        self._deeds.put(
            lambda producer: producer.publish(
                body, serializer="json", routing_key=routing_key, delivery_mode="transient"
            )
        )

    def task(self, app: Celery, name: str, **how: object) -> None:
        """Publish a task."""
        self._deeds.put(lambda producer: app.send_task(name, producer=producer, retry=False, **how))

    def close(self, patience_s: float) -> None:
        """Publish what is left, if that can be done in time."""
        self._deeds.put(None)
        self._thread.join(patience_s)

    def _run(self) -> None:
        connection, producer = None, None
        while deed := self._deeds.get():
            try:
                if connection is None or producer is None:
                    connection = self._open()
                    producer = Producer(connection.channel())
                deed(producer)
            except (OSError, KombuError, *_recoverable(connection)) as error:
                sys.stderr.write(f"not published: {type(error).__name__}: {error}\n")
                if connection is not None:
                    with suppress(Exception):  # it may be broken in any way
                        connection.release()
                connection, producer = None, None
                time.sleep(_AGAIN_S)
        if connection is not None:
            connection.release()


def _recoverable(connection: Connection | None) -> tuple[type[Exception], ...]:
    if connection is None:
        return ()
    return (*connection.connection_errors, *connection.channel_errors)


class Wakeup:
    """Wakes a loop that sleeps on descriptors, from another thread."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """Wake it."""
        os.eventfd_write(self.descriptor, 1)

    def clear(self) -> None:
        """Let it sleep until the next time."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return
