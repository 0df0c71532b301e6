"""One request and its answer over HTTP, within limits that hold.

Theory of operation
-------------------
The time-outs of sockets count from byte to byte: a server that drips holds them off for ever. So
one timer runs for the whole exchange; when it is over, the socket is shut from outside, and
whatever waits on it returns.

Rules
-----
1. The connection goes to an address that was granted, and to no other; nothing is looked up in a
   confined worker.
2. An answer that points elsewhere is followed on the same scheme, host and port only.
3. No answer is inflated: a compressed one is refused.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from daemon.handlers.grants import Address, endpoint_of, looked_up

_PORTION_BYTES = 1 << 16
_MOST_HOPS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ExchangeError(Exception):
    """There is no whole answer; ``kind`` says why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """``unreachable``, ``timed_out`` or ``bad_answer``."""


class _Addresses(Protocol):
    def __call__(self, host: str, port: int) -> Sequence[Address]: ...


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes


def exchange(
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    addresses: _Addresses = looked_up,
    connect_s: float = 5.0,
    whole_s: float = 120.0,
    most_bytes: int = 50 << 20,
    ca_file: str | None = None,
) -> Answer:
    """Send a request, a POST when it has a body, and return the whole answer.

    Raises
    ------
    ExchangeError
        There is none within the limits.
    """
    watch = _Watch(whole_s)
    try:
        for _ in range(_MOST_HOPS):
            with _connected(url, addresses, connect_s, watch, ca_file) as connection:
                answer = _asked(
                    connection, url, body, headers or {}, most_bytes=most_bytes, watch=watch
                )
            if answer.status not in _REDIRECTS:
                return answer
            url = _followed(url, answer.headers.get("location", ""))
    except ssl.SSLCertVerificationError as error:
        text = f"its certificate cannot be trusted: {error.verify_message}"
        raise ExchangeError("unreachable", text) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(error, watch) from None
    finally:
        watch.stop()
    raise ExchangeError("bad_answer", f"redirected {_MOST_HOPS} times")


class _Watch:
    """Shuts the socket of an exchange when its time is over."""

    def __init__(self, whole_s: float) -> None:
        self.whole_s, self.over = whole_s, False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(whole_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def hold(self, connection: socket.socket | None) -> None:
        with self._lock:
            self._socket = connection
            if self.over and connection is not None:
                _shut(connection)

    def stop(self) -> None:
        self._timer.cancel()
        self._timer.join()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        # Of the plain class: TLS would first drop what a reader in another thread is using.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


@contextmanager
def _connected(
    url: str, addresses: _Addresses, connect_s: float, watch: _Watch, ca_file: str | None
) -> Iterator[http.client.HTTPConnection]:
    parts, endpoint = urlsplit(url), endpoint_of(url)
    host, port = str(parts.hostname), int(endpoint.rpartition(":")[2])
    try:
        known = addresses(host, port)
    except OSError as error:
        raise ExchangeError("unreachable", f"{host} is not known: {error.strerror}") from None
    plain = _plain_socket(known, endpoint, min(connect_s, watch.whole_s), watch)
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            plain = context.wrap_socket(plain, server_hostname=host)
            watch.hold(plain)
        plain.settimeout(watch.whole_s)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = plain
        yield connection
    finally:
        watch.hold(None)
        plain.close()


def _plain_socket(
    known: Sequence[Address], name: str, connect_s: float, watch: _Watch
) -> socket.socket:
    problem = "it has no address"
    for family, address in known:
        one = socket.socket(family, socket.SOCK_STREAM)
        watch.hold(one)
        try:
            one.settimeout(connect_s)
            one.connect(address)
        except OSError as error:
            watch.hold(None)
            one.close()
            problem = error.strerror or str(error)
        else:
            return one
    raise ExchangeError("unreachable", f"{name} cannot be reached: {problem}")


def _asked(
    connection: http.client.HTTPConnection,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    most_bytes: int,
    watch: _Watch,
) -> Answer:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    asked = {"Accept-Encoding": "identity", "Connection": "close", **headers}
    connection.request("GET" if body is None else "POST", target, body, asked)
    answer = connection.getresponse()
    said = {name.lower(): value for name, value in answer.getheaders()}
    if said.get("content-encoding", "identity").lower() != "identity":
        raise ExchangeError("bad_answer", "the answer is compressed, which was not asked for")
    if (answer.length or 0) > most_bytes:
        raise ExchangeError("bad_answer", f"the answer has more than {most_bytes >> 20} MiB")
    portions, room = [], most_bytes
    while portion := answer.read(min(_PORTION_BYTES, room + 1)):
        room -= len(portion)
        if room < 0:
            raise ExchangeError("bad_answer", f"the answer has more than {most_bytes >> 20} MiB")
        portions.append(portion)
    if watch.over:  # a connection that we shut looks like one that ended
        raise TimeoutError
    if answer.length:
        raise ExchangeError("bad_answer", f"the answer broke off {answer.length} bytes too early")
    return Answer(answer.status, said, b"".join(portions))


def _followed(url: str, location: str) -> str:
    if not location:
        raise ExchangeError("bad_answer", "a redirect leads nowhere")
    new = urljoin(url, location)
    if _place(urlsplit(new)) != _place(urlsplit(url)):
        raise ExchangeError("bad_answer", "a redirect leads to another host; it was not followed")
    return new


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _failed(error: Exception, watch: _Watch) -> ExchangeError:
    if watch.over or isinstance(error, TimeoutError):
        return ExchangeError("timed_out", f"no whole answer within {watch.whole_s:g} s")
    if isinstance(error, OSError | http.client.RemoteDisconnected):
        text = getattr(error, "strerror", None) or str(error)
        return ExchangeError("unreachable", f"the connection broke: {text}")
    return ExchangeError("bad_answer", f"no answer in HTTP: {type(error).__name__}: {error}")
