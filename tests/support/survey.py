"""Run a kind of the misbehaviour table through one pool, and print what came of each row.

``python survey.py FOLDER KIND confined|unconfined UID``: as root it becomes that user first.
The folder is made, and belongs to whom it runs as.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

HANDLER = "tests.support.deeds"
ROOT = Path(__file__).resolve().parents[2]
_CLONE_NEWNS, _BIND, _REC, _PRIVATE = 0x20000, 4096, 16384, 1 << 18


def become(uid: int) -> None:
    """Become another user, for whom Python and this code can be reached."""
    needed = {os.path.realpath(path) for path in (sys.base_prefix, sys.prefix, str(ROOT))}
    # The outermost of each: Python may lie in one closed folder, and its environment in another.
    closed = {
        next((str(above) for above in reversed(Path(path).parents) if _is_closed(above)), "")
        for path in needed
    } - {""}
    if closed:
        _open_ways(needed, closed)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _is_closed(folder: Path) -> bool:
    return not folder.stat().st_mode & 0o001


def _open_ways(needed: set[str], closed: set[str]) -> None:
    """In a view of the disks of our own, cover closed folders but for what is needed of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_CLONE_NEWNS) == 0
    assert libc.mount(b"none", b"/", None, _REC | _PRIVATE, None) == 0
    for folder in closed:
        inside = [path for path in needed if path.startswith(f"{folder}/")]
        opened = {path: os.open(path, os.O_PATH) for path in inside}
        assert libc.mount(b"none", folder.encode(), b"tmpfs", 0, b"mode=755") == 0
        for path, descriptor in opened.items():
            Path(path).mkdir(parents=True)
            source = f"/proc/self/fd/{descriptor}".encode()
            assert libc.mount(source, path.encode(), None, _BIND | _REC, None) == 0
            os.close(descriptor)


def main(folder: Path, kind: str, confinement: str, uid: int) -> None:
    if uid != os.getuid():
        become(uid)
    sys.path.insert(0, str(ROOT))
    from daemon.config.models import Pool as Settings  # noqa: PLC0415 - as who we are now
    from daemon.pool import orphans  # noqa: PLC0415
    from tests.support.crew import Crew  # noqa: PLC0415
    from tests.support.deeds import DEEDS  # noqa: PLC0415

    # Who ignores a signal, leaves that to its children: nohup, or a daemon in the tests' process.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    folder.mkdir()
    settings = Settings(slots=3, memory_mb=768, confine=confinement == "confined")
    crew = Crew(folder, settings, handlers=(HANDLER,))
    orders = []
    for name in (name for name, deed in DEEDS.items() if deed.kind == kind):
        orders.append(crew.order(f"{len(orders)}", name, handler=HANDLER, **DEEDS[name].limits))
        if len(orders) % 8 == 1:  # seven rows share a neighbour; starts of workers cost most here
            orders.append(crew.order(f"{len(orders)}", handler=HANDLER))
    ended = crew.run(orders, patience_s=240.0)
    crew.pool.close()
    found = {}
    beside = {ended[order.job].outcome for order in orders if order.options["how"] == "well"}
    for victim in (order for order in orders if order.options["how"] != "well"):
        end = ended[victim.job]
        error = end.error or {}
        found[victim.options["how"]] = {
            "row": [end.outcome, error.get("code"), end.signal],
            "message": error.get("message"),
            "hint": error.get("hint"),
            "strays": sorted(_files(victim) - _named(end)) if end.outcome == "done" else [],
            "elsewhere": [
                [path.read_text(), path.stat().st_mode & 0o777]
                for path in Path(victim.workdir).parent.glob("elsewhere/*")
            ],
        }
    sys.stdout.write(
        json.dumps(
            {"found": found, "beside": sorted(beside), "left": orphans.children(os.getpid())}
        )
    )


def _named(end) -> set[str]:
    return {file["path"] for file in end.result["outputs"]}


def _files(order) -> set[str]:
    """Return what lies in the folder of an attempt that is done and named something."""
    top = Path(order.workdir)
    if not top.with_name(f"{top.name}.rest").exists():
        return set()
    return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
