"""An analysis of a song that never was, whole and plausible, for those who read such documents."""

from dsp.analysis.document import Analysis

BPM, METER, SECONDS = 120.0, 4, 180.0
CHROMA = (1.0, 0.1, 0.4, 0.1, 0.7, 0.3, 0.1, 0.8, 0.1, 0.5, 0.1, 0.2)


def figure(value, unit="", p=None, source="measured"):
    return {"value": value, "unit": unit, "p": p, "source": source}


def absent(unit="", why="silent", source="measured"):
    return {"value": None, "unit": unit, "source": source, "why": why}


def estimated(value, unit="", p=None):
    return figure(value, unit, p, "estimated")


def example(**fields):
    """Return the analysis, with the top-level ``fields`` in place of its own."""
    beats = [round(0.25 + 60 / BPM * beat, 3) for beat in range(int(SECONDS * BPM / 60) - 1)]
    document = {
        "schema": 1,
        "file": {
            "name": "Keep On.flac", "bytes": 21_034_567, "sha256": "5f" * 32, "container": "flac",
            "codec": "flac", "rate_hz": 44_100, "channels": 2,
            "frames": int(SECONDS * 44_100), "duration_s": SECONDS, "bits": 16,
        },
        "complete": True,
        "warnings": [],
        "tags": {"title": "Keep On", "artist": "Nobody", "bpm": "60", "key": "Am"},
        "tempo": {
            "bpm": estimated(BPM, "BPM", 0.91),
            "candidates": [
                {"bpm": BPM, "p": 0.91, "relation": "first"},
                {"bpm": BPM / 2, "p": 0.07, "relation": "half"},
            ],
            "stable": estimated(value=True),
            "range": estimated([119.8, 120.2], "BPM"),
            "curve": [[beat, BPM] for beat in beats[::METER]],
        },
        "beats": beats,
        "downbeats": beats[::METER],
        "meter": estimated(METER),
        "key": {
            "name": estimated("C major", p=0.83),
            "camelot": estimated("8B", p=0.83),
            "open_key": estimated("1d", p=0.83),
            "second": {"name": "A minor", "camelot": "8A", "open_key": "1m", "p": 0.11},
            "scores": [0.9 - 0.03 * place for place in range(24)],
        },
        "tuning": {"cents": estimated(3.1, "cents"), "sharpness": estimated(0.72)},
        "loudness": {
            "integrated_lufs": figure(-9.4, "LUFS"),
            "range_lu": figure(5.2, "LU"),
            "momentary_max_lufs": figure(-6.1, "LUFS"),
            "short_term_max_lufs": figure(-7.3, "LUFS"),
            "true_peak_dbtp": figure(-0.21, "dBTP"),
            "sample_peak_dbfs": figure(-0.35, "dBFS"),
            "plr_db": figure(9.19, "dB"),
        },
        "replaygain": {
            "track_gain_db": figure(-8.6, "dB"),
            "track_peak": figure(0.976112),
            "album_gain_db": absent("dB", "one song"),
            "album_peak": absent("", "one song"),
        },
        "levels": {
            "dc": figure(-0.000012),
            "clipped_runs": figure(3),
            "clipped_frames": figure(11),
            "correlation": figure(0.71),
            "rms_dbfs": figure(-12.3, "dBFS"),
            "crest_factor_db": figure(11.95, "dB"),
            "silence_head_s": figure(0.12, "s"),
            "silence_tail_s": figure(1.4, "s"),
            "silence_longest_s": figure(1.4, "s"),
        },
        "bandwidth": {
            "edge_hz": figure(16_150.0, "Hz"),
            "drop_db": figure(41.2, "dB"),
            "residue_dbfs": figure(-118.4, "dBFS"),
            "evidence": estimated("lossy_wall"),
        },
        "sections": [
            {
                "start_s": start, "end_s": start + 15.0, "bpm": BPM, "key": "C major",
                "integrated_lufs": -9.0 - start / 100, "energy": 0.6, "chroma": CHROMA,
                "boundary": 0.4 if start else 0.0,
            }
            for start in (15.0 * place for place in range(12))
        ],
        "section_summary": {
            "bpm_spread": estimated(0.3, "BPM"),
            "key_agreement": estimated(0.92),
            "modulation": estimated(0, "semitones"),
        },
        "energy": {
            "score": estimated(0.66),
            "formula": "energy-1",
            "inputs": {"integrated_lufs": -9.4, "onset_rate_hz": 3.4, "flux": 0.22},
        },
        "danceability": {
            "score": estimated(0.58),
            "formula": "danceability-1",
            "inputs": {"beat_strength": 1.4, "steadiness": 0.98, "bpm": BPM},
        },
        "curves": {
            "loudness": {
                "start_s": 0.2, "step_s": 0.1, "unit": "LUFS",
                "values": [-9.0 - place % 7 for place in range(1_790)],
            },
            "onset": {
                "start_s": 0.0, "step_s": 0.1, "unit": "",
                "values": [float(place % 5 == 0) for place in range(1_800)],
            },
            "chroma": {"start_s": 0.0, "step_s": 1.0, "values": [CHROMA] * 180},
        },
        "analysis": {
            "version": "1", "options": {"tempo": {"range": [45.0, 245.0]}, "sections": 15},
            "cpu_s": 1.43, "source": "fresh",
        },
    }  # fmt: skip
    return Analysis.model_validate(document | fields)
