"""Destinations, and what each asks for."""

from dataclasses import dataclass, replace

from dsp.mixing.recall_sheet import Format, PresetName, Settings, Stages


@dataclass(frozen=True)
class Preset:
    """What a destination asks for."""

    target_lufs: float
    ceiling_dbtp: float = -1.0
    max_mean_reduction_db: float = 3.0
    saturation: bool = True
    """Whether stems are driven where nobody says: speech and finished sound gain nothing by it."""
    conversation: bool = False
    """Whether speech is what it is about: microphones close, phrases are levelled, music ducks."""


PRESETS: dict[str, Preset] = {
    "streaming": Preset(-14.0),
    "apple": Preset(-16.0),
    "podcast": Preset(-16.0, saturation=False, conversation=True),
    "broadcast": Preset(-23.0, saturation=False),
    "aes-music": Preset(-16.0),
    "loud": Preset(-9.0, max_mean_reduction_db=5.0),
}


LOSSY = ("ogg", "opus", "mp3")
LOSSY_ROOM_DB = 0.5
"""Lossy encoders overshoot: their input stays this much lower."""


def asked_of(
    preset: PresetName, target_lufs: float | None, ceiling_dbtp: float | None, file_format: Format
) -> Preset:
    """Return what a master must reach: the numbers that were named, else the preset's."""
    wanted = PRESETS[preset]
    if target_lufs is not None:
        wanted = replace(wanted, target_lufs=target_lufs)
    if ceiling_dbtp is not None:
        return replace(wanted, ceiling_dbtp=ceiling_dbtp)
    room_db = LOSSY_ROOM_DB if file_format in LOSSY else 0.0
    return replace(wanted, ceiling_dbtp=wanted.ceiling_dbtp - room_db)


def stages_of(settings: Settings) -> Stages:
    """Return what may be decided: what was asked for, and else what suits the destination."""
    if "saturation" in settings.stages.model_fields_set or PRESETS[settings.preset].saturation:
        return settings.stages
    return settings.stages.changed(saturation=False)
