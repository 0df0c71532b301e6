"""Where stems go besides the sum."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from dsp.audio import Block
from dsp.formats.writer import Writer
from dsp.mixing.render.excerpts import ExcerptFile, Passage

_AS_MONO = np.float32(0.5**0.5)
"""Undoes what the pan law takes from each side of what stands in the middle."""


class Outlets:
    """Where stems go besides the sum: into files of their own, whole or a passage."""

    def __init__(self, stack: ExitStack, frames: int, rate_hz: int) -> None:
        self._stack, self._frames, self._rate_hz = stack, frames, rate_hz
        self._files: dict[str, list[tuple[Writer, int]]] = {}
        self._excerpts: dict[str, ExcerptFile] = {}

    def open(self, files: Mapping[str, Path], channels: int) -> None:
        """Make files of whole stems; they are closed with the stack."""
        for name, path in files.items():
            writer = Writer(path, rate_hz=self._rate_hz, channels=channels, format="wav", bits=32)
            self._stack.enter_context(writer)
            self._files.setdefault(name, []).append((writer, channels))

    def keep(self, excerpts: Mapping[str, Path], passage: Passage) -> None:
        """Make files of a passage; they are closed with the stack."""
        for name, path in excerpts.items():
            kept = self._stack.enter_context(closing(ExcerptFile(path, passage)))
            self._excerpts[name] = kept

    def take(self, name: str, start: int, block: Block) -> None:
        """Take the next block of a stem, and where it starts."""
        sound = block[: max(self._frames - start, 0)]
        for writer, channels in self._files.get(name, ()):
            mono = _AS_MONO * sound.sum(axis=1, keepdims=True) if channels == 1 else sound
            writer.write(mono)
        if name in self._excerpts:
            self._excerpts[name].put(block)
