"""Is all of an audio file there? Ask its header and its end."""

import io
import os
import struct
import subprocess
from dataclasses import asdict

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.config.models import Limits as DaemonLimits
from dsp.containers.identify import ends_in_zeros, read_header
from dsp.containers.streams import _crc
from dsp.formats.reader import Limits, StemReader, probe
from tests.support.containers import FORMATS, noise_bytes
from tests.support.stems import refusal, whole
from tests.support.surroundings import needs

FORMATS_OF_CHUNKS = ("wav", "wavex", "rf64", "w64", "aiff", "caf")

needs_ffmpeg = needs("ffmpeg", debian="ffmpeg")
needs_sox = needs("sox", debian="sox")


@pytest.fixture
def judge(tmp_path):
    """Judge bytes as a file."""

    def judge(data):
        path = tmp_path / "file"
        path.write_bytes(data)
        fd = os.open(path, os.O_RDONLY)
        try:
            return read_header(fd, len(data))
        finally:
            os.close(fd)

    return judge


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_complete(judge, kind):
    """Every format that we write is known to be whole."""
    assert "complete" == judge(noise_bytes(kind)).verdict


@pytest.mark.parametrize("kind", FORMATS)
def test_the_length_of_the_audio_is_told(judge, kind):
    """Deadlines may rely on the length, within an MP3's padding."""
    assert 0.5 == pytest.approx(judge(noise_bytes(kind)).seconds(), abs=0.06)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_short(judge, kind, part):
    """Wherever a file is cut, its header gives it away."""
    data = noise_bytes(kind)

    assert "short" == judge(data[: int(len(data) * part)]).verdict


@pytest.mark.parametrize("kind", FORMATS)
def test_one_missing_byte_is_seen(judge, kind):
    """The last byte counts (W64 pads its end; the sound ends earlier)."""
    data = noise_bytes(kind)

    assert "short" == judge(data[:-1]).verdict


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "aiff"])
def test_a_cut_file_tells_its_whole_size(judge, kind):
    """A person reads how much is there and how much there should be."""
    data = noise_bytes(kind)

    assert len(data) == judge(data[: len(data) // 2]).bytes_expected


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [(kind, "growing") for kind in ("wav", "wavex", "rf64", "w64", "aiff", "caf")]
    + [("flac", "unknown"), ("ogg", "unknown"), ("mp3", "unknown")],
)
def test_a_file_being_written_is_never_complete(tmp_path, judge, kind, verdict):
    """What a workstation leaves on disk during a bounce is recognised."""
    path = tmp_path / "bounce"
    container, subtype = FORMATS[kind]
    rng = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", 48_000, 2, format=container, subtype=subtype) as file:
        file.write(rng.normal(0, 0.1, (48_000, 2)))
        file.flush()

        assert verdict == judge(path.read_bytes()).verdict


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["wav", "w64", "flac", "mp3"])
def test_a_file_from_a_pipe_has_no_known_length(judge, kind):
    """ffmpeg to a pipe cannot go back to the header; that is legal."""
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-f", kind, "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout

    assert "unknown" == judge(data).verdict


@needs_sox
@pytest.mark.parametrize("kind", ["wav", "aiff"])
@pytest.mark.parametrize("bits", ["8", "16", "24", "32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 11, 64])
def test_sox_leaves_a_length_of_its_own_in_a_pipe(tmp_path, judge, kind, bits, channels):
    """Sox leaves a number just under 2 GiB, less a partial frame; settled and read alike."""
    command = ["sox", "--ignore-length", "-t", "wav", "-", "-b", bits, "-t", kind, "-"]
    command += ["remix", *["1"] * channels]
    run = subprocess.run(command, check=True, capture_output=True, input=noise_bytes("wav"))
    (tmp_path / "piped").write_bytes(run.stdout)

    assert "unknown" == judge(run.stdout).verdict
    found = probe(tmp_path / "piped", name="piped", limits=Limits(channels=64))
    assert 24_000 == len(whole(found, limits=Limits(channels=64)))


def _pcm(kind, subtype, frames=3_000):
    """Return a short file as bytes, and where in it its sound begins."""
    rng = np.random.default_rng(2)
    file = io.BytesIO()
    soundfile.write(file, rng.uniform(-1, 1, (frames, 2)), 48_000, format=kind, subtype=subtype)
    return file.getvalue()


_SIZES = {  # container -> name of the chunk with the sound, bytes of it that are none, order
    "WAV": (b"data", 0, "little"),
    "AIFF": (b"SSND", 8, "big"),
}


def _outgrown(path, kind, subtype, *, whole_bytes, tail=b"", wrong_by=0):
    """Write a file of more than 4 GiB whose 32-bit size has wrapped: sound, a hole, sound.

    Returns the sound at each end, as libsndfile reads it.
    """
    data = _pcm(kind, subtype)
    name, extra, order = _SIZES[kind]
    at = data.index(name) + 4
    begin = at + 4 + extra
    size = int.from_bytes(data[at : at + 4], order) - extra
    sound = data[begin : begin + size]
    declared = (whole_bytes + extra + wrong_by) % (1 << 32)
    with path.open("wb") as file:
        file.write(data[:at] + declared.to_bytes(4, order) + data[at + 4 : begin] + sound)
        file.seek(begin + whole_bytes - size)
        file.write(sound + tail)
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


_WRAPPED = [
    *(("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT")),
    *(("AIFF", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24", "DOUBLE")),
]
_FRAME_BYTES = {"PCM_S8": 2, "PCM_16": 4, "PCM_24": 6, "PCM_32": 8, "FLOAT": 8, "DOUBLE": 16}


@pytest.mark.parametrize(("kind", "subtype"), _WRAPPED)
@pytest.mark.parametrize("tail", [b"", b"LIST\0\0\0\4INFO", b"TAG" + bytes(125)])
def test_a_file_that_outgrew_its_size_is_used_whole(tmp_path, kind, subtype, tail):
    """Its first and its last sample are heard, and what is behind the sound is not sound."""
    if kind == "WAV":
        tail = tail.replace(b"\0\0\0\4", b"\4\0\0\0")
    path, frame = tmp_path / "long", _FRAME_BYTES[subtype]
    frames = (1 << 32) // frame + 100_000
    sound = _outgrown(path, kind, subtype, whole_bytes=frames * frame, tail=tail)

    header = _header_of(path)
    found = probe(path, name="long")

    assert ("complete", frames) == (header.verdict, header.frames)
    assert "wrapped" in header.warning
    assert (frames, subtype) == (found.frames, found.subtype)
    with StemReader(found) as reader:
        reader._decoder = getattr(reader._decoder, "_decoder", reader._decoder)  # reads ahead
        assert np.array_equal(sound, reader.read(len(sound)))
        reader._decoder._at += (frames - 2 * len(sound)) * frame  # over the hole, which is long
        reader._decoder._left = len(sound)
        assert np.array_equal(sound, reader.read(len(sound)))


def _header_of(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_header(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
def test_a_size_that_fits_no_arithmetic_is_damage(tmp_path, kind):
    """Far more sound than declared, and no multiple of 4 GiB that explains it."""
    path = tmp_path / "long"
    _outgrown(path, kind, "PCM_16", whole_bytes=(1 << 32) + 500_000_000, wrong_by=40_000_000)
    with path.open("r+b") as file:  # no hole where the declared sound ends
        file.seek(536_000_000)
        file.write(bytes(range(1, 256)) * 40_000)

    assert "damaged" == _header_of(path).verdict
    assert "INPUT_DAMAGED" == refusal(path)


@pytest.mark.parametrize("kind", FORMATS_OF_CHUNKS)
def test_a_recorder_that_died_left_a_size_of_long_ago(tmp_path, kind):
    """The header was last written after a second; an hour is not thrown away without a word."""
    data = noise_bytes(kind)
    path = tmp_path / "recording"
    path.write_bytes(data + np.random.default_rng(3).bytes(3_000_000))

    assert "damaged" == _header_of(path).verdict
    assert "INPUT_DAMAGED" == refusal(path)


@pytest.mark.parametrize("kind", FORMATS_OF_CHUNKS)
@pytest.mark.parametrize("behind", ["tags", "room", "chunk"])
def test_what_programs_append_is_no_damage(judge, kind, behind):
    """A tag, room reserved and never used, and a chunk of any size do no harm."""
    data = noise_bytes(kind)
    big = "big" if kind in ("aiff", "caf") else "little"
    noise = np.random.default_rng(3).bytes(3 << 20)
    size = len(noise).to_bytes(8 if kind == "caf" else 4, big)
    if kind == "w64":
        data += bytes(-len(data) % 8)
        size = b"0123456789ab" + (len(noise) + 24).to_bytes(8, big)
    data += {"tags": noise[: 1 << 20], "room": bytes(3 << 20), "chunk": b"APIC" + size + noise}[
        behind
    ]

    assert "complete" == judge(data).verdict


@pytest.mark.parametrize("declared", [0xFFFFFFFF, 0x7FFFF000])
def test_a_pipe_that_ran_past_its_mark_is_read_to_its_end(tmp_path, declared):
    """The number that a pipe writer leaves is no length, even in a file that is longer."""
    path = tmp_path / "long"
    sound = _outgrown(path, "WAV", "PCM_16", whole_bytes=(1 << 32) + 4_000_000)
    with path.open("r+b") as file:
        file.seek(40)
        file.write(declared.to_bytes(4, "little"))
        file.seek(44 + declared - 1_000_000)
        file.write(bytes(range(1, 251)) * 16_000)

    header = _header_of(path)
    assert ("unknown", (1 << 30) + 1_000_000) == (header.verdict, header.frames)
    found = probe(path, name="long")
    assert found.frames is None
    with StemReader(found) as reader:
        reader._decoder._at += (header.frames - len(sound)) * 4
        assert np.array_equal(sound, reader.read(len(sound)))


def test_long_sizes_are_believed(tmp_path):
    """RF64 and W64 have 64 bits, and 5 GB in them are 5 GB."""
    for kind in ("rf64", "w64"):
        path, size = tmp_path / kind, 5_000_000_000
        data = noise_bytes(kind)
        if kind == "rf64":
            at, value = data.index(b"ds64") + 16, size
        else:
            at, value = data.index(b"data") + 16, size + 24
        start = data.index(b"data") + (8 if kind == "rf64" else 24)
        path.write_bytes(data[:at] + value.to_bytes(8, "little") + data[at + 8 :])
        os.truncate(path, start + size)

        header = _header_of(path)

        assert ("complete", size // 6) == (header.verdict, header.frames)
        assert not header.sound.outgrown


@pytest.mark.parametrize(("rate_hz", "frames"), [
    (1, 1 << 62), (0, 1 << 62), (-48_000, 1_000), (float("nan"), 1_000), (1e-300, 1_000),
    (float("inf"), 1_000), (48_000, 1 << 62), (8_000, 1 << 62), (4e9, 10),
])  # fmt: skip
def test_no_header_claims_more_time_than_the_limits_allow(judge, rate_hz, frames):
    """A length that is no length sets no deadline: frames and rates count within the limits."""
    body = struct.pack(">d4sIIIII", rate_hz, b"lpcm", 2, 4, 1, 2, 16)
    desc = b"desc" + struct.pack(">Q", len(body)) + body
    data = b"data" + struct.pack(">Qi", frames * 4 % (1 << 62), 0) + bytes(4000)

    seconds = judge(b"caff\0\1\0\0" + desc + data).seconds(1_000_000, 8_000)

    assert seconds is None or 0 <= seconds <= 125


def test_a_flac_that_claims_everything_claims_no_eternity(judge):
    """2³⁶ samples at 1 Hz would be two thousand years."""
    data = noise_bytes("flac")
    packed = int.from_bytes(data[18:26], "big")
    packed = packed & ~(0xF_FFFF << 44) | 1 << 44 | 0xF_FFFF_FFFF
    header = judge(data[:18] + packed.to_bytes(8, "big") + data[26:])

    assert (1, 0xF_FFFF_FFFF) == (header.format.rate_hz, header.frames)
    assert 125 == header.seconds(1_000_000, 8_000)


def test_engine_and_daemon_have_one_limit():
    """What the daemon takes, ``soundspool mix`` takes."""
    theirs = DaemonLimits().model_dump(include={"rate_hz_min", "rate_hz_max", "channels", "frames"})

    assert theirs == asdict(Limits())


def _wav(data_bytes, payload, *, riff_bytes=None, before=b"", after=b""):
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 192_000, 4, 16)
    body = b"WAVE" + before + fmt + b"data" + struct.pack("<I", data_bytes) + payload + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_bytes is None else riff_bytes) + body


def test_wav_with_chunks_after_its_data_is_complete(judge):
    """A list of markers behind the sound is no surplus."""
    after = b"LIST" + struct.pack("<I", 4) + b"abcd"

    assert "complete" == judge(_wav(400, bytes([1]) * 400, after=after)).verdict


def test_wav_without_its_pad_byte_is_complete(judge):
    """An odd number of bytes wants a pad byte; many writers forget it."""
    assert "complete" == judge(_wav(399, bytes([1]) * 399)).verdict


def test_wav_cut_behind_its_sound_waits_longer(judge):
    """The sound is whole but the container announces more: not settled soon, nor refused."""
    assert "unknown" == judge(_wav(400, bytes([1]) * 400, riff_bytes=5000)).verdict


def test_wav_without_payload_is_empty(judge):
    """A header alone, with nothing declared, is empty rather than growing."""
    assert "empty" == judge(_wav(0, b"")).verdict


def test_no_bytes_are_empty(judge):
    """A file of no bytes is empty."""
    assert "empty" == judge(b"").verdict


def test_reserved_room_is_not_taken_for_a_stranger(judge):
    """A file that begins with zeros has not been written from its beginning yet."""
    assert "short" == judge(bytes(100_000)).verdict


@pytest.mark.parametrize("text", [b"# notes on the mix\n" * 40, b"\x89PNG\r\n\x1a\n" + b"1" * 99])
def test_other_files_are_not_audio(judge, text):
    """A text and a picture are what they are."""
    assert "not_audio" == judge(text).verdict


@pytest.mark.parametrize(
    ("head", "container"),
    [(b".snd" + bytes(40), "au"), (b"wvpk" + b"1" * 40, "wavpack")],
)
def test_formats_we_do_not_walk_keep_their_name(judge, head, container):
    """The handler, not the door, says which formats it can read."""
    header = judge(head)

    assert ("unknown", container) == (header.verdict, header.container)


def box(kind, body=b"", size=None):
    return struct.pack(">I4s", 8 + len(body) if size is None else size, kind) + body


LARGE = struct.pack(">I4sQ", 1, b"mdat", 16 + 900) + bytes(900)
HEAD = box(b"ftyp", b"M4A " * 3)


@pytest.mark.parametrize(
    ("boxes", "verdict", "expected"),
    [
        (HEAD + box(b"mdat", bytes(900)) + box(b"moov", bytes(90)), "unknown", None),
        (HEAD + box(b"moov", bytes(90)) + LARGE, "unknown", None),
        (HEAD + box(b"moof", bytes(90)) + box(b"mdat", bytes(900)), "unknown", None),
        (HEAD + box(b"moov", bytes(90)) + box(b"mdat", bytes(900), size=0), "unknown", None),
        (HEAD + box(b"mdat", bytes(900)), "short", None),
        (HEAD + LARGE[:400], "short", len(HEAD + LARGE)),
        (HEAD + box(b"moov", bytes(90)) + box(b"mdat", bytes(90), size=5_000), "short", 5_118),
        (HEAD + box(b"mdat", size=3), "unknown", None),
        (HEAD, "short", None),
    ],
)
def test_mp4_is_whole_when_its_boxes_are_and_its_index(judge, boxes, verdict, expected):
    """A copy that stopped and a recording whose index was never written are not whole."""
    header = judge(boxes)

    assert (verdict, "mp4", expected) == (header.verdict, header.container, header.bytes_expected)


def element(identity, body=b"", size=None):
    """Return an element of EBML; its size takes eight bytes, as recorders write it."""
    told = (1 << 56) | len(body) if size is None else size
    return bytes.fromhex(identity) + told.to_bytes(8) + body


UNTOLD = (1 << 57) - 1
SOUND = element("e1", element("b5", struct.pack(">d", 44_100.0)) + element("9f", b"\2"))
TRACKS = element(
    "1654ae6b",
    element("ae", element("83", b"\1") + element("86", b"V_VP8"))
    + element("ae", element("83", b"\2") + element("86", b"A_OPUS") + SOUND),
)
INFO = element("1549a966", element("4489", struct.pack(">d", 2_500.0)))
SEGMENT = INFO + TRACKS + element("1f43b675", bytes(900))
EBML = element("1a45dfa3", element("4282", b"webm"))


@pytest.mark.parametrize(
    ("elements", "verdict", "expected"),
    [
        (element("18538067", SEGMENT), "complete", None),
        (element("18538067", SEGMENT)[:-1], "short", len(EBML) + 12 + len(SEGMENT)),
        (element("18538067", SEGMENT, size=UNTOLD), "unknown", None),
        (element("18538067", SEGMENT) + bytes(9), "unknown", None),
        (b"", "short", None),
        (bytes(40), "short", None),
    ],
)
def test_matroska_is_whole_when_its_segment_is(judge, elements, verdict, expected):
    """A browser's recorder never tells how long it is; other writers do, when they have ended."""
    header = judge(EBML + elements)

    assert (verdict, "matroska", expected) == (
        header.verdict,
        header.container,
        header.bytes_expected,
    )


def test_matroska_tells_of_its_first_track_of_sound(judge):
    """Rate, channels and codec, behind a track of pictures; and how long it is."""
    header = judge(EBML + element("18538067", SEGMENT))

    assert ("opus", 44_100, 2) == (
        header.format.codec,
        header.format.rate_hz,
        header.format.channels,
    )
    assert 2.5 == header.seconds()


def test_an_id3_tag_before_the_sound_is_skipped(judge):
    """A picture of any size may come before an MP3's first frame."""
    tag = b"ID3\x04\0\0" + bytes([0, 0, 0x7F, 0x7F]) + b"\xff\xfb\x90\0" + bytes(0x3FFF - 4)

    assert "complete" == judge(tag + noise_bytes("mp3")).verdict
    assert "short" == judge(tag[:9000]).verdict


def test_an_id3v1_tag_behind_flac_is_no_loss(judge):
    """Old taggers put 128 bytes behind the last frame."""
    assert "complete" == judge(noise_bytes("flac") + b"TAG" + bytes(125)).verdict


def test_flac_with_a_damaged_last_frame_is_short(judge):
    """The last frame must agree with its own checksum."""
    data = bytearray(noise_bytes("flac"))
    data[-5] ^= 0xFF

    assert "short" == judge(bytes(data)).verdict


@pytest.mark.timeout(20)
def test_a_flac_made_to_cost_much_costs_little(judge):
    """Thousands of frames that claim to be the last are not all summed up."""
    data = noise_bytes("flac")
    total = int.from_bytes(data[21:26], "big") & 0xF_FFFF_FFFF
    # A header for the whole count: numbered by sample, block of 192, so that it ends at `total`.
    lead = bytes([0xFF, 0xF9, 0x10, 0x00]) + chr(total - 192).encode()
    frame = next(lead + bytes([crc]) for crc in range(256) if _crc(lead + bytes([crc]), 7, 8) == 0)
    hostile = data[:15] + b"\xff\xff\xff" + data[18:4096] + frame * 200_000

    assert "short" == judge(hostile).verdict


def test_a_walk_through_endless_chunks_ends(judge):
    """Chunks of no length lead nowhere, and soon."""
    chunks = b"junk\0\0\0\0" * 100_000

    assert "short" == judge(b"RIFF\xff\xff\xff\xffWAVE" + chunks).verdict


_MAGICS = [b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0",
           b"fLaC\0\0\0\x22", b"OggS\0", b"\xff\xfb\x90\0", b"ID3\4\0\0\0\0\0\1",
           EBML, EBML + element("18538067", TRACKS, size=UNTOLD)[:99],
           noise_bytes("w64")[:40]]  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(magic=st.sampled_from([b"", *_MAGICS]), rest=st.binary(max_size=400))
def test_any_bytes_get_an_answer(judge, magic, rest):
    """Nothing that a stranger can write makes the walk raise."""
    judge(magic + rest)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(sorted(FORMATS)),
    at=st.integers(0, 120),
    patch=st.binary(min_size=1, max_size=8),
)
def test_damaged_headers_get_an_answer(judge, kind, at, patch):
    """Nothing that a broken disk can leave makes the walk raise."""
    data = noise_bytes(kind)

    judge(data[:at] + patch + data[at + len(patch) : 6000])


def test_a_long_tail_of_zeros_is_seen(tmp_path):
    """More than 1 MiB of zeros may be room that is not written yet."""
    path = tmp_path / "file"
    for tail, expected in [(1 << 20, False), ((1 << 20) + 1, True)]:
        path.write_bytes(b"x" + bytes(tail))
        fd = os.open(path, os.O_RDONLY)

        assert expected == ends_in_zeros(fd, tail + 1)
        os.close(fd)
