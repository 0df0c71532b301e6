"""What each stage of a mix is there for, as a number.

A measure is told of the full mix, which says what a stage had to do (which bands were
masked, which stems are compressed), and of the take that it is to be read from. It is
``None`` where a song gives the stage nothing to do.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from takes import LOWS_HZ, Take

from dsp.measure.loudness import sliding_lufs
from dsp.mixing.balance import WORKING_LUFS
from dsp.mixing.compression import SIBILANCE
from dsp.mixing.roles import PROFILES
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.tone import CENTRES, region_levels_db, target_distance_db
from dsp.units import db_of, power_db_of, power_dbs_of


def _onset_agreement_db(with_: Take, take: Take) -> float | None:
    """Energy of the sum of all onset curves against the sum of their energies."""
    stems = take.decided.sheet.stems
    curves = []
    for analysis in with_.song.analyses:
        late = round(stems[analysis.probe.name].lag_ms / 5.0)
        flux = np.roll(analysis.flux.astype(np.float64), -late)
        if flux.any():
            curves.append(flux / np.sqrt(np.square(flux).sum()))
    if len(curves) < 2:  # noqa: PLR2004 - nobody to agree with
        return None
    shortest = min(map(len, curves))
    total = np.sum([curve[:shortest] for curve in curves], axis=0)
    return power_db_of(float(np.square(total).sum()) / len(curves))


def _working_level_lu(_: Take, take: Take) -> float | None:
    stems = take.decided.sheet.stems
    away = [s.lufs - stems[n].fader_db - WORKING_LUFS for n, s in take.sounds.items()]
    return float(np.abs(away).mean())


def _phrase_spread_lu(with_: Take, take: Take) -> float | None:
    """Standard deviation of the lead's loudness per 3 s, where it sounds."""
    spreads = []
    for name in take.leads():
        track = next(t for t in with_.decided.tracks if t.name == name)
        length = min(len(track.active), len(take.sounds[name].energy))
        window = np.ones(30)
        heard = np.convolve(track.active[:length], window, mode="valid")
        energy = take.sounds[name].energy[:length] * track.active[:length]
        level = power_dbs_of(np.convolve(energy, window, mode="valid") / np.maximum(heard, 1))
        chosen = level[heard >= 15]  # noqa: PLR2004 - half of the window
        spreads.append(float(chosen.std()) if len(chosen) else 0.0)
    return max(spreads) if spreads else None


def _role_spectrum_db(with_: Take, take: Take) -> float | None:
    """RMS distance to the role's spectrum over regions that sound, mean over stems."""
    return _regions_away(with_, take, slice(None), list(take.sounds))


def _top_region_db(with_: Take, take: Take) -> float | None:
    aired = [n for n, s in with_.decided.sheet.stems.items() if any(b.why == "air" for b in s.eq)]
    return _regions_away(with_, take, slice(-1, None), aired) if aired else None


def _regions_away(with_: Take, take: Take, chosen: slice, names: Sequence[str]) -> float:
    away = []
    for name in names:
        levels = region_levels_db(take.sounds[name].bands.mean(axis=0, dtype=np.float64))
        counts = _counting_regions(with_, name)
        wanted = np.asarray(PROFILES[take.role(name)].spectrum_db)
        distance = np.where(counts, levels - wanted, 0.0)
        distance[counts] -= distance[counts].mean()
        away.append(np.sqrt(np.square(distance[chosen]).mean()))
    return float(np.mean(away))


def _counting_regions(with_: Take, name: str) -> NDArray[np.bool_]:
    """Return the regions in which a stem sounds, as the full mix has it."""
    levels = region_levels_db(with_.sounds[name].bands.mean(axis=0, dtype=np.float64))
    return np.asarray(levels > levels.max() - 30.0)


def _below_corner_db(with_: Take, take: Take) -> float | None:
    """Power below the corners of the stems against the whole, of the stem that has most."""
    cut = [
        n for n, s in with_.decided.sheet.stems.items() if any(b.kind == "high_pass" for b in s.eq)
    ]
    shares = []
    for name in cut:
        spectrum = take.sounds[name].bands.mean(axis=0, dtype=np.float64)
        corner = PROFILES[take.role(name)].corner_hz / 1.1
        shares.append(power_db_of(float(spectrum[corner > CENTRES].sum() / spectrum.sum())))
    return max(shares) if shares else None


def _peak_to_loudness_db(names: Sequence[str], take: Take) -> float | None:
    rows = [db_of(take.sounds[n].peak) - take.sounds[n].lufs for n in names if n in take.sounds]
    return float(np.mean(rows)) if rows else None


def _compressed_spread_lu(with_: Take, take: Take) -> float | None:
    """Standard deviation of the loudness per 400 ms of compressed stems, where they sound."""
    stems = with_.decided.sheet.stems
    spreads = []
    for name in (n for n, stem in stems.items() if stem.compressor):
        sound = take.sounds[name]
        momentary = sliding_lufs(sound.energy, step_s=STEP_S, window_s=0.4, hop_s=STEP_S)
        spreads.append(float(momentary[momentary > sound.lufs - 10.0].std()))
    return float(np.mean(spreads)) if spreads else None


def _driven_peaks_db(with_: Take, take: Take) -> float | None:
    stems = with_.decided.sheet.stems
    return _peak_to_loudness_db([n for n, s in stems.items() if s.saturation], take)


def _sibilance_db(with_: Take, take: Take) -> float | None:
    """5 to 9 kHz of a voice in its sharpest half seconds against its mean."""
    found = []
    for name, stem in with_.decided.sheet.stems.items():
        if stem.deess:
            bands = take.sounds[name].bands
            sharp = np.percentile(bands[:, SIBILANCE].sum(axis=1), 95)
            found.append(power_db_of(float(sharp / bands.sum(axis=1).mean())))
    return max(found) if found else None


def _middle_cleared_db(_: Take, take: Take) -> float | None:
    """How much more of the lead than of the rest is in the middle, above 120 Hz.

    Side counts up to the middle of its stem: what is beyond cancels in mono, and is no place.
    """

    def middle_share(names: Sequence[str]) -> float:
        sounds = [take.sounds[name] for name in names]
        middle = sum(sound.middle for sound in sounds)
        return middle / (middle + sum(min(sound.side, sound.middle) for sound in sounds))

    return power_db_of(middle_share(take.leads()) / middle_share(take.rest()))


def _masked_db(with_: Take, take: Take) -> float | None:
    """Lead to rest in the bands that the full mix found masked, while the lead sounds."""
    masked = [m.hz for m in with_.decided.masked]
    if not masked:
        return None
    distance = power_dbs_of(take.bands(take.leads())) - power_dbs_of(take.bands(take.rest()))
    return float(np.mean([distance[np.argmin(np.abs(CENTRES - hz))] for hz in masked]))


def _role_error_lu(_: Take, take: Take) -> float | None:
    errors = np.abs(list(take.role_errors_lu().values()))
    return float(errors.mean()) if len(errors) else None


def _octaves_away_db(_: Take, take: Take) -> float | None:
    return float(np.nanmax(np.abs(target_distance_db(10 ** (take.mastered.heard.bands_db / 10)))))


def _momentary_spread_lu(_: Take, take: Take) -> float | None:
    """Standard deviation of the momentary loudness ahead of the limiter, gated."""
    loud = take.rendered.loudness
    curve = loud.momentary_lufs()
    return float(curve[curve > loud.integrated_lufs() - 10.0].std())


def _low_side_db(_: Take, take: Take) -> float | None:
    """Side in the lows against the middle there, ahead of the limiter."""
    frames = np.memmap(take.rendered.sound, np.float32, "r").reshape(-1, 2)
    sections = butter(4, LOWS_HZ * 0.7, output="sos", fs=take.decided.sheet.rate_hz)
    middle, side = (
        float(np.square(sosfilt(sections, frames[:, 0] + sign * frames[:, 1])).sum())
        for sign in (1.0, -1.0)
    )
    return power_db_of(side / max(middle, 1e-30))


Measure = Callable[[Take, Take], float | None]

OWN: dict[str, tuple[str, int, Measure]] = {
    "align": ("onsets that agree, dB", +1, _onset_agreement_db),
    "auto_gain": ("distance to the working level ahead of faders, LU", -1, _working_level_lu),
    "ride": ("spread of the lead's phrases, LU", -1, _phrase_spread_lu),
    "tonal_balance": ("distance to role spectra, dB", -1, _role_spectrum_db),
    "eq": ("power below the corners, dB", -1, _below_corner_db),
    "compressor": ("spread of 400 ms of compressed stems, LU", -1, _compressed_spread_lu),
    "saturation": ("peak to loudness of driven stems, dB", -1, _driven_peaks_db),
    "deess": ("sibilance of voices, dB", -1, _sibilance_db),
    "air": ("distance to the role above 6 kHz, dB", -1, _top_region_db),
    "spatial": ("lead against rest in the middle, dB", +1, _middle_cleared_db),
    "masking": ("lead to rest in masked bands, dB", +1, _masked_db),
    "balance": ("distance to role levels, LU", -1, _role_error_lu),
    "master_eq": ("furthest octave from the target, dB", -1, _octaves_away_db),
    "glue": ("spread of momentary loudness, LU", -1, _momentary_spread_lu),
    "widen": ("side below 84 Hz, dB", -1, _low_side_db),
}
"""Stage → its measure, +1 where more is better, how it is taken."""
