"""Write ``song_analysis.json``: all that is said of one song, by the version that says it.

usage: python tests/dsp/references/song_analysis.py

To be run after ``VERSION`` in ``dsp/analysis/options.py`` was raised, because a number changed.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[3]))
from dsp.analysis.document import text_of
from dsp.analysis.options import VERSION, AnalysisOptions
from dsp.analysis.song import analyse
from tests.support.known_songs import RATE_HZ, song

REFERENCE = Path(__file__).with_suffix(".json")


def said():
    """Return the figures of a song of 20 s whose tempo steps, and the version."""
    mono = song(lambda s: 96.0 if s < 10 else 104.0, seconds=20.0, key="Bb minor", cents=8.0).mono
    sound = np.round(np.stack([mono, 0.5 * mono], axis=1) * 2**14).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")
        document = json.loads(text_of(analyse(path, AnalysisOptions()).analysis))
    figures = {k: v for k, v in document.items() if k not in ("file", "tags", "analysis")}
    return {"version": VERSION, **figures}


if __name__ == "__main__":
    now, before = said(), json.loads(REFERENCE.read_text("utf-8"))
    if now != before and now["version"] == before["version"]:
        sys.exit("a number changed: raise VERSION in dsp/analysis/options.py first")
    lines = (f'"{name}": {json.dumps(value)}' for name, value in now.items())
    REFERENCE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
