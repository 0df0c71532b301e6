"""What each channel strip is set to, up to its fader."""

from collections.abc import Mapping, Sequence

from dsp.mixing.align.align import Placement
from dsp.mixing.balance import trim_db
from dsp.mixing.compression import compression_of, deess_of, drive_of
from dsp.mixing.conversation import talks, with_automation
from dsp.mixing.prediction import level_db
from dsp.mixing.presets import stages_of
from dsp.mixing.recall_sheet import Ride, Settings, Stages, Stem
from dsp.mixing.tone import air_of, corner_of, power_response, tonal_balance
from dsp.mixing.track import Track, loudness_change_db

_LEFT_ALONE = {
    "noise": "left as it is: nothing but idle noise",
    "offset": "left out: nothing but a constant offset",
}


def strips_of(
    tracks: Sequence[Track],
    heard: Sequence[Track],
    placements: Mapping[str, Placement],
    settings: Settings,
    rate_hz: int,
) -> dict[str, Stem]:
    """Return every stem's strip up to its fader, which needs the others."""
    stages = stages_of(settings)
    aside = {t.name for t in tracks if t.content != "music"} - {t.name for t in heard}
    done = {
        t.name: _strip(t, placements[t.name], stages, rate_hz, music=t.name not in aside)
        for t in tracks
    }
    return with_automation(heard, done, stages) if talks(heard, settings) else done


def _strip(
    track: Track, placement: Placement, stages: Stages, rate_hz: int, *, music: bool
) -> Stem:
    probe = track.analysis.probe
    delay = (
        f"; {probe.delay_frames} frames of its encoder's delay cut" if probe.delay_frames else ""
    )
    stem = Stem.within(
        role=track.role,
        role_why=track.role_why + (f"; in doubt: {track.doubt}" if track.doubt else ""),
        lag_ms=placement.lag_ms,
        polarity=1 if placement.polarity > 0 else -1,
        lag_why=placement.why + delay,
    )
    if not music:
        return stem.changed(mute=track.content == "offset", trim_why=_LEFT_ALONE[track.content])
    corner = corner_of(track) if stages.eq else []
    coloured = stages.tonal_balance and not track.profile.finished
    tonal = tonal_balance(track, corner, rate_hz) if coloured else []
    air = air_of(track, [*corner, *tonal], rate_hz) if stages.air else []
    eq = [*corner, *tonal, *air]
    change = loudness_change_db(track.spectrum, power_response(eq, rate_hz))
    trim = trim_db(track, change) if stages.auto_gain else 0.0
    ride = track.profile.ride if stages.ride else 0.0
    driven_db = level_db(track, trim, power_response(eq, rate_hz))
    return stem.changed(
        trim_db=trim,
        trim_why=f"{track.loudness_lufs:.1f} LUFS as recorded" if trim else "",
        ride=Ride(amount=ride, range_db=track.profile.ride_range_db, why="evens out phrases")
        if ride
        else None,
        eq=tuple(eq),
        deess=deess_of(track, trim) if stages.deess else None,
        compressor=compression_of(track, driven_db) if stages.compressor else None,
        saturation=drive_of(track) if stages.saturation else None,
    )
