"""Let one engine analyse songs; one line of JSON per song on standard output.

usage: peer_analysis.py own|whole|librosa|essentia FILE...

A program of its own, so that each engine is run by the Python that has it, and pays for what
it imports. The first song pays for that too; ``cpu_s`` of the others compares the work alone.
librosa: ISC. essentia: AGPL, run here as a separate program and never imported by the
project.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NOTES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Krumhansl and Kessler 1982: librosa brings chroma, but no key; this is what its users do.
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
BLOCK = 262_144


def own(path: str) -> dict[str, Any]:
    """Soundspool's measures."""
    return own_of(evidence_of(path))


def whole(path: str) -> dict[str, Any]:
    """All of Soundspool's analysis: loudness, bandwidth, sections and outline too."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    options = importlib.import_module("dsp.analysis.options").AnalysisOptions()
    said = importlib.import_module("dsp.analysis.song").analyse(Path(path), options).analysis
    return {
        "bpm": [one.bpm for one in said.tempo.candidates], "p": said.tempo.bpm.p,
        "stable": said.tempo.stable.value, "meter": said.meter.value, "beats": said.beats,
        "downbeats": said.downbeats, "key": said.key.name.value,
        "cents": said.tuning.cents.value or 0.0,
    }  # fmt: skip


def evidence_of(path: str | Path) -> Any:  # noqa: ANN401 - of a module that a peer has not
    """Return what Soundspool gathers of a song."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sf = importlib.import_module("soundfile")
    features = importlib.import_module("dsp.analysis.features")
    mono_of = importlib.import_module("dsp.analysis.readings").mono_of
    with sf.SoundFile(path) as file:
        gather = features.Features(file.samplerate)
        for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
            gather.feed(mono_of(block))
    return gather.close()


def own_of(evidence: Any) -> dict[str, Any]:  # noqa: ANN401 - of a module that a peer has not
    """Return what is said of evidence."""
    parts = {name: importlib.import_module(f"dsp.analysis.{name}")
             for name in ("rhythm", "tuning", "key", "onsets")}  # fmt: skip
    tuning = parts["tuning"].tuning_of(evidence.cents)
    key = parts["key"].key_of(evidence.pitch, tuning.cents)
    rhythm = parts["rhythm"].rhythm_of(
        evidence, parts["onsets"].envelopes(evidence.rises), tuning.cents
    )
    return {
        "bpm": [one.bpm for one in rhythm.candidates], "p": rhythm.candidates[0].p,
        "stable": rhythm.stable, "meter": rhythm.meter, "meter_p": rhythm.meter_p,
        "beats": rhythm.beats_s, "downbeats": rhythm.downbeats_s,
        "key": key and key.name, "key_p": key and key.p, "cents": tuning.cents,
        "sharpness": tuning.sharpness,
    }  # fmt: skip


def librosa(path: str) -> dict[str, Any]:
    """The beat tracker, chroma and tuning, with its defaults."""
    lib = importlib.import_module("librosa")
    sound, rate = lib.load(path)
    bpm, beats = lib.beat.beat_track(y=sound, sr=rate, units="time")
    tuning = float(lib.estimate_tuning(y=sound, sr=rate))
    chroma = lib.feature.chroma_cqt(y=sound, sr=rate, tuning=tuning).mean(axis=1)
    fits = {
        f"{NOTES[tonic]} {mode}": float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1])
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    return {"bpm": [float(np.ravel(bpm)[0])], "beats": [float(beat) for beat in beats],
            "key": max(fits, key=fits.__getitem__), "cents": 100 * tuning}  # fmt: skip


def essentia(path: str) -> dict[str, Any]:
    """RhythmExtractor2013 (multifeature), KeyExtractor, TuningFrequencyExtractor."""
    standard = importlib.import_module("essentia.standard")
    sound = standard.MonoLoader(filename=path)()
    bpm, beats, *_ = standard.RhythmExtractor2013(method="multifeature")(sound)
    tonic, mode, _ = standard.KeyExtractor(profileType="edma")(sound)
    flats = {"C#": "Db", "D#": "Eb", "Gb": "F#", "G#": "Ab", "A#": "Bb"}
    hertz = np.median(standard.TuningFrequencyExtractor()(sound))
    return {"bpm": [float(bpm)], "beats": [float(beat) for beat in beats],
            "key": f"{flats.get(tonic, tonic)} {mode}",
            "cents": float(1200 * np.log2(hertz / 440))}  # fmt: skip


def main() -> None:
    """Analyse each file with the engine that is named first."""
    engine: Callable[[str], dict[str, Any]]
    engine = {"own": own, "whole": whole, "librosa": librosa, "essentia": essentia}[sys.argv[1]]
    for path in sys.argv[2:]:
        began = time.process_time()
        said = {"name": Path(path).stem, **engine(path)}
        print(json.dumps({**said, "cpu_s": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main()
