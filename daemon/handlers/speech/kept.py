"""What was recognised of pieces, kept by their samples: no piece that was answered is asked again.

Rule: an answer appears by one rename, and is held against its type when it is read; what is no
answer is asked for again.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter

from daemon.handlers.speech.answers import Segment
from daemon.handlers.speech.engines import Engine
from daemon.handlers.speech.sound import Samples

SEGMENTS = TypeAdapter(list[Segment])


def recognised(
    kept: Path | None, engine: Engine, samples: Samples, language: str, prompt: str
) -> list[Segment]:
    """Return what is said in a piece: what is kept, else what the engine says."""
    asked = json.dumps([engine.name, language, prompt]).encode()
    digest = hashlib.sha256(asked + b"\0" + samples.tobytes()).hexdigest()
    path = kept / "pieces" / digest[:2] / f"{digest}.json" if kept else None
    if path is not None:
        with suppress(OSError, ValueError):
            return SEGMENTS.validate_json(path.read_bytes())
    found = engine.recognised(samples, language, prompt)
    if path is not None:
        with suppress(OSError):  # it is recognised all the same, and again another time
            _put(path, SEGMENTS.dump_json(found))
    return found


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(temporary).replace(path)
