"""What comes out, beside other ways to get there: loudness, peaks, balance, roles, crosstalk.

    python benchmarks/sound.py                       five songs and a conversation, made here
    python benchmarks/sound.py --matchering PYTHON   with matchering, in an environment of its own
    python benchmarks/sound.py --speech FOLDER       only a conversation, of a reader's recordings
    python benchmarks/sound.py --stems-from FOLDER   real stems: landing, peaks, time, memory

Contenders, each asked for −14 LUFS and −1 dBTP: the plain sum of the stems at equal loudness; the
same through ffmpeg's ``loudnorm``, in two passes; the same through matchering, which is given the
song's own arrangement as its reference; Soundspool; Soundspool with that reference.

Landing and peaks are what ffmpeg's ``ebur128`` says, not what we say. *Octaves* is how far the
octave balance of the result is from that of the arrangement (rms, dB, level removed), *levels*
how far the stems are from their levels in it: likeness to what only matchering and our last row
are told, no judgement of a mix. *popular* is how far the octaves are from those of popular
recordings, which is what our master is drawn toward where nothing else is asked; the arrangements
themselves are far from both. matchering is GPL: it is run as a program.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from arranged import Conversation, Song, conversation, songs
from measure import Cost, cost_of
from scipy.signal import butter, sosfilt

from dsp.mixing.roles import roles_of
from dsp.mixing.tone import MASTER_TARGET_DB, octave_levels_db

TARGET_LUFS, CEILING_DBTP = -14.0, -1.0
_OCTAVES_HZ = 62.5 * 2.0 ** np.arange(8)
_POPULAR_DB = octave_levels_db(10.0 ** (MASTER_TARGET_DB / 10.0))
_WORDS_HZ = 150.0, 8_000.0
STEREO = "aformat=channel_layouts=stereo"
_MATCHERING = (
    "import sys, matchering as mg;"
    "mg.process(target=sys.argv[1], reference=sys.argv[2], results=[mg.pcm24(sys.argv[3])])"
)


@dataclass(frozen=True)
class Made:
    """What a contender made of a song."""

    sound: Path
    cost: Cost
    levels_db: Mapping[str, float] | None = None
    """Of the stems in the result; ``None`` where nobody moved them."""


def main() -> None:
    """Measure and print."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="soundspool-benchmark-") as name:
        folder = args.songs or Path(name)
        work = Path(name) / "work"
        if args.stems_from:
            _show_song(args.stems_from.name, _real(args.stems_from, work, args.matchering))
            return
        if args.speech:
            talk = conversation(folder / "talk", args.turns, sorted(args.speech.glob("*.wav")))
            _show_conversation(talk, work)
            return
        made = list(songs(folder, args.count))
        _show_roles(made)
        _show_conversation(conversation(folder / "talk", args.turns), work)
        _show_songs([_measured(song, work, args.matchering) for song in made])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5, help="of the songs")
    parser.add_argument("--turns", type=int, default=12, help="of the conversation")
    parser.add_argument("--songs", type=Path, help="keep the songs in this folder")
    parser.add_argument("--stems-from", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--matchering", type=Path, help="a Python that has it")
    return parser.parse_args()


def _measured(song: Song, work: Path, matchering: Path | None) -> dict[str, dict[str, float]]:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    summed = _plain_sum(list(song.stems.values()), work)
    made = {
        "plain sum": Made(_at_equal_loudness(summed, work), Cost(0.0, 0.0, 0.0)),
        "loudnorm": _loudnorm(summed, work),
        "soundspool": _soundspool(song.stems, work),
        "  + reference": _soundspool(song.stems, work, reference=song.arrangement),
    }
    if matchering:
        made["matchering"] = _matchering(matchering, summed, song.arrangement, work)
    wanted = _octaves_db(song.arrangement)
    recorded_lufs = {name: _heard(path)[0] for name, path in song.stems.items()}
    found = {
        name: {
            **_landing(one),
            "octaves": float(np.std(_octaves_db(one.sound) - wanted)),
            "popular": float(np.std(_octaves_db(one.sound) - _POPULAR_DB)),
            "levels": _levels_rms_db(song, recorded_lufs, one.levels_db),
        }
        for name, one in made.items()
    }
    _show_song(song.name, found)
    return found


def _real(stems: Path, work: Path, matchering: Path | None) -> dict[str, dict[str, float]]:
    work.mkdir(parents=True)
    files = {path.name: path for path in sorted(stems.iterdir()) if path.is_file()}
    summed = _plain_sum(list(files.values()), work)
    equal = _at_equal_loudness(summed, work)
    made = {
        "plain sum": Made(equal, Cost(0.0, 0.0, 0.0)),
        "loudnorm": _loudnorm(summed, work),
        "soundspool": _soundspool(files, work),
    }
    if matchering:  # toward our own: the song has no other
        made["matchering"] = _matchering(matchering, summed, made["soundspool"].sound, work)
    return {name: _landing(one) for name, one in made.items()}


def _plain_sum(stems: Sequence[Path], work: Path) -> Path:
    inputs = [part for stem in stems for part in ("-i", str(stem))]
    graph = f"amix=inputs={len(stems)}:normalize=0"
    _ffmpeg(*inputs, "-filter_complex", graph, "-ac", "2", "-ar", "44100", "-c:a", "pcm_f32le",
            str(work / "sum.wav"))  # fmt: skip
    return work / "sum.wav"


def _at_equal_loudness(summed: Path, work: Path) -> Path:
    gain_db = TARGET_LUFS - _heard(summed)[0]
    made = work / "plain.wav"
    _ffmpeg("-i", str(summed), "-af", f"volume={gain_db}dB", "-c:a", "pcm_f32le", str(made))
    return made


def _loudnorm(summed: Path, work: Path) -> Made:
    target = f"loudnorm=I={TARGET_LUFS}:TP={CEILING_DBTP}:LRA=20"
    log, made = work / "loudnorm.log", work / "loudnorm.wav"
    base = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-i", summed, "-af"]
    first = cost_of([*base, f"{target}:print_format=json", "-f", "null", "-"], log=log)
    text = log.read_text(errors="replace")
    found = json.loads(text[text.rindex("{") : text.rindex("}") + 1])
    measured = (
        f"measured_I={found['input_i']}:measured_TP={found['input_tp']}:"
        f"measured_LRA={found['input_lra']}:measured_thresh={found['input_thresh']}"
    )
    write = [*base, f"{target}:{measured},aresample=44100,{STEREO}", "-c:a", "pcm_s24le", made]
    return Made(made, first.plus(cost_of(write, log=log)))


def _matchering(python: Path, summed: Path, reference: Path, work: Path) -> Made:
    made = work / "matchering.wav"
    log = work / "matchering.log"
    return Made(made, cost_of([python, "-c", _MATCHERING, summed, reference, made], log=log))


def _soundspool(
    stems: Mapping[str, Path], work: Path, reference: Path | None = None, asked: str = ""
) -> Made:
    drop, out = work / "drop", work / f"out{'.reference' if reference else ''}"
    shutil.rmtree(drop, ignore_errors=True)
    drop.mkdir()
    for name, path in stems.items():
        (drop / name).symlink_to(path.resolve())
    if reference:
        (drop / "reference.wav").symlink_to(reference.resolve())
    (drop / "job.yaml").write_text(asked or "{}\n")
    solid = work / "solid"
    shutil.rmtree(solid, ignore_errors=True)
    shutil.copytree(drop, solid)  # a drop holds no links
    cost = cost_of([sys.executable, "-m", "daemon", "mix", solid, out], log=work / "mix.log")
    report = json.loads((out / "report.json").read_text())
    levels_db = {row["stem"]: row["loudness_lufs"] for row in report["balance"]["roles"]}
    return Made(next(out.glob("final_mix.*")), cost, levels_db)


def _levels_rms_db(
    song: Song, recorded_lufs: Mapping[str, float], levels_db: Mapping[str, float] | None
) -> float:
    """Return how far stems are from their levels in the arrangement, the mean difference removed.

    Nobody moved them: as far as they were recorded.
    """
    away = song.gains_db
    if levels_db is not None:
        away = {
            name: levels_db[name] - (lufs - song.gains_db[name])
            for name, lufs in recorded_lufs.items()
            if name in levels_db
        }
    return float(np.std(list(away.values())))


def _landing(made: Made) -> dict[str, float]:
    loudness_lufs, peak_dbtp, _ = _heard(made.sound)
    return {
        "off LU": loudness_lufs - TARGET_LUFS,
        "over dB": max(0.0, peak_dbtp - CEILING_DBTP),
        "CPU s": made.cost.cpu_s,
        "MiB": made.cost.peak_mib,
    }


def _heard(path: Path) -> tuple[float, float, float]:
    """Return integrated loudness, true peak and loudness range, as ffmpeg hears them."""
    said = _ffmpeg("-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-")
    summary = said[said.rindex("Summary:") :]
    patterns = (r"I:\s+(\S+) LUFS", r"Peak:\s+(\S+) dBFS", r"LRA:\s+(\S+) LU")
    loudness, peak, spread = (float(re.search(pattern, summary)[1]) for pattern in patterns)
    return loudness, peak, spread


def _ffmpeg(*arguments: str) -> str:
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-800:]}")
    return done.stderr


def _octaves_db(path: Path) -> np.ndarray:
    sound, rate_hz = sf.read(path, dtype="float32", always_2d=True)
    power, size = np.zeros(4097), 8192
    for start in range(0, len(sound) - size, size):
        part = np.fft.rfft(sound[start : start + size].T * np.hanning(size))
        power += np.square(np.abs(part)).sum(axis=0)
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    edges = [(hz >= low / 2**0.5) & (hz < low * 2**0.5) for low in _OCTAVES_HZ]
    return 10.0 * np.log10([power[edge].sum() + 1e-20 for edge in edges])


def _show_roles(made: Iterable[Song]) -> None:
    right = count = 0
    for song in made:
        told = roles_of(list(song.stems))
        right += sum(told[name].role == role for name, role in song.roles.items())
        count += len(song.roles)
    print(f"roles by name: {right} of {count} as the MIDI program has them", flush=True)


def _show_song(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    _show_table(title, {name: {c: [v] for c, v in row.items()} for name, row in found.items()})


def _show_songs(measured: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    rows = {
        name: {column: [abs(one[name][column]) for one in measured] for column in row}
        for name, row in measured[0].items()
    }
    _show_table(f"{len(measured)} songs, median (worst)", rows)


def _show_table(title: str, rows: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print at once: who ends the benchmark early keeps what was measured."""
    print(f"\n{title}\n{'':14}" + "".join(f"{column:>16}" for column in next(iter(rows.values()))))
    for name, row in rows.items():
        cells = [
            f"{np.median(values):8.2f}" + (f" ({max(values):.2f})" if len(values) > 1 else "")
            for values in row.values()
        ]
        print(f"{name:14}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def _show_conversation(talk: Conversation, work: Path) -> None:
    """Print what a podcast asks for: crosstalk, music under speech, equal speakers, landing."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = {path.name: path for path in sorted(talk.folder.glob("*.wav"))}
    summed = _plain_sum(list(files.values()), work)
    made = _soundspool(files, work, asked="preset: podcast\nalso: [{stems: processed}]\n")
    after = {name: made.sound.parent / "stems" / name for name in files}
    print("\nconversation" + "".join(f"{name:>14}" for name in ("as recorded", "soundspool")))
    rows: dict[str, Callable[[Mapping[str, Path]], float]] = {
        "crosstalk dB": lambda paths: _crosstalk_db(paths, talk),
        "noise dB": lambda paths: _noise_db(paths, talk),
        "speakers apart": lambda paths: _apart_db(paths, talk),
        "music below": lambda paths: _music_db(paths, talk),
        "onsets off dB": lambda paths: _onsets_db(files, paths, talk),
    }
    for name, row in rows.items():
        print(f"{name:16}{row(files):10.1f}{row(after):14.1f}")
    for name, place in (("LUFS", 0), ("LRA", 2)):
        after_all = _heard(made.sound)[place]
        print(f"{name:16}{_heard(summed)[place]:10.1f}{after_all:14.1f}", flush=True)


def _spans(sound: np.ndarray, spans: Iterable[tuple[float, float]], rate_hz: int) -> float:
    """Return the mean power of a sound in these spans, 50 ms in from their ends."""
    parts = [
        sound[round((a + 0.05) * rate_hz) : round((b - 0.05) * rate_hz)].ravel() for a, b in spans
    ]
    return float(np.mean(np.square(np.concatenate(parts), dtype=np.float64))) + 1e-20


def _levels(paths: Mapping[str, Path], talk: Conversation, of: str, while_: str) -> float:
    sound, rate_hz = sf.read(paths[of], dtype="float32", always_2d=True)
    return 10.0 * np.log10(_spans(sound, talk.speaks[while_], rate_hz))


def _crosstalk_db(paths: Mapping[str, Path], talk: Conversation) -> float:
    """Return what a microphone gives while the other one speaks, against its own speaker."""
    one, other = talk.speaks
    return max(
        _levels(paths, talk, one, other) - _levels(paths, talk, one, one),
        _levels(paths, talk, other, one) - _levels(paths, talk, other, other),
    )


def _noise_db(paths: Mapping[str, Path], talk: Conversation) -> float:
    """Return the noise of the microphones before anybody speaks, against their speakers."""
    found = []
    for name in talk.speaks:
        sound, rate_hz = sf.read(paths[name], dtype="float32", always_2d=True)
        noise = 10.0 * np.log10(_spans(sound, [(0.2, 2.5)], rate_hz))
        found.append(noise - _levels(paths, talk, name, name))
    return max(found)


def _apart_db(paths: Mapping[str, Path], talk: Conversation) -> float:
    one, other = talk.speaks
    return abs(_levels(paths, talk, one, one) - _levels(paths, talk, other, other))


def _music_db(paths: Mapping[str, Path], talk: Conversation) -> float:
    """Return how far the music is below whoever speaks."""
    below = [_levels(paths, talk, s, s) - _levels(paths, talk, "music.wav", s) for s in talk.speaks]
    return float(np.mean(below))


def _onsets_db(before: Mapping[str, Path], after: Mapping[str, Path], talk: Conversation) -> float:
    """Return the most that the first 30 ms of a phrase lost against the 0.2 s behind them."""
    lost = []
    for name, spans in talk.speaks.items():
        levels = []
        for path in (before[name], after[name]):
            sound, rate_hz = sf.read(path, dtype="float32", always_2d=True)
            sound = sosfilt(butter(2, _WORDS_HZ, "band", fs=rate_hz, output="sos"), sound, axis=0)
            at = [(since - 0.05, since + 0.08) for since, _ in spans]
            then = [(since - 0.02, since + 0.28) for since, _ in spans]
            levels.append(
                [
                    10.0 * np.log10(_spans(sound, [a], rate_hz) / _spans(sound, [b], rate_hz))
                    for a, b in zip(at, then, strict=True)
                ]
            )
        lost += list(np.subtract(*levels))
    return float(np.max(lost))


if __name__ == "__main__":
    main()
