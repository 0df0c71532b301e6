"""A stand-in for a speech server: OpenAI's calls over real HTTP, in a process of its own.

A script says how each request is answered: ``{"faults": ["500", "good"], "answer": …}``. The
faults are taken in order, one a request; after the last all is good, unless ``repeat`` is set.
Every request is a line of the journal: what was asked, when it began and when it ended, so that
"asked once" and "at most k at once" are facts. A request is over when the last byte of its answer
is about to be sent, or when whoever asked has hung up: a client that has the whole answer may ask
again before the thread that gave it has said so.

``python speech_server.py FOLDER`` reads ``FOLDER/script.json`` anew at each request, appends to
``FOLDER/journal.jsonl``, and writes its port to ``FOLDER/port`` once it listens, on loopback.
"""

import hashlib
import io
import json
import math
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import wave
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOREVER_S = 60.0
RATE_HZ = 16_000


def tone(seconds: float, *, declared: int | None = None) -> bytes:
    """Return a sounding WAV file; ``declared`` is the size that its header says."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        frames = round(seconds * RATE_HZ)
        out.writeframes(
            b"".join(
                struct.pack("<h", round(8_000 * math.sin(0.1 * frame))) for frame in range(frames)
            )
        )
    made = bytearray(file.getvalue())
    if declared is not None:
        struct.pack_into("<I", made, 40, declared)
    return bytes(made)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()
        self.count, self.open = 0, dict[int, socket.socket]()
        super().__init__(("127.0.0.1", 0), Handler)
        script = self.script()
        if script.get("tls"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request, client_address):
        """Say nothing: broken connections are what is tested."""

    def script(self) -> dict:
        path = self.folder / "script.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def begun(self, connection: socket.socket) -> tuple[int, int]:
        """Return the number of a request, and how many are under way with it."""
        with self.lock:
            number, self.count = self.count, self.count + 1
            self.open[number] = connection
            return number, sum(map(_there, self.open.values()))

    def over(self, number: int) -> None:
        with self.lock:
            self.open.pop(number, None)

    def note(self, **fields) -> None:
        with self.lock, (self.folder / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps(fields) + "\n")


def _there(connection: socket.socket) -> bool:
    """Tell whether the other end still waits."""
    try:
        return socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        self._serve(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _serve(self, body: bytes) -> None:
        server, script = self.server, self.server.script()
        self.number, at_once = server.begun(self.connection)
        number = self.number
        faults = script.get("faults", [])
        fault = "good"
        if faults:
            fault = faults[number % len(faults)] if script.get("repeat") else "good"
            if number < len(faults):
                fault = faults[number]
        if at_once > script.get("connections", 1_000):
            fault = "429"
        asked = {
            "n": number,
            "path": self.path,
            "sha256": hashlib.sha256(_file_of(body)).hexdigest(),
            "text": _text_of(body),
            "fault": fault,
            "at_once": at_once,
            "authorization": self.headers.get("authorization", ""),
        }
        server.note(event="asked", t=time.monotonic(), **asked)
        with suppress(OSError):
            time.sleep(script.get("seconds", 0.0))
            getattr(self, f"_{fault.replace(' ', '_').replace('-', '_')}")(script, body)
            server.note(event="answered", n=number, t=time.monotonic(), sha256=asked["sha256"])
        server.over(number)
        self.close_connection = True

    def _send(self, status=200, kind="application/json", data=b"", **headers) -> None:
        length = headers.pop("length", len(data))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data[:-1])
        self.wfile.flush()
        self.server.over(self.number)
        self.wfile.write(data[-1:])

    def _json(self, value, status=200, **headers) -> None:
        self._send(status, data=json.dumps(value).encode(), **headers)

    def _good(self, script, body) -> None:
        if self.path.endswith("/audio/voices"):
            self._json({"voices": script.get("voices", ["anna", "bert"])})
        elif self.path.endswith("/audio/speech"):
            text = json.loads(body)["input"]
            self._send(kind="audio/wav", data=tone(script.get("spoken_s", 0.05 * len(text))))
        elif self.path.endswith("/audio/transcriptions"):
            self._json(self._recognised(script, body))
        elif self.path.endswith("/chat/completions"):
            said = script.get("said", "A summary.")
            self._json({"choices": [{"message": {"role": "assistant", "content": said}}]})
        else:
            self._json({"error": {"message": "no such call"}}, 404)

    def _recognised(self, script, body) -> dict:
        """Answer the truth: the words of the recording that lie in the piece that was sent.

        The truth is spelt in the samples themselves (``words_wav``), so that no clock is needed.
        """
        if "answer" in script:
            return script["answer"]
        return truth_of(_file_of(body))

    # -- faults before the answer

    def _hang(self, *_):
        line = select.poll()
        line.register(self.connection, select.POLLRDHUP)
        line.poll(FOREVER_S * 1_000)

    def _close(self, *_):
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self, *_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nRIFF")
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def _slow_headers(self, *_):
        self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 1_000)

    # -- faults within it

    def _slow_body(self, *_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n")
        self.wfile.write(b"Content-Length: 4000\r\n\r\n")
        self._drip(tone(0.1))

    def _drip(self, data):
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)

    def _hang_after_headers(self, *_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        self.wfile.flush()
        self._hang()

    def _cut_short(self, *_):
        self._send(kind="audio/wav", data=tone(0.1)[:1_000], length=3_244)

    def _empty(self, *_):
        self._send(kind="audio/wav")

    def _header_only(self, *_):
        self._send(kind="audio/wav", data=tone(0.0))

    def _endless_size(self, *_):
        self._send(kind="audio/wav", data=tone(1.0, declared=0xFFFF_FFFF))

    def _too_long(self, *_):
        self._send(kind="audio/wav", data=tone(20.0))

    def _html(self, *_):
        self._send(kind="text/html", data=b"<html>Bad gateway, dear user</html>")

    def _wrong_type(self, *_):
        self._send(kind="text/plain", data=b"not what you asked for")

    def _json_instead(self, *_):
        self._json({"status": "queued"})

    def _huge(self, *_):
        self._send(kind="audio/wav", data=b"RIFF", length=10 << 30)

    def _huge_unsaid(self, *_):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n")
        while True:
            self.wfile.write(bytes(1 << 20))

    def _gzip(self, *_):
        self._send(kind="audio/wav", data=b"\x1f\x8b" + bytes(100), Content_Encoding="gzip")

    def _garbage(self, *_):
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    def _redirect(self, script, _):
        self._send(307, Location=script["elsewhere"])

    def _redirect_here(self, *_):
        self._send(307, Location=self.path)

    # -- refusals

    def _refuse(self, status, **headers):
        words = f"refused with {status}, said {self.headers.get('authorization', '')}"
        self._json({"error": {"message": words}}, status, **headers)

    def __getattr__(self, name):
        """Answer with a status: ``_429``, ``_429_after_7``."""
        words = name.removeprefix("_").split("_")
        if not words[0].isdigit():
            raise AttributeError(name)
        more = {"Retry_After": words[2]} if words[1:2] == ["after"] else {}
        return lambda *_: self._refuse(int(words[0]), **more)


# Words that can be read out of samples: a word is a burst whose first sample says its number.

WORD_S, GAP_S = 0.3, 0.1


def words_wav(count: int, *, pause_every: int = 8, pause_s: float = 0.7, rate_hz: int = RATE_HZ):
    """Return a recording in which word *n* sounds, and ``[(n, start_s)]``."""
    samples: list[int] = [0] * round(0.4 * rate_hz)
    truth = []
    for number in range(count):
        truth.append((number, len(samples) / rate_hz))
        length = round(WORD_S * rate_hz)
        burst = [
            round(9_000 * math.sin(0.3 * at) * (1 + math.sin(0.02 * at))) for at in range(length)
        ]
        for place in range(12):  # in binary, at full scale either way: survives rounding
            burst[place * 8 : place * 8 + 8] = [20_000 if number >> place & 1 else -20_000] * 8
        samples += burst
        pause = pause_s if number % pause_every == pause_every - 1 else GAP_S
        samples += [0] * round(pause * rate_hz)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue(), truth


def truth_of(data: bytes) -> dict:
    """Return what a recogniser that is always right says of a piece of ``words_wav``."""
    with wave.open(io.BytesIO(data)) as file:
        rate_hz, count = file.getframerate(), file.getnframes()
        samples = struct.unpack(f"<{count}h", file.readframes(count))
    found, at, length = [], 0, round(WORD_S * rate_hz)
    while at < count - 96:
        if abs(samples[at]) > 15_000:
            marks = [samples[at + 8 * place + 4] for place in range(12)]
            if all(abs(mark) > 15_000 for mark in marks):
                number = sum((mark > 0) << place for place, mark in enumerate(marks))
                start_s = at / rate_hz
                found.append({"word": f"w{number}", "start": start_s, "end": start_s + WORD_S})
                at += length
                continue
        at += 1
    text = " ".join(one["word"] for one in found)
    whole = {"start": 0.0, "end": count / rate_hz, "text": text, "avg_logprob": -0.1}
    segments = [whole | {"start": found[0]["start"], "end": found[-1]["end"]}] if found else []
    return {"text": text, "duration": count / rate_hz, "segments": segments, "words": found}


def _file_of(body: bytes) -> bytes:
    """Return the file in a form, or the body when it is none."""
    if not body.startswith(b"--"):
        return body
    edge = body.split(b"\r\n", 1)[0]
    for part in body.split(edge):
        if b'filename="' in part:
            return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
    return body


def _text_of(body: bytes) -> str:
    try:
        said = json.loads(body)
        return said.get("input", "")
    except ValueError:
        return ""


@dataclass
class SpeechServer:
    """The server's process, as a test sees it."""

    folder: Path
    process: subprocess.Popen = field(init=False)
    port: int = field(init=False)

    def script(self, *faults: str, **more: object) -> None:
        """Say how the requests from now on are answered."""
        text = json.dumps({"faults": list(faults), **more})
        new = self.folder / "script.new"
        new.write_text(text)
        new.replace(self.folder / "script.json")

    def start(self) -> None:
        port = self.folder / "port"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def journal(self, event: str = "asked") -> list[dict]:
        path = self.folder / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [one for line in lines if (one := json.loads(line))["event"] == event]


@contextmanager
def serving(folder: Path, *faults: str, **more: object):
    """Run a server in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = SpeechServer(folder)
    server.script(*faults, **more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    serve = Server(Path(sys.argv[1]))
    sys.stdout.write(f"{serve.server_address[1]}\n")
    sys.stdout.flush()
    serve.serve_forever()
