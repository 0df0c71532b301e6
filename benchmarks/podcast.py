"""What an episode costs: requests side by side, pieces that are kept, memory with many articles.

``python benchmarks/podcast.py`` starts a speech server on loopback that takes 2 s for each piece,
and a daemon in an empty folder. It prints three figures and whether they hold what is promised:

* 100 pieces, eight at a time, from the first request to the last answer: at most 30 s, of which the
  server takes 26;
* the same article once more: no request;
* 20 articles, dropped at once: the daemon's own memory grows by less than 8 MiB.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.speech_server import SpeechServer, serving

PIECES, AT_ONCE, ARTICLES = 100, 8, 20
SECONDS = 2.0
PATIENCE_S = 1_200.0


def article(pieces: int, subject: str) -> str:
    """Return an article of so many pieces."""
    lines = (f"Paragraph {n} tells of {subject}." for n in range(pieces - 1))
    return "# Title\n\n" + "\n\n".join(lines)


def talking(root: Path, server: SpeechServer) -> Daemon:
    """Return a daemon with an inbox that speaks."""
    given = settings_for(root, pool={"slots": 2})
    given["inboxes"]["mix"] |= {
        "handler": "daemon.handlers.podcast",
        "options": {"endpoint": server.url, "at_once": AT_ONCE, "voice": "anna", "pause_s": 0.1},
        "allow": {"network": [server.url.removeprefix("http://")]},
    }
    given["inboxes"]["mix"]["settling"] |= {"settle_unknown_s": 0.2}
    return Daemon(root, given)


def drop(root: Path, name: str, text: str) -> None:
    """Drop an article by one rename."""
    new = root / f".{name}"
    new.write_text(text)
    new.rename(root / "inbox" / "mix" / name)


def finished(root: Path, *names: str) -> None:
    """Wait until these are done."""
    for name in names:
        status = root / "outbox" / "mix" / f"{name}.status.json"
        until(lambda status=status: read_json(status).get("state") == "done", name, PATIENCE_S)


def requests(server: SpeechServer) -> list[dict]:
    """Return what was asked to be spoken."""
    return [one for one in server.journal() if one["path"].endswith("/audio/speech")]


def memory_mib(daemon: Daemon) -> float:
    """Return the daemon's resident memory."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def shown(what: str, value: float, most: float, unit: str) -> bool:
    """Print a figure; return whether it holds."""
    print(f"{what:<48}{value:8.1f} {unit:<10}{'holds' if value <= most else f'MORE THAN {most}'}")
    return value <= most


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root, held = Path(folder, "spool"), []
        with (
            serving(Path(folder, "server"), seconds=SECONDS, spoken_s=0.3) as server,
            talking(root, server) as daemon,
        ):
            daemon.start()
            drop(root, "a.md", article(PIECES, "bells"))
            until(lambda: len(server.journal("answered")) > PIECES, "spoken", PATIENCE_S)
            took_s = server.journal("answered")[-1]["t"] - requests(server)[0]["t"]
            held.append(shown("100 pieces are spoken in", took_s, 30.0, "s"))
            at_once = max(one["at_once"] for one in requests(server))
            held.append(shown("  requests at once, at the most", at_once, AT_ONCE, "requests"))
            finished(root, "a.md")
            before = len(requests(server))
            drop(root, "b.md", article(PIECES, "bells") + "\n")
            finished(root, "b.md")
            again = len(requests(server)) - before
            held.append(shown("the same article again", again, 0, "requests"))

            server.script(seconds=0.1, spoken_s=0.3)
            names = [f"n{n}.md" for n in range(ARTICLES)]
            drop(root, "first.md", article(10, "the first one"))
            finished(root, "first.md")
            before_mib = memory_mib(daemon)
            for name in names:
                drop(root, name, article(20, name.removesuffix(".md")))
            finished(root, *names)
            more_mib = memory_mib(daemon) - before_mib
            held.append(shown("20 articles: the daemon grows by", more_mib, 8.0, "MiB"))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
