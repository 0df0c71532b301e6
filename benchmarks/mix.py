"""The sound engine beside its peers: the same stems, one run, ratios.

    python benchmarks/mix.py                      4 minutes, 8 stems, with rests
    python benchmarks/mix.py --noise              the same, every frame noise-filled
    python benchmarks/mix.py --stems-from FOLDER  real stems, looped to 4 minutes
    python benchmarks/mix.py --minutes 60 --stems 24 --peers ''   memory of a long song

What is compared: per stem resampling to 48 kHz, four EQ bands, a compressor, saturation,
gain; on the sum two EQ bands, a compressor, width, loudness to -14 LUFS and a limiter at
-1 dBTP; a 24-bit WAV. Soundspool also analyses, aligns, decides, verifies and writes its
report. ffmpeg's ``loudnorm`` limits true peaks (in its linear mode it only scales), SoX and
pedalboard have no true-peak limiter and SoX no loudness: they do less.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile as sf
from measure import Cost, cost_of
from song import make_song

from dsp.kernels import ENGINE

RATE_HZ = 48_000

STEM_GRAPH = (
    "aresample={rate},aformat=channel_layouts=stereo,highpass=f=40,"
    "equalizer=f=110:t=q:w=0.8:g=1.5,equalizer=f=1100:t=q:w=0.8:g=-1.5,"
    "equalizer=f=3500:t=q:w=0.8:g=1.5,"
    "acompressor=threshold=0.1:ratio=2.5:attack=10:release=120:makeup=1.5,"
    "asoftclip=type=tanh,volume=-6dB"
)
BUS_GRAPH = (
    "equalizer=f=125:t=q:w=1.1:g=1,equalizer=f=4000:t=q:w=1.1:g=1,"
    "acompressor=threshold=0.2:ratio=1.5:attack=30:release=200,extrastereo=m=1.1"
)


def main() -> None:
    """Measure and print."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="soundspool-benchmark-") as name:
        folder = Path(name)
        stems = folder / "stems"
        if args.stems_from:
            _looped(args.stems_from, stems, seconds=round(args.minutes * 60))
        else:
            make_song(stems, seconds=round(args.minutes * 60), stems=args.stems, noise=args.noise)
        costs, profile = {}, {}
        for run in range(args.runs):
            costs[f"soundspool {run + 1}"], profile = _soundspool(stems, folder)
        for peer in filter(None, args.peers.split(",")):
            costs[peer] = PEERS[peer](sorted(stems.iterdir()), folder)
    _show(costs, profile, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Soundspool beside its peers")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--stems", type=int, default=8)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--stems-from", type=Path)
    parser.add_argument("--peers", default="ffmpeg,sox,pedalboard")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser.parse_args()


def _looped(source: Path, target: Path, *, seconds: int) -> None:
    """Write each stem of a real song over and over until it is long enough."""
    target.mkdir()
    for path in sorted(p for p in source.iterdir() if p.is_file()):
        sound, rate_hz = sf.read(path, dtype="float32", always_2d=True)
        info = sf.info(path)
        with sf.SoundFile(
            target / path.name, "w", rate_hz, info.channels, info.subtype, format=info.format
        ) as file:
            left = seconds * rate_hz
            while left > 0:
                part = sound[:left]
                for cut in range(0, len(part), 65_536):
                    file.write(part[cut : cut + 65_536])
                left -= len(part)


def _soundspool(stems: Path, folder: Path) -> tuple[Cost, dict[str, float]]:
    out, log = folder / "out", folder / "soundspool.log"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "daemon", "mix", stems, out, "--json"]
    cost = cost_of(command, log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    steps = [line for line in lines if line["event"] == "progress"]
    profile: dict[str, float] = {}
    for step, following in pairwise(steps):
        took = following["elapsed_s"] - step["elapsed_s"]
        profile[step["stage"]] = profile.get(step["stage"], 0.0) + took
    return cost, profile


def _ffmpeg(stems: list[Path], folder: Path) -> Cost:
    """Two passes: measure the loudness of the finished graph, then write with it."""
    inputs = [part for stem in stems for part in ("-i", str(stem))]
    strips = ";".join(f"[{n}:a]{STEM_GRAPH.format(rate=RATE_HZ)}[s{n}]" for n in range(len(stems)))
    sums = "".join(f"[s{n}]" for n in range(len(stems)))
    graph = f"{strips};{sums}amix=inputs={len(stems)}:normalize=0,{BUS_GRAPH}"
    target = "loudnorm=I=-14:TP=-1:LRA=20"
    log = folder / "ffmpeg.log"
    base = ["ffmpeg", "-hide_banner", "-nostdin", "-y", *inputs, "-filter_complex"]
    first = cost_of([*base, f"{graph},{target}:print_format=json", "-f", "null", "-"], log=log)
    text = log.read_text(errors="replace")
    found = json.loads(text[text.rindex("{") : text.rindex("}") + 1])
    measured = (
        f"measured_I={found['input_i']}:measured_TP={found['input_tp']}:"
        f"measured_LRA={found['input_lra']}:measured_thresh={found['input_thresh']}"
    )
    write = f"{graph},{target}:{measured},aresample={RATE_HZ}"
    result = folder / "ffmpeg.wav"
    return first.plus(cost_of([*base, write, "-c:a", "pcm_s24le", result], log=log))


def _sox(stems: list[Path], folder: Path) -> Cost:
    """Through temporary files: SoX has no graph. No loudness, no true peak."""
    total = Cost(0.0, 0.0, 0.0)
    parts = []
    for stem in stems:
        part = folder / f"{stem.stem}.sox.wav"
        total = total.plus(
            cost_of([
                "sox", "-V1", stem, "-b", "24", "-c", "2", part, "rate", "-h", str(RATE_HZ),
                "highpass", "40", "equalizer", "110", "0.8q", "1.5", "equalizer", "1100", "0.8q",
                "-1.5", "equalizer", "3500", "0.8q", "1.5", "compand", "0.01,0.12",
                "6:-40,-40,-20,-20,0,-12", "overdrive", "2", "20", "gain", "-12",
            ])
        )  # fmt: skip
        parts.append(part)
    command = ["sox", "-V1", "-m", *parts, "-b", "24", folder / "sox.wav",
               "equalizer", "125", "1.1q", "1", "equalizer", "4000", "1.1q", "1",
               "compand", "0.03,0.2", "6:-14,-14,0,-5", "gain", "-n", "-1"]  # fmt: skip
    total = total.plus(cost_of(command))
    for part in parts:
        part.unlink()
    return total


def _pedalboard(stems: list[Path], folder: Path) -> Cost:
    script = Path(__file__).with_name("peer_pedalboard.py")
    return cost_of([sys.executable, script, folder / "pedalboard.wav", *stems])


PEERS = {"ffmpeg": _ffmpeg, "sox": _sox, "pedalboard": _pedalboard}


def _version_of(name: str) -> str:
    if name.startswith("soundspool"):
        return f"kernels {ENGINE}, numpy {version('numpy')}"
    if name == "pedalboard":
        try:
            return version("pedalboard")
        except PackageNotFoundError:
            return "not installed"
    flag = "-version" if name == "ffmpeg" else "--version"
    said = subprocess.run([name, flag], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0][:40]


def _show(costs: dict[str, Cost], profile: dict[str, float], args: argparse.Namespace) -> None:
    ours = costs["soundspool 1"]
    kind = "real stems" if args.stems_from else "noise-filled" if args.noise else "with rests"
    print(f"{args.minutes:g} minutes, {args.stems} stems, {kind}")
    print(f"{'':14}{'wall s':>9}{'CPU s':>9}{'MiB':>8}{'wall':>8}{'CPU':>8}  (ours = 1)")
    for name, cost in costs.items():
        print(
            f"{name:14}{cost.wall_s:9.1f}{cost.cpu_s:9.1f}{cost.peak_mib:8.0f}"
            f"{cost.wall_s / ours.wall_s:8.2f}{cost.cpu_s / ours.cpu_s:8.2f}  {_version_of(name)}"
        )
    total = sum(profile.values()) or 1.0
    print("\nwhere the wall time of the last run went")
    for stage, took in profile.items():
        print(f"  {stage:20}{took:8.2f} s {100 * took / total:5.1f} %")
    if args.json:
        figures = {name: vars(cost) for name, cost in costs.items()}
        args.json.write_text(json.dumps({"costs": figures, "profile_s": profile}, indent=1))


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
