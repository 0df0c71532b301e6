"""Songs whose tempo, beats, bars, key and tuning are known exactly: rendered, not annotated.

usage: truth_set.py FOLDER [--songs-per-style 3] [--styles NAME,NAME]

Theory of operation
-------------------
``mma`` (Musical MIDI Accompaniment) turns chords and the name of a style into a MIDI file,
``fluidsynth`` turns that into sound. The tempo map is read from the MIDI file, the chords are
chosen here, in a key that is chosen here, and a known number of cents is written into the MIDI
file as fine tuning of every channel. So the truth is what was played, not what somebody heard.

Debian: ``apt install mma fluidsynth fluid-soundfont-gm timgm6mb-soundfont``.

Rules
-----
Rule 1: the songs of a style are chosen by its name alone (CRC-32): same arguments, same songs.

Rule 2: a style belongs to the *fitted* half when CRC-32 of "a" + its name is even, else to the
*held* half. Nothing of the analysis may be fitted, tuned or chosen on the held half.

Rule 3: a song is written under its own name by a rename, so a run that was stopped goes on.
"""

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from midi import quarters_of, tuned

STYLES = Path("/usr/share/mma/lib")
SOUNDFONTS = tuple(
    Path("/usr/share/sounds/sf2") / name for name in ("FluidR3_GM.sf2", "TimGM6mb.sf2")
)
LENGTH_S = 66.0
NOTES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

# Left out: bars of five, bars of six eighths (what their beat is, is a matter of taste), the
# metronomes and the empty style.
LEFT_OUT = {
    "68march", "68swing", "casio-68ballad", "afro-cuban", "arpeggio68", "ballad68", "blues68",
    "jazz-54",
    "metronome", "metronome3", "metronome6", "metronome68", "none",
}  # fmt: skip

# Their descriptions say that they are bars of 2/4 written as four quarters, "so double the
# tempo" (casio-quickstep says nothing and is alike): every second quarter written is a beat.
TWO_FOUR = {
    "broadway", "bwmarch", "casio-quickstep", "dixie", "dixiemarch", "fastswing", "march",
    "merengue", "polka", "quickstep", "ragtime", "samba", "ska",
}  # fmt: skip

# BPM at which the styles are played, by the words in their names, first match wins; dance
# tempi after the tables of ballroom and Latin dancing, the rest after what the descriptions say.
TEMPI = (
    ("bebop", 150, 240), ("vienese", 150, 190), ("fastjazzwaltz|fastwaltz", 150, 210),
    ("mellowjazz|slow|lullaby|hymn|popspiritual|desert", 55, 82),
    ("ballad|bolero", 58, 90), ("128", 55, 85), ("waltz", 85, 165), ("march", 100, 126),
    ("merengue|polka", 105, 132), ("quickstep", 96, 108), ("samba", 90, 108), ("ska", 60, 110),
    ("ragtime|dixie|broadway", 85, 120), ("fastswing", 100, 135), ("fastblues", 140, 190),
    ("foxtrot|charleston", 112, 180), ("jive|boggie|twist|rockabilly", 130, 180),
    ("bluegrass|hillcountry|zydeco|gypsy", 100, 180), ("swing|jazz|combo|evans", 90, 190),
    ("mambo|salsa|calypso|son$", 90, 125), ("chacha|rhumba|beguine|cuban|bossa", 95, 140),
    ("tango", 110, 132), ("trance|boneym", 118, 145), ("funk|soul|rb", 85, 115),
    ("rock|8beat|lfusion", 95, 150), ("", 80, 130),
)  # fmt: skip

# Degrees in semitones above the tonic and the kind of chord; a song repeats one of these.
MAJOR = (
    "0 7 9m 5", "0 9m 5 7", "0 5 7 0", "0 9m 2m 7", "2m 7 0 0", "0 5 0 7", "0 4m 5 7",
    "0 0 0 0 5 5 0 0 7 5 0 7", "0 2m 4m 5 0 5 7 7", "0 7/5 9m 4m 5 0 2m 7", "0 10 5 0",
)  # fmt: skip
MINOR = (
    "0m 5m 7 0m", "0m 8 3 10", "0m 10 8 7", "0m 5m 10 3 8 2d 7 0m", "2d 7 0m 0m", "0m 0m 5m 7",
    "0m 0m 0m 0m 5m 5m 0m 0m 8 7 0m 7", "0m 10 0m 7", "0m 3 5m 7",
)  # fmt: skip
PLAIN = {"": "", "m": "m", "d": "dim"}
SEVENTHS = {"": "M7", "m": "m7", "d": "m7b5"}
POWER = {"": "5", "m": "5", "d": "dim"}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@dataclass(frozen=True)
class Truth:
    """What is known of a song."""

    name: str
    style: str
    held: bool
    """Whether its style belongs to the half that nothing was fitted on."""
    kind: str
    """``constant``, ``step`` or ``ramp``: how the tempo goes."""
    bpm: float
    """Beats − 1 over the time from the first to the last, as the analysis says it."""
    meter: int
    key: str
    cents: float
    beats: list[float]
    """Seconds, from the first to the end of the last bar."""
    downbeats: list[float]


def held(style: str) -> bool:
    """Return whether nothing may be fitted on a style."""
    return zlib.crc32(b"a" + style.encode()) % 2 == 1


def every_style() -> list[str]:
    """Return the names of the styles that songs are made of."""
    names = [path.stem for path in sorted((STYLES / "stdlib").glob("*.mma"))]
    names += [f"casio-{path.stem}" for path in sorted((STYLES / "casio").glob("*.mma"))]
    names = [name for name in names if name not in LEFT_OUT]
    if not names:
        sys.exit(f"no styles in {STYLES}: install mma, fluidsynth and fluid-soundfont-gm")
    return names


def make_set(folder: Path, *, songs_per_style: int, styles: tuple[str, ...] = ()) -> list[Truth]:
    """Render what is missing of the set into ``folder``; return the truth of all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    truths = []
    for style in styles or every_style():
        for number in range(songs_per_style):
            said = folder / f"{style}_{number}.json"
            if not said.exists():
                render(folder, style, number)
            truths.append(Truth(**json.loads(said.read_text("utf-8"))))
    return truths


@dataclass(frozen=True)
class Plan:
    """What a song shall be."""

    file: str
    """The style, as mma finds it."""
    text: str
    kind: str
    bpm: float
    meter: int
    halves: int
    """Quarters per beat."""
    mode: str
    tonic: int
    cents: float
    per_bar: int
    """Chords per bar."""

    @property
    def bars(self) -> int:
        """As many as fill the length, in fours."""
        return 4 * round(LENGTH_S * self.bpm * self.halves / 60 / self.meter / 4)


def render(folder: Path, style: str, number: int) -> None:
    """Write one song and its truth."""
    name = f"{style}_{number}"
    with tempfile.TemporaryDirectory(dir=folder) as work:
        plan, soundfont, midi = score(style, number, work)
        play(tuned(midi, plan.cents), soundfont, work)
        quarters = quarters_of(midi, plan.bars * plan.meter + 1)
        beats = quarters[:: plan.halves]
        truth = Truth(
            name=name, style=style, held=held(style), kind=plan.kind,
            bpm=60 * (len(beats) - 1) / (beats[-1] - beats[0]), meter=plan.meter // plan.halves,
            key=f"{NOTES[plan.tonic]} {plan.mode}", cents=plan.cents, beats=beats,
            downbeats=quarters[:: plan.meter],
        )  # fmt: skip
        os.replace(Path(work) / "song.flac", folder / f"{name}.flac")  # noqa: PTH105
        said = Path(work) / "truth.json"
        said.write_text(json.dumps(asdict(truth)), "utf-8")
        os.replace(said, folder / f"{name}.json")  # noqa: PTH105


def score(style: str, number: int, work: str) -> tuple[Plan, Path, bytes]:
    """Return the plan of a song, what it is played with, and its MIDI file, not yet tuned."""
    dice = random.Random(zlib.crc32(f"{style}_{number}".encode()))  # noqa: S311 - no secret
    plan = _plan(dice, style, number)
    (Path(work) / "song.mma").write_text(_score(dice, plan), "utf-8")
    _run("mma", "song.mma", "-f", "song.mid", cwd=work)
    return plan, dice.choice(SOUNDFONTS), (Path(work) / "song.mid").read_bytes()


def play(midi: bytes, soundfont: Path, work: str) -> None:
    """Render a MIDI file into ``song.flac``."""
    (Path(work) / "played.mid").write_bytes(midi)
    fluidsynth = ("fluidsynth", "-ni", "-q", "-g", "0.4", "-r", "44100", "-T", "flac",
                  "-O", "s16", "-F", "song.flac")  # fmt: skip
    _run(*fluidsynth, str(soundfont), "played.mid", cwd=work)


def _plan(dice: random.Random, style: str, number: int) -> Plan:
    varying = "step" if not _chance(dice, 0.5) else "ramp"
    file = style.replace("-", "/", 1) if style.startswith("casio-") else f"stdlib/{style}"
    text = (STYLES / f"{file}.mma").read_text("latin-1")
    meter = int(re.search(r"(?mi)^\s*Time\s+(\d)", text + "\nTime 4").group(1))
    halves = 2 if style in TWO_FOUR else 1
    return Plan(
        file=file,
        text=text,
        kind=("constant", "constant", varying)[number % 3],
        bpm=round(dice.uniform(*_tempo_range(style)), 2),
        meter=meter,
        halves=halves,
        mode=dice.choices(("major", "minor"), (3, 2))[0],
        tonic=dice.randrange(12),
        cents=math.floor(0.64 * round(dice.uniform(-40, 40), 1)) / 0.64
        if _chance(dice, 0.5)
        else 0.0,
        # Else a chord would tell the bar: half of the last songs of 4/4 have two in a bar.
        per_bar=2 if number % 4 == 3 and (meter, halves) == (4, 1) and _chance(dice, 0.5) else 1,  # noqa: PLR2004
    )


def _chance(dice: random.Random, p: float) -> bool:
    return dice.random() < p


def _tempo_range(style: str) -> tuple[float, float]:
    return next((low, high) for words, low, high in TEMPI if re.search(words, style))


def _score(dice: random.Random, plan: Plan) -> str:
    """Return the song as mma reads it: tempo, style, chords and for every second song a tune."""
    grooves = re.findall(r"(?mi)^\s*DefGroove\s+(\S+)", plan.text)
    body = [name for name in grooves if not re.search(r"Intro|End|Fill|Metronome", name)]
    degrees = dice.choice(MAJOR if plan.mode == "major" else MINOR).split()
    kinds = dice.choices((PLAIN, SEVENTHS, POWER), (5, 4, 1))[0]
    tune = dice.choice(("Flute", "Strings", "AltoSax", "Piano1")) if _chance(dice, 0.5) else None
    bpm = plan.bpm * plan.halves
    other = bpm * dice.choice((0.8, 0.87, 1.12, 1.2))
    lines = [
        f"RndSeed {dice.randrange(10_000)}",
        f"Groove {plan.file}:{dice.choice(body)}",
        f"Tempo {bpm}",
    ]
    if tune:
        lines += [f"Solo Voice {tune}", "Solo Volume mf", "Solo Octave 5"]
    for bar in range(plan.bars):
        if plan.kind == "step" and bar == plan.bars // 2:
            lines.append(f"Tempo {other:.2f}")
        if plan.kind == "ramp" and bar == plan.bars // 4:
            lines.append(f"Tempo {other:.2f} {plan.bars // 2}")
        chords = [
            _chord(degrees[place % len(degrees)], plan.tonic, kinds)
            for place in range(bar * plan.per_bar, (bar + 1) * plan.per_bar)
        ]
        if bar == plan.bars - 1:
            chords = [_chord("0m" if plan.mode == "minor" else "0", plan.tonic, kinds)]
        phrase = _phrase(dice, plan) if tune else ""
        lines.append(f"{bar + 1} {' / '.join(chords)}{phrase}")
    return "\n".join(lines) + "\n"


def _chord(degree: str, tonic: int, kinds: dict[str, str]) -> str:
    """Return the name of the chord on a degree; ``7/5`` is a chord over another bass note."""
    steps, kind, bass = re.fullmatch(r"(\d+)([md]?)(?:/(\d+))?", degree).groups()
    name = NOTES[(int(steps) + tonic) % 12]
    if kind == "" and kinds is SEVENTHS and int(steps) in (7, 10):
        return f"{name}7"
    return name + kinds[kind] + (f"/{NOTES[(int(bass) + tonic) % 12]}" if bass else "")


def _phrase(dice: random.Random, plan: Plan) -> str:
    """Return one bar of a tune from the scale, in quarters and eighths."""
    notes = []
    for _ in range(plan.meter):
        one, other = (_note(plan.tonic + dice.choice(SCALES[plan.mode])) for _ in range(2))
        quarter, eighths, rest = f"4{one};", f"8{one};8{other};", "4r;"
        notes += dice.choices((quarter, eighths, rest), (5, 3, 2))
    return " {" + "".join(notes) + "}"


def _note(semitone: int) -> str:
    """Return a note as mma writes it: ``#`` sharp, ``&`` flat."""
    return NOTES[semitone % 12].replace("b", "&").lower()


def _run(*command: str, cwd: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stdout[-500:]} {done.stderr[-500:]}")


def main() -> None:
    """Render a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs-per-style", type=int, default=3)
    parser.add_argument("--styles", type=lambda text: tuple(text.split(",")), default=())
    args = parser.parse_args()
    truths = make_set(args.folder, songs_per_style=args.songs_per_style, styles=args.styles)
    odd = sum(truth.held for truth in truths)
    print(f"{len(truths)} songs in {args.folder}: {len(truths) - odd} fitted, {odd} held")


if __name__ == "__main__":
    main()
