"""What of a program must be executable besides itself: its loader."""

import struct
from contextlib import suppress
from pathlib import Path

_PT_INTERP = 3
_MAGIC = b"\x7fELF\x02"


def loader_of(path: str) -> str:
    """Return which loader the header of a 64-bit program names (elf(5)); empty: none.

    Shared libraries are mapped, not executed; to read them is enough.
    """
    with suppress(OSError, struct.error, UnicodeDecodeError), Path(path).open("rb") as file:
        head = file.read(64)
        if not head.startswith(_MAGIC):
            return ""
        (start,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            entry = file.read(size)
            if struct.unpack_from("<I", entry)[0] == _PT_INTERP:
                offset, length = (struct.unpack_from("<Q", entry, at)[0] for at in (8, 32))
                file.seek(offset)
                return file.read(min(length, 4096)).rstrip(b"\0").decode()
    return ""
