"""A headless Chromium, spoken to over its debugging pipe: no port, no driver, no library.

Messages are JSON, each ended by a zero byte; the browser reads file descriptor 3 and writes 4.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 90.0

LAUNCH = """
import ctypes, fcntl, os, sys
inward, outward = (fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 10) for fd in sys.argv[1:3])
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
if not os.fork():
    os.dup2(inward, 3)
    os.dup2(outward, 4)
    os.execv(sys.argv[3], sys.argv[3:])
os.closerange(3, 1 << 16)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
"""The browser's children outlive it: they are waited for here, or the process of the tests, which
adopts orphans as a daemon does, would keep what is left of them."""


def browser_path():
    """Return the browser of this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. What it asks the network for and what it complains of is kept."""

    def __init__(self, write_fd, read_fd):
        self._write_fd, self._read_fd = write_fd, read_fd
        self._bytes, self._told, self._number, self._session = b"", deque(), 0, None
        self.requests, self.complaints = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def forget(self):
        """Begin anew: no emulation, nothing noted."""
        self._call("Page.navigate", url="about:blank")
        self._wait_for("Page.loadEventFired")
        self._call("Emulation.setEmulatedMedia", media="", features=[])
        self._call("Emulation.clearDeviceMetricsOverride")
        self._told.clear()
        self.requests.clear()
        self.complaints.clear()

    def open(self, path):
        """Load a file and wait until it is whole."""
        self._call("Page.navigate", url=path.as_uri())
        self._wait_for("Page.loadEventFired")

    def ask(self, expression):
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition, *, event, of="document"):
        """Return once ``condition`` holds, looking again at every ``event`` of an element."""
        self.ask(
            f"new Promise(done => {{ const look = () => {{ if ({condition}) done(true) }};"
            f" {of}.addEventListener({event!r}, look); look() }})"
        )

    def click(self, selector, *, across=0.5):
        """Press the left button in an element, at a share of its width."""
        box = self.ask(
            f"(e => {{ e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " const b = e.getBoundingClientRect();"
            f" return [b.x + b.width * {across}, b.y + b.height / 2] }})"
            f"(document.querySelector({selector!r}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1],
                       button="left", clickCount=1)  # fmt: skip

    def press(self, key, *, text=""):
        """Press and release a key."""
        code = {
            "Tab": 9,
            "End": 35,
            "ArrowLeft": 37,
            "ArrowRight": 39,
            "ArrowDown": 40,
            " ": 32,
            "Escape": 27,
            "/": 191,
        }[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key,
                       windowsVirtualKeyCode=code, **typed)  # fmt: skip

    def prefer(self, scheme):
        """Emulate a person who prefers ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def print_media(self):
        """Lay the page out as for paper."""
        self._call("Emulation.setEmulatedMedia", media="print")

    def resize(self, width, height=800):
        """Emulate a screen."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=True)  # fmt: skip

    def accessible(self):
        """Return the accessibility tree as ``(role, name)``."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        answer = self._next(lambda told: told.get("id") == self._number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _wait_for(self, event):
        self._next(lambda told: told.get("method") == event)

    def _next(self, wanted):
        """Return the first message that is wanted, of those kept and those to come."""
        for told in list(self._told):
            if wanted(told):
                self._told.remove(told)
                return told
        deadline = time.monotonic() + PATIENCE_S
        while True:
            told = self._read(deadline - time.monotonic())
            if wanted(told):
                return told
            self._told.append(told)

    def _read(self, patience_s):
        while b"\0" not in self._bytes:
            ready, _, _ = select.select([self._read_fd], [], [], max(0.0, patience_s))
            assert ready, "the browser said nothing"
            more = os.read(self._read_fd, 1 << 20)
            assert more, "the browser is gone"
            self._bytes += more
        line, _, self._bytes = self._bytes.partition(b"\0")
        told = json.loads(line)
        self._note(told)
        return told

    def _note(self, told):
        params = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
        elif told.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif told.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))


@contextmanager
def browsing(profile):
    """Start a browser with a profile of its own; yield its page; end it."""
    to_browser, write_fd = os.pipe()
    read_fd, from_browser = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(to_browser), str(from_browser),
         browser_path(), *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(write_fd, read_fd)
    finally:
        os.close(write_fd)  # with which it ends
        process.wait(PATIENCE_S)
        os.close(read_fd)
