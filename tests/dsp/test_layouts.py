"""Which channel goes where when a stem has more than two."""

import struct

import numpy as np
import pytest
import soundfile as sf

from dsp.containers.speakers import of_caf, of_mask, usual
from dsp.formats.reader import probe
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import fold

HALF = np.sqrt(0.5)
GAINS = {
    "L": (1, 0), "R": (0, 1), "C": (HALF, HALF), "LFE": (0, 0), "Cb": (0.5, 0.5),
    "Ls": (HALF, 0), "Rs": (0, HALF), "Lb": (HALF, 0), "Rb": (0, HALF), "TCf": (0.5, 0.5),
}  # fmt: skip


def sounds(channels, rate_hz=48_000):
    """Return a second of noise of its own in each channel."""
    return np.random.default_rng(1).uniform(-0.1, 0.1, (rate_hz, channels)).astype(np.float32)


def written_as(path, channels, container, subtype="PCM_24"):
    sf.write(path, sounds(channels), 48_000, format=container, subtype=subtype)
    return path


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("codec", ["flac", "vorbis", "opus"])
def test_channels_go_where_their_speakers_stand(codec, channels):
    """Each channel alone arrives in left and right at the gains of ITU-R BS.775."""
    speakers = usual(codec, channels)
    for channel, speaker in enumerate(speakers):
        block = np.zeros((4, channels), np.float32)
        block[:, channel] = 1.0

        assert GAINS[speaker] == pytest.approx(tuple(fold(block, speakers)[0]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "subtype", "channels", "order"),
    [
        ("a.flac", "PCM_24", 3, "L R C"),
        ("a.flac", "PCM_24", 8, "L R C LFE Lb Rb Ls Rs"),
        ("a.ogg", "VORBIS", 6, "L C R Ls Rs LFE"),
        ("a.opus", "OPUS", 6, "L C R Ls Rs LFE"),
        ("a.aiff", "PCM_24", 3, "L R C"),
        ("a.aiff", "PCM_24", 6, "L R C LFE Ls Rs"),
        ("a.wav", "PCM_24", 6, "L R C LFE Ls Rs"),
        ("a.wav", "PCM_24", 4, ""),
        ("a.wav", "PCM_24", 8, ""),
        ("a.caf", "PCM_24", 7, ""),
    ],
)
def test_order_of_channels_is_that_of_the_format(tmp_path, name, subtype, channels, order):
    """Vorbis has its centre second and its effects last; what nothing says is not guessed."""
    container = name.partition(".")[2].upper().replace("OPUS", "OGG")
    path = written_as(tmp_path / name, channels, container, subtype)

    assert tuple(order.split()) == probe(path, name=name).speakers


@pytest.mark.parametrize(
    ("mask", "channels", "order"),
    [
        (0b111, 3, "L R C"),
        (0x63F, 8, "L R C LFE Lb Rb Ls Rs"),
        (0x60F, 6, "L R C LFE Ls Rs"),
        (0x107, 4, "L R C Cb"),
        (0x0, 4, ""),
        (0b11, 4, ""),
        (0xFFFFFFFF, 4, ""),
    ],
)
def test_channel_mask_of_a_wav_names_the_speakers(tmp_path, mask, channels, order):
    """A mask that does not name each channel once is not believed."""
    path = written_as(tmp_path / "a.wav", channels, "WAVEX")
    content = bytearray(path.read_bytes())
    at = content.index(b"fmt ") + 8 + 20
    content[at : at + 4] = struct.pack("<I", mask)
    path.write_bytes(content)

    assert tuple(order.split()) == of_mask(mask, channels)
    expected = of_mask(mask, channels) or usual("pcm", channels)
    assert expected == probe(path, name="a.wav").speakers


def test_layout_chunk_of_a_caf_names_the_speakers():
    """By its tag, or by the mask it holds; a tag for another count of channels is not believed."""
    assert ("C", "L", "R") == of_caf(struct.pack(">II", 114 << 16 | 3, 0), 3)
    assert ("L", "R", "C") == of_caf(struct.pack(">II", 0x10000, 0b111), 3)
    assert () == of_caf(struct.pack(">II", 114 << 16 | 3, 0), 4)
    assert () == of_caf(b"", 4)


def test_centre_of_a_vorbis_stem_stays_in_the_middle(tmp_path):
    """It went hard right: the order of Vorbis is not that of WAV."""
    song, out, t = tmp_path / "Song", tmp_path / "out", np.arange(4 * 48_000) / 48_000
    song.mkdir()
    out.mkdir()
    sound = np.zeros((len(t), 6), np.float32)
    sound[:, 1] = 0.3 * np.sin(2 * np.pi * 1000 * t)
    sf.write(song / "pad.ogg", sound, 48_000, format="OGG", subtype="VORBIS")
    mix(song, out, Settings.model_validate({"stages": {"spatial": False}}), report=lambda *_: None)
    left, right = np.square(sf.read(out / "final_mix.wav")[0]).mean(axis=0)

    assert left == pytest.approx(right, rel=1e-3)


def test_unknown_channels_are_said(tmp_path):
    """A recorder's four microphones are pairs, and a warning says so."""
    song, out = tmp_path / "Song", tmp_path / "out"
    song.mkdir()
    out.mkdir()
    written_as(song / "pad.wav", 4, "WAV")
    made = mix(song, out, Settings(), report=lambda *_: None)

    assert "4 channels" in dict(made.warnings)["CHANNELS_UNKNOWN"]
