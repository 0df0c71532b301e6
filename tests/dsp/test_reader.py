import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, StemReader, probe
from dsp.formats.wavefile import header_of
from tests.support.stems import heard, open_descriptors, refusal, whole, with_chunk, written
from tests.support.surroundings import needs
from tests.support.tones import noise

needs_ffmpeg = needs("ffmpeg", debian="ffmpeg")

PCM = {"PCM_U8": 2**-7, "PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-24}
STEP = {**PCM, "FLOAT": 2**-24, "DOUBLE": 2**-24}
LOSSLESS = [
    *(
        (container, subtype, "FILE")
        for container in ("WAV", "WAVEX", "RF64", "W64")
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    ),
    *(
        (container, subtype, "FILE")
        for container in ("AIFF", "CAF")
        for subtype in ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    ),
    *(("AIFF", subtype, "LITTLE") for subtype in ("PCM_16", "PCM_24", "PCM_32")),
    *(("CAF", subtype, "LITTLE") for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    *(("FLAC", subtype, "FILE") for subtype in ("PCM_S8", "PCM_16", "PCM_24")),
]
LOSSY = [
    ("OGG", "VORBIS", 44_100, 2),
    ("OGG", "VORBIS", 8_000, 1),
    ("OGG", "VORBIS", 192_000, 2),
    ("OGG", "OPUS", 48_000, 2),
    ("OGG", "OPUS", 16_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
    ("MP3", "MPEG_LAYER_III", 22_050, 1),
    ("MP3", "MPEG_LAYER_III", 8_000, 1),
]
ONE_OF_EACH = [
    ("WAV", "PCM_24"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_24"),
    ("WAV", "ULAW"),
    ("W64", "ALAW"),
    ("AIFF", "PCM_24"),
    ("CAF", "PCM_24"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]

M4A_HEAD = b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\0moov"  # an index up to the end


def some(frames=4_000, channels=2, *, seed=1):
    return np.clip(noise(frames, 1.0, rms_dbfs=-20.0, seed=seed, channels=channels), -0.99, 0.99)


def changed(path, at, data):
    """Overwrite bytes of a file."""
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


# What can be read


@pytest.mark.parametrize(("container", "subtype", "endian"), LOSSLESS)
def test_lossless_formats_keep_every_bit(tmp_path, container, subtype, endian):
    """What was written comes back, to a step of what the format can hold, at any rate."""
    how = {"container": container, "subtype": subtype, "endian": endian}
    for rate_hz, channels in [(8_000, 1), (44_100, 2), (47_999, 8), (192_000, 3)]:
        block = some(1_000, channels)
        path = written(tmp_path / "a.stem", block, rate_hz=rate_hz, **how)

        found = probe(path, name="a.stem")

        assert (rate_hz, channels, 1_000) == (found.rate_hz, found.channels, found.frames)
        assert np.abs(block - whole(found)).max() <= STEP[subtype]


@pytest.mark.parametrize(("container", "subtype", "rate_hz", "channels"), LOSSY)
def test_lossy_formats_give_the_frames_that_went_in(
    tmp_path, container, subtype, rate_hz, channels
):
    """An encoder's padding is taken out: the declared length is the length that was written."""
    block = some(3 * rate_hz // 2, channels)
    path = written(
        tmp_path / "a.stem", block, rate_hz=rate_hz, container=container, subtype=subtype
    )

    found = probe(path, name="a.stem")

    assert len(block) == found.frames == len(whole(found))
    assert (rate_hz, channels) == (found.rate_hz, found.channels)


@pytest.mark.parametrize(("container", "subtype"), ONE_OF_EACH)
def test_blocks_do_not_show(tmp_path, container, subtype):
    """A file read in small blocks is the file read in large ones, bit for bit."""
    path = written(tmp_path / "a.stem", some(30_000), container=container, subtype=subtype)

    assert np.array_equal(heard(path, frames=65_536), heard(path, frames=997))


@pytest.mark.parametrize(("container", "subtype"), ONE_OF_EACH)
def test_reader_agrees_with_soundfile(tmp_path, container, subtype):
    """Reading forwards only gives what soundfile reads at once."""
    path = written(tmp_path / "a.stem", some(30_000), container=container, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)

    assert np.array_equal(expected, heard(path))


def test_name_does_not_matter(tmp_path):
    """A FLAC that is called .wav is read as the FLAC that it is."""
    path = written(tmp_path / "a.wav", some(), container="FLAC")

    assert probe(path, name="a.wav").container == "flac"


def test_suffixes_are_lower_case_and_dotted():
    """Names are compared in lower case, with their dot."""
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in AUDIO_SUFFIXES)


def test_time_stamp_of_a_broadcast_wave_is_reported(tmp_path):
    """The bext chunk's time reference is 64 bits, in frames."""
    path = written(tmp_path / "a.wav", some())
    with_chunk(path, b"bext", bytes(338) + (5 << 32 | 7).to_bytes(8, "little") + bytes(256))

    assert (5 << 32 | 7) == probe(path, name="a.wav").time_stamp_frames


IXML = b"""<BWFXML><SPEED><TIMESTAMP_SAMPLE_RATE>%d</TIMESTAMP_SAMPLE_RATE>
<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>0</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>
<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>%s</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED></BWFXML>"""


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        pytest.param(IXML % (48_000, b"4410"), 4410, id="at the rate of the file"),
        pytest.param(IXML % (96_000, b"4410"), 2205, id="at another rate"),
        pytest.param(IXML % (0, b"4410"), 4410, id="at a rate of nothing"),
        pytest.param(IXML % (48_000, b"9" * 400), None, id="a number without end"),
        pytest.param(b"\xff<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>", None, id="cut"),
    ],
)
def test_time_stamp_of_a_field_recorder_is_reported(tmp_path, text, stamp):
    """Recorders that write no bext chunk say it in iXML."""
    path = written(tmp_path / "a.wav", some())
    with_chunk(path, b"iXML", text + b"\0" * (len(text) % 2))

    assert stamp == probe(path, name="a.wav").time_stamp_frames


def test_no_time_stamp_is_none(tmp_path):
    """A plain WAV has no time stamp, which differs from midnight."""
    assert probe(written(tmp_path / "a.wav", some()), name="a").time_stamp_frames is None


# What is not whole


def cut_to(path, content, length):
    path.write_bytes(content[:length])
    return path


@pytest.mark.parametrize(("container", "subtype"), ONE_OF_EACH)
def test_cut_files_are_refused(tmp_path, container, subtype):
    """Wherever a copy stopped, the file is truncated and not just shorter."""
    path = written(tmp_path / "a.stem", some(60_000), container=container, subtype=subtype)
    content = path.read_bytes()
    lengths = [int(part * len(content)) for part in (0.003, 0.1, 0.25, 0.5, 0.77, 0.9, 0.999)]

    codes = {refusal(cut_to(path, content, length)) for length in [16, 40, *lengths]}

    assert {"INPUT_TRUNCATED"} == codes


@pytest.mark.parametrize(("container", "subtype"), ONE_OF_EACH)
def test_last_bytes_count(tmp_path, container, subtype):
    """One byte less is too few."""
    path = written(tmp_path / "a.stem", some(60_000), container=container, subtype=subtype)
    content = path.read_bytes()

    codes = {refusal(cut_to(path, content, len(content) - missing)) for missing in (1, 2, 7)}

    assert {"INPUT_TRUNCATED"} == codes


def test_truncation_is_told_in_numbers(tmp_path):
    """The message names the file, what is there and what should be."""
    path = written(tmp_path / "a.wav", some(1_000), subtype="PCM_16")
    os.truncate(path, 44 + 1_000)

    with pytest.raises(AudioFormatError) as caught:
        probe(path, name="Song/a.wav")

    expected = "Song/a.wav has 1000 of the 4000 bytes of sound it declares"
    assert expected == caught.value.message
    assert caught.value.path == "Song/a.wav"
    assert caught.value.hint


def test_truncated_file_can_be_accepted(tmp_path):
    """Whoever asks for it gets what is there."""
    path = written(tmp_path / "a.wav", some(1_000), subtype="PCM_16")
    os.truncate(path, 44 + 1_000)

    found = probe(path, name="a.wav", accept_truncated=True)
    with StemReader(found, accept_truncated=True) as reader:
        assert 250 == len(reader.read(1_000))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_length_that_was_never_known_is_legal(tmp_path, size):
    """A WAV written to a pipe has no length, and all of its sound is read."""
    path = written(tmp_path / "a.wav", some(1_000), subtype="PCM_16")
    changed(path, 4, struct.pack("<I", size or 8))
    changed(path, 40, struct.pack("<I", size))

    found = probe(path, name="a.wav")

    assert found.frames is None
    assert 1_000 == len(whole(found))


def test_flac_of_unknown_length_is_legal(tmp_path):
    """A FLAC written to a pipe declares no samples."""
    path = written(tmp_path / "a.flac", some(9_000), container="FLAC")
    packed = int.from_bytes(path.read_bytes()[18:26], "big") & ~0xF_FFFF_FFFF
    changed(path, 18, packed.to_bytes(8, "big"))

    found = probe(path, name="a.flac")

    assert found.frames is None
    assert 9_000 == len(whole(found))


def test_chunks_after_the_sound_are_not_sound(tmp_path):
    """Markers and tags behind the data chunk change nothing."""
    path = written(tmp_path / "a.wav", some(1_000), subtype="PCM_16")
    with path.open("ab") as file:
        file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")

    assert 1_000 == len(heard(path))


def test_damage_in_the_middle_is_not_truncation(tmp_path):
    """A FLAC with bytes overwritten is damaged: its end is there."""
    path = written(tmp_path / "a.flac", some(100_000), container="FLAC")
    changed(path, 200_000, bytes(64))

    assert refusal(path) == "INPUT_DAMAGED"


def test_file_that_changed_is_noticed(tmp_path):
    """A stem that is replaced between the look and the reading is refused."""
    path = written(tmp_path / "a.wav", some(channels=2))
    found = probe(path, name="a.wav")
    written(path, some(channels=1))

    with pytest.raises(AudioFormatError, match="INPUT_DAMAGED"):
        StemReader(found)


# What is not sound


@pytest.mark.parametrize(
    "content",
    [
        b"Dear band, the stems are on the drive.\n" * 9,
        bytes(4096),
        b"%PDF-1.7" + bytes(99),
        b"PK\3\4" + bytes(99),
        b"RIFF\x10\0\0\0AVI LIST" + bytes(99),
        b"f",
    ],
)
def test_what_is_not_audio_is_said_to_be_so(tmp_path, content):
    """Text in a .wav is not audio, and is not damaged audio either."""
    path = tmp_path / "notes.wav"
    path.write_bytes(content)

    assert refusal(path) == "INPUT_NOT_AUDIO"


def test_file_without_bytes_is_empty(tmp_path):
    """0 bytes are nothing."""
    (tmp_path / "a.wav").touch()

    assert refusal(tmp_path / "a.wav") == "INPUT_EMPTY"


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16")])
def test_file_without_frames_is_empty(tmp_path, container, subtype):
    """A header alone is nothing."""
    path = written(tmp_path / "a", np.zeros((0, 2)), container=container, subtype=subtype)

    assert refusal(path) == "INPUT_EMPTY"


def test_symbolic_link_is_not_followed(tmp_path):
    """A link is refused whatever it points to."""
    written(tmp_path / "a.wav", some())
    (tmp_path / "b.wav").symlink_to("a.wav")

    assert refusal(tmp_path / "b.wav") == "REFUSED_SYMLINK"


def test_pipe_is_refused_at_once(tmp_path):
    """Opening a FIFO that nobody writes to does not hang."""
    os.mkfifo(tmp_path / "a.wav")

    assert refusal(tmp_path / "a.wav") == "REFUSED_KIND"


def test_folder_is_refused(tmp_path):
    """A folder called .wav is no file."""
    (tmp_path / "a.wav").mkdir()

    assert refusal(tmp_path / "a.wav") == "REFUSED_KIND"


def test_missing_file_is_the_surroundings_fault(tmp_path):
    """A file that is gone is not a file in a wrong format."""
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "a.wav", name="a.wav")


# What is kept away from the decoder

COMPANDED = {
    (container, law) for container in ("WAV", "W64", "AIFF", "CAF") for law in ("ALAW", "ULAW")
}
COMPRESSED = [
    (container, subtype)
    for container in ("WAV", "W64", "AIFF", "CAF")
    for subtype in soundfile.available_subtypes(container)
    if subtype not in STEP and (container, subtype) not in COMPANDED
]
STRANGE = sorted(
    set(soundfile.available_formats())
    - {"WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "FLAC", "OGG", "MP3", "RAW", "SD2"}
)


@pytest.mark.parametrize(("container", "subtype"), COMPRESSED)
def test_compressed_chunks_are_not_supported(tmp_path, container, subtype):
    """ADPCM, GSM and their kind do not reach libsndfile."""
    path = tmp_path / "a.stem"
    for channels in (2, 1):
        try:
            written(
                path, some(8_000, channels), rate_hz=8_000, container=container, subtype=subtype
            )
            break
        except soundfile.LibsndfileError:
            continue
    else:
        pytest.skip("libsndfile reads this and does not write it")

    assert refusal(path) == "INPUT_NOT_SUPPORTED"


@pytest.mark.parametrize("container", STRANGE)
def test_containers_that_nobody_uses_are_kept_out(tmp_path, container):
    """libsndfile would open these; we do not let it."""
    subtype = next(iter(soundfile.available_subtypes(container)))
    path = written(
        tmp_path / "a.wav", some(8_000, 1), rate_hz=8_000, container=container, subtype=subtype
    )

    assert refusal(path) in {"INPUT_NOT_AUDIO", "INPUT_NOT_SUPPORTED"}


@pytest.mark.parametrize(
    "head",
    [M4A_HEAD, b"\xff\xf1\x50\x80", b"wvpk", b"MAC ", b"\x1aE\xdf\xa3\x80\x18S\x80g\xff"],
)
def test_other_audio_is_named_with_a_way_out(tmp_path, head):
    """Audio that cannot be read is told apart from no audio; the hint is a command for it."""
    path = tmp_path / "my take.wv"
    path.write_bytes(head + bytes(500))

    with pytest.raises(AudioFormatError) as caught:
        probe(path, name="Song/my take.wv")

    assert caught.value.code == "INPUT_NOT_SUPPORTED"
    assert "ffmpeg -i 'my take.wv' 'my take.flac'" in caught.value.hint


# Headers that lie


@pytest.mark.parametrize(("at", "data", "code"), [
    (24, struct.pack("<I", 2**31 - 1), "INPUT_RATE"),
    (24, struct.pack("<I", 7_999), "INPUT_RATE"),
    (24, bytes(4), "INPUT_RATE"),
    (22, struct.pack("<H", 1_024), "INPUT_CHANNELS"),
    (22, struct.pack("<H", 9), "INPUT_CHANNELS"),
    (22, bytes(2), "INPUT_CHANNELS"),
])  # fmt: skip
def test_absurd_headers_are_refused(tmp_path, at, data, code):
    """What no studio makes is stopped before any decoder sees it."""
    path = changed(written(tmp_path / "a.wav", some(), subtype="PCM_16"), at, data)

    assert code == refusal(path)


def test_flac_that_declares_the_most_is_refused(tmp_path):
    """2³⁶−1 samples in a small file are refused, not reserved."""
    path = written(tmp_path / "a.flac", some(), container="FLAC")
    packed = int.from_bytes(path.read_bytes()[18:26], "big") | 0xF_FFFF_FFFF
    changed(path, 18, packed.to_bytes(8, "big"))

    assert refusal(path) == "INPUT_TRUNCATED"


def test_sparse_giant_is_too_long(tmp_path):
    """100 GB that take no room on the disk are refused by their header."""
    path, size = tmp_path / "a.wav", 100_000_000_000
    header = header_of(size, rate_hz=48_000, channels=2, bits=16)
    path.write_bytes(header)
    os.truncate(path, len(header) + size)

    assert refusal(path) == "INPUT_TOO_LONG"


def test_undeclared_frames_are_counted(tmp_path):
    """A stream of unknown length ends at the limit."""
    path = written(tmp_path / "a.flac", some(9_000), container="FLAC")
    packed = int.from_bytes(path.read_bytes()[18:26], "big") & ~0xF_FFFF_FFFF
    changed(path, 18, packed.to_bytes(8, "big"))

    assert refusal(path, limits=Limits(frames=8_999)) == "INPUT_TOO_LONG"
    assert refusal(path, limits=Limits(frames=9_000)) == "read to its end"


def test_id3_tag_opens_no_other_door(tmp_path):
    """A RIFF behind an ID3 tag is nobody's file but a trickster's."""
    wav = written(tmp_path / "a.wav", some())
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\4\0\0\0\0\0\0" + wav.read_bytes())

    assert refusal(path) == "INPUT_NOT_AUDIO"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return [
        written(folder / f"{at}", some(600), container=container, subtype=subtype).read_bytes()
        for at, (container, subtype) in enumerate(ONE_OF_EACH)
    ]


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_bytes_get_an_answer(tmp_path, originals, data):
    """Whatever is in a file, it is read to its end or refused with a code."""
    content = bytearray(data.draw(st.sampled_from(originals)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(content) - 1, 200)))
        content[at] = data.draw(st.integers(0, 255))
    path = Path(tmp_path / "a.stem")
    path.write_bytes(content)

    assert refusal(path) == "read to its end" or refusal(path).isupper()


# What comes out


def test_samples_that_are_no_numbers_are_silenced_and_counted(tmp_path):
    """NaN and both infinities become 0; their neighbours stay."""
    block = some(1_000)
    block[[10, 20, 30], [0, 1, 0]] = np.nan, np.inf, -np.inf
    path = written(tmp_path / "a.wav", block, subtype="FLOAT")

    with StemReader(probe(path, name="a.wav")) as reader:
        read = reader.read(1_000)

    assert 3 == reader.nonfinite
    assert np.array_equal(np.where(np.isfinite(block), block, 0.0), read)


def test_reader_counts_what_it_gave(tmp_path):
    """A short block comes last, then none, and the count stands."""
    path = written(tmp_path / "a.wav", some(1_000))

    with StemReader(probe(path, name="a.wav")) as reader:
        lengths = [len(reader.read(600)) for _ in range(4)]

    assert [600, 400, 0, 0] == lengths
    assert 1_000 == reader.frames_read


def test_descriptors_are_given_back(tmp_path):
    """Neither success nor any refusal leaves a file open."""
    path = written(tmp_path / "a.wav", some())
    cut = tmp_path / "cut.flac"
    written(cut, some(9_000), container="FLAC")
    os.truncate(cut, 60)
    before = open_descriptors()
    heard(path)
    refusal(cut)
    changed(path, 22, struct.pack("<H", 99))
    refusal(path)

    assert before == open_descriptors()


# ffmpeg, where it is


def as_m4a(folder, *arguments, name="a.m4a"):
    source = written(folder / "source.wav", some(50_000), rate_hz=44_100)
    command = ["ffmpeg", "-v", "error", "-i", source, *arguments, f"./{name}"]
    subprocess.run(command, check=True, cwd=folder)
    return folder / name


@needs_ffmpeg
@pytest.mark.parametrize(("name", "codec"), [
    ("a.m4a", "aac"), ("a.aac", "aac"), ("b.m4a", "alac"), ("a.oga", "flac"), ("-i.m4a", "aac"),
    ("a.caf", "alac"), ("a.wav", "adpcm_ms"), ("b.wav", "adpcm_ima_wav"), ("a.wv", "wavpack"),
    ("a.wma", "wmav2"), ("a.w64", "adpcm_ms"), ("a.tta", "tta"), ("a.au", "pcm_s16be"),
    ("a.aifc", "adpcm_ima_qt"),
])  # fmt: skip
def test_foreign_formats_are_decoded_by_ffmpeg(tmp_path, name, codec):
    """What libsndfile is not to read gives its frames and a little padding, whatever its name."""
    path = as_m4a(tmp_path, "-c:a", codec, name=name)

    found = probe(path, name=name, allow_ffmpeg=True)
    block = whole(found, allow_ffmpeg=True)

    assert (44_100, 2) == (found.rate_hz, found.channels)
    assert 49_000 <= len(block) <= 53_072  # ffmpeg's encoder of WMA drops its last frame


@needs_ffmpeg
def test_foreign_lossless_keeps_every_bit(tmp_path):
    """ALAC comes back as it went in: ffmpeg changes neither rate nor level."""
    path = as_m4a(tmp_path, "-c:a", "alac")

    assert np.array_equal(heard(tmp_path / "source.wav"), heard(path, allow_ffmpeg=True))


@needs_ffmpeg
def test_cut_m4a_is_refused(tmp_path):
    """A fifth of the sound is missing, and ffmpeg alone would not say so."""
    path = as_m4a(tmp_path, "-c:a", "alac", "-movflags", "+faststart")
    os.truncate(path, path.stat().st_size * 4 // 5)

    assert refusal(path, allow_ffmpeg=True) in {"INPUT_TRUNCATED", "INPUT_DAMAGED"}


@needs_ffmpeg
def test_m4a_without_its_index_says_so(tmp_path):
    """A recorder that lost its power leaves sound that nothing finds."""
    path = as_m4a(tmp_path, "-c:a", "aac")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])

    assert refusal(path, allow_ffmpeg=True) == "INPUT_TRUNCATED"


@needs_ffmpeg
def test_m4a_of_an_unknown_codec_is_damaged(tmp_path):
    """ffprobe finds a stream and no name for it, which is no fault of ours."""
    path = as_m4a(tmp_path, "-c:a", "aac")
    path.write_bytes(path.read_bytes().replace(b"stsd", b"\0tsd"))

    assert refusal(path, allow_ffmpeg=True) == "INPUT_DAMAGED"


@needs_ffmpeg
def test_playlist_cannot_pass_for_m4a(tmp_path):
    """What is inside the box is not looked at by another demuxer."""
    path = tmp_path / "a.m4a"
    path.write_bytes(M4A_HEAD + b"#EXTM3U\n/etc/hostname\n")

    assert refusal(path, allow_ffmpeg=True) == "INPUT_DAMAGED"


def test_missing_ffmpeg_is_said(tmp_path, monkeypatch):
    """Where the program is not installed, M4A is not supported, in these words."""
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "a.m4a"
    path.write_bytes(M4A_HEAD + bytes(500))

    with pytest.raises(AudioFormatError, match="ffprobe is not installed") as caught:
        probe(path, name="a.m4a", allow_ffmpeg=True)

    assert caught.value.code == "INPUT_NOT_SUPPORTED"


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["mp3", "ogg", "opus"])
def test_second_recording_in_a_file_is_not_left_out_in_silence(tmp_path, codec):
    """Two files put together: decoders stop at the end of the first, as if all were read."""
    encoder = {"mp3": "libmp3lame", "ogg": "libvorbis", "opus": "libopus"}[codec]
    parts = []
    for hz, seconds in ((440, 3), (660, 2)):
        part = tmp_path / f"{hz}.{codec}"
        sine = f"sine=frequency={hz}:duration={seconds}:sample_rate=48000"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", sine, "-c:a", encoder, part]
        subprocess.run(command, check=True)
        parts.append(part.read_bytes())
    (path := tmp_path / f"both.{codec}").write_bytes(b"".join(parts))
    (alone := tmp_path / f"alone.{codec}").write_bytes(parts[0])

    assert 3.0 == pytest.approx(len(whole(probe(alone, name=alone.name))) / 48_000, abs=0.1)
    with pytest.raises(AudioFormatError, match=r"second recording.* after [23]\.\d+ s") as refused:
        whole(probe(path, name=path.name))
    assert "INPUT_DAMAGED" == refused.value.code


@needs_ffmpeg
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-c:a", "libmp3lame", "late.mp3"], id="MP3 that tells its delay"),
        pytest.param(["-c:a", "libmp3lame", "-write_xing", "0", "late.mp3"], id="MP3"),
        pytest.param(["-c:a", "mp2", "late.mp2"], id="MP2"),
        pytest.param(["-c:a", "aac", "late.aac"], id="ADTS"),
    ],
)
def test_lossy_stem_starts_in_time(tmp_path, arguments):
    """Encoder and decoder put 11 to 25 ms before the sound; beside other stems that is late."""
    click = np.zeros((44_100, 1), np.float32)
    click[20_000:20_441] = noise(44_100, 0.01, rms_dbfs=-10.0, seed=4, channels=1)
    written(tmp_path / "click.wav", click, rate_hz=44_100)
    *options, name = arguments
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "click.wav", *options, tmp_path / name]
    subprocess.run(command, check=True)
    sound = whole(probe(tmp_path / name, name=name, allow_ffmpeg=True), allow_ffmpeg=True)
    shared = np.correlate(sound[:44_100, 0], click[20_000:20_441, 0], "valid")

    assert 20_000 == np.argmax(shared)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_plain_samples_are_those_of_libsndfile(tmp_path, container, subtype, channels):
    """Decoded here or there: the same bits, up to both ends of the scale."""
    path = tmp_path / "stem"
    sound = np.random.default_rng(9).uniform(-1.0, 1.0, (3_001, channels))
    sound[:2] = [[1.0], [-1.0]]
    soundfile.write(path, sound, 44_100, subtype, format=container)
    with StemReader(probe(path, name="stem")) as reader:
        found = np.concatenate([reader.read(size) for size in (1, 1_000, 2_000, 500)])

    assert soundfile.read(path, dtype="float32", always_2d=True)[0].tobytes() == found.tobytes()
