"""Songs and a conversation whose truth is known: stems, the balance they were written in, words.

``mma`` (Musical MIDI Accompaniment) writes a style out as one MIDI track per instrument, and
``fluidsynth`` plays each alone. What all tracks make together is the *arrangement*: the balance
that the author of the style had in mind. The stems that a mix is given are at other levels, as
recorded tracks are. Two voices of ``espeak-ng`` talk in turns, each microphone hearing both.

Debian: ``apt install mma fluidsynth fluid-soundfont-gm espeak-ng ffmpeg``. The same arguments
give the same bytes.
"""

import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

RATE_HZ = 44_100
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
BARS = 32
# Of mma's own library; none of them was looked at while the engine was made.
SONGS = (
    ("folkrock", "FolkRockSusPlus", 112, "AltoSax"),
    ("bossanova", "BossaNova1SusPlus", 126, "Flute"),
    ("countryswing", "CountrySwingSus", 140, "Violin"),
    ("60srock", "60sRockSusPlus", 132, "Trumpet"),
    ("rb", "R&B", 96, "Clarinet"),
)
CHORDS = ("C", "Am", "F", "G7", "C", "Em", "Dm", "G7")
SCALE = ("c", "d", "e", "g", "a")
LEVEL_DB = (-18.0, 0.0)
"""How much softer than in the arrangement a stem is recorded."""

# The roles of General MIDI's programs, eight to a family.
_FAMILIES = (
    "keys", "perc", "keys", "guitar", "bass", "strings", "strings", "brass", "brass", "brass",
    "synth", "pad", "fx", "guitar", "perc", "fx",
)  # fmt: skip
_DRUMS = 9  # channel
_TUNE = "Solo"


@dataclass(frozen=True)
class Song:
    """What was played."""

    name: str
    stems: dict[str, Path]
    roles: dict[str, str]
    """By file name, as the MIDI program has it; the tune is the lead."""
    gains_db: dict[str, float]
    """Of each stem against the arrangement."""
    arrangement: Path


def songs(folder: Path, count: int) -> Iterator[Song]:
    """Yield songs, rendered into ``folder`` unless they lie there."""
    for style, groove, bpm, tune in SONGS[:count]:
        yield _song(folder / style, style, groove, bpm, tune)


def _song(folder: Path, style: str, groove: str, bpm: int, tune: str) -> Song:
    told = folder / "song.json"
    if not told.exists():
        (folder / "stems").mkdir(parents=True, exist_ok=True)
        dice = random.Random(zlib.crc32(style.encode()))  # noqa: S311 - songs, not secrets
        roles, gains_db, total = {}, {}, np.zeros((0, 2), np.float32)
        for name, role, sound in _played(_score(dice, style, groove, bpm, tune)):
            file = f"{name}.wav"
            roles[file], gains_db[file] = role, round(dice.uniform(*LEVEL_DB), 1)
            longer = max(len(total), len(sound))
            total = _padded(total, longer) + _padded(sound, longer)
            stem = sound * np.float32(10.0 ** (gains_db[file] / 20.0))
            sf.write(folder / "stems" / file, stem, RATE_HZ, "PCM_24")
        sf.write(folder / "arrangement.wav", total / np.abs(total).max(), RATE_HZ, "PCM_24")
        told.write_text(json.dumps({"roles": roles, "gains_db": gains_db}))
    said = json.loads(told.read_text())
    paths = {name: folder / "stems" / name for name in said["roles"]}
    return Song(style, paths, said["roles"], said["gains_db"], folder / "arrangement.wav")


def _padded(sound: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(sound, ((0, frames - len(sound)), (0, 0)))


def _score(dice: random.Random, style: str, groove: str, bpm: int, tune: str) -> str:
    lines = [f"RndSeed {zlib.crc32(style.encode()) % 10_000}", f"Groove stdlib/{style}:{groove}",
             f"Tempo {bpm}", f"Solo Voice {tune}", "Solo Volume f", "Solo Octave 5"]  # fmt: skip
    for bar in range(BARS):
        notes = "".join(
            dice.choices((f"4{dice.choice(SCALE)};", "4r;"), (4, 1))[0] for _ in range(4)
        )
        rest = bar % 8 == 7  # noqa: PLR2004 - a breath after each phrase
        lines.append(f"{bar + 1} {CHORDS[bar % len(CHORDS)]}" + ("" if rest else f" {{{notes}}}"))
    return "\n".join(lines) + "\n"


def _played(score: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, role and sound of each track of a score."""
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "song.mma").write_text(score)
        _run("mma", "song.mma", "-f", "song.mid", cwd=work)
        midi = (Path(work) / "song.mid").read_bytes()
        division, (conductor, *tracks) = midi[12:14], list(_tracks(midi))
        for number, track in enumerate(tracks):
            if (role := _role_of(track)) is None:
                continue
            head = b"MThd" + struct.pack(">IHH", 6, 1, 2) + division
            (Path(work) / "one.mid").write_bytes(head + conductor + track)
            _run("fluidsynth", "-ni", "-q", "-g", "0.35", "-r", str(RATE_HZ), "-O", "float",
                 "-T", "wav", "-F", "one.wav", str(SOUNDFONT), "one.mid", cwd=work)  # fmt: skip
            sound, _ = sf.read(Path(work) / "one.wav", dtype="float32", always_2d=True)
            yield f"{number:02d} {_USUAL_NAMES[role]}", role, sound


_USUAL_NAMES = {
    "lead": "Lead Vox", "drums": "Drums", "perc": "Perc", "bass": "Bass DI", "guitar": "Gtr",
    "keys": "Pno", "strings": "Vlns", "brass": "Horns", "synth": "Synth", "pad": "Pad", "fx": "FX",
}  # fmt: skip


def _tracks(midi: bytes) -> Iterator[bytes]:
    place = 14
    while place < len(midi):
        length = 8 + int.from_bytes(midi[place + 4 : place + 8])
        yield midi[place : place + length]
        place += length


def _role_of(track: bytes) -> str | None:
    """Return the role of a track by its program; ``None`` where it plays nothing."""
    events = track[8:]
    if _TUNE.encode() in events[:40]:
        return "lead"
    channels = {b & 15 for b in events if b >> 4 == 9}  # noqa: PLR2004 - some note is on
    if not channels:
        return None
    if _DRUMS in channels and (0x90 | _DRUMS) in events:
        return "drums"
    place = next((i for i, b in enumerate(events) if b >> 4 == 12), None)  # noqa: PLR2004
    return _FAMILIES[events[place + 1] // 8] if place is not None else "keys"


def _run(*command: str, cwd: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stdout[-500:]} {done.stderr[-500:]}")


@dataclass(frozen=True)
class Conversation:
    """What two speakers said, and when."""

    folder: Path
    speaks: dict[str, list[tuple[float, float]]]
    """Per file: from and until, in seconds."""


_LINES = (
    "Welcome back to the show. Today we talk about the sound of small rooms.",
    "Thank you for having me. I have looked forward to this for quite a while.",
    "So tell me, what is the first thing that people get wrong?",
    "They put the microphone far away, and then they wonder about the echo.",
    "And what do you tell them to do instead?",
    "Come closer, put a carpet on the floor, and turn the fridge off.",
)
_ROOM_DB, _HISS_DBFS, _MUSIC_DB = -20.0, -58.0, -14.0
"""How much of the other a microphone hears, its noise, and the music in the file."""


def conversation(folder: Path, turns: int, recorded: Sequence[Path] = ()) -> Conversation:
    """Return a talk of so many turns with music beneath, written into ``folder``.

    Of recordings of one reader, the guest is the same one a sixth faster: another voice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    said: dict[str, list[np.ndarray]] = {"host.wav": [], "guest.wav": []}
    speaks: dict[str, list[tuple[float, float]]] = {"host.wav": [], "guest.wav": []}
    at = 3 * RATE_HZ
    own = {name: [np.zeros(at, np.float32)] for name in said}
    for turn in range(turns):
        name, other = ("host.wav", "guest.wav") if turn % 2 == 0 else ("guest.wav", "host.wav")
        if recorded:
            words = _read(recorded[turn * 3 // 2 % len(recorded)], 1.0 if turn % 2 == 0 else 7 / 6)
        else:
            words = _spoken(_LINES[turn % len(_LINES)], "en-us" if turn % 2 == 0 else "en-gb+f3")
        gap = np.zeros(round(rng.uniform(0.5, 0.9) * RATE_HZ), np.float32)
        speaks[name].append((at / RATE_HZ, (at + len(words)) / RATE_HZ))
        own[name] += [words, gap]
        own[other].append(np.zeros(len(words) + len(gap), np.float32))
        at += len(words) + len(gap)
    whole = {name: np.concatenate(parts) for name, parts in own.items()}
    late = round(0.006 * RATE_HZ)  # two metres
    for name, other, level in (("host.wav", "guest.wav", 1.0), ("guest.wav", "host.wav", 0.35)):
        bleed = np.roll(whole[other], late) * np.float32(10.0 ** (_ROOM_DB / 20.0))
        hiss = rng.standard_normal(at).astype(np.float32) * np.float32(10 ** (_HISS_DBFS / 20))
        sf.write(folder / name, level * (whole[name] + bleed) + hiss, RATE_HZ, "PCM_24")
    time_s = np.arange(at) / RATE_HZ
    chords = sum(np.sin(2 * np.pi * f * time_s) for f in (110.0, 220.0, 277.2, 329.6))
    music = chords * (0.6 + 0.4 * np.cos(2 * np.pi * time_s)) * 10.0 ** (_MUSIC_DB / 20.0) / 2.0
    sf.write(folder / "music.wav", np.stack([music, music], axis=1), RATE_HZ, "PCM_24")
    return Conversation(folder, speaks)


def _spoken(text: str, voice: str) -> np.ndarray:
    """Return words at ``RATE_HZ``, without the silence around them."""
    with tempfile.TemporaryDirectory() as work:
        _run("espeak-ng", "-v", voice, "-s", "150", "-w", "a.wav", text, cwd=work)
        return _read(Path(work) / "a.wav", 1.0)


def _read(path: Path, speed: float) -> np.ndarray:
    """Return a recording at ``RATE_HZ``, that much faster and higher, without silence around it."""
    with tempfile.TemporaryDirectory() as work:
        rate_hz = round(sf.info(path).samplerate * speed)
        graph = f"asetrate={rate_hz},aresample={RATE_HZ}"
        _run("ffmpeg", "-v", "error", "-i", str(path.resolve()), "-af", graph, "b.wav", cwd=work)
        sound, _ = sf.read(Path(work) / "b.wav", dtype="float32")
    loud = np.flatnonzero(np.abs(sound) > 0.01)  # noqa: PLR2004 - of full scale
    return 0.5 * sound[loud[0] : loud[-1]] / np.abs(sound).max()
