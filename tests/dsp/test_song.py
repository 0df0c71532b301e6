"""One song to one analysis: what must not change it, and what must be said of odd files."""

import json
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
import soundfile

from dsp.analysis import features
from dsp.analysis import song as song_module
from dsp.analysis.document import schema, text_of
from dsp.analysis.options import AnalysisOptions
from dsp.analysis.song import analyse
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits
from tests.support.known_songs import song
from tests.support.stems import written

RATE_HZ = 22_050


@pytest.fixture(scope="module")
def sound():
    """A stereo song of 30 s, its right channel softer, in whole steps of 16 bits."""
    mono = song(120.0, seconds=30.0, key="D minor").mono
    return np.round(np.stack([mono, 0.5 * mono], axis=1) * 2**14) / np.float32(2**15)


@pytest.fixture(scope="module")
def plain(sound, tmp_path_factory):
    """The song, and its analysis."""
    return read(tmp_path_factory.mktemp("song"), sound)


def read(folder, sound, name="song.wav", *, options=None, **how):
    kinds = {"wav": "WAV", "flac": "FLAC", "aiff": "AIFF"}
    path = written(
        folder / name, sound, rate_hz=how.pop("rate_hz", RATE_HZ),
        container=kinds[name.rpartition(".")[2]], subtype=how.pop("subtype", "PCM_16"),
    )  # fmt: skip
    return analyse(path, options or AnalysisOptions(), **how).analysis


def figures(analysis, *without):
    """Return the document without what is not about the sound."""
    document = json.loads(text_of(analysis))
    return {k: v for k, v in document.items() if k not in ("file", "tags", "analysis", *without)}


def test_song_is_read_right(plain):
    """Tempo, meter, key and levels of a song of which everything is known."""
    assert 120.0 == pytest.approx(plain.tempo.bpm.value, rel=5e-3)
    assert 4 == plain.meter.value
    assert ("D minor", "7A", "12m") == tuple(
        figure.value for figure in (plain.key.name, plain.key.camelot, plain.key.open_key)
    )
    assert 1.0 == plain.levels.correlation.value
    assert (30.0, 2, 16) == (plain.file.duration_s, plain.file.channels, plain.file.bits)
    assert 2 == len(plain.sections)
    assert plain.complete


def test_document_keeps_its_schema(plain):
    """What is shipped as a schema describes what is written."""
    jsonschema.validate(json.loads(text_of(plain)), schema())


@pytest.mark.parametrize("frames", [1_000, 4_096, 10**6])
def test_blocks_do_not_show(plain, sound, tmp_path, frames):
    """Whatever the size of the blocks, the figures are the same."""
    assert figures(plain) == figures(read(tmp_path, sound, block_frames=frames))


@pytest.mark.parametrize("name", ["song.flac", "song.aiff"])
def test_container_does_not_show(plain, sound, tmp_path, name):
    """The same samples read the same out of every container."""
    assert figures(plain) == figures(read(tmp_path, sound, name))


def test_channels_may_be_swapped(plain, sound, tmp_path):
    """Nothing that is said depends on which side is which."""
    assert figures(plain) == figures(read(tmp_path, sound[:, ::-1].copy()))


def test_half_the_level_changes_levels_only(sound, tmp_path):
    """Tempo, beats, key, tuning and the edge of the spectrum do not depend on the level."""
    loud = read(tmp_path, sound, subtype="FLOAT")
    soft = read(tmp_path, sound / 2, subtype="FLOAT")

    for name in ("tempo", "beats", "downbeats", "meter", "key", "tuning", "danceability"):
        assert getattr(loud, name) == getattr(soft, name)
    assert loud.bandwidth.edge_hz == soft.bandwidth.edge_hz
    assert loud.bandwidth.drop_db == soft.bandwidth.drop_db
    assert -6.02 == pytest.approx(
        soft.loudness.integrated_lufs.value - loud.loudness.integrated_lufs.value, abs=0.011
    )


def test_silence_in_front_shifts_beats_and_changes_no_other_figure(plain, sound, tmp_path):
    """1.5 s of silence are 1.5 s, and nothing else."""
    silence = np.zeros((RATE_HZ * 3 // 2, 2), np.float32)
    late = read(tmp_path, np.concatenate([silence, sound]))

    assert [round(at + 1.5, 3) for at in plain.beats] == list(late.beats)
    assert plain.tempo.bpm == late.tempo.bpm
    for name in ("meter", "key", "tuning", "loudness", "replaygain", "bandwidth", "energy"):
        assert getattr(plain, name) == getattr(late, name)
    assert 1.5 == pytest.approx(
        late.levels.silence_head_s.value - plain.levels.silence_head_s.value, abs=1e-3
    )


def test_faster_copy_is_faster(tmp_path, sound, plain):
    """The same samples at 1.1 times the rate are 1.1 times as fast."""
    fast = read(tmp_path, sound, rate_hz=RATE_HZ * 11 // 10)

    assert 1.1 == pytest.approx(fast.tempo.bpm.value / plain.tempo.bpm.value, rel=5e-3)


def test_music_of_a_long_recording_is_that_of_its_beginning(sound, plain, tmp_path, monkeypatch):
    """Memory has a bound: what follows the first hour (here 12 s) has levels and no beats."""
    monkeypatch.setattr(features, "MUSIC_S", 12.0)
    monkeypatch.setattr(song_module, "MUSIC_S", 12.0)
    long = read(tmp_path, sound)

    assert ["MUSIC_OF_FIRST_HOUR"] == [note.code for note in long.warnings]
    assert 10.0 < long.beats[-1] < 12.5
    assert 120.0 == pytest.approx(long.tempo.bpm.value, rel=5e-3)
    assert long.loudness == plain.loudness
    assert long.sections[1].integrated_lufs == plain.sections[1].integrated_lufs
    assert long.sections[1].energy is None


def test_short_sound_has_its_loudness_and_no_music(sound, tmp_path):
    """Under six seconds nothing is said of tempo, key or bandwidth."""
    short = read(tmp_path, sound[: 5 * RATE_HZ])

    assert short.loudness.integrated_lufs.value < -10
    for figure in (short.tempo.bpm, short.key.name, short.meter, short.tuning.cents,
                   short.bandwidth.edge_hz, short.energy.score):  # fmt: skip
        assert (None, "too short") == (figure.value, figure.why)
    assert () == short.sections


def test_few_frames_have_no_loudness(sound, tmp_path):
    """A window that was never full has no reading."""
    tiny = read(tmp_path, sound[:100])

    assert "too short" == tiny.loudness.integrated_lufs.why
    assert tiny.loudness.sample_peak_dbfs.value is not None


def test_silence_is_told_from_music(tmp_path):
    """A silent song is read, at the floor."""
    silent = read(tmp_path, np.zeros((10 * RATE_HZ, 2), np.float32))

    assert (-70.0, -120.0) == (
        silent.loudness.integrated_lufs.value, silent.loudness.true_peak_dbtp.value
    )  # fmt: skip
    for figure in (silent.tempo.bpm, silent.key.name, silent.replaygain.track_gain_db,
                   silent.levels.correlation, silent.bandwidth.evidence):  # fmt: skip
        assert (None, "silent") == (figure.value, figure.why)
    assert 10.0 == silent.levels.silence_longest_s.value


def test_noise_has_no_key_and_no_sure_tempo(tmp_path):
    """Where there is no music, none is invented."""
    noise = np.random.default_rng(5).standard_normal((20 * RATE_HZ, 1)).astype(np.float32)
    heard = read(tmp_path, noise / 10)

    assert "not tonal" == heard.key.name.why
    assert "not tonal" == heard.tuning.cents.why
    assert heard.tempo.bpm.p is None or heard.tempo.bpm.p < 0.5
    assert "one channel" == heard.levels.correlation.why


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", None), ("flac", None), ("mp3", None), ("ogg", "VORBIS"), ("ogg", "OPUS")],
)
def test_cut_file_is_analysed_as_far_as_it_goes(sound, tmp_path, suffix, subtype):
    """What is left of a song is read, and said to be all that there was."""
    whole = tmp_path / f"whole.{suffix}"
    soundfile.write(whole, sound, 24_000 if subtype == "OPUS" else RATE_HZ, subtype=subtype)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    cut = analyse(path, AnalysisOptions()).analysis

    assert not cut.complete
    assert ["INPUT_DAMAGED"] == [note.code for note in cut.warnings]
    assert 15 < cut.file.duration_s < 25
    assert cut.loudness.integrated_lufs.value is not None


def test_file_broken_in_its_middle_is_analysed_up_to_there(sound, tmp_path):
    """A frame that cannot be decoded ends a song, not its analysis."""
    path = tmp_path / "broken.flac"
    soundfile.write(path, sound, RATE_HZ)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3_000] = bytes(3_000)
    path.write_bytes(data)
    broken = analyse(path, AnalysisOptions()).analysis

    assert not broken.complete
    assert 5 < broken.file.duration_s < 20


def test_samples_that_are_no_numbers_are_refused(sound, tmp_path):
    """No figure of such a file could be trusted."""
    odd = sound.copy()
    odd[RATE_HZ, 0] = np.nan

    with pytest.raises(AudioFormatError) as refused:
        read(tmp_path, odd, subtype="FLOAT")

    assert "INPUT_DAMAGED" == refused.value.code


@pytest.mark.parametrize(
    ("code", "data"),
    [("INPUT_EMPTY", b""), ("INPUT_NOT_AUDIO", b"<html>" * 100)],
)
def test_what_is_no_sound_is_refused(tmp_path, code, data):
    """The refusal names what is wrong."""
    path = tmp_path / "song.wav"
    path.write_bytes(data)

    with pytest.raises(AudioFormatError) as refused:
        analyse(path, AnalysisOptions())

    assert code == refused.value.code


def test_song_longer_than_the_limit_is_refused(sound, tmp_path):
    """Limits are the project's own."""
    with pytest.raises(AudioFormatError) as refused:
        read(tmp_path, sound, limits=Limits(frames=RATE_HZ))

    assert "INPUT_TOO_LONG" == refused.value.code


def test_sections_are_cut_by_clock_or_bars_or_not(sound, tmp_path):
    """Sections cover the song without a gap."""
    ten = read(tmp_path, sound, options=AnalysisOptions(sections=8)).sections
    bars = read(tmp_path, sound, options=AnalysisOptions(sections="bars")).sections
    none = read(tmp_path, sound, options=AnalysisOptions(sections="off"))

    assert [(0.0, 8.0), (8.0, 16.0), (16.0, 24.0), (24.0, 30.0)] == [
        (one.start_s, one.end_s) for one in ten
    ]
    assert all(one.end_s == other.start_s for one, other in pairwise(bars))
    assert 16.0 == pytest.approx(bars[0].end_s - bars[0].start_s, abs=1.0)
    assert () == none.sections
    assert "no sections" == none.section_summary.bpm_spread.why


def test_tempo_range_is_kept(sound, tmp_path):
    """Who works with slow songs reads half the beats."""
    options = AnalysisOptions.model_validate({"tempo": {"range": [50, 100]}})

    assert 60.0 == pytest.approx(read(tmp_path, sound, options=options).tempo.bpm.value, rel=5e-3)


@pytest.mark.parametrize("length_known", [True, False])
def test_progress_rises_to_one(sound, tmp_path, length_known):
    """Whoever waits sees how far it is, or at least that it goes on."""
    told = []
    path = written(tmp_path / "song.wav", sound, rate_hz=RATE_HZ, subtype="PCM_16")
    if not length_known:  # as written into a pipe
        data = bytearray(path.read_bytes())
        data[4:8] = data[40:44] = b"\xff" * 4
        path.write_bytes(data)
    analyse(path, AnalysisOptions(), told.append, block_frames=100_000)

    assert 4 < len(set(told))
    assert told == sorted(told)
    assert 1.0 == told[-1]
