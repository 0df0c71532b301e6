"""Decisions: what a good mix can be asked for, and what a person can overrule."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ParameterError
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings, Sheet, Stem
from dsp.mixing.sheet_text import text_of
from tests.support.analyses import analysis_of, band, in_time


def planned(analyses, **settings):
    return plan(analyses, in_time(analyses), Settings.model_validate(settings))


@cache
def short_sheet():
    return planned(band(4.0)).sheet


@pytest.fixture(scope="module")
def decided():
    return planned(band())


def test_plan_is_a_pure_function(decided):
    """The same analyses and settings give the same sheet, to the byte."""
    assert text_of(decided.sheet) == text_of(planned(band()).sheet)


def test_plan_does_not_depend_on_the_order_of_the_stems(decided):
    """A stem's numbers are its own, wherever it stands in the list."""
    turned = planned(band()[::-1]).sheet

    assert decided.sheet.stems == {name: turned.stems[name] for name in decided.sheet.stems}


def test_lead_is_planned_as_loud_as_the_rest(decided):
    """While the lead sounds it is within half a LU of the sum of everything else."""
    assert 0.0 == pytest.approx(decided.lead_to_rest_lu, abs=0.5)


def test_masked_bands_of_the_lead_get_better_by_two_db(decided):
    """Where accompaniment covers the lead, the cuts lower it by at least 2 dB."""
    assert decided.masked
    assert all(found.better_db >= 2.0 for found in decided.masked)


def test_room_for_the_lead_is_bounded(decided):
    """At most two cuts per stem, at most 3 dB each, none in the lead."""
    stems = decided.sheet.stems
    assert () == stems["lead vocal.wav"].room
    assert all(len(stem.room) <= 2 for stem in stems.values())
    assert all(cut.depth_db <= 3.0 for stem in stems.values() for cut in stem.room)


@pytest.mark.parametrize("preset", ["podcast", "broadcast"])
def test_speech_is_not_driven_unless_somebody_asks(preset):
    """Saturation is a taste: destinations of speech get none, but for whoever says so."""
    usual = planned(band(), preset=preset).sheet
    asked = planned(band(), preset=preset, stages={"saturation": True}).sheet

    assert not any(stem.saturation for stem in usual.stems.values())
    assert any(stem.saturation for stem in asked.stems.values())
    assert any(stem.saturation for stem in planned(band()).sheet.stems.values())


def test_leads_and_lows_stay_in_the_middle(decided):
    """Lead, bass and drums are not panned."""
    stems = decided.sheet.stems

    assert [0.0] * 3 == [stems[n].pan for n in ("lead vocal.wav", "bass.wav", "drums.wav")]


def test_trim_brings_every_stem_to_the_working_level(decided):
    """What was recorded 16 dB apart starts at one level."""
    stems = decided.sheet.stems

    assert 14.0 == pytest.approx(
        stems["lead vocal.wav"].trim_db - stems["drums.wav"].trim_db, abs=3
    )


def test_recall_sheet_given_back_decides_nothing_anew(decided):
    """The sheet as settings reproduces the sheet."""
    again = Settings.model_validate(yaml.safe_load(text_of(decided.sheet)))
    repeated = plan(band(), in_time(band()), again).sheet

    assert decided.sheet.model_dump() | {"master": None} == repeated.model_dump() | {"master": None}


def test_one_number_changed_changes_only_that(decided):
    """An edited sheet differs from the first in the edited number alone."""
    edited = yaml.safe_load(text_of(decided.sheet))
    edited["stems"]["piano.wav"]["pan"] = -0.7
    changed = plan(band(), in_time(band()), Settings.model_validate(edited)).sheet
    expected = decided.sheet.model_dump()
    expected["stems"]["piano.wav"]["pan"] = -0.7

    assert Sheet.model_validate(expected) == changed


def test_a_part_of_the_sheet_is_enough():
    """Settings that name one fader leave everything else to the engine."""
    free, set_ = planned(band()).sheet, planned(band(), stems={"bass.wav": {"fader_db": -9}}).sheet

    assert -9.0 == set_.stems["bass.wav"].fader_db
    assert free.stems["piano.wav"] == set_.stems["piano.wav"]


def test_unknown_stem_in_settings_is_refused_with_the_names_there_are():
    """A sheet for another song says so instead of being ignored."""
    with pytest.raises(ParameterError, match=r"kazoo.*lead vocal"):
        planned(band(), stems={"kazoo.wav": {"fader_db": 0}})


@pytest.mark.parametrize(
    ("stage", "field", "neutral"),
    [
        ("auto_gain", "trim_db", 0.0),
        ("ride", "ride", None),
        ("compressor", "compressor", None),
        ("saturation", "saturation", None),
        ("spatial", "pan", 0.0),
        ("masking", "room", ()),
        ("balance", "fader_db", 0.0),
    ],
)
def test_stage_that_is_off_decides_nothing(stage, field, neutral):
    """Each stage can be switched off, and its numbers are then neutral in every stem."""
    stems = planned(band(), stages={stage: False}).sheet.stems

    assert {repr(neutral)} == {repr(getattr(stem, field)) for stem in stems.values()}


def test_role_given_in_settings_is_heeded_on_the_way():
    """A stem that is called to be the lead is made room for."""
    decided = planned(
        band(), stems={"guitar.wav": {"role": "lead"}, "lead vocal.wav": {"mute": True}}
    )

    assert () == decided.sheet.stems["guitar.wav"].room
    assert decided.lead_active.all()


def test_silent_stem_is_left_alone():
    """A stem with nothing in it gets no gain and breaks nothing."""
    silent = analysis_of("synth.wav", active=np.zeros(30))
    decided = planned([*band(), silent])

    assert 0.0 == decided.sheet.stems["synth.wav"].trim_db


def test_one_stem_is_mastered_without_a_balance():
    """A single file has no rest: nothing is cut, nothing glued."""
    sheet = planned([analysis_of("track.wav", channels=2, correlation=0.5)]).sheet

    assert sheet.master.glue is None
    assert () == sheet.stems["track.wav"].room


def test_stems_that_share_a_role_share_its_loudness():
    """Four guitars are as loud as one."""
    one = planned([analysis_of("vox.wav"), analysis_of("guitar a.wav")]).loudness_lufs
    stems = [analysis_of("vox.wav"), *(analysis_of(f"guitar {n}.wav") for n in "abcd")]
    four = planned(stems).loudness_lufs

    assert 6.0 == pytest.approx(one["guitar a.wav"] - four["guitar a.wav"], abs=0.3)


def test_lossy_formats_get_half_a_db_more_room():
    """What an encoder adds must fit below the ceiling."""
    wav, mp3 = planned(band()).sheet, planned(band(), format="mp3").sheet

    assert 0.5 == pytest.approx(wav.master.ceiling_dbtp - mp3.master.ceiling_dbtp)


def test_sum_is_planned_within_three_db_of_the_master_target(decided):
    """After its EQ, every octave of the predicted sum is near the target."""
    from dsp.mixing.tone import CENTRES, power_response, target_distance_db  # noqa: PLC0415

    sheet = decided.sheet
    total = np.zeros(len(CENTRES))
    for track in decided.tracks:
        stem = sheet.stems[track.name]
        gain = 10.0 ** ((stem.trim_db + stem.fader_db) / 10.0)
        total += track.spectrum * track.active.mean() * power_response(stem.eq, 48_000) * gain
    distance = target_distance_db(total * power_response(sheet.master.eq, 48_000))

    assert 3.0 >= np.nanmax(np.abs(distance))


HOSTILE = ["evil\u202egnp.wav", "zero\u200bwidth.wav", "\ufeffbom.wav", "tab\tand\nline.wav",
           "nbsp\xa0.wav", "\u2066isolate.wav", "esc\x1b[31m.wav", "tag\U000e0041.wav"]  # fmt: skip


@given(name=st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=120)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_sheet_shows_every_character_of_a_name_and_reads_back(name):
    """No character steers the text; what was spelt out is the same name again."""
    stem = Stem(role="keys", role_why=f"its name says {name}")
    text = text_of(short_sheet().model_copy(update={"stems": {name: stem}}))

    assert all(c.isprintable() or c == "\n" for c in text)
    assert {name: stem.model_dump(mode="json")} == yaml.safe_load(text)["stems"]


def test_sheet_leaves_letters_of_any_language_as_they_are():
    """Only what cannot be seen is spelt out, even beside what cannot."""
    text = text_of(
        short_sheet().model_copy(update={"stems": {"Flöte\u202e 琴.wav": Stem(role="keys")}})
    )

    assert '"Flöte\\u202e 琴.wav":' in text


def test_plan_carries_nothing_along_that_only_planning_hears():
    """Of an hour's bands, onsets and excerpts nothing is left for rendering to hold."""
    tracks = planned(band()).tracks
    held = {
        name for t in tracks for name, value in vars(t.analysis).items() if np.size(value) > 100
    }

    assert set() == held


LEVELS = st.one_of(st.floats(-300.0, 300.0), st.sampled_from([-70.0, -120.0, 84.0, 187.0]))


@st.composite
def hostile_analyses(draw):
    """Return what no recording is like: any level, crest, spectrum, picture and offset."""
    names = st.sampled_from(["voice", "speech", "backing vox", "bass", "kick", "pad", "thing"])
    chosen = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    return [draw(hostile_analysis(f"{name}.wav")) for name in chosen]


@st.composite
def hostile_analysis(draw, name):
    lufs = draw(LEVELS)
    share = st.floats(0.0, 1.0)
    channels = draw(st.sampled_from([1, 2]))
    analysis = analysis_of(
        name,
        seconds=draw(st.sampled_from([0.1, 0.5, 3.0, 12.0])),
        lufs=min(lufs, 187.0),
        hz=draw(st.floats(20.0, 20_000.0)),
        octaves=draw(st.floats(0.1, 8.0)),
        channels=channels,
        correlation=draw(st.floats(-1.0, 1.0)) if channels == 2 else 1.0,
        crest_db=draw(st.floats(0.0, 150.0)),
        rate_hz=draw(st.sampled_from([8_000, 44_100, 48_000, 192_000])),
        side=draw(share) if channels == 2 else 0.0,
    )
    gain = np.float32(10.0 ** (draw(st.floats(-300.0, 187.0)) / 20.0))
    return replace(
        analysis,
        excerpt=analysis.excerpt * gain,  # peaks that fit no energy, as a lone wild sample has
        left_share=draw(share) if channels == 2 else 0.5,
        dc=draw(share),
        sample_peak_dbfs=draw(LEVELS),
        rms_dbfs=lufs,
    )


@settings(max_examples=60)
@given(hostile_analyses())
def test_no_stem_leads_out_of_the_bounds_of_the_sheet(analyses):
    """Whatever the stems are like, the sheet may be given back as settings and says the same."""
    sheet = planned(analyses).sheet

    back = Settings.model_validate(yaml.safe_load(text_of(sheet)))

    assert sheet == Sheet.model_validate(sheet.model_dump())
    assert sheet.stems == planned(analyses, **back.model_dump(exclude_unset=True)).sheet.stems
