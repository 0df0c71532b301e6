"""The ``mix`` handler: stems in, a mixed and mastered song out.

The only place where the daemon meets the sound engine. ``soundspool mix`` comes through
here too, so that a mix by hand and a mix by the daemon are the same bytes.
"""

import ctypes
import gc
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError
from soundfile import SoundFileError

from daemon.config import yaml_reader
from daemon.config.drop_settings import for_handler, merged, read_plain
from daemon.config.validation import validate
from daemon.errors import BadInput
from daemon.handlers.contract import Note, Output, Result, Task
from daemon.layout import RECALL_SHEET, SETTINGS, settings_beside
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.errors import AudioFormatError, ParameterError
from dsp.formats.reader import Limits
from dsp.mixing import mix as engine
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources

# glibc gives each thread a heap of its own and returns little of it: one for all measured
# 12 MB less at the peak of a mix, at no cost. Other C libraries have no such parameter.
_M_ARENA_MAX = -8
# And what every block takes and gives is kept, not fetched from the kernel anew: 6 % less of the
# processor's time for 1 MB more. mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
with suppress(AttributeError):
    _LIBC = ctypes.CDLL(None)
    _LIBC.mallopt(_M_ARENA_MAX, 1)
    _LIBC.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
    _LIBC.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
# What was imported stays: looking at it again, also at the end, took a fifth of a second.
gc.freeze()

ACCEPTS = AUDIO_SUFFIXES
HEADLINE = ("integrated_lufs", "true_peak_dbtp", "range_lu")
STAGES = tuple(engine.STAGES)

_SHEET_BYTES = 1 << 20


class Options(Settings):
    """The settings of a mix, and what the operator allows."""

    threads: int = Field(default=0, ge=0, le=64)
    """Stems worked on at once; 0: two, or one where there is one core."""
    foreign: bool = True
    """Whether the ``ffmpeg`` program may decode what libsndfile cannot (M4A, WebM)."""


def handle(task: Task) -> Result:
    """Mix the drop.

    Raises
    ------
    BadInput
        The stems or the settings cannot be used.
    """
    options, sheet, notes = _with_sheet(task.source, task.options)
    threads = options.threads or min(2, len(os.sched_getaffinity(0)))
    try:
        made = engine.mix(
            task.source,
            task.workdir,
            options,
            report=task.report,
            resources=Resources(
                limits=Limits(**task.limits),
                foreign=options.foreign,
                accept_truncated=task.accept_truncated,
                threads=threads,
            ),
        )
    except AudioFormatError as error:
        raise BadInput(error.code, error.message, error.hint, error.path) from error
    except ParameterError as error:
        raise BadInput(
            "SETTINGS_INVALID", str(error), "Correct the settings and drop it again."
        ) from error
    except (ValidationError, SoundFileError) as error:  # their own words help nobody
        raise RuntimeError("the sound engine failed; the drop is not at fault") from error
    return Result(
        outputs=tuple(
            Output(name, role, made.figures.get(role, {})) for role, name in made.outputs.items()
        ),
        measurements=made.figures["master"],
        notes=(*notes, *(Note(code, message) for code, message in made.warnings)),
        inputs=(*made.inputs, *sheet),
    )


def _with_sheet(
    drop: Path, options: Options
) -> tuple[Options, list[Mapping[str, object]], list[Note]]:
    """Return the options with the recall sheet that lies in a drop, it as an input, and notes.

    Under its own name it is a ``job.yaml`` in all but what speaks to the daemon; where both are,
    that one counts.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``, with the line and the column.
    """
    if not os.path.lexists(drop / RECALL_SHEET):
        return options, [], []
    data = read_plain(drop / RECALL_SHEET, _SHEET_BYTES + 1)
    read = {"path": RECALL_SHEET, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if settings_beside(drop) is not None:
        text = f"{RECALL_SHEET} was not read: {SETTINGS} is there, too, and counts"
        return options, [read], [Note("SHEET_NOT_READ", text)]
    document = yaml_reader.load(data, name=RECALL_SHEET, max_bytes=_SHEET_BYTES)
    below = options.model_dump(exclude_unset=True, mode="json")
    asked = document.with_value(merged(below, document.value or {}))
    return validate(Options, for_handler(asked, Options)), [read], []
