"""The recall sheet: every number the engine decided, in the words of a mixing engineer.

Theory of operation
-------------------
The *plan* and the *recall sheet* are one thing. ``plan.plan`` decides a ``Sheet``;
``render`` and ``master`` obey it and know nothing else; ``mix.yaml`` is the sheet as text.
``Settings`` is the same shape with everything optional: what a person or a tool asks for.
A sheet is therefore valid settings, and given back it overrules every decision with the
number it already had.

Rule 1: a number is rounded *before* it is used, so that what the sheet says is what was
done, to the bit.

Rule 2: a list (the bands of an EQ) is replaced whole; a mapping is merged key by key.

Rule 3: what is decided goes through ``within`` and ``changed``: no stem, however odd, leads to
a sheet that may not be given back. What a person asks for is refused instead.

Rule 4: what the engine decided carries its reason in ``why``; reasons never matter on the
way back in.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from dsp.mixing.align.align import AlignMode

Hz = Annotated[float, Field(gt=0, le=96_000)]
Q = Annotated[float, Field(gt=0.05, le=40)]
LOWEST_GAIN_DB = -60.0
GainDb = Annotated[float, Field(ge=LOWEST_GAIN_DB, le=60)]
Ms = Annotated[float, Field(ge=0, le=5_000)]
Unit = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    # Built when first needed: parts of parts would each be built again for their own sake.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def within(cls, **values: object) -> Self:
        """Return the part with every number moved to the nearest that its field allows."""
        fields = cls.model_fields
        return cls.model_validate({k: _bounded(v, fields[k].metadata) for k, v in values.items()})

    def changed(self, **values: object) -> Self:
        """Return the part with other values, moved into bounds likewise."""
        return self.within(**{**dict(self), **values})


def _bounded(value: object, bounds: Sequence[object]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    nearest = float(value)
    for bound in bounds:
        if isinstance(bound, Ge):
            nearest = max(nearest, float(str(bound.ge)))
        elif isinstance(bound, Gt):
            nearest = max(nearest, math.nextafter(float(str(bound.gt)), math.inf))
        elif isinstance(bound, Le):
            nearest = min(nearest, float(str(bound.le)))
    return value if nearest == value else nearest


class Band(_Part):
    """One static band of an equaliser."""

    kind: Literal["peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "notch"]
    hz: Hz
    gain_db: GainDb = 0.0
    q: Q = 0.7071
    why: str = ""


class Ride(_Part):
    """Phrase-level levelling: ``amount`` of each difference, at most ``range_db`` of it."""

    amount: Unit
    range_db: Annotated[float, Field(ge=0, le=12)] = 3.0
    why: str = ""


class Denoise(_Part):
    """Steady noise, turned down where there is little else."""

    noise_db: Annotated[tuple[float, ...], Field(min_length=10, max_length=10)]
    """Per octave from 31.25 Hz to 16 kHz."""
    reduction_db: Annotated[float, Field(ge=0, le=24)]
    why: str = ""


class Gate(_Part):
    """A microphone that is closed while somebody else speaks."""

    range_db: Annotated[float, Field(ge=0, le=80)]
    why: str = ""


class Duck(_Part):
    """A sound that steps back while a lead sounds."""

    depth_db: Annotated[float, Field(ge=0, le=40)]
    attack_ms: Ms = 300.0
    """How long before the lead it begins to go down."""
    hold_ms: Ms = 700.0
    """How long a pause of the lead may be without its coming back."""
    release_ms: Ms = 1_200.0
    why: str = ""


class Compression(_Part):
    """A compressor's front panel."""

    threshold_db: GainDb
    ratio: Annotated[float, Field(ge=1, le=60)]
    knee_db: Annotated[float, Field(ge=0, le=24)] = 6.0
    attack_ms: Ms
    release_ms: Ms
    make_up_db: GainDb = 0.0
    detector_hz: Annotated[float, Field(ge=0, le=1_000)] = 0.0
    """What lies below does not set it off."""
    why: str = ""


class DeEss(_Part):
    """A compressor that hears and turns down one band."""

    hz: Hz
    q: Q
    threshold_db: GainDb
    ratio: Annotated[float, Field(ge=1, le=60)] = 4.0
    range_db: Annotated[float, Field(ge=0, le=24)] = 6.0
    why: str = ""


class Room(_Part):
    """A cut that makes room for the lead, only while the lead sounds."""

    hz: Hz
    q: Q
    depth_db: Annotated[float, Field(ge=0, le=12)]
    why: str = ""


class Drive(_Part):
    """Saturation."""

    drive_db: Annotated[float, Field(ge=0, le=36)]
    mix: Unit = 1.0
    why: str = ""


class LowLimit(_Part):
    """Lows that give way where the sum is over the limit for their sake."""

    hz: Annotated[float, Field(ge=20, le=500)]
    limit_db: GainDb
    range_db: Annotated[float, Field(ge=0, le=24)]
    release_ms: Ms
    why: str = ""


class Stem(_Part):
    """One channel strip, in the order of the signal."""

    role: str
    role_why: str = ""
    lag_ms: Annotated[float, Field(ge=-3_600_000, le=3_600_000)] = 0.0
    """How late the stem is; it is moved earlier by this much."""
    polarity: Literal[1, -1] = 1
    lag_why: str = ""
    mute: bool = False
    trim_db: GainDb = 0.0
    trim_why: str = ""
    denoise: Denoise | None = None
    ride: Ride | None = None
    gate: Gate | None = None
    duck: Duck | None = None
    eq: tuple[Band, ...] = ()
    deess: DeEss | None = None
    room: tuple[Room, ...] = ()
    compressor: Compression | None = None
    saturation: Drive | None = None
    fader_db: GainDb = 0.0
    fader_why: str = ""
    pan: Annotated[float, Field(ge=-1, le=1)] = 0.0
    width: Annotated[float, Field(ge=0, le=2)] = 1.0
    lows_mono_hz: Annotated[float, Field(ge=0, le=500)] = 0.0
    pan_why: str = ""


class Master(_Part):
    """The chain on the sum, and what it must reach."""

    eq: tuple[Band, ...] = ()
    glue: Compression | None = None
    width: Annotated[float, Field(ge=0, le=2)] = 1.0
    lows_mono_hz: Annotated[float, Field(ge=0, le=500)] = 120.0
    low_limiter: LowLimit | None = None
    target_lufs: Annotated[float, Field(ge=-40, le=-5)]
    ceiling_dbtp: Annotated[float, Field(ge=-12, le=0)]
    look_ahead_ms: Annotated[float, Field(ge=1.5, le=10)] = 3.0
    release_ms: Ms = 120.0
    max_mean_reduction_db: Annotated[float, Field(ge=0, le=12)] = 3.0
    """The limiter may take no more than this on average, whatever the target."""
    make_up_db: Annotated[float | None, Field(ge=LOWEST_GAIN_DB, le=60)] = None
    """Gain into the limiter; solved for ``target_lufs`` when absent."""


class Stages(_Part):
    """What the engine may decide. A stage that is off decides nothing."""

    align: bool = True
    auto_gain: bool = True
    ride: bool = True
    denoise: bool = True
    gate: bool = True
    duck: bool = True
    tonal_balance: bool = True
    eq: bool = True
    compressor: bool = True
    saturation: bool = True
    deess: bool = True
    air: bool = True
    spatial: bool = True
    masking: bool = True
    balance: bool = True
    master_eq: bool = True
    glue: bool = True
    widen: bool = True
    low_limiter: bool = True
    reference: bool = True


Format = Literal["wav", "flac", "ogg", "opus", "mp3"]
Balance = Literal["auto", "keep", "plan"]
"""Whose levels hold: those that came where they are a mix already, always those, never those."""
PresetName = Literal["streaming", "apple", "podcast", "broadcast", "aes-music", "loud"]


class Deliverable(_Part):
    """One more file from the same render."""

    name: Annotated[str, Field(pattern=r"^\w[\w ()-]{0,63}$")] | None = None
    """Of the file, without its suffix; else it follows from what is asked for."""
    preset: PresetName | None = None
    target_lufs: Annotated[float, Field(ge=-40, le=-5)] | None = None
    ceiling_dbtp: Annotated[float, Field(ge=-12, le=0)] | None = None
    format: Format | None = None
    bits: Literal[16, 24, 32] | None = None
    without: tuple[str, ...] = ()
    """Roles, or names of stems, that are left out."""
    only: tuple[str, ...] = ()
    """Roles, or names of stems, that alone are heard."""
    stems: Literal["processed", "preview", "speakers"] | None = None
    """Each stem as it goes to the sum, in a file: whole, a passage, speakers in mono."""

    @field_validator("without", "only", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Sheet(_Part):
    """Everything decided about one mix."""

    soundspool: str
    """The engine's version: another version may sound different."""
    preset: PresetName
    rate_hz: Annotated[int, Field(ge=8_000, le=192_000)]
    format: Format = "wav"
    bits: Literal[16, 24, 32] = 24
    align: AlignMode = "auto"
    balance: Balance = "auto"
    balance_why: str = ""
    stages: Stages = Stages()
    also: tuple[Deliverable, ...] = ()
    stems: dict[str, Stem]
    master: Master


def _optional(model: type[_Part]) -> type[BaseModel]:
    """Return ``model`` with every field optional: what a person may overrule."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kept = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        fields[name] = (kept, None)
    return create_model(f"{model.__name__}Settings", __config__=model.model_config, **fields)


StemSettings = _optional(Stem)
MasterSettings = _optional(Master)


class Settings(_Part):
    """What may be asked of a mix. A recall sheet is one way of asking for everything."""

    soundspool: str | None = None
    preset: PresetName = "streaming"
    target_lufs: Annotated[float, Field(ge=-40, le=-5)] | None = None
    ceiling_dbtp: Annotated[float, Field(ge=-12, le=0)] | None = None
    rate_hz: Annotated[int, Field(ge=8_000, le=192_000)] | None = None
    format: Format = "wav"
    bits: Literal[16, 24, 32] = 24
    align: AlignMode = "auto"
    balance: Balance = "auto"
    balance_why: str = ""
    stages: Stages = Stages()
    also: Annotated[tuple[Deliverable, ...], Field(max_length=16)] = ()
    stems: dict[str, StemSettings] = Field(default_factory=dict)  # type: ignore[valid-type]
    master: MasterSettings | None = None  # type: ignore[valid-type]

    def overrides(self) -> dict[str, Any]:
        """Return what was set, and nothing that was not."""
        given = self.model_dump(exclude_unset=True)
        return {key: given[key] for key in ("stems", "master") if given.get(key)}


def merge(decided: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``decided`` with every number in ``wanted`` put in its place (rule 2)."""
    merged = dict(decided)
    for key, value in wanted.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged
