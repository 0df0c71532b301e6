"""A copy of a song that carries what was found in its tags; the song itself is not touched.

``ffmpeg`` writes it, the only writer there is under a licence that may come with us. It has no
field for the key in MP4, and neither field in WAV.
"""

import os
from pathlib import Path

from daemon.handlers.contract import Output
from dsp.analysis.document import Analysis
from dsp.containers.identify import AUDIO_SUFFIXES, read_header
from dsp.formats.decoders import Broken, Unsupported
from dsp.formats.ffmpeg import copy_with_tags

# Of each container: demuxer, muxer, and the names of tempo and key (ID3v2.4; Vorbis comments).
_WRITERS = {
    "mp3": ("mp3", ("-f", "mp3"), "TBPM", "TKEY"),
    "aiff": ("aiff", ("-write_id3v2", "1", "-f", "aiff"), "TBPM", "TKEY"),
    "flac": ("flac", ("-f", "flac"), "BPM", "INITIALKEY"),
    "ogg": ("ogg", ("-f", "ogg"), "BPM", "INITIALKEY"),
    "mp4": ("mov", ("-f", "ipod"), "tmpo", ""),
}


def write_tagged(
    analysis: Analysis, source: Path, workdir: Path, folder: Path
) -> tuple[list[Output], str]:
    """Write the copy beside the other documents; return it, or why there is none."""
    bpm, key = analysis.tempo.bpm.value, analysis.key.name.value
    with source.open("rb") as file:
        fd = file.fileno()
        container = read_header(fd, os.fstat(fd).st_size).container
        if container not in _WRITERS:
            return [], f"{container or 'this format'} has no fields for them"
        demuxer, muxer, bpm_name, key_name = _WRITERS[container]
        tags = {bpm_name: f"{bpm:.0f}"} if bpm is not None else {}
        tags |= {key_name: _short(str(key))} if key is not None and key_name else {}
        if not tags:
            return [], "nothing was found that could be written"
        suffix = source.suffix.lower()
        path = folder / f"tagged{suffix if suffix in AUDIO_SUFFIXES else ''}"
        try:
            copy_with_tags(fd, demuxer, workdir / path, muxer, tags)
        except (Unsupported, Broken) as error:
            return [], str(error)
    return [Output(path.as_posix(), "tagged")], ""


def _short(key: str) -> str:
    """Return a key as ID3v2 writes it: C, Am, Ebm."""
    note, _, mode = key.partition(" ")
    return note + ("m" if mode == "minor" else "")
