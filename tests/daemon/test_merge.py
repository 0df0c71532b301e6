"""Recorded chunks: their order, what joins them, what is left out, and that nothing is lost."""

import json
import random
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import validate

from daemon.errors import BadInput, NothingToDo
from daemon.handlers import merge
from daemon.handlers.contract import Task
from daemon.handlers.merging import documents
from daemon.handlers.merging.order import Named, ordered
from tests.support.daemons import ROOT, Daemon, read_json, settings_for, until

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
RATE_HZ = 8_000


def voice(seconds, seed=1, channels=1):
    """Return noise in 16 bits whose level moves, as that of speech does."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    level = 2_000 + 9_000 * np.abs(np.sin(np.arange(count) * (7.0 / RATE_HZ)))[:, np.newaxis]
    return np.clip(rng.normal(size=(count, channels)) * level, -32_000, 32_000).astype(np.int16)


def put(folder, name, sound, rate_hz=RATE_HZ, subtype="PCM_16"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz, subtype=subtype)
    return path


def stamped(path, frames):
    """Put the time of the first frame into a WAV file, as broadcast recorders do."""
    data = path.read_bytes()
    bext = bytearray(602)
    struct.pack_into("<Q", bext, 338, frames)
    chunk = b"bext" + struct.pack("<I", len(bext)) + bext
    body = data[:12] + chunk + data[12:]
    path.write_bytes(body[:4] + struct.pack("<I", len(body) - 8) + body[8:])


def task_of(folder, tmp_path, **options):
    workdir = tmp_path / "out"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir()
    given = merge.Options(**options)
    return Task(folder.name, folder, workdir, given, lambda *_: None)


def merged(folder, tmp_path, **options):
    """Return result, manifest and samples."""
    task = task_of(folder, tmp_path, **options)
    result = merge.handle(task)
    manifest = json.loads((task.workdir / "manifest.json").read_text())
    samples, _ = soundfile.read(task.workdir / manifest["file"], dtype="int16", always_2d=True)
    assert {one.path for one in result.outputs} == {path.name for path in task.workdir.iterdir()}
    return result, manifest, samples


def codes_of(result):
    return [note.code for note in result.notes]


def test_manifest_keeps_to_its_schema(tmp_path):
    """``manifest-1.json`` says of the document what the document is."""
    shipped = json.loads(Path(documents.__file__).with_name("manifest-1.json").read_text())
    put(tmp_path / "in", "a_1.wav", voice(0.5))
    (tmp_path / "in" / "a_2.wav").write_bytes(b"no sound")

    _, manifest, _ = merged(tmp_path / "in", tmp_path)

    assert documents.Manifest.model_json_schema() == shipped
    validate(manifest, shipped)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_same_format_is_joined_bit_by_bit(tmp_path, subtype, channels):
    sound = voice(3.0, channels=channels) / (32_768 if subtype == "FLOAT" else 1)
    sound = sound.astype(np.float32 if subtype == "FLOAT" else np.int16)
    cuts = [0, 1, 7_001, 7_002, 20_000, len(sound)]
    for number, (start, end) in enumerate(pairwise(cuts)):
        put(tmp_path / "in", f"rec_{number}.wav", sound[start:end], subtype=subtype)
    read = [soundfile.read(tmp_path / "in" / f"rec_{n}.wav", always_2d=True)[0] for n in range(5)]

    result, manifest, _ = merged(tmp_path / "in", tmp_path)

    made, _ = soundfile.read(tmp_path / "out" / "merged.wav", always_2d=True)
    assert np.array_equal(np.concatenate(read), made)
    assert manifest["exact"]
    assert len(sound) == manifest["frames"]
    assert not result.notes


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_recording_that_was_cut_is_made_whole_again(tmp_path, data):
    """Whatever the cuts, the overlaps, and the order in which the chunks lie there."""
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    sound = voice(20.0)
    count = data.draw(st.integers(2, 6))
    free = st.integers(1_000, len(sound) - 1_000)
    cuts = sorted(data.draw(st.sets(free, min_size=count - 1, max_size=count - 1)))
    starts = [0]
    for cut, before in zip(cuts, [0, *cuts], strict=False):
        most = min(5 * RATE_HZ, cut - before - 1)  # no two begin at the same time
        some = st.integers(160, most) if most >= 160 else st.just(0)  # 20 ms is the least
        starts.append(cut - data.draw(st.one_of(st.just(0), some)))
    by = data.draw(st.sampled_from(["numbers", "stamps", "order"]))
    names = [f"rec_{n}.wav" for n in data.draw(st.permutations(range(count)))]
    if by == "numbers":
        names = [f"rec_{n}.wav" for n in range(count)]
    for name, start, end in zip(names, starts, [*cuts, len(sound)], strict=True):
        path = put(tmp_path / "in", name, sound[start:end])
        if by == "stamps":
            stamped(path, 1_000_000 + start)

    _, manifest, samples = merged(
        tmp_path / "in", tmp_path, order=tuple(names) if by == "order" else ()
    )

    assert by == manifest["order"]
    assert np.array_equal(sound, samples)
    assert manifest["exact"]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1_000, 30_000), min_size=1, max_size=5))
def test_time_stamps_make_silence_to_the_frame(tmp_path, gaps):
    """And of the chunks only the last 5 ms before and the first 5 ms after it are faded."""
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    at, chunks = 0, []
    for number, gap in enumerate([0, *gaps]):
        sound = voice(1.0, seed=number)
        at += gap
        path = put(tmp_path / "in", f"{len(gaps) - number}.wav", sound)
        stamped(path, 5_000 + at)
        chunks.append((at, sound))
        at += len(sound)

    _, manifest, samples = merged(tmp_path / "in", tmp_path)

    fade = round(0.005 * RATE_HZ)
    assert at == len(samples) == manifest["frames"]
    for start, sound in chunks:
        inner = samples[start : start + len(sound)]
        assert np.array_equal(sound[fade:-fade], inner[fade:-fade])
    for (start, sound), (following, _) in pairwise(chunks):
        assert not samples[start + len(sound) : following].any()


@pytest.mark.parametrize(
    ("names", "rule", "expected"),
    [
        (["rec_10.wav", "rec_2.wav"], "numbers", [1, 0]),
        (["rec_010.wav", "rec_9.wav"], "numbers", [1, 0]),
        (["b/1.wav", "a/2.wav"], "names", [1, 0]),
        (["2/1.wav", "1/2.wav"], "numbers", [1, 0]),
        (["2026-11-26T10-00-15.wav", "2026-11-26T10-00-05.wav"], "times", [1, 0]),
        (["z_20261126_100005.wav", "a_20261126_100015.wav"], "times", [0, 1]),
        (["m 2026-02-31T10-00-05.wav", "m 2026-02-30T10-00-05.wav"], "numbers", [1, 0]),
        (["intro.wav", "end.wav"], "names", [1, 0]),
        (["x" + "9" * 200 + ".wav", "x" + "1" * 200 + ".wav"], "numbers", [1, 0]),
    ],
)
def test_the_first_rule_that_decides_all_orders(names, rule, expected):
    found = ordered([Named(name) for name in names])

    assert (rule, tuple(expected)) == (found.rule, found.places)


def test_a_recording_may_pass_midnight():
    day = 86_400
    found = ordered([Named("a", day - 20), Named("b", 5), Named("c", day - 10)])

    assert ((0, 2, 1), (0, 10, 25)) == (found.places, found.starts_s)


def test_a_copy_does_not_take_the_time_stamps_away(tmp_path):
    for number in range(3):
        path = put(tmp_path / "in", f"{number}.wav", voice(1.0, number))
        stamped(path, (3 - number) * RATE_HZ)
    shutil.copy(path, tmp_path / "in" / "again.wav")

    result, manifest, _ = merged(tmp_path / "in", tmp_path)

    assert "stamps" == manifest["order"]
    assert ["2.wav", "1.wav", "0.wav"] == [row["name"] for row in manifest["chunks"][:3]]
    assert ["CHUNK_DUPLICATE"] == codes_of(result)


@pytest.mark.parametrize("order", [("a.wav",), ("a.wav", "a.wav"), ("a.wav", "b.wav", "c.wav")])
def test_an_order_that_cannot_be_followed_is_refused(tmp_path, order):
    for seed, name in enumerate(("a.wav", "b.wav")):
        put(tmp_path / "in", name, voice(0.2, seed))

    with pytest.raises(BadInput, match="ORDER_INVALID"):
        merged(tmp_path / "in", tmp_path, order=order)


def test_names_alone_are_said_to_be_a_guess(tmp_path):
    for seed, name in enumerate(("intro.wav", "end.wav")):
        put(tmp_path / "in", name, voice(0.2, seed))

    result, _, _ = merged(tmp_path / "in", tmp_path)

    assert ["ORDER_GUESSED"] == codes_of(result)


def test_times_in_names_make_silence_where_a_second_is_missing(tmp_path):
    """They count whole seconds: less than one is no gap."""
    for at, length in ((0, 10.02), (10, 9.6), (20, 10.0), (45, 1.0)):
        put(tmp_path / "in", f"2026-11-26T10-00-{at:02}.wav", voice(length, at))

    _, manifest, _ = merged(tmp_path / "in", tmp_path)

    assert [0, 0, 0, 15 * RATE_HZ] == [row["silence_frames"] for row in manifest["chunks"]]


def test_gaps_are_closed_or_as_long_as_asked(tmp_path):
    for number in range(3):
        stamped(put(tmp_path / "in", f"{number}.wav", voice(1.0, number)), number * 5 * RATE_HZ)

    lengths = [len(merged(tmp_path / "in", tmp_path, gap=gap)[2]) for gap in ("close", 0.25)]
    far, _, samples = merged(tmp_path / "in", tmp_path, longest_gap_s=2.0)

    assert [3 * RATE_HZ, 3 * RATE_HZ + RATE_HZ // 2] == lengths
    assert ["GAP_CLOSED", "GAP_CLOSED"] == codes_of(far)
    assert 3 * RATE_HZ == len(samples)


def test_times_that_overlap_take_no_sound_away(tmp_path):
    """A clock may be wrong: what differs is used, crossfaded over 10 ms, and told of."""
    for at in (0, 2):
        put(tmp_path / "in", f"2026-11-26T10-00-{at:02}.wav", voice(4.0, at))

    result, _, samples = merged(tmp_path / "in", tmp_path)

    assert ["TIMES_OVERLAP"] == codes_of(result)
    assert 8 * RATE_HZ - round(0.01 * RATE_HZ) == len(samples)


def test_a_jingle_that_is_heard_twice_is_kept_twice(tmp_path):
    """The same samples end one chunk and begin the next, a minute later by their names."""
    jingle, long = voice(2.0, 7), 60 * RATE_HZ
    put(tmp_path / "in", "2026-11-26T10-00-00.wav", np.concatenate([voice(2.0, 1), jingle]))
    put(tmp_path / "in", "2026-11-26T10-01-04.wav", np.concatenate([jingle, voice(2.0, 2)]))

    _, kept, samples = merged(tmp_path / "in", tmp_path)
    _, _, closed = merged(tmp_path / "in", tmp_path, gap="close")

    assert (long, 0) == (kept["chunks"][1]["silence_frames"], kept["chunks"][1]["skipped_frames"])
    assert (8 * RATE_HZ + long, 8 * RATE_HZ) == (len(samples), len(closed))


def bad_ones(folder):
    """Put one of each kind that cannot be used, or not wholly, among good chunks."""
    first = put(folder, "rec_1.wav", voice(1.0, 1))
    put(folder, "rec_3.wav", np.zeros((RATE_HZ, 1), np.int16))
    whole = put(folder, "rec_4.wav", voice(1.0, 4)).read_bytes()
    (folder / "rec_4.wav").write_bytes(whole[: 44 + 2 * 3_000])
    (folder / "rec_5.wav").write_bytes(b"")
    (folder / "rec_6.wav").write_bytes(b"this is a note, and no sound")
    shutil.copy(first, folder / "rec_7.wav")
    flac = put(folder, "rec_8.flac", voice(30.0, 8))
    broken = bytearray(flac.read_bytes())
    broken[len(broken) // 2 : len(broken) // 2 + 3_000] = b"\xff" * 3_000
    flac.write_bytes(broken)
    put(folder, "rec_9.wav", voice(1.0, 9))


def test_bad_chunks_are_left_out_named_and_counted(tmp_path):
    """A silent one among sounding ones is used; a cut one as far as it goes."""
    bad_ones(tmp_path / "in")

    result, manifest, samples = merged(tmp_path / "in", tmp_path)

    told = {row["name"]: (row["place"], row["code"]) for row in manifest["chunks"]}
    assert {
        "rec_1.wav": (1, ""),
        "rec_3.wav": (2, ""),
        "rec_4.wav": (3, "INPUT_TRUNCATED"),
        "rec_9.wav": (4, ""),
        "rec_5.wav": (None, "INPUT_EMPTY"),
        "rec_6.wav": (None, "INPUT_NOT_AUDIO"),
        "rec_7.wav": (None, "CHUNK_DUPLICATE"),
        "rec_8.flac": (None, "INPUT_DAMAGED"),
    } == told
    assert 3 * RATE_HZ + 3_000 == len(samples)
    assert (4, 4) == (result.measurements["chunks"], result.measurements["skipped"])
    assert ["CHUNK_SKIPPED"] * 2 == codes_of(result)[:2]


def test_strict_refuses_what_would_be_left_out(tmp_path):
    bad_ones(tmp_path / "in")
    folder = tmp_path / "in"
    found = []
    for name in ("rec_5.wav", "rec_6.wav", "rec_8.flac", "rec_4.wav"):
        with pytest.raises(BadInput) as problem:
            merged(folder, tmp_path, strict=True)
        found.append((problem.value.code, problem.value.path))
        (folder / name).unlink()

    result, _, _ = merged(folder, tmp_path, strict=True)

    assert [
        ("INPUT_EMPTY", "rec_5.wav"),
        ("INPUT_NOT_AUDIO", "rec_6.wav"),
        ("INPUT_DAMAGED", "rec_8.flac"),
        ("INPUT_TRUNCATED", "rec_4.wav"),
    ] == found
    assert ["CHUNK_DUPLICATE"] == codes_of(result)


def test_nothing_usable_or_all_silent_is_nothing_to_do(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"")
    (folder / "b.wav").write_bytes(b"no sound at all, but some bytes")

    with pytest.raises(NothingToDo, match="INPUT_EMPTY, INPUT_NOT_AUDIO"):
        merged(folder, tmp_path)
    put(folder, "c.wav", np.zeros((RATE_HZ, 1), np.int16))
    with pytest.raises(NothingToDo, match="nothing sounds"):
        merged(folder, tmp_path)


def test_silent_chunks_of_the_same_bytes_are_twice_the_time(tmp_path):
    for number in (2, 3):
        put(tmp_path / "in", f"{number}.wav", np.zeros((RATE_HZ, 1), np.int16))
    put(tmp_path / "in", "1.wav", voice(1.0))

    _, _, samples = merged(tmp_path / "in", tmp_path)

    assert 3 * RATE_HZ == len(samples)


def test_different_formats_take_the_highest_rate_and_width(tmp_path):
    put(tmp_path / "in", "1.wav", voice(1.0, 1))
    put(tmp_path / "in", "2.flac", voice(2.0, 2, channels=2), 16_000, "PCM_24")

    _, manifest, samples = merged(tmp_path / "in", tmp_path)

    assert (16_000, 2, 24, 32_000, False) == tuple(
        manifest[key] for key in ("rate_hz", "channels", "bits", "frames", "exact")
    )
    assert np.array_equal(voice(2.0, 2, channels=2), samples[16_000:])


@pytest.mark.parametrize("form", ["flac", "opus", "mp3"])
def test_other_formats_hold_as_many_frames(tmp_path, form):
    sound = voice(4.0)
    for number in range(4):
        part = sound[number * RATE_HZ : (number + 1) * RATE_HZ]
        put(tmp_path / "in", f"{number}.wav", part)

    _, manifest, samples = merged(tmp_path / "in", tmp_path, format=form)

    assert (form == "flac") == manifest["exact"]
    assert form == "mp3" or len(sound) == len(samples)
    assert form != "flac" or np.array_equal(sound, samples)


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_the_whole_is_as_loud_as_asked(tmp_path, form):
    for number in range(4):
        put(tmp_path / "in", f"{number}.wav", voice(3.0, number) // (number + 1))

    result, manifest, samples = merged(tmp_path / "in", tmp_path, level=-16, format=form)

    assert abs(result.measurements["integrated_lufs"] + 16.0) <= 0.1
    assert result.measurements["true_peak_dbtp"] <= -1.0
    assert form == "mp3" or 12 * RATE_HZ == len(samples)
    assert not manifest["exact"]


def browser_pieces(folder, kind, count):
    """Record as a browser does: pieces of one stream; return how many frames the whole has."""
    folder.mkdir()
    sound = folder.with_name("sound.wav")
    soundfile.write(sound, voice(6.0), RATE_HZ)
    how = {
        "webm": ["-c:a", "libopus", "-f", "webm", "-cluster_time_limit", "500"],
        "mp4": ["-c:a", "aac", "-f", "mp4", "-frag_duration", "500000",
                "-movflags", "frag_keyframe+empty_moov+default_base_moof"],
    }  # fmt: skip
    whole = folder.with_name(f"whole.{kind}")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", sound, *how[kind], whole], check=True, timeout=60
    )
    data = whole.read_bytes()
    for number in range(count):
        part = data[number * len(data) // count : (number + 1) * len(data) // count]
        (folder / f"chunk-{number}.{kind}").write_bytes(part)
    raw = ["ffmpeg", "-v", "error", "-i", whole, "-f", "s16le", "-"]
    return len(subprocess.run(raw, check=True, timeout=60, capture_output=True).stdout) // 2


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["webm", "mp4"])
def test_pieces_of_a_stream_are_put_behind_its_header(tmp_path, kind):
    frames = browser_pieces(tmp_path / "in", kind, 12)
    before = {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}

    result, manifest, samples = merged(tmp_path / "in", tmp_path)

    assert frames == len(samples)
    assert 12 == result.measurements["chunks"]
    assert ["CHUNK_HEADERLESS"] == codes_of(result)
    assert [f"chunk-{n}.{kind}" for n in range(12)] == [row["name"] for row in manifest["chunks"]]
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}


def test_a_level_that_cannot_be_reached_is_told_of(tmp_path):
    """Of a fifth of a second there is no loudness."""
    put(tmp_path / "in", "rec.wav", voice(0.2))

    result, _, samples = merged(tmp_path / "in", tmp_path, level=-16)

    assert ["TARGET_NOT_REACHED"] == codes_of(result)
    assert len(samples) == RATE_HZ // 5


def fragments(folder, name, seconds, seed=1):
    """Record as Chromium does into MP4: the header alone, then a piece for each half second."""
    folder.mkdir(exist_ok=True)
    sound, whole = folder.with_name("sound.wav"), folder.with_name("whole.mp4")
    soundfile.write(sound, voice(seconds, seed), RATE_HZ)
    how = ["-c:a", "aac", "-frag_duration", "500000"]
    how += ["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-bitexact", "-f", "mp4"]
    command = ["ffmpeg", "-v", "error", "-y", "-i", sound, *how, whole]
    subprocess.run(command, check=True, timeout=60)
    data, at, cuts = whole.read_bytes(), 0, [0]
    while at < len(data):
        if data[at + 4 : at + 8] == b"moof":
            cuts.append(at)
        at += int.from_bytes(data[at : at + 4])
    for number, (start, end) in enumerate(pairwise([*cuts, at])):
        (folder / name.format(number)).write_bytes(data[start:end])


@needs_ffmpeg
def test_recordings_that_begin_with_the_same_header_are_all_used(tmp_path):
    """A header alone is the first piece of each; what follows it is not the same."""
    fragments(tmp_path / "in", "a-{:03}.mp4", 4.0, seed=1)
    fragments(tmp_path / "in", "b-{:03}.mp4", 4.0, seed=2)
    first, second = (tmp_path / "in" / f"{name}-000.mp4" for name in "ab")
    assert first.read_bytes() == second.read_bytes()

    result, _, samples = merged(tmp_path / "in", tmp_path)

    assert ["ORDER_GUESSED", "CHUNK_HEADERLESS", "CHUNK_HEADERLESS"] == codes_of(result)
    assert len(samples) > 7.8 * RATE_HZ


@needs_ffmpeg
def test_a_broken_piece_takes_no_other_one_with_it(tmp_path):
    """The decoder of MP4 ends at it; it is left out, and named."""
    fragments(tmp_path / "in", "rec-{}.mp4", 6.0)
    broken = tmp_path / "in" / "rec-4.mp4"
    broken.write_bytes(broken.read_bytes()[:300])

    _, manifest, samples = merged(tmp_path / "in", tmp_path)

    unused = [(one["name"], one["code"]) for one in manifest["chunks"] if one["place"] is None]
    assert [("rec-4.mp4", "INPUT_NOT_AUDIO")] == unused
    assert 5.2 * RATE_HZ < len(samples) < 6 * RATE_HZ


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["webm", "mp4"])
@pytest.mark.parametrize("garbage", [b"no sound " * 500, random.Random(1).randbytes(70_000)])
def test_garbage_among_pieces_is_left_out_and_named(tmp_path, kind, garbage):
    """Wherever the pieces were cut, it costs nothing of the sound before and behind it."""
    frames = browser_pieces(tmp_path / "in", kind, 12)
    for number in reversed(range(5, 12)):
        (tmp_path / "in" / f"chunk-{number}.{kind}").rename(
            tmp_path / "in" / f"chunk-{number + 1}.{kind}"
        )
    (tmp_path / "in" / f"chunk-5.{kind}").write_bytes(garbage)

    result, manifest, samples = merged(tmp_path / "in", tmp_path)

    unused = [(one["name"], one["code"]) for one in manifest["chunks"] if one["place"] is None]
    assert [(f"chunk-5.{kind}", "INPUT_NOT_AUDIO")] == unused
    assert frames == len(samples)
    assert (12, 1) == (result.measurements["chunks"], result.measurements["skipped"])


@needs_ffmpeg
def test_pieces_are_put_together_in_the_order_that_is_asked_for(tmp_path):
    frames = browser_pieces(tmp_path / "in", "webm", 3)
    names = ["head.webm", "z.webm", "a.webm"]
    for number, name in enumerate(names):
        (tmp_path / "in" / f"chunk-{number}.webm").rename(tmp_path / "in" / name)

    _, manifest, samples = merged(tmp_path / "in", tmp_path, order=tuple(names))

    assert frames == len(samples)
    assert names == [row["name"] for row in manifest["chunks"]]


@needs_ffmpeg
def test_whole_files_of_a_browser_are_not_joined_by_bytes(tmp_path):
    browser_pieces(tmp_path / "in", "webm", 1)
    (tmp_path / "in" / "chunk-1.webm").write_bytes(b"not a piece of anything" * 50)

    result, manifest, _ = merged(tmp_path / "in", tmp_path)

    assert ["", "INPUT_NOT_AUDIO"] == [row["code"] for row in manifest["chunks"]]
    assert ["CHUNK_SKIPPED"] == codes_of(result)


@needs_ffmpeg
def test_pieces_without_their_header_are_nothing(tmp_path):
    browser_pieces(tmp_path / "in", "webm", 4)
    (tmp_path / "in" / "chunk-0.webm").unlink()

    with pytest.raises(NothingToDo, match="INPUT_NOT_AUDIO"):
        merged(tmp_path / "in", tmp_path)


def test_a_recording_that_cannot_be_read_here_is_no_empty_drop(tmp_path, monkeypatch):
    """It fails with what to do, and is not archived as if nothing were in it."""
    monkeypatch.setenv("PATH", str(tmp_path))  # where no ffmpeg lies
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rec_1.wav").write_bytes(b"")
    (tmp_path / "in" / "rec_2.wma").write_bytes(bytes.fromhex("3026b2758e66cf11") + bytes(900))

    with pytest.raises(BadInput) as problem:
        merged(tmp_path / "in", tmp_path)

    assert ("INPUT_NOT_SUPPORTED", "rec_2.wma") == (problem.value.code, problem.value.path)
    assert "ffmpeg" in problem.value.hint


def test_hostile_names_and_links_do_no_harm(tmp_path):
    names = ["<script>alert(1)</script>_1.wav", "rec\x1b[2J_2.wav", "rec\u202e_3.wav", "-i_4.wav"]
    for seed, name in enumerate(names):
        put(tmp_path / "in", "x.wav", voice(0.2, seed)).rename(
            tmp_path / "in" / name.replace("/", "")
        )
    undecodable = bytes(tmp_path / "in") + b"/rec\xff_5.wav"
    put(tmp_path / "in", "x.wav", voice(0.2, 9)).rename(
        Path(undecodable.decode("utf-8", "surrogateescape"))
    )
    (tmp_path / "in" / "link_6.wav").symlink_to("/etc/passwd")

    _, manifest, samples = merged(tmp_path / "in", tmp_path)

    page = (tmp_path / "out" / "report.html").read_text()
    assert 5 == len(manifest["chunks"])
    assert RATE_HZ == len(samples)
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_a_long_drop_of_tiny_chunks_says_it_in_few_words(tmp_path):
    for number in range(300):
        put(tmp_path / "in", f"{number}.wav", voice(0.01, number))
        (tmp_path / "in" / f"bad_{number}.wav").write_bytes(b"")

    result, manifest, samples = merged(tmp_path / "in", tmp_path)

    assert 300 * 80 == len(samples)
    assert 600 == len(manifest["chunks"])
    assert len(result.notes) <= 102


def merging(tmp_path, **options):
    settings = settings_for(tmp_path / "spool")
    settling = {**settings["inboxes"]["mix"]["settling"], "settle_unknown_s": 0.05}
    inbox = {"handler": "daemon.handlers.merge", "settling": settling, "options": options}
    settings["inboxes"] = {"mix": inbox}
    return Daemon(tmp_path / "spool", settings)


def drop(daemon, folder):
    target = daemon.root / "inbox" / "mix" / folder.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, target)


def test_a_kill_in_the_middle_loses_and_doubles_nothing(tmp_path):
    """What was under way is done again; by hand, the same bytes come out."""
    sound = voice(60.0)
    for number in range(30):
        part = sound[number * 2 * RATE_HZ : (number + 1) * 2 * RATE_HZ + 400]
        put(tmp_path / "Talk", f"rec_{number}.wav", part)
    with merging(tmp_path) as daemon:
        made = daemon.root / "outbox" / "mix" / "Talk" / "merged.wav"
        daemon.start()
        drop(daemon, tmp_path / "Talk")
        until(
            lambda: [*daemon.root.glob("work/mix/*/out.*/*")] or made.exists(),
            "it is at work",
        )
        daemon.kill()
        daemon.start()
        until(made.exists, "it is published")
        until(daemon.at_rest, "it rests")
        assert 0 == daemon.stop()
    by_hand = [sys.executable, "-m", "daemon", "merge", tmp_path / "Talk", tmp_path / "hand"]
    subprocess.run(by_hand, cwd=ROOT, check=True, timeout=90, capture_output=True)

    assert np.array_equal(sound, soundfile.read(made, dtype="int16", always_2d=True)[0])
    for name in ("merged.wav", "manifest.json", "report.html"):
        assert (tmp_path / "hand" / name).read_bytes() == (made.parent / name).read_bytes()


def test_a_drop_without_a_usable_chunk_is_skipped_and_archived(tmp_path):
    """It is no failure, and is not tried again."""
    folder = tmp_path / "Nothing"
    put(folder, "rec_1.wav", np.zeros((RATE_HZ, 1), np.int16))
    (folder / "rec_2.wav").write_bytes(b"")
    with merging(tmp_path) as daemon:
        daemon.start()
        drop(daemon, folder)
        status = daemon.root / "outbox" / "mix" / "Nothing.status.json"
        until(lambda: read_json(status).get("state") == "skipped", "it is skipped")
        until(daemon.at_rest, "it rests")
        told = read_json(status)
        assert 0 == daemon.stop()

    assert ["NOTHING_TO_MERGE"] == [one["error"]["code"] for one in told["attempts"]]
    assert [*daemon.root.glob("archive/mix/*")]
    assert not [*daemon.root.glob("failed/mix/*")]
