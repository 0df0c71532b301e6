"""Files as libraries have them: six formats with tags and covers, names in five scripts, strays.

One file of each format is encoded; the others are copies of it whose title is another one.
"""

import os
import shutil
import struct
import sys
from pathlib import Path
from subprocess import run

IN_FOLDER = 20
_ALBUMS = ("Night Drive", "Nächte in Köln", "Русские песни", "日本の歌", "한국 노래", "أغاني")
_TITLE = "Song 00000"
_COVER_BYTES = 90_000
_SECONDS = 3
_RATE_HZ = 48_000
_KINDS = {
    "flac": ("-c:a", "flac"),
    "mp3": ("-c:a", "libmp3lame", "-b:a", "256k", "-id3v2_version", "3", "-write_id3v1", "1"),
    "m4a": ("-c:a", "aac", "-b:a", "192k"),
    "wav": ("-c:a", "pcm_s24le"),
    "ogg": ("-c:a", "libvorbis", "-q:a", "5"),
    "aiff": ("-c:a", "pcm_s16be", "-write_id3v2", "1"),
}


def make_tree(root: Path, files: int) -> None:
    """Write so many files of sound, and beside them what nobody wants.

    One of forty has broken tags, one of twenty has a ``._`` companion, each folder a picture.
    """
    root.mkdir(parents=True)
    examples = {suffix: _example(root.parent, suffix, form) for suffix, form in _KINDS.items()}
    suffixes = sorted(examples)
    for number in range(files):
        place, within = divmod(number, IN_FOLDER)
        album = _ALBUMS[place % len(_ALBUMS)]
        folder = root / f"{album} {place:04}"
        if not within:
            folder.mkdir()
            (folder / "cover.jpg").write_bytes(os.urandom(4_096))
        suffix = suffixes[number % len(suffixes)]
        data = examples[suffix].replace(_TITLE.encode(), b"Song %05d" % (number % 100_000))
        if number % 40 == 39:  # noqa: PLR2004 - said above
            data = data[:40] + os.urandom(200) + data[240:]
        name = f"{within + 1:02} {album} {number}.{suffix}"
        (folder / name).write_bytes(data)
        if not within:
            (folder / f"._{name}").write_bytes(struct.pack(">II", 0x00051607, 0x00020000) * 512)


def _example(folder: Path, suffix: str, form: tuple[str, ...]) -> bytes:
    """Return a file of noise with tags; with a cover where the format has covers."""
    ffmpeg = shutil.which("ffmpeg") or sys.exit("the files are encoded by ffmpeg, which is absent")
    path, cover = folder / f"example.{suffix}", folder / "cover.png"
    quiet = [ffmpeg, "-v", "error", "-y"]
    noise = f"anoisesrc=d={_SECONDS}:r={_RATE_HZ}:a=0.3:seed=1,pan=stereo|c0=c0|c1=c0"
    side = round((_COVER_BYTES / 3) ** 0.5)
    picture = f"nullsrc=s={side}x{side},geq=random(1)*255:128:128"
    run([*quiet, "-f", "lavfi", "-i", picture, "-frames:v", "1", cover], check=True)
    sources = ["-f", "lavfi", "-i", noise]
    if suffix in {"flac", "mp3", "m4a"}:
        sources += ["-i", cover, "-map", "0:a", "-map", "1:v", "-c:v", "copy"]
        sources += ["-disposition:v:0", "attached_pic"]
    tags = {"title": _TITLE, "artist": "Somebody", "album": "Album", "genre": "Ambient"}
    tags |= {"date": "2024", "track": "3/12", "comment": "Made for a measurement."}
    said = [word for key, value in tags.items() for word in ("-metadata", f"{key}={value}")]
    run([*quiet, *sources, *said, *form, path], check=True)
    data = path.read_bytes()
    path.unlink()
    cover.unlink()
    return with_bext(data) if suffix == "wav" else data


def with_bext(data: bytes) -> bytes:
    """Return a WAV file with a ``bext`` chunk before the others, as recorders write it."""
    chunk = bytearray(602)
    chunk[:5] = b"Take\0"
    chunk[338:346] = (_RATE_HZ * 60).to_bytes(8, "little")
    whole = bytearray(data[:12] + b"bext" + len(chunk).to_bytes(4, "little") + chunk + data[12:])
    whole[4:8] = (len(whole) - 8).to_bytes(4, "little")
    return bytes(whole)
