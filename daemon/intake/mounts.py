"""Which file systems raise no events for what other machines write.

References
----------
proc_pid_mountinfo(5). inotify(7): "may not notice remote events on network file systems".
"""

import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|drvfs|virtiofs|vboxsf|prl_fs|ceph|afs|fuse(\..*)?"
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs"})


def is_network(folder: Path, mountinfo: str, *, resolved: bool = False) -> bool:
    """Tell whether `folder` lies on a network file system, by the text of mountinfo.

    ``resolved``: by its name alone, without a look at the folder, which may hang.
    """
    kind = _mount_of(folder, mountinfo, resolved=resolved)[0]
    return bool(_NETWORK.fullmatch(kind)) and kind not in _LOCAL_FUSE


def kind_of_mount(folder: Path, mountinfo: str) -> str:
    """Return the type of the file system that `folder` lies on; empty when not found."""
    return _mount_of(folder, mountinfo)[0]


def mount_options(folder: Path, mountinfo: str) -> frozenset[str]:
    """Return the options of the file system that `folder` lies on, as it was mounted."""
    return _mount_of(folder, mountinfo)[1]


def _mount_of(
    folder: Path, mountinfo: str, *, resolved: bool = False
) -> tuple[str, frozenset[str]]:
    try:
        path = folder if resolved else folder.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return "", frozenset()
    best, found = Path(), ("", frozenset[str]())
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        words = fields.split(" ")
        if len(words) < 5 or not rest:  # noqa: PLR2004 - the mount point is the fifth field
            continue
        point = Path(_unescaped(words[4]))
        # Later lines cover earlier ones at the same place.
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            # Then: type, device, options of the file system.
            kind, *more = rest.split(" ")
            best, found = point, (kind, frozenset(more[-1].split(",") if more else ()))
    return found


def read_mountinfo() -> str:
    """Return the text of mountinfo; empty where there is none."""
    try:
        return MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _unescaped(field: str) -> str:
    r"""Undo ``\040`` and its like."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
