"""A song mixed in some way, and every strip of it heard on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from dsp.audio import BLOCK_FRAMES, blocks_of
from dsp.measure.loudness import StepEnergies, integrated_lufs
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.align.align import Placement, TimingCues, align
from dsp.mixing.automation import automation_db
from dsp.mixing.plan import Plan, plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.master import Mastered, master
from dsp.mixing.render.mixdown import Rendered, render
from dsp.mixing.render.strip import Strip
from dsp.mixing.roles import LEADS, PROFILES, role_of
from dsp.mixing.source import Resources, Source
from dsp.mixing.stem_analysis import Analysis, analyse_all
from dsp.mixing.stem_meters import BANDS_STEP_S, STEP_S
from dsp.mixing.stems import find_stems
from dsp.mixing.tone import CENTRES
from dsp.units import power_db_of

MEANS = Resources()
LOWS_HZ = 120.0


@dataclass(frozen=True)
class Song:
    """What is known of a folder of stems before anything is decided."""

    analyses: list[Analysis]

    def placements(self, *, moved: bool) -> dict[str, Placement]:
        """Return where the stems belong, or where they lie."""
        stems = [
            TimingCues(
                name=a.probe.name,
                role=role_of(a.probe.name)[0],
                rate_hz=a.probe.rate_hz,
                frames=a.frames,
                flux=a.flux,
                wave=a.wave,
                start_s=a.probe.start_s,
            )
            for a in self.analyses
        ]
        return {one.name: one for one in align(stems, mode="rhythm" if moved else "off")}


def song_in(folder: Path) -> Song:
    """Return the analysed stems of a folder."""
    probes = find_stems(folder, MEANS, Settings()).probes
    return Song(analyse_all(probes, resources=MEANS, onsets=True, report=lambda _: None))


class Sound:
    """One strip as it reached the sum."""

    def __init__(self, frames: NDArray[np.float32], rate_hz: int) -> None:
        self.rate_hz = rate_hz
        energies, bands = (
            StepEnergies(rate_hz, 2, step_s=STEP_S),
            ThirdOctaves(rate_hz, 2, step_s=BANDS_STEP_S),
        )
        for start, length in blocks_of(len(frames)):
            energies.update(frames[start : start + length])
            bands.update(frames[start : start + length])
        self.energy = energies.energies().sum(axis=1)
        """K-weighted, per 100 ms."""
        self.bands = bands.powers()
        """Per half second."""
        self.peak = float(np.abs(frames).max(initial=0.0))
        both = np.stack([frames[:, 0] + frames[:, 1], frames[:, 0] - frames[:, 1]]) / np.sqrt(2.0)
        sections = butter(2, LOWS_HZ, output="sos", fs=rate_hz)
        lows = sosfilt(sections, both)
        self.middle, self.side = (float(p) for p in np.square(both - lows).sum(axis=1))
        """Power above 120 Hz."""
        self.whole_middle, self.whole_side = (float(p) for p in np.square(both).sum(axis=1))

    @cached_property
    def lufs(self) -> float:
        """Gated."""
        return integrated_lufs(self.energy, step_s=STEP_S)

    def power_where(self, steps: NDArray[np.bool_]) -> float:
        """Return the K-weighted energy in the marked steps."""
        length = min(len(steps), len(self.energy))
        return float(self.energy[:length][steps[:length]].sum())

    def bands_where(self, steps: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the power per third octave in the half seconds that are marked throughout."""
        rows = np.asarray([cut.all() for cut in np.split(steps, range(5, len(steps), 5))])
        length = min(len(rows), len(self.bands))
        return np.asarray(self.bands[:length][rows[:length]].sum(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class Take:
    """One way of mixing a song, made and heard."""

    song: Song
    decided: Plan
    sounds: Mapping[str, Sound]
    rendered: Rendered
    mastered: Mastered

    def role(self, name: str) -> str:
        """Return what a stem is."""
        return self.decided.sheet.stems[name].role

    def leads(self) -> list[str]:
        """Return the stems that the rest makes room for."""
        return [name for name in self.sounds if self.role(name) in LEADS]

    def rest(self) -> list[str]:
        """Return the other stems."""
        return [name for name in self.sounds if self.role(name) not in LEADS]

    def bands(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return the power per third octave of some stems while the lead sounds."""
        where = self.decided.lead_active
        return sum((self.sounds[n].bands_where(where) for n in names), np.zeros(len(CENTRES)))

    def role_errors_lu(self) -> dict[str, float]:
        """Return how far each stem is from the distance its role asks for, on average 0.

        One number for all is free: it is the lead's distance to the rest, measured apart.
        """
        roles = [self.role(name) for name in self.sounds]
        away = {
            name: sound.lufs
            - PROFILES[self.role(name)].level_lu
            + power_db_of(float(roles.count(self.role(name))))
            for name, sound in self.sounds.items()
        }
        middle = float(np.median([away[n] for n in self.rest()] or [0.0]))
        return {name: away[name] - middle for name in self.rest()}


def heard_as(song: Song, settings: Settings, folder: Path) -> Take:
    """Return a song mixed with these settings."""
    moved = settings.stages.align and settings.align != "off"
    decided = plan(song.analyses, song.placements(moved=moved), settings)
    probes = [analysis.probe for analysis in song.analyses]
    rendered = render(decided, probes, folder, resources=MEANS, report=lambda _: None)
    mastered = master(
        rendered,
        decided.sheet,
        folder / "mix.wav",
        limits=MEANS.limits,
        report=lambda _: None,
    )
    sounds = {t.name: _sound_of(decided, t.name, song) for t in decided.tracks if t.energy.any()}
    return Take(song, decided, sounds, rendered, mastered)


def _sound_of(decided: Plan, name: str, song: Song) -> Sound:
    sheet = decided.sheet
    stem, rate_hz = sheet.stems[name], sheet.rate_hz
    probe = next(a.probe for a in song.analyses if a.probe.name == name)
    source = Source(
        probe,
        rate_hz=rate_hz,
        lag=round(stem.lag_ms * rate_hz / 1000.0),
        polarity=stem.polarity,
        resources=MEANS,
    )
    track = next(track for track in decided.tracks if track.name == name)
    key = decided.lead_active.astype(np.float64)
    moved_db = automation_db(stem, track, decided.lead_active)
    strip = Strip(stem, source, moved_db=moved_db, key=key, rate_hz=rate_hz)
    frames = round(decided.song_s * rate_hz)
    blocks = [strip.read(BLOCK_FRAMES) for _ in range(-(-frames // BLOCK_FRAMES))]
    strip.close()
    return Sound(np.concatenate(blocks)[:frames], rate_hz)
