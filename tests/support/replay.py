"""Kernels compiled for another machine or another C library, run by an emulator or as they are."""

import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from hatch_build import FLAGS, FOLDER

HERE = Path(__file__).parent / "replay"


def compiled(root: Path, compiler: Sequence[str], program: Path) -> None:
    """Compile the kernels and what calls them into a static program."""
    sources = sorted(str(path) for path in (root / FOLDER).glob("*.c"))
    subprocess.run(
        [*compiler, *FLAGS, '-DSOURCE=""', f"-I{HERE}", f"-I{root / FOLDER}", *sources,
         str(HERE / "replay.c"), "-static", "-o", str(program), "-lm"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip


class Plan(int):
    """What ``plan`` returned there."""


class Replay:
    """Takes the place of the module of kernels: each call is made by a program.

    Parameters
    ----------
    command : sequence of str or Path
        Runs the program.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate()

    def __getattr__(self, kernel: str) -> Callable[..., Any]:
        return lambda *arguments: self._call(kernel, arguments)

    def _call(self, kernel: str, arguments: Sequence[Any]) -> Any:
        told = [struct.pack("32sq", kernel.encode(), len(arguments))]
        arrays = []
        for one in arguments:
            value = np.frombuffer(one, np.uint8) if isinstance(one, bytes) else one
            told.append(_told(value))
            if isinstance(value, np.ndarray):
                arrays.append((one, value.copy("K")))
        assert self._program.stdin
        self._program.stdin.write(b"".join(told))
        self._program.stdin.flush()
        result = self._result()
        for array, copy in arrays:
            changed = np.frombuffer(self._read(copy.nbytes), copy.dtype)
            if isinstance(array, np.ndarray):
                array[...] = np.ndarray(copy.shape, copy.dtype, changed, strides=copy.strides)
        return result

    def _read(self, count: int) -> bytes:
        assert self._program.stdout
        data = self._program.stdout.read(count)
        assert len(data) == count, "the program ended"
        return data

    def _result(self) -> Any:
        kind = self._read(1)
        if kind == b"t":
            return self._result(), self._result()
        if kind == b"d":
            return struct.unpack("d", self._read(8))[0]
        number = struct.unpack("q", self._read(8))[0]
        return {b"n": number, b"c": Plan(number)}.get(kind)


def _told(value: Any) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, float):
        return b"d" + struct.pack("d", value)
    if not isinstance(value, np.ndarray):
        return (b"c" if isinstance(value, Plan) else b"n") + struct.pack("q", int(value))
    copy = value.copy("K")
    head = struct.pack(f"=cqq{2 * copy.ndim}qq", copy.dtype.char.encode(), copy.itemsize,
                       copy.ndim, *copy.shape, *copy.strides, copy.nbytes)  # fmt: skip
    return (
        b"a"
        + head
        + copy.tobytes("A" if copy.flags.f_contiguous or copy.flags.c_contiguous else "C")
    )
