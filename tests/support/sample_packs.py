"""Files as people have them: sample packs, stems, recorders' takes, and what lies between them."""

import os

import numpy as np
import soundfile

from tests.support.tones import sine

RATE_HZ = 48_000
LONG_AGO_S = 1_700_000_000


def wav(path, frames, subtype="PCM_24", **form):
    """Write a file of a time that is long past."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, frames, RATE_HZ, subtype=subtype, **form)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return path


def with_chunk(path, kind, content):
    """Put a chunk behind the sound of a WAV file."""
    data = bytearray(path.read_bytes())
    data += kind + len(content).to_bytes(4, "little") + content
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data)


def sample_packs(root, tiny=40):
    """Fill a root; return how many files a library lists there."""
    tone = sine(RATE_HZ, 3.0, level_dbfs=-6.0206)
    bext = bytearray(602)  # EBU Tech 3285: a description, and where on the timeline it begins
    bext[:5] = b"Take\0"
    bext[338:346] = (RATE_HZ * 60).to_bytes(8, "little")
    with_chunk(wav(root / "packs/Take 1.wav", tone), b"bext", bext)
    wav(root / "日本語/曲.flac", tone, "PCM_16")
    wav(root / "한국어/노래.wav", 0.5 * tone)
    wav(root / "العربية/أغنية.ogg", tone, "VORBIS", format="OGG")
    wav(root / "русский/песня.aiff", 0.25 * tone)
    wav(root / "ελληνικά/τραγούδι.wav", 0.125 * tone)
    wav(root / ("long " * 50 + ".wav"), 0.31 * tone)
    odd = wav(root / "odd.wav", 0.3 * tone)
    odd.rename(root / os.fsdecode(b"bad\xffname\n.wav"))
    broken = wav(root / "packs/broken.flac", 0.2 * tone, "PCM_16")
    data = bytearray(broken.read_bytes())
    data[42:46] = b"\x84\xff\xff\xff"  # a comment block that claims sixteen megabytes
    broken.write_bytes(data)
    list_info = wav(root / "packs/latin.wav", 0.21 * tone)
    with_chunk(list_info, b"LIST", b"INFOINAM\xff\xff\xff\x7f\xe9t\xe9\0")
    mp3 = wav(root / "packs/loop.mp3", 0.22 * tone, "MPEG_LAYER_III", format="MP3")
    mp3.write_bytes(b"ID3\4\0\0\0\0\0\x14TIT2\0\0\0\x7f\0\0\3Loop" + bytes(5) + mp3.read_bytes())
    (root / "packs/._Take 1.wav").write_bytes(b"\0\x05\x16\x07" + bytes(100))
    for number in range(tiny):
        wav(root / f"tiny/{number % 20}/{number}.wav", np.full(8, number / 400), "PCM_16")
    (root / "packs/not audio.wav").write_text("none")
    (root / "packs/empty.wav").touch()
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return 13 + tiny
