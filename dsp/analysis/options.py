"""What changes the numbers of an analysis: its options and its version."""

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VERSION = "10"
"""Rises with every change of any number in ``analysis.json``."""

LOWEST_BPM, HIGHEST_BPM = 45.0, 245.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TempoOptions(_Part):
    """Where the tempo is looked for."""

    range: tuple[float, float] = (LOWEST_BPM, HIGHEST_BPM)
    """BPM. A tempo outside is halved or doubled into it, so it spans an octave at least."""

    @model_validator(mode="after")
    def _spans_an_octave(self) -> Self:
        low, high = self.range
        if not LOWEST_BPM <= low < high <= HIGHEST_BPM:
            raise ValueError(
                f"must rise within {LOWEST_BPM:g} to {HIGHEST_BPM:g} BPM, got {low:g} to {high:g}"
            )
        if high < 2 * low:
            raise ValueError(f"must span an octave: {low:g} to {2 * low:g} BPM at least")
        return self


class AnalysisOptions(_Part):
    """All that changes numbers. Names of keys, tags and calibration do not."""

    tempo: TempoOptions = TempoOptions()
    sections: Annotated[int, Field(ge=5, le=600)] | Literal["bars", "off"] = 15
    """Seconds per section; ``bars``: eight bars each; ``off``: none."""

    @field_validator("sections", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:  # noqa: ANN401 - whatever was written
        return "off" if value is False else value  # YAML reads a bare off as false

    def digest(self) -> str:
        """Return 12 hexadecimal digits that differ where numbers may."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
