"""A number that changes raises the version: what was cached under the old one is not mixed in."""

import json

from tests.dsp.references.song_analysis import REFERENCE, said


def test_version_rises_with_every_change_of_a_number():
    """This version says this of the song.

    When that changed on purpose, raise ``VERSION`` in ``dsp/analysis/options.py`` and run
    ``python tests/dsp/references/song_analysis.py``.
    """
    assert json.loads(REFERENCE.read_text("utf-8")) == said()
