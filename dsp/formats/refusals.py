"""The words in which a stem is refused: what was found, what was expected, what to do.

Each code is stable: status files carry it and tools match it.
"""

import errno
import shlex
from pathlib import PurePath

from dsp.errors import AudioFormatError

_GRANT = "; or install ffmpeg and let the inbox use it by allow: {programs: [ffmpeg]}"
_COPY = "Copy or export it again from the original."


def unopened(name: str, error: OSError) -> AudioFormatError | OSError:
    """A file that was not opened: its own fault, or else the surroundings' as it came."""
    if error.errno == errno.ELOOP:
        hint = "Drop the file itself; links are never followed."
        return _refusal("REFUSED_SYMLINK", name, "is a symbolic link", hint)
    if error.errno == errno.EACCES:
        hint = "Let the daemon's user read it: chmod a+r."
        return _refusal("INPUT_UNREADABLE", name, "may not be read", hint)
    return odd_kind(name) if error.errno == errno.ENXIO else error


def odd_kind(name: str) -> AudioFormatError:
    """A folder, a pipe, a device or a socket."""
    return _refusal("REFUSED_KIND", name, "is not a regular file", "Drop the file itself.")


def not_audio(name: str, head: bytes) -> AudioFormatError:
    """A file of unknown format."""
    found = f"is not audio in any known format: it begins with {head!r}"
    hint = "Take it out of the drop, or export it again as WAV, FLAC or AIFF."
    return _refusal("INPUT_NOT_AUDIO", name, found, hint)


def not_supported(name: str, kind: str, *, foreign: bool = False) -> AudioFormatError:
    """Audio of a kind that is not read here; ``foreign``: one that ffmpeg reads."""
    hint = f"Convert it to FLAC, WAV or AIFF, for instance with: {_converting(name)}"
    hint += _GRANT if foreign else ""
    return _refusal("INPUT_NOT_SUPPORTED", name, f"is {kind}", hint)


def empty(name: str, found: str) -> AudioFormatError:
    """A file without sound."""
    return _refusal("INPUT_EMPTY", name, f"has {found}", "Export it again; this file is empty.")


def truncated(name: str, found: str) -> AudioFormatError:
    """A file without its end."""
    return _refusal("INPUT_TRUNCATED", name, found, _COPY)


def damaged(name: str, found: str) -> AudioFormatError:
    """A file that is broken before its end."""
    return _refusal("INPUT_DAMAGED", name, found, _COPY)


def chained(name: str, seconds: float) -> AudioFormatError:
    """Several streams in one file, of which decoders read the first."""
    found = f"holds a second recording behind the first, which ends after {seconds:.3f} s"
    hint = f"Make it one stream: {_converting(name)}, or drop the recordings one by one."
    return _refusal("INPUT_DAMAGED", name, found, hint)


def too_long(name: str, frames: int, most: int) -> AudioFormatError:
    """More frames than the limit, declared or counted."""
    found = f"has at least {frames} frames; {most} can be used"
    return _refusal("INPUT_TOO_LONG", name, found, "Cut it into shorter files.")


def wrong_rate(name: str, rate_hz: int, low_hz: int, high_hz: int) -> AudioFormatError:
    """A rate outside the limits."""
    found = f"has a rate of {rate_hz} Hz; {low_hz} to {high_hz} Hz can be used"
    return _refusal("INPUT_RATE", name, found, "Export it at 44100 or 48000 Hz.")


def wrong_channels(name: str, channels: int, most: int) -> AudioFormatError:
    """Too many channels, or none."""
    found = f"has {channels} channels; 1 to {most} can be used"
    return _refusal("INPUT_CHANNELS", name, found, "Export it as mono or stereo.")


def _converting(name: str) -> str:
    """Return what a person may type to make FLAC of this very file."""
    file = PurePath(name).name
    made = PurePath(file).stem + (" copy.flac" if file.casefold().endswith(".flac") else ".flac")
    return f"ffmpeg -i {_typed(file)} {_typed(made)}"


def _typed(file: str) -> str:
    """Return a name as a shell takes it; one that begins with a dash is no option."""
    return shlex.quote(f"./{file}" if file.startswith("-") else file)


def _refusal(code: str, name: str, found: str, hint: str) -> AudioFormatError:
    return AudioFormatError(code, f"{name} {found}", hint=hint, path=name)
