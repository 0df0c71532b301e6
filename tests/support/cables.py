"""Another host, as a network namespace, and the cable to it, which a test pulls and puts back."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


def _allowed() -> bool:
    """Return whether namespaces and links may be made here: containers often refuse both."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"test-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], check=False)
    return made.returncode == 0


needs_cables = pytest.mark.skipif(
    not _allowed(), reason="network namespaces need root, iproute2 and the kernel's leave"
)


@dataclass(frozen=True)
class Host:
    """A host at the other end of a cable."""

    name: str
    address: str
    """Its own."""
    here: str
    """Ours, as it sees us."""
    link: str

    def within(self, *command: str) -> list[str]:
        """Return the command that runs another on that host."""
        return ["ip", "netns", "exec", self.name, *command]

    def pull(self) -> None:
        """Pull the cable: nothing comes through, and nobody is told."""
        _ip("link", "set", self.link, "down")

    def put_back(self) -> None:
        _ip("link", "set", self.link, "up")


@contextmanager
def host() -> Iterator[Host]:
    """Have another host for a while."""
    token = secrets.token_bytes(3)
    name, net = f"test-{token.hex()}", f"198.18.{token[0]}.{token[1] & 0xFC}"  # RFC 2544: for tests
    base = net.rpartition(".")
    here, there = (f"{base[0]}.{int(base[2]) + place}" for place in (1, 2))
    one = Host(name, there, here, f"v{token.hex()}")
    _ip("netns", "add", name)
    try:
        _ip("link", "add", one.link, "type", "veth", "peer", "name", "up0", "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", one.link)
        one.put_back()
        for words in (("addr", "add", f"{there}/30", "dev", "up0"), ("link", "set", "up0", "up")):
            _ip("-n", name, *words)
        _ip("-n", name, "link", "set", "lo", "up")
        yield one
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)
