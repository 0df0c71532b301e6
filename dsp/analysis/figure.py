"""One figure: what was found, in what unit, how surely, or why it was not."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

T = TypeVar("T")

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Bpm = Annotated[float, Field(ge=30, le=300)]
Count = Annotated[int, Field(ge=0)]
Chroma = Annotated[tuple[Share, ...], Field(min_length=12, max_length=12)]
"""C, C♯ … B; the strongest is 1."""

Source = Literal["measured", "estimated", "calibrated"]
Why = Literal[
    "silent", "too short", "not tonal", "no steady beat", "one channel", "one song", "no sections"
]
"""Why a figure does not exist."""


class Part(BaseModel):
    """A part of the document: nothing unknown, nothing changed, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class Figure(Part, Generic[T]):
    """One number, or one word, that was found."""

    value: T | None
    unit: str
    """``LUFS``, ``BPM``, ``s`` …; empty for ratios, counts and words."""
    p: Probability | None = None
    """The probability that the value is right, fitted on truth."""
    source: Source = "measured"
    why: Why | None = None
    """Why there is no value; only then."""
    raw: T | None = None
    """The value before calibration; only with ``calibrated``."""

    @model_serializer(mode="wrap")
    def _without_what_does_not_apply(
        self, handler: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        optional = ("why", "raw")
        return {k: v for k, v in said.items() if not (k in optional and v is None)}
