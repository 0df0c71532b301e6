"""Process pools inside a handler become sequential, and are named.

A library that opens a pool of its own inside a worker asks for slots squared processes, and
with ``fork`` for a deadlock that nothing logs: a pool in a pool in a pool once stopped after
six songs, in silence. In a worker the standard pools therefore do their work at once, in the
thread that asked, and the job says so in a warning. Threads stay allowed.

``multiprocessing.Process``, and the queues and locks that go with it, become threads and
theirs, as ``multiprocessing.dummy`` has them: a producer and a consumer still work.

Joblib is told by its own environment variables (``process``). What forks without asking the
standard library is not seen here; confinement refuses it.
"""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import multiprocessing.context
import multiprocessing.pool
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from multiprocessing import dummy
from typing import Any, Self

_CONTEXTS = (
    multiprocessing.context.BaseContext,
    multiprocessing.context.ForkContext,
    multiprocessing.context.SpawnContext,
    multiprocessing.context.ForkServerContext,
)
_AS_IN_DUMMY = (
    *("Queue", "JoinableQueue", "Pipe", "Manager", "Array", "Value", "Lock", "RLock"),
    *("Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"),
)

_Told = Callable[[Any], object] | None

_asked = threading.Event()


def asked() -> bool:
    """Return whether a pool was asked for since the last question."""
    was = _asked.is_set()
    _asked.clear()
    return was


def install() -> None:
    """Put sequences and threads where processes were; call before handlers are imported."""
    instead = {name: getattr(dummy, name) for name in _AS_IN_DUMMY}
    instead |= {"Pool": SequentialPool, "Process": _Thread}
    for module in (concurrent.futures, concurrent.futures.process):
        vars(module)["ProcessPoolExecutor"] = SequentialExecutor
    vars(multiprocessing.pool)["Pool"] = SequentialPool
    vars(multiprocessing).update(instead)
    for context in _CONTEXTS:
        for name, replacement in instead.items():
            setattr(context, name, staticmethod(replacement))


class _Thread(dummy.DummyProcess):
    """A thread that is asked for like a process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        _asked.set()
        daemon = kwargs.pop("daemon", None)
        super().__init__(*args, **kwargs)
        if daemon is not None:
            self.daemon = daemon

    def terminate(self) -> None:
        """Do nothing: a thread cannot be killed; the worker can."""

    kill = close = terminate


class SequentialExecutor(Executor):
    """A ``ProcessPoolExecutor`` that runs each call when it is submitted."""

    def __init__(
        self,
        max_workers: int | None = None,  # noqa: ARG002 - the signature it replaces
        mp_context: object = None,  # noqa: ARG002
        initializer: Callable[..., object] | None = None,
        initargs: tuple[object, ...] = (),
        **_: object,
    ) -> None:
        _asked.set()
        if initializer:
            initializer(*initargs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        return _run(fn, args, kwargs)


class SequentialPool:
    """A ``multiprocessing.Pool`` that does everything when it is asked."""

    def __init__(
        self,
        processes: int | None = None,  # noqa: ARG002 - the signature it replaces
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[object] = (),
        **_: object,
    ) -> None:
        _asked.set()
        if initializer:
            initializer(*initargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Do nothing, like ``join`` and ``terminate``: nothing runs."""

    join = terminate = close

    def apply(self, func: Callable[..., Any], args: Any = (), kwds: Any = None) -> Any:  # noqa: ANN401
        return func(*args, **(kwds or {}))

    def map(self, func: Callable[..., Any], iterable: Iterable[Any], _: object = None) -> list[Any]:
        return [func(item) for item in iterable]

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Any], _: object = None
    ) -> list[Any]:
        return [func(*items) for items in iterable]

    def imap(
        self, func: Callable[..., Any], iterable: Iterable[Any], _: object = None
    ) -> Iterator[Any]:
        return map(func, iterable)

    imap_unordered = imap

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Any = (),  # noqa: ANN401
        kwds: Any = None,  # noqa: ANN401
        callback: _Told = None,
        error_callback: _Told = None,
    ) -> "_Answer":
        return _Answer(_run(func, args, kwds or {}), callback, error_callback)

    def map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        _: object = None,
        **told: _Told,
    ) -> "_Answer":
        return _Answer(_run(self.map, (func, iterable), {}), **told)

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        _: object = None,
        **told: _Told,
    ) -> "_Answer":
        return _Answer(_run(self.starmap, (func, iterable), {}), **told)


class _Answer:
    """What ``apply_async`` returns; it is there already."""

    def __init__(
        self,
        future: Future[Any],
        callback: _Told = None,
        error_callback: _Told = None,
    ) -> None:
        self._future = future
        error = future.exception()
        if error is None and callback:
            callback(future.result())
        elif error and error_callback:
            error_callback(error)

    def get(self, timeout: float | None = None) -> Any:  # noqa: ANN401, ARG002
        return self._future.result()

    def wait(self, timeout: float | None = None) -> None:
        """Return: there is nothing to wait for."""

    def ready(self) -> bool:
        return True

    def successful(self) -> bool:
        return self._future.exception() is None


def _run(func: Callable[..., Any], args: Iterable[Any], kwds: Mapping[str, Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(func(*args, **kwds))
    except Exception as error:  # noqa: BLE001 - as a pool: kept for whoever asks for the result
        future.set_exception(error)
    return future
