"""The whole way, on real bytes: what comes out, and that it comes out the same."""

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml
from scipy.signal import firwin, resample_poly

from dsp import audio
from dsp.errors import AudioFormatError
from dsp.mixing.mix import STAGES, mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from tests.support.sessions import make_session
from tests.support.stems import stamped
from tests.support.surroundings import needs


def rare(*values):
    """Return rows that others come close to: tried before a release."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def mixed(source, out, *, threads=2, report=lambda *_: None, **settings):
    out.mkdir()
    return mix(
        source,
        out,
        Settings.model_validate(settings),
        report=report,
        resources=Resources(threads=threads),
    )


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder):
    return {path.name: digest(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("session") / "Song", seconds=4.0)


@pytest.fixture(scope="module")
def first(session, tmp_path_factory):
    """Return what was made, where, what the stems were before, and the progress."""
    out, before, progress = tmp_path_factory.mktemp("mix") / "out", digests(session), []
    made = mixed(session, out, report=lambda *told: progress.append(told))
    return made, out, before, progress


@pytest.mark.parametrize("engine", ["numpy", *rare("compiled")])
def test_every_engine_makes_the_same_file(first, session, tmp_path, engine):
    """Without compiled kernels a mix takes longer, and that is all."""
    _, out, _, _ = first
    code = f"from dsp.kernels import ENGINE; assert ENGINE == {engine!r}; from daemon.cli.main "
    code += "import main; main()"
    if engine == "compiled" and not find_spec("dsp.kernels._compiled"):
        pytest.skip("python hatch_build.py compiles the kernels")
    subprocess.run(
        [sys.executable, "-c", code, "mix", session, tmp_path / "out"],
        env={**os.environ, "DSP_KERNELS": engine if engine == "numpy" else ""},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
    )

    for name in ("mix.yaml", "final_mix.wav"):
        assert (out / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_mix_reaches_its_target_within_a_tenth_of_a_lu(first):
    """The file as decoded has the loudness that was asked for."""
    assert -14.0 == pytest.approx(first[0].heard.integrated_lufs, abs=0.1)


def test_mix_stays_under_its_ceiling_by_another_method(first):
    """Sixteen times oversampled by a filter eight times as long as the limiter's."""
    sound, _ = sf.read(first[1] / "final_mix.wav")
    taps = firwin(16 * 256 + 1, 1.0 / 16, window=("kaiser", 12.0))
    peak = np.abs(resample_poly(sound, 16, 1, axis=0, window=taps)).max()

    assert 20 * np.log10(peak) <= -1.0 + 0.01


@needs("ffmpeg", debian="ffmpeg")
def test_ffmpeg_agrees_on_loudness_and_peak(first):
    """An independent R 128 meter reads the target and a true peak below the ceiling."""
    command = ["ffmpeg", "-nostdin", "-i", str(first[1] / "final_mix.wav"),
               "-af", "ebur128=peak=true", "-f", "null", "-"]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    summary = said[said.rindex("Summary:") :]
    loudness = float(re.search(r"I:\s+(-?[\d.]+) LUFS", summary)[1])
    peak = float(re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)[1])

    assert -14.0 == pytest.approx(loudness, abs=0.1)
    assert peak <= -1.0


def test_mix_leaves_its_outputs_and_nothing_else(first):
    """Master, report, data and sheet; no work file."""
    names = sorted(path.name for path in first[1].iterdir())

    assert ["final_mix.wav", "mix.yaml", "report.html", "report.json"] == names


def test_stems_are_not_touched(session, first):
    """Whatever a mix does, every input keeps every byte."""
    assert first[2] == digests(session)


def test_same_drop_gives_the_same_bytes_on_any_number_of_threads(session, first, tmp_path):
    """Every output is the same for one thread and for several."""
    mixed(session, tmp_path / "again", threads=1)

    assert digests(first[1]) == digests(tmp_path / "again")


@pytest.mark.parametrize("frames", [50_000, *rare(16_384)])
def test_same_drop_gives_the_same_bytes_whatever_the_block_size(
    session, first, tmp_path, monkeypatch, frames
):
    """Blocks of another length, a whole number of hops or not, change no byte of the master."""
    for name, module in list(sys.modules.items()):
        if name.startswith("dsp.") and hasattr(module, "BLOCK_FRAMES"):
            monkeypatch.setattr(module, "BLOCK_FRAMES", frames)
    monkeypatch.setattr(audio.blocks_of, "__defaults__", (frames,))
    mixed(session, tmp_path / "again")

    assert digest(first[1] / "final_mix.wav") == digest(tmp_path / "again" / "final_mix.wav")


# Kernels of OpenBLAS, and what a processor must have for each of them to run.
KERNELS = {"Prescott": "pni", "Nehalem": "sse4_2", "Haswell": "avx2", "SkylakeX": "avx512vl"}


@pytest.mark.parametrize("kernel", ["Prescott", "SkylakeX", *rare("Nehalem", "Haswell")])
def test_same_drop_gives_the_same_bytes_on_any_machine(session, first, tmp_path, kernel):
    """The kernels of BLAS, of which each processor has its own, change no byte of the master."""
    if (needed := KERNELS[kernel]) not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip(f"this processor has no {needed}: only one that has can show")
    subprocess.run(
        [sys.executable, "-m", "daemon", "mix", session, tmp_path / "again"],
        env=os.environ | {"OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        check=True,
    )

    for name in ("final_mix.wav", "mix.yaml"):
        assert digest(first[1] / name) == digest(tmp_path / "again" / name)


def test_recall_sheet_reproduces_the_mix(session, first, tmp_path):
    """mix.yaml given back as settings makes the same master, bit for bit."""
    sheet = yaml.safe_load((first[1] / "mix.yaml").read_text())
    mixed(session, tmp_path / "recalled", **sheet)

    assert digest(first[1] / "final_mix.wav") == digest(tmp_path / "recalled" / "final_mix.wav")


def test_one_number_changed_changes_only_that(session, first, tmp_path):
    """A muted-by-hand stem is gone from the mix, and the recall sheet differs in one line."""
    text = (first[1] / "mix.yaml").read_text()
    edited = yaml.safe_load(text)
    edited["stems"]["keys.wav"]["fader_db"] += 3.0
    mixed(session, tmp_path / "edited", **edited)
    changed = (tmp_path / "edited" / "mix.yaml").read_text()
    differing = [
        (a, b) for a, b in zip(text.splitlines(), changed.splitlines(), strict=True) if a != b
    ]

    assert 1 == len(differing)
    assert "fader_db" in differing[0][0]


def test_report_json_is_finite_and_complete(first):
    """The data holds everything that the page draws, as plain numbers."""
    data = json.loads((first[1] / "report.json").read_text())

    assert {"limiter", "glue"} <= set(data["reductions"])
    assert 5 == len(data["stems"])
    assert 0 < len(data["waveform"]["low"]) <= 2000
    assert -14.0 == pytest.approx(data["master"]["integrated_lufs"], abs=0.1)


def test_lead_arrives_as_loud_as_the_rest(first):
    """At the sum, not in the plan: within a LU while it sounds."""
    data = json.loads((first[1] / "report.json").read_text())

    assert 0.0 == pytest.approx(data["balance"]["lead_to_rest_lu"], abs=1.0)


def test_report_page_asks_for_nothing_from_outside(first):
    """No address of another machine stands in the page."""
    page = (first[1] / "report.html").read_text()

    links = re.findall(r"(?:src|href)=\"(?!data:|#)([^\"]*)\"", page)
    assert [link for link in links if re.match(r"[a-z][a-z0-9+.-]*:|/", link)] == []
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_hostile_stem_names_are_only_text(tmp_path):
    """A file name cannot become markup, script or a terminal escape."""
    session = make_session(tmp_path / "Song", seconds=3)
    name = "</script><img src=x onerror=alert(1)>\x1b[31m lead.wav".replace("/", "∕")
    (session / "vocal lead.wav").rename(session / name)
    mixed(session, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()

    assert "<img" not in page
    assert "\x1b" not in page


def test_progress_names_the_known_stages_and_never_falls(first):
    """Stages come in the order that tools know, and the progress only rises."""
    stages = list(dict.fromkeys(stage for stage, _ in first[3]))
    parts = [part for _, part in first[3]]

    assert list(STAGES) == stages
    assert parts == sorted(parts)
    assert 1.0 == parts[-1]


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [
        ({"format": "wav", "bits": 16}, "wav"),
        ({"format": "wav", "bits": 32}, "wav"),
        ({"format": "flac"}, "flac"),
        ({"format": "ogg"}, "ogg"),
        ({"format": "opus"}, "opus"),
        ({"format": "mp3"}, "mp3"),
        ({"preset": "broadcast"}, "wav"),
        ({"preset": "loud"}, "wav"),
        ({"rate_hz": 96_000}, "wav"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_every_format_and_preset_is_loud_enough_and_under_the_ceiling(
    session, tmp_path, settings, suffix
):
    """As decoded from what was written: on target, or the report says why not."""
    made = mixed(session, tmp_path / "out", **settings)
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    target, ceiling = data["master"]["target_lufs"], data["master"]["ceiling_dbtp"]
    codes = {warning["code"] for warning in data["warnings"]}

    assert (tmp_path / "out" / f"final_mix.{suffix}").exists()
    assert made.heard.true_peak_dbtp <= ceiling
    assert abs(made.heard.integrated_lufs - target) <= 0.1 or "TARGET_NOT_REACHED" in codes


@pytest.mark.parametrize(
    "stage",
    [
        "auto_gain",
        "masking",
        *rare("align", "ride", "tonal_balance", "compressor", "balance"),
    ],
)
def test_mix_with_a_stage_off_still_meets_its_target(session, tmp_path, stage):
    """Stages are independent: without any one of them the master is still right."""
    made = mixed(session, tmp_path / "out", stages={stage: False})

    assert -14.0 == pytest.approx(made.heard.integrated_lufs, abs=0.1)


# -- input that is not nice


def write(folder, name, sound, rate_hz=48_000, **kwargs):
    folder.mkdir(exist_ok=True)
    sf.write(folder / name, sound, rate_hz, **kwargs)


@pytest.fixture
def tone():
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 2) / 48_000)


def test_one_stem_is_enough(tmp_path, tone):
    """A single file becomes a master."""
    write(tmp_path, "track.wav", tone)
    made = mixed(tmp_path / "track.wav", tmp_path / "out")

    assert -14.0 == pytest.approx(made.heard.integrated_lufs, abs=0.1)


@pytest.mark.parametrize("frames", [2, 17, 64, 511, 4411])
@pytest.mark.parametrize("alone", [False, True])
def test_stem_of_any_length_is_mixed(tmp_path, tone, frames, alone):
    """One that is shorter than any window we measure in is an odd sound, not a bug of ours."""
    write(tmp_path / "Song", "vocal.wav", np.random.default_rng(3).uniform(-0.5, 0.5, frames))
    if not alone:
        write(tmp_path / "Song", "pad.wav", tone)
    mixed(tmp_path / "Song", tmp_path / "out")

    assert (frames if alone else len(tone)) == sf.info(tmp_path / "out" / "final_mix.wav").frames


def test_silent_stem_is_said_and_does_no_harm(tmp_path, tone):
    """Silence among sound is a warning."""
    write(tmp_path / "Song", "lead.wav", tone)
    write(tmp_path / "Song", "pad.wav", np.zeros(48_000 * 2))
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert "STEM_SILENT" in dict(made.warnings)


def test_nothing_but_silence_is_refused(tmp_path):
    """A mix of silence has no loudness to bring anywhere."""
    write(tmp_path / "Song", "lead.wav", np.zeros(48_000))

    with pytest.raises(AudioFormatError, match="INPUT_SILENT"):
        mixed(tmp_path / "Song", tmp_path / "out")


def test_not_a_number_is_silenced_and_said(tmp_path, tone):
    """NaN and infinities do not reach the master."""
    broken = tone.astype(np.float32)
    broken[1000:1010], broken[2000] = np.nan, np.inf
    write(tmp_path / "Song", "lead.wav", broken, subtype="FLOAT")
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert "STEM_NOT_FINITE" in dict(made.warnings)
    assert np.isfinite(sf.read(tmp_path / "out" / "final_mix.wav")[0]).all()


@pytest.mark.parametrize(
    "voice",
    [
        lambda tone: tone * 10 ** (-70 / 20),
        lambda tone: tone * 1e-6,
        lambda tone: tone * 2.0**31,
        lambda tone: np.where(np.arange(len(tone)) == 70_000, 15_800.0, tone),
    ],
    ids=["at -70 dBFS", "at -120 dBFS", "integers as floats", "one sample of +84 dBFS"],
)
def test_voice_beside_a_song_is_mixed_whatever_its_level(tmp_path, tone, voice):
    """No level of a stem fails a mix, and the sheet may be given back."""
    write(tmp_path / "Song", "voice.wav", voice(tone), subtype="FLOAT")
    write(tmp_path / "Song", "bass.wav", 0.5 * tone)
    mixed(tmp_path / "Song", tmp_path / "out")
    sheet = yaml.safe_load((tmp_path / "out" / "mix.yaml").read_text())

    Settings.model_validate(sheet)

    assert np.abs(sf.read(tmp_path / "out" / "final_mix.wav")[0]).max() > 0.1


def test_wild_sample_changes_nothing_but_its_place(tmp_path, tone):
    """The stem is heard as it is without it; the warning says where it was."""
    spoilt = np.where(np.arange(len(tone)) == 70_000, 15_800.0, tone)
    for folder, voice in (("Right", tone), ("Spoilt", spoilt)):
        write(tmp_path / folder, "voice.wav", voice, subtype="FLOAT")
        made = mixed(tmp_path / folder, tmp_path / f"{folder}.out")
    sheets = [
        (tmp_path / f"{folder}.out" / "mix.yaml").read_text() for folder in ("Right", "Spoilt")
    ]

    assert sheets[0] == sheets[1]
    assert "voice.wav has 1 sample far" in dict(made.warnings)["SAMPLES_WILD"]
    assert "1.458 s" in dict(made.warnings)["SAMPLES_WILD"]


def test_clipped_stem_is_said(tmp_path, tone):
    """Clipping cannot be mended, but it can be known."""
    write(tmp_path / "Song", "lead.wav", np.clip(tone * 9, -1, 1), subtype="FLOAT")
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert "STEM_CLIPPED" in dict(made.warnings)


def test_dc_does_not_reach_the_master(tmp_path, tone):
    """An offset is filtered away with everything below the role's corner."""
    write(tmp_path / "Song", "lead.wav", np.tile(tone, 2) + 0.3)
    mixed(tmp_path / "Song", tmp_path / "out")
    sound, _ = sf.read(tmp_path / "out" / "final_mix.wav")

    assert abs(sound[48_000:-48_000].mean()) < 1e-3


def test_short_stem_beside_a_long_one_is_mixed_at_its_place(tmp_path, tone):
    """Stems of any length start together and the longest decides."""
    write(tmp_path / "Song", "lead.wav", np.tile(tone, 5))
    write(tmp_path / "Song", "fx.wav", tone[:48_000])
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert 48_000 * 10 == made.heard.frames


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_stamped_stem_starts_where_its_stamp_says(tmp_path, tone, rate_hz):
    """A stem exported from its first clip comes in to the frame, and the song lasts to its end."""
    late, song = 2 * rate_hz + 17, tmp_path / "Song"
    for name, first in (("piano.wav", 0), ("vocal.wav", late)):
        write(song, name, tone[:48_000], rate_hz)
        stamped(song / name, 36_000 * rate_hz + first)
    mixed(song, tmp_path / "out", rate_hz=rate_hz)
    sound, _ = sf.read(tmp_path / "out" / "final_mix.wav")
    heard = np.abs(sound).max(axis=1) > 1e-3
    sheet = yaml.safe_load((tmp_path / "out" / "mix.yaml").read_text())

    assert late + 48_000 == len(sound)
    assert late == pytest.approx(48_000 + np.argmax(heard[48_000 + 4_800 :]) + 4_800, abs=8)
    assert -late / rate_hz * 1000 == pytest.approx(sheet["stems"]["vocal.wav"]["lag_ms"])


def test_stamps_that_are_not_used_are_said(tmp_path, tone):
    """One stem without a stamp: none counts, and a warning says so."""
    write(tmp_path / "Song", "piano.wav", tone)
    write(tmp_path / "Song", "vocal.wav", tone[:48_000])
    stamped(tmp_path / "Song" / "vocal.wav", 96_000)
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert "only 1 of 2 stems" in dict(made.warnings)["STAMPS_IGNORED"]


@pytest.mark.parametrize("channels", [1, 2, 6, 8, *rare(3, 4, 5, 7)])
def test_up_to_eight_channels_are_folded(tmp_path, tone, channels):
    """Any layout becomes a stereo master."""
    rng = np.random.default_rng(channels)
    sound = tone[:, None] * rng.uniform(0.3, 1.0, channels)
    write(tmp_path / "Song", "lead.wav", sound)
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert -14.0 == pytest.approx(made.heard.integrated_lufs, abs=0.1)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 88_200, 192_000, *rare(11_025, 22_050, 32_000)])
def test_every_rate_keeps_its_length(tmp_path, rate_hz):
    """From 8 to 192 kHz, the song lasts as long as its stems."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate_hz * 2) / rate_hz)
    write(tmp_path / "Song", "lead.wav", tone, rate_hz)
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert 2.0 == pytest.approx(made.heard.frames / made.heard.rate_hz, abs=1e-4)


def test_inverted_double_is_turned_over(tmp_path):
    """Two microphones on one source, one of them inverted, add up instead of cancelling."""
    rng = np.random.default_rng(3)
    voice = 0.2 * rng.standard_normal(48_000 * 4) * np.repeat(rng.uniform(0, 1, 40), 4_800)
    write(tmp_path / "Song", "lead.wav", voice)
    write(tmp_path / "Song", "guitar close.wav", voice)
    write(tmp_path / "Song", "guitar far.wav", -0.8 * voice)
    mixed(tmp_path / "Song", tmp_path / "out")
    sheet = yaml.safe_load((tmp_path / "out" / "mix.yaml").read_text())
    polarity = {name: stem["polarity"] for name, stem in sheet["stems"].items()}

    assert polarity["guitar close.wav"] != polarity["guitar far.wav"]


def test_text_beside_audio_is_a_warning(tmp_path, tone):
    """Notes in the folder do not stop the mix."""
    write(tmp_path / "Song", "lead.wav", tone)
    (tmp_path / "Song" / "notes.txt").write_text("take 3 is the good one")
    made = mixed(tmp_path / "Song", tmp_path / "out")

    assert "INPUT_NOT_AUDIO" in dict(made.warnings)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[: len(data) // 2], "INPUT_TRUNCATED"),
        (lambda _: b"", "INPUT_EMPTY"),
    ],
    ids=["cut", "empty"],
)
def test_damaged_stem_stops_the_mix_with_its_name(tmp_path, tone, damage, code):
    """A stem that is not whole would make a plausible wrong master: none is made."""
    write(tmp_path / "Song", "lead.wav", tone)
    write(tmp_path / "Song", "bass.wav", tone)
    path = tmp_path / "Song" / "bass.wav"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(AudioFormatError) as caught:
        mixed(tmp_path / "Song", tmp_path / "out")
    assert (code, "bass.wav") == (caught.value.code, caught.value.path)
    assert caught.value.hint


def test_folder_without_audio_says_what_to_put_in(tmp_path):
    """An empty hand is answered with what would fill it."""
    (tmp_path / "Song").mkdir()
    (tmp_path / "Song" / "readme.txt").write_text("hello")

    with pytest.raises(AudioFormatError, match="NO_AUDIO"):
        mixed(tmp_path / "Song", tmp_path / "out")
