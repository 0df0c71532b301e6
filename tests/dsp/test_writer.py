import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ParameterError
from dsp.formats import ogg_serial
from dsp.formats.dither import quantise
from dsp.formats.reader import Limits, probe
from dsp.formats.wavefile import header_of
from dsp.formats.writer import Writer, formats_available
from tests.support.stems import heard, open_descriptors
from tests.support.tones import cut, in_blocks, noise, sine

EVERY = [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24),
         ("ogg", 24), ("opus", 24), ("mp3", 24)]  # fmt: skip
LSB_16 = 2.0**-15


def some(frames=30_000, *, seed=1):
    return noise(frames, 1.0, rms_dbfs=-20.0, seed=seed)


def exported(path, blocks, *, rate_hz=48_000, **how):
    with Writer(path, rate_hz=rate_hz, channels=2, **how) as writer:
        for block in blocks:
            writer.write(block)
    return path


# Files


@pytest.mark.parametrize(("format_", "bits"), EVERY)
def test_file_is_what_was_meant(tmp_path, format_, bits):
    """Every format holds the frames, the rate and the channels that were written."""
    path = exported(tmp_path / "a", [some()], format=format_, bits=bits)

    assert 48_000 == probe(path, name="a").rate_hz
    assert (30_000, 2) == heard(path).shape


@pytest.mark.parametrize(("format_", "bits", "subtype"), [
    ("wav", 16, "PCM_16"), ("wav", 24, "PCM_24"), ("wav", 32, "FLOAT"),
    ("flac", 16, "PCM_16"), ("flac", 24, "PCM_24"),
])  # fmt: skip
def test_lossless_files_hold_the_quantised_samples(tmp_path, format_, bits, subtype):
    """A second reader finds exactly the integers, or the floats, that were meant."""
    block = some(1_001)
    path = exported(tmp_path / "a", [block[:300], block[300:]], format=format_, bits=bits)

    read, _ = soundfile.read(path, dtype="float64", always_2d=True)
    meant = block if bits == 32 else quantise(block, bits, 0) * 2.0 ** (1 - bits)

    assert subtype == soundfile.info(path).subtype
    assert np.array_equal(meant, read)


@pytest.mark.parametrize(("format_", "bits"), EVERY)
def test_same_blocks_give_the_same_bytes(tmp_path, format_, bits):
    """No file holds a date or a random number."""
    first = exported(tmp_path / "a", [some()], format=format_, bits=bits).read_bytes()
    second = exported(tmp_path / "b", [some()], format=format_, bits=bits).read_bytes()

    assert first == second


@pytest.mark.parametrize(("format_", "bits"), EVERY)
def test_blocks_do_not_show(tmp_path, format_, bits):
    """A file written in small blocks is the file written in one."""
    block = some(150_000)
    whole = exported(tmp_path / "a", [block], format=format_, bits=bits)
    parts = exported(tmp_path / "b", in_blocks(block, 997), format=format_, bits=bits)

    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize("format_", ["ogg", "opus", "mp3"])
def test_lossy_files_sound_like_it(tmp_path, format_):
    """A tone comes back in its place, at its level."""
    tone = sine(48_000, 1.0, hz=440.0, level_dbfs=-12.0)
    read = heard(exported(tmp_path / "a", [tone], format=format_))

    assert 0.01 > np.abs(tone - read)[4_800:-4_800].max()


def test_every_ogg_page_has_our_serial(tmp_path):
    """The serial is settled on all pages, and libogg accepts their checksums."""
    path = exported(tmp_path / "a", [some(200_000)], format="ogg")
    content = path.read_bytes()
    pages = [at for at in range(len(content) - 4) if content[at : at + 5] == b"OggS\0"]

    assert len(pages) > 10
    assert {ogg_serial.SERIAL.to_bytes(4, "little")} == {content[at + 14 : at + 18] for at in pages}
    assert 200_000 == len(soundfile.read(path)[0])


def test_checksum_of_a_page_is_oggs():
    """The mirrored zlib sum equals the plain one of RFC 3533, computed slowly."""
    data = bytearray(np.random.default_rng(7).integers(0, 256, 999, np.uint8).tobytes())
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value >> 31 else value << 1) & 0xFFFFFFFF

    assert value == ogg_serial._crc(data)


@pytest.mark.parametrize(("rate_hz", "kbits", "expected"), [
    (32_000, 96, 96), (48_000, 0, 320), (44_100, 1, 32), (24_000, 56, 56), (24_000, 999, 160),
    (8_000, 0, 64),
])  # fmt: skip
def test_bit_rate_of_mp3_is_held(tmp_path, rate_hz, kbits, expected):
    """The nearest rate there is, held constant; none asked for is the best."""
    blocks = [some(4 * rate_hz)]
    path = exported(tmp_path / "a", blocks, rate_hz=rate_hz, format="mp3", kbits=kbits)

    assert expected == pytest.approx(path.stat().st_size * 8 / 4000, rel=0.08)


@pytest.mark.parametrize("format_", ["ogg", "opus", "mp3"])
def test_fewer_kbits_make_a_smaller_file(tmp_path, format_):
    """Half the bits asked for are about half the bytes, in each lossy format."""
    blocks = [some(96_000)]
    large = exported(tmp_path / "a", blocks, format=format_, kbits=160).stat().st_size
    small = exported(tmp_path / "b", blocks, format=format_, kbits=80).stat().st_size

    assert 0.5 == pytest.approx(small / large, abs=0.15)


def test_file_beyond_4_gib_becomes_rf64(tmp_path):
    """The same header, grown up: libsndfile finds all frames of a 5 GB file."""
    header = header_of(5_000_000_000, rate_hz=48_000, channels=2, bits=16)
    path = tmp_path / "a.wav"
    path.write_bytes(header)
    os.truncate(path, len(header) + 5_000_000_000)

    limits = Limits(frames=2_000_000_000)

    assert len(header_of(0, rate_hz=48_000, channels=2, bits=16)) == len(header)
    assert 1_250_000_000 == probe(path, name="a.wav", limits=limits).frames
    assert 1_250_000_000 == soundfile.info(path).frames


def test_header_declares_nothing_until_the_end(tmp_path):
    """Whoever looks at a file that is being written sees that it is."""
    with Writer(tmp_path / "a", rate_hz=48_000, channels=2, format="wav", bits=16) as writer:
        writer.write(some())
        header = (tmp_path / "a").read_bytes()[:80]

    assert header_of(0, rate_hz=48_000, channels=2, bits=16) == header


def test_everything_listed_can_be_written(tmp_path):
    """``formats_available`` promises no more than there is."""
    for format_, depths in formats_available().items():
        for bits in depths or (24,):
            exported(tmp_path / "a", [some(5_000)], format=format_, bits=bits)

    assert {"wav", "flac"} <= set(formats_available())


@pytest.mark.parametrize(("how", "word"), [
    ({"format": "m4a"}, "format"),
    ({"format": "wav", "bits": 20}, "bits"),
    ({"format": "flac", "bits": 32}, "bits"),
    ({"format": "opus", "rate_hz": 44_100}, "rate_hz"),
    ({"format": "mp3", "rate_hz": 96_000}, "rate_hz"),
    ({"format": "ogg", "rate_hz": 200_000}, "rate_hz"),
])  # fmt: skip
def test_what_a_format_cannot_hold_is_refused(tmp_path, how, word):
    """The message names the parameter, and no file is left."""
    with pytest.raises(ParameterError, match=word):
        exported(tmp_path / "a", [], **how)

    assert not (tmp_path / "a").exists()


# What can go wrong


@pytest.fixture
def small_disk():
    """A limit of 100 kB on any file: the write fails as on a full disk, with another errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize(("format_", "bits"), EVERY)
def test_full_disk_has_its_errno(tmp_path, format_, bits):
    """libsndfile only says that it failed; the disk is asked why. Nothing stays open."""
    before = open_descriptors()
    with pytest.raises(OSError, match="arge") as caught:
        exported(tmp_path / "a", [some()] * 20, format=format_, bits=bits)

    assert errno.EFBIG == caught.value.errno
    assert before == open_descriptors()


@pytest.mark.parametrize(("format_", "bits"), [("wav", 24), ("flac", 24), ("ogg", 24)])
def test_device_without_room_is_no_space(format_, bits):
    """The errno is the disk's own: here, no space left."""
    with pytest.raises(OSError, match="space") as caught:
        exported(Path("/dev/full"), [some()] * 20, format=format_, bits=bits)

    assert errno.ENOSPC == caught.value.errno


def test_error_of_the_caller_is_not_hidden(tmp_path):
    """A block that fails to be made is what is told, and the file is closed."""
    before = open_descriptors()
    with (
        pytest.raises(ZeroDivisionError),
        Writer(tmp_path / "a", rate_hz=48_000, channels=2, format="flac") as writer,
    ):
        writer.write(some(10 // 0))

    assert before == open_descriptors()


# Dither


def error_lsb(block, *, seed=0):
    """What quantising to 16 bits adds, in LSB."""
    return quantise(block, 16, 0, seed) - block.astype(np.float64) / LSB_16


@pytest.mark.parametrize("level_dbfs", [-6.0, -90.0, -110.0])
def test_error_has_the_same_mean_and_power_at_every_level(level_dbfs):
    """TPDF: the error's mean is 0 and its variance 3/12 LSB², however soft the music."""
    error = error_lsb(sine(48_000, 8.0, hz=997.0, level_dbfs=level_dbfs))

    assert 0.0 == pytest.approx(error.mean(), abs=0.005)
    assert 0.25 == pytest.approx(error.var(), rel=0.02)


def test_error_has_nothing_to_do_with_the_signal():
    """Neither with its value nor with its square: no distortion, no breathing."""
    block = sine(48_000, 8.0, hz=997.0, level_dbfs=-84.0)[:, 0]
    error = error_lsb(block[:, None])[:, 0]

    assert 0.01 > abs(np.corrcoef(block, error)[0, 1])
    assert 0.01 > abs(np.corrcoef(block**2, error**2)[0, 1])


def test_error_is_white():
    """No band of a thirtieth octave stands out: harmonics of a soft tone are not there."""
    error = error_lsb(sine(48_000, 10.0, hz=1_000.0, level_dbfs=-84.0, channels=1))[:, 0]
    power = np.abs(np.fft.rfft(error.reshape(-1, 4_800))).T ** 2
    per_bin = power.mean(axis=1)[1:-1] / (4_800 * 0.25)

    assert 1.0 == pytest.approx(per_bin.mean(), rel=0.02)
    assert per_bin.max() < 2.0


def test_sound_below_one_step_survives():
    """A tone of a quarter of a step is still there, 12 dB below the step."""
    block = sine(48_000, 10.0, hz=1_000.0, level_dbfs=-12.0, channels=1) * np.float32(LSB_16)
    reference = np.sin(2.0 * np.pi * np.arange(480_000) / 48.0)

    amplitude = 2.0 * np.mean(quantise(block, 16, 0)[:, 0] * reference)

    assert 0.25 == pytest.approx(amplitude, abs=0.005)


def test_silence_stays_silence():
    """Digital silence is not filled with noise."""
    assert not quantise(np.zeros((1_000, 2), np.float32), 16, 0).any()


def test_channels_have_their_own_noise():
    """The same signal on both sides gets noise that does not add up in the middle."""
    error = error_lsb(sine(48_000, 2.0, hz=997.0, level_dbfs=-6.0))

    assert 0.02 > abs(np.corrcoef(error.T)[0, 1])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(places=st.lists(st.integers(0, 5_000), max_size=8), channels=st.integers(1, 3))
def test_dither_does_not_depend_on_blocks(places, channels):
    """The noise belongs to the frame's number, not to how the frames came."""
    block = noise(5_000, 1.0, rms_dbfs=-20.0, seed=8, channels=channels)
    done, pieces = 0, []
    for piece in cut(block, places):
        pieces.append(quantise(piece, 24, done))
        done += len(piece)

    assert np.array_equal(quantise(block, 24, 0), np.concatenate(pieces))


def test_another_seed_is_other_noise():
    """Two files of one song need not share their noise."""
    block = sine(48_000, 2.0, level_dbfs=-6.0)

    assert 0.02 > abs(np.corrcoef(error_lsb(block)[:, 0], error_lsb(block, seed=1)[:, 0])[0, 1])


@pytest.mark.parametrize(("bits", "most"), [(16, 32_767), (24, 8_388_607)])
def test_overs_are_clipped_and_do_not_wrap(bits, most):
    """+2.0 is the highest number that fits and −2.0 the lowest."""
    block = np.array([[2.0], [-2.0]], np.float32)

    assert [most, -most - 1] == quantise(block, bits, 0)[:, 0].tolist()
