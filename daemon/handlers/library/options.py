"""What an inbox says of its library, and what one drop asks for."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.config import yaml_reader
from daemon.config.validation import validate
from daemon.errors import BadInput
from daemon.handlers.grants import Url
from daemon.handlers.library.work import Stage

_MOST_BYTES = 64 << 10
_Follow = Literal["tags", "peaks", "loudness", "analysis", "transcript"]


class Transcripts(BaseModel):
    """Who recognises what is said, as ``transcribe`` has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The words of ``Kind`` and ``Detector``, whose modules load NumPy: a scan does without.
    engine: Literal["auto", "endpoint", "whisper", "pocketsphinx"] = "auto"
    endpoint: Url = ""
    api_key_file: str = ""
    api_key_env: str = ""
    model: Annotated[str, Field(max_length=300)] = ""
    language: Annotated[str, Field(pattern=r"^([a-z]{2,3})?$")] = ""
    prompt: Annotated[str, Field(max_length=1_000)] = ""
    detector: Literal["auto", "silero", "energy"] = "auto"
    at_once: Annotated[int, Field(ge=0, le=64)] = 2
    """Parts at a time; 0: as many as there are slots."""


class Options(BaseModel):
    """The settings of a library."""

    model_config = ConfigDict(extra="forbid")

    follow: Annotated[list[_Follow], Field(max_length=10)] = ["tags", "peaks", "loudness"]
    """What is found out of each file. ``peaks`` and ``loudness`` come from one decode, with its
    length and its full hash; ``analysis`` adds tempo, key and what else ``analyze`` finds;
    ``transcript`` adds what is said."""
    exclude: Annotated[list[str], Field(max_length=1_000)] = []
    """Patterns of what is left out, as in ``.gitignore``."""
    settle_s: Annotated[float, Field(ge=0, le=1e6)] = 30.0
    """Younger files are listed, and examined in the next run."""
    verify_days: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    """After so many days a file is read to its end again; 0: never."""
    removed_after_h: Annotated[float, Field(ge=0, le=1e5)] = 24.0
    """A file counts as removed when two runs, so far apart, did not find it."""
    most_removed: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of a root that may go at once; above it, and above 20 files, none goes."""
    part_s: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    """The work of a part."""
    first_look: Annotated[int, Field(ge=1, le=1 << 40)] = 20_000
    """New files after which a run first examines, then looks on."""
    transcript: Transcripts = Transcripts()
    """Who recognises, where ``follow`` names ``transcript``."""
    foreign: bool = True
    """Whether the ``ffmpeg`` program may decode what libsndfile cannot (M4A)."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages that this takes, in their order."""
        found: list[Stage] = ["tags"]
        if {"peaks", "loudness"} & set(self.follow):
            found.append("decode")
        if "analysis" in self.follow:
            found.append("follow")
        if "transcript" in self.follow:
            found.append("transcript")
        return tuple(found)


class Request(BaseModel):
    """What a ``.scan`` file may ask for."""

    model_config = ConfigDict(extra="forbid")

    under: (
        Annotated[str, Field(max_length=4_000)] | Annotated[list[str], Field(max_length=1_000)]
    ) = []
    """Only these folders, as paths below a root; the name of the root may stand first."""
    full: bool = False
    """Read every file to its end again."""
    accept_removals: bool = False
    """What is gone is gone, and what is there is the root."""

    def folders(self) -> tuple[str, ...]:
        """Return the folders that are asked for."""
        asked = [self.under] if isinstance(self.under, str) else self.under
        return tuple(asked)


def request_in(path: Path) -> Request:
    """Return what a drop asks for.

    Raises
    ------
    BadInput
        It cannot be understood.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise BadInput("SETTINGS_INVALID", f"{path.name} is longer than {_MOST_BYTES} bytes")
    request = validate(Request, yaml_reader.load(data, name=path.name))
    for folder in request.folders():
        if ".." in folder.split("/") or "\0" in folder:
            raise BadInput("SETTINGS_INVALID", f"under must lie in a root, got {folder!r}")
    return request
