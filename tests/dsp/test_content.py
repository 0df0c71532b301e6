"""Slips of recordings and exports: heard as what they are, and said."""

import unicodedata

import numpy as np
import pytest
import soundfile as sf
import yaml

from dsp.errors import AudioFormatError
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from tests.support.tones import noise

RATE_HZ = 48_000
TIME_S = np.arange(6 * RATE_HZ) / RATE_HZ
NOTES = np.exp(-(TIME_S % 0.5) * 6.0)
LEAD = 0.3 * np.sin(2 * np.pi * 440.0 * TIME_S) * NOTES
BASS = 0.4 * np.sin(2 * np.pi * 80.0 * TIME_S) * NOTES
HISS = np.random.default_rng(1).standard_normal(len(TIME_S))

WIND = 0.1 * HISS * NOTES


def mixed(folder, settings=None, **stems):
    """Mix these sounds; return what was made, the sheet's stems and the master."""
    (folder / "Song").mkdir(parents=True)
    for name, sound in stems.items():
        sf.write(folder / "Song" / f"{name}.wav", sound, RATE_HZ, subtype="PCM_24")
    (folder / "out").mkdir()
    made = mix(
        folder / "Song",
        folder / "out",
        Settings.model_validate(settings or {}),
        report=lambda *_: None,
        resources=Resources(),
    )
    sheet = yaml.safe_load((folder / "out" / "mix.yaml").read_text())
    return made, sheet["stems"], sf.read(folder / "out" / "final_mix.wav")[0]


@pytest.mark.parametrize("level_db", [-60.0, -70.0])
def test_idle_hiss_is_left_where_it_is(tmp_path, level_db):
    """It is neither raised nor equalised, and a warning says so."""
    hiss = HISS * 10 ** (level_db / 20)
    made, stems, _ = mixed(tmp_path, lead=LEAD, bass=BASS, guitar=hiss)

    strip = stems["guitar.wav"]
    assert (0.0, 0.0, []) == (strip["trim_db"], strip["fader_db"], strip["eq"])
    assert "guitar.wav" in dict(made.warnings)["STEM_ONLY_NOISE"]


def test_soft_music_is_no_noise(tmp_path):
    """What has notes is brought to its role's level, however soft it is."""
    made, stems, _ = mixed(tmp_path, lead=LEAD, bass=BASS * 0.01)

    assert stems["bass.wav"]["trim_db"] > 20.0
    assert "STEM_ONLY_NOISE" not in dict(made.warnings)


def test_hiss_alone_is_mixed(tmp_path):
    """With nothing beside it, it is what the song is."""
    _, _, master = mixed(tmp_path, rain=HISS * 1e-3)

    assert np.abs(master).max() > 0.05


@pytest.mark.parametrize("name", ["fx", "kick"])
def test_pure_offset_does_not_reach_the_master(tmp_path, name):
    """Nor its beginning and its end, which would click."""
    made, _, master = mixed(tmp_path / "with", lead=LEAD, **{name: np.full(len(LEAD), 0.5)})
    _, _, without = mixed(tmp_path / "without", lead=LEAD)

    assert abs(master.mean()) < 1e-4
    assert np.abs(master - without).max() < 0.02
    assert f"{name}.wav" in dict(made.warnings)["STEM_SILENT"]


def test_offset_below_a_sound_that_lives_there_is_removed(tmp_path):
    """A kick around 25 Hz keeps its lows and loses its offset."""
    kick = 0.2 * np.sin(2 * np.pi * 22.0 * TIME_S) * NOTES + 0.3
    _, stems, master = mixed(tmp_path, lead=LEAD, kick=kick)

    assert 10.0 == stems["kick.wav"]["eq"][0]["hz"]
    assert abs(master[RATE_HZ:-RATE_HZ].mean()) < 5e-3


def test_nothing_but_offsets_is_refused(tmp_path):
    """There is nothing to hear."""
    with pytest.raises(AudioFormatError, match="INPUT_SILENT"):
        mixed(tmp_path, lead=np.full(RATE_HZ, 0.25))


@pytest.mark.parametrize("side", [0, 1])
def test_lead_with_a_silent_channel_stands_in_the_middle(tmp_path, side):
    """As loud on both sides, and the warning names the channel."""
    lead = np.zeros((len(LEAD), 2))
    lead[:, side] = LEAD
    made, _, master = mixed(tmp_path, lead=lead)

    assert 0.0 == pytest.approx(np.ptp(20 * np.log10(master.std(axis=0))), abs=0.05)
    assert ("right", "left")[side] in dict(made.warnings)["STEM_ONE_SIDED"]


def test_guitar_with_a_silent_channel_stays_aside(tmp_path):
    """It may have been panned; that is a decision, and no slip."""
    guitar = np.stack([LEAD, 0 * LEAD], axis=1)
    made, stems, _ = mixed(tmp_path, guitar=guitar, bass=BASS)

    assert stems["guitar.wav"]["width"] > 0.0
    assert "STEM_ONE_SIDED" not in dict(made.warnings)


@pytest.mark.parametrize(
    ("subtype", "rate_hz", "said"),
    [
        ("PCM_U8", 44_100, "8 bits"),
        ("ULAW", 8_000, "8 bits a sample, whose noise is heard in soft passages and"),
        ("PCM_16", 16_000, "nothing above 8 kHz"),
        ("PCM_16", 32_000, ""),
    ],
)
def test_what_a_format_lacks_is_said(tmp_path, subtype, rate_hz, said):
    """A warning tells noise and dullness that no mix can mend."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    sound = noise(rate_hz, 2.0, rms_dbfs=-20.0, seed=1, channels=1)
    sf.write(tmp_path / "in" / "lead.wav", sound, rate_hz, subtype=subtype)
    made = mix(tmp_path / "in", tmp_path / "out", Settings(), report=lambda *_: None)

    assert said in dict(made.warnings).get("LOW_QUALITY", "")
    assert bool(said) == ("LOW_QUALITY" in dict(made.warnings))


@pytest.mark.parametrize("copy", [0.9, -0.9], ids=["as it is", "turned over"])
def test_copies_share_the_level_of_one(tmp_path, copy):
    """Two that hold the same sound add as amplitudes: each gets 6 dB less, not 3."""
    _, alone, _ = mixed(tmp_path / "one", lead=LEAD, **{"pad 1": WIND})
    pads = {"pad 1": WIND, "pad 2": copy * WIND}
    _, both, _ = mixed(tmp_path / "two", {"stages": {"spatial": False}}, lead=LEAD, **pads)

    less_db = alone["pad 1.wav"]["fader_db"] - both["pad 1.wav"]["fader_db"]
    assert 6.0 == pytest.approx(less_db, abs=0.5)


@pytest.mark.parametrize(("on_disk", "in_settings"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("name", ["Sänger", "ギター"])
def test_names_match_however_their_marks_are_written(tmp_path, name, on_disk, in_settings):
    """Composed or decomposed, as systems differ: the same stem is meant, and keeps its own name."""
    stem = unicodedata.normalize(on_disk, name)
    wanted = unicodedata.normalize(in_settings, f"{name}.wav")
    _, stems, _ = mixed(tmp_path, {"stems": {wanted: {"fader_db": -3.0}}}, **{stem: LEAD})

    assert [f"{stem}.wav"] == list(stems)
    assert -3.0 == stems[f"{stem}.wav"]["fader_db"]


def test_click_is_set_aside_unless_it_is_named(tmp_path):
    """It is in no strip and no mix; a line in the settings brings it back."""
    made, stems, _ = mixed(tmp_path / "without", lead=LEAD, bass=BASS, Click=HISS * 0.3)
    _, named, _ = mixed(
        tmp_path / "with", {"stems": {"Click.wav": {"pan": 0.5}}}, lead=LEAD, Click=BASS
    )

    assert {"lead.wav", "bass.wav"} == set(stems)
    assert "Click.wav" in dict(made.warnings)["STEM_SET_ASIDE"]
    assert {"lead.wav", "Click.wav"} == set(named)


def test_finished_mix_alone_is_mixed(tmp_path):
    """Nothing is set aside where nothing would be left."""
    _, stems, _ = mixed(tmp_path, Master=LEAD)

    assert ["Master.wav"] == list(stems)
