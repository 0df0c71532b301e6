"""A report as ``report.json`` holds it, without a mix: small, complete, easily bent."""

from dsp.mixing.recall_sheet import Compression, Room, Stem


def stem_row(name, **changes):
    """Return a stem's row; ``strip`` and ``alignment`` are merged, the rest replaced."""
    strip = Stem(role="keys", role_why="its name says keys", fader_db=-6.0,
                 compressor=Compression(threshold_db=-20.0, ratio=2.0, attack_ms=10.0,
                                        release_ms=100.0))  # fmt: skip
    row = {
        "name": name,
        "container": "wav",
        "rate_hz": 48_000,
        "channels": 2,
        "duration_s": 8.0,
        "loudness_lufs": -20.0,
        "sample_peak_dbfs": -3.0,
        "crest_factor_db": 12.0,
        "correlation": 0.5,
        "active_share": 1.0,
        "alignment": {"lag_ms": 0.0, "confidence": 0.0, "moved": False, "why": "reference"},
        "strip": strip.model_dump(mode="json"),
        "scope_dbfs": [-20.0, -10.0],
        "reductions": {"compressor": {"mean_db": 1.0, "max_db": 3.0, "curve_db": [0.0, 3.0]}},
    }
    for part in ("strip", "alignment"):
        row[part] |= changes.pop(part, {})
    return row | changes


def cut(hz, depth_db=4.0):
    """Return a cut that makes room, as a strip holds it."""
    return Room(hz=hz, q=1.2, depth_db=depth_db).model_dump(mode="json")


def report(*stems, **changes):
    """Return a report of these stems; a mapping among ``changes`` is merged."""
    hz = [20.0 * 10 ** (n / 10) for n in range(31)]
    data = {
        "schema": 1,
        "soundspool": "0.1.0",
        "preset": "streaming",
        "duration_s": 8.0,
        "rate_hz": 48_000,
        "format": "wav",
        "bits": 24,
        "master": {
            "target_lufs": -14.0, "ceiling_dbtp": -1.0, "integrated_lufs": -14.02,
            "momentary_max_lufs": -11.0, "short_term_max_lufs": -12.0, "range_lu": 4.0,
            "true_peak_dbtp": -1.0, "plr_db": 13.0, "correlation": 0.9,
            "fold_down_loss_db": 0.2,
        },
        "balance": {
            "lead_to_rest_lu": 0.4,
            "lead_to_rest_bands_db": [float(n - 15) for n in range(31)],
            "masked": [],
            "roles": [
                {"stem": row["name"], "role": row["strip"]["role"], "wanted_lu": 0.0,
                 "loudness_lufs": -20.0 - 3.0 * number, "to_lead_lu": -3.0 * number}
                for number, row in enumerate(stems)
            ],
        },
        "spectrum": {
            "hz": hz,
            "stems_db": [-30.0] * 31,
            "after_db": [-20.0] * 31,
            "target_db": [0.0] * 31,
            "octaves_hz": [63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0],
            "octave_distance_db": [0.5, -1.4, None, 0.0, 0.0, 0.0, 0.0, 0.0],
        },
        "waveform": {"low": [-0.5, -0.2], "high": [0.5, 0.2], "rms": [0.2, 0.1],
                     "correlation": [0.9, 0.8]},
        "curves": {"momentary_lufs": [-15.0, -13.0], "short_term_lufs": [-15.0, -14.0]},
        "reductions": {
            "glue": {"mean_db": 1.0, "max_db": 2.0, "curve_db": [1.0, 2.0]},
            "limiter": {"mean_db": 0.2, "max_db": 4.0, "curve_db": [0.0, 1.0]},
        },
        "stems": list(stems),
        "warnings": [],
    }  # fmt: skip
    for key, value in changes.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    return data
