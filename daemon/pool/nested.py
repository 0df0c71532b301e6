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
_THREADS_INSTEAD = (
    *("Queue", "JoinableQueue", "Pipe", "Manager", "Array", "Value", "Lock", "RLock"),
    *("Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"),
)

_asked = False


def asked() -> bool:
    """Return whether a pool was asked for since the last question."""
    global _asked  # noqa: PLW0603 - as global as what it replaces
    was, _asked = _asked, False
    return was


def _ask() -> None:
    global _asked  # noqa: PLW0603 - see above
    _asked = True


def install() -> None:
    """Put sequences and threads where processes were; call before handlers are imported."""
    for module in (concurrent.futures, concurrent.futures.process):
        vars(module)["ProcessPoolExecutor"] = SequentialExecutor
    for module in (multiprocessing, multiprocessing.pool):
        vars(module)["Pool"] = SequentialPool
    vars(multiprocessing)["Process"] = _Thread
    for context in _CONTEXTS:
        context.Process = _Thread  # type: ignore[assignment, misc]
        context.Pool = staticmethod(SequentialPool)  # type: ignore[assignment, method-assign]
    for name in _THREADS_INSTEAD:
        vars(multiprocessing)[name] = getattr(dummy, name)
        setattr(multiprocessing.context.BaseContext, name, staticmethod(getattr(dummy, name)))


class _Thread(dummy.DummyProcess):
    """A thread that is asked for like a process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        _ask()
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
        _ask()
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
        _ask()
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
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> "_Answer":
        return _Answer(_run(func, args, kwds or {}), callback, error_callback)

    def map_async(
        self, func: Callable[..., Any], iterable: Iterable[Any], _: object = None, **told: Any
    ) -> "_Answer":  # noqa: ANN401
        return _Answer(_run(self.map, (func, iterable), {}), **told)

    def starmap_async(
        self, func: Callable[..., Any], iterable: Iterable[Any], _: object = None, **told: Any
    ) -> "_Answer":  # noqa: ANN401
        return _Answer(_run(self.starmap, (func, iterable), {}), **told)


class _Answer:
    """What ``apply_async`` returns; it is there already."""

    def __init__(
        self,
        future: Future[Any],
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
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
