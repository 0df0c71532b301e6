"""The page of a report: what stands in it, whatever the names and the numbers."""

import base64
import hashlib
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.report import charts
from dsp.report.page import marks, page_parts, pan_words, timing, verdict
from dsp.report.svg import SIDE
from dsp.report.template import plain
from tests.support.pages import HOSTILE, Read
from tests.support.reports import cut, report, stem_row


def made(data, **more):
    sounds = [io.BytesIO(more.pop("sound", b"OggS"))]
    return "".join(page_parts(data, **({"sheet": "stems: {}\n", "sounds": sounds} | more)))


def chart(data, title):
    return next(c for c in charts.pictures(data) if c.title == title)


def test_hostile_names_change_no_element_of_the_page():
    """A name is text wherever it stands: stems, warnings, advice, sheet, title."""
    pages = []
    for name in ("keys.wav", HOSTILE):
        row = stem_row(name, strip={"room": [cut(250.0)], "role_why": name, "pan_why": name})
        warnings = [{"code": "STEM_MOVED", "message": f"{name} was moved"}]
        masked = [{"hz": 250.0, "excess_db": 3.0, "better_db": 2.0}]
        data = report(row, warnings=warnings, balance={"masked": masked})
        pages.append(Read(made(data, sheet=f"stems: {name}", name=name)).elements)

    assert pages[0] == pages[1]


def test_hostile_names_are_shown_in_full():
    """Nothing is dropped: what cannot be printed is spelt out, the rest stands as it is."""
    words = " ".join(Read(made(report(stem_row(HOSTILE)))).words)

    assert "</script><img src=x onerror=alert(1)>'\"&{{ 7*7 }}\\x1b[31m\\u202egnp.wav" in words


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=30))
def test_page_of_any_name_can_be_written_and_steers_nothing(name):
    """It encodes as UTF-8 and holds no control character but line ends."""
    text = made(report(stem_row(name)), name=name)

    assert text.encode("utf-8")
    assert all(c.isprintable() or c == "\n" for c in text)


def test_page_holds_the_sound_once_and_whole():
    """In the player, whatever the names say, read in parts or not."""
    sound = bytes(range(256)) * 2_000
    text = made(report(stem_row('src="data:audio/ogg;base64,')), sound=sound)

    found = re.findall(r'<source src="data:audio/ogg;base64,([^"]*)" type="audio/ogg">', text)
    assert [base64.b64encode(sound).decode("ascii")] == found


def test_policy_allows_exactly_the_style_and_the_script_that_are_there():
    """Their hashes stand in the policy, and nothing inline beside them."""
    text = made(report(stem_row("keys.wav")))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    policy = policy.replace("&#39;", "'").replace("&#43;", "+")
    own = [re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1] for tag in ("style", "script")]
    digests = [base64.b64encode(hashlib.sha256(o.encode()).digest()).decode() for o in own]

    assert all(f"'sha256-{digest}'" in policy for digest in digests)
    assert "unsafe" not in policy
    assert not re.search(r"\s(style|on\w+)=", re.sub(r"<(style|script)>.*?</\1>", "", text,
                                                     flags=re.DOTALL))  # fmt: skip


def test_every_name_that_is_referred_to_exists_once():
    """Labels and links lead somewhere, and to one place."""
    masked = [{"hz": 250.0, "excess_db": 3.0, "better_db": 2.0}]
    warnings = [{"code": "MONO_LOSS", "message": "the mix loses 4 dB"}]
    page = Read(made(report(stem_row("a"), stem_row("b"), warnings=warnings,
                            balance={"masked": masked})))  # fmt: skip

    assert len(set(page.ids)) == len(page.ids)
    assert set(page.named) <= set(page.ids)


def test_figures_that_do_not_exist_are_dashes():
    """No lead, silence, one stem: the page stands and never says None."""
    silent = {"integrated_lufs": None, "momentary_max_lufs": None, "range_lu": None,
              "plr_db": None, "correlation": None, "true_peak_dbtp": None,
              "fold_down_loss_db": None}  # fmt: skip
    data = report(
        stem_row("a.wav", loudness_lufs=None, crest_factor_db=None, correlation=None),
        master=silent,
        balance={"lead_to_rest_lu": None, "lead_to_rest_bands_db": [], "roles": []},
        curves={"momentary_lufs": [], "short_term_lufs": []},
    )
    words = " ".join(Read(made(data)).words)

    assert "None" not in words
    assert "– LUFS" in words


def test_warnings_of_one_kind_share_their_advice():
    """Four stems moved: four sentences, one word on what to do."""
    warnings = [{"code": "STEM_MOVED", "message": f"{n}.wav was moved"} for n in "abcd"]
    text = made(report(stem_row("a.wav"), warnings=warnings))

    assert (4, 1) == (text.count("was moved"), text.count("lag_ms: 0"))


@pytest.mark.parametrize(
    ("lag_ms", "found", "said"),
    [
        (195.0, {"lag_ms": 195.0, "moved": True, "why": "moved: shares sound"},
         "moved 195 ms earlier"),
        (-108.0, {"lag_ms": -108.0, "moved": True, "why": "moved: its notes start early"},
         "moved 108 ms later"),
        (0.0, {"lag_ms": 0.0, "why": "left: no clear lag"}, "not aligned"),
        (0.0, {"lag_ms": 0.0, "why": "not asked for"}, "not aligned"),
        (0.0, {"lag_ms": 0.0, "why": "reference"}, "the reference"),
        (0.0, {"lag_ms": 0.0, "why": "right within 40 ms"}, "in time"),
        (0.0, {"lag_ms": 0.0, "why": "equal lengths: files trusted"}, "as in its file"),
        (0.0, {"lag_ms": 195.0, "why": "moved: its notes start late"}, "left, by hand"),
        (20.0, {"lag_ms": 0.0, "why": "left: no clear lag"}, "by hand, 20 ms earlier"),
    ],
)  # fmt: skip
def test_timing_says_what_was_done_and_by_whom(lag_ms, found, said):
    """A stem that was left unaligned is not called "in time"."""
    assert said == timing(stem_row("a", strip={"lag_ms": lag_ms}, alignment=found))


@pytest.mark.parametrize(
    ("pan", "said"), [(0.0, "middle"), (-0.15, "15 % left"), (1.0, "100 % right")]
)
def test_pan_is_told_in_words(pan, said):
    """As a person at a desk would say it."""
    assert said == pan_words(pan)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Lied für Röschen – 歌.wav", "Lied für Röschen – 歌.wav"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("evil\u202egnp.wav", "evil\\u202egnp.wav"),
        ("two\nlines", "two\nlines"),
        ("\udcff", "\\udcff"),
    ],
)
def test_plain_spells_out_what_steers(text, shown):
    """Letters of every language stay; controls and turns of the line are spelt out."""
    assert shown == plain(text)


def test_masking_moves_name_the_stems_that_were_cut():
    """Band, how far it was covered, how much better, and where the cut is."""
    drums = stem_row("drums.wav", strip={"room": [cut(251.2, 6.0), cut(1584.9, 3.5)]})
    masked = [{"hz": 251.188, "excess_db": 4.0, "better_db": 3.4}]
    page = made(report(drums, stem_row("keys.wav"), balance={"masked": masked}))
    row = re.search(r"<tr><th[^>]*>251 Hz.*?</tr>", page, re.DOTALL)[0]

    assert "drums.wav −6 dB" in row
    assert "3.5" not in row


def test_range_is_drawn_as_high_as_it_was_measured():
    """4 LU on an axis of 35 LU are 4/35 of the picture."""
    picture = chart(report(stem_row("a")), "Loudness over time")
    band = next(line for line in picture.lines if line.style == "range")
    ys = [float(y) for y in re.findall(r" ([\d.]+)", band.path)]

    assert 4.0 / 35.0 * SIDE == pytest.approx(max(ys) - min(ys), abs=0.2)


def test_spectra_lie_on_the_target_whatever_their_level():
    """The master and the stems differ by 10 dB in level, and not at all in this picture."""
    picture = chart(report(stem_row("a")), "Spectrum, before and after")
    paths = {line.style: line.path for line in picture.lines}

    assert paths["stems"] == paths["master"]


def test_mix_without_a_lead_has_no_picture_of_one():
    """An instrumental has nothing to make room for."""
    data = report(stem_row("a"), balance={"lead_to_rest_bands_db": [], "lead_to_rest_lu": None})

    assert "Lead against the rest" not in [c.title for c in charts.pictures(data)]


def test_lines_of_a_picture_can_be_told_apart_by_form():
    """No two lines of one picture share a style, and every one has a name."""
    data = report(stem_row("a"))
    for picture in charts.pictures(data):
        styles = [line.style for line in picture.lines]
        assert len(set(styles)) == len(styles)
        assert all(line.name for line in picture.lines)


def test_stem_without_dynamics_has_no_picture_of_them():
    """Nothing taken, nothing drawn."""
    assert charts.stem_reductions(stem_row("a", reductions={}), 8.0) is None


@pytest.mark.parametrize(
    ("colour", "words", "changes"),
    [
        ("good", "As asked for", {}),
        ("fair", "one thing is worth knowing", {"warnings": [{"code": "C", "message": "m"}] * 2}),
        ("bad", "−14 LUFS and at most −1 dBTP were asked", {"master": {"integrated_lufs": -16.2}}),
        ("bad", "Not as asked for", {"master": {"true_peak_dbtp": -0.7}}),
        ("bad", "silent", {"master": {"integrated_lufs": None, "true_peak_dbtp": None}}),
    ],
)
def test_verdict_is_one_sentence_and_its_colour(colour, words, changes):
    """What came out, held against what was asked for; warnings count once per kind."""
    found, sentence = verdict(report(stem_row("a.wav"), **changes))

    assert (colour, True) == (found, words in sentence)


def test_marks_lead_to_what_is_worth_a_listen():
    """The loudest moment, the limiter's hardest work, and warnings that name a second."""
    message = "a.wav has 1 sample far above all neighbours, the first at 2.500 s, up to +6 dBFS"
    data = report(
        stem_row("a.wav"),
        reductions={"limiter": {"mean_db": 0.2, "max_db": 5.0, "curve_db": [0.0, 5.0]}},
        warnings=[{"code": "SAMPLES_WILD", "message": message}],
    )

    assert [(6.0, "the loudest moment"), (6.0, "the limiter works hardest"), (2.5, message)] == [
        (mark["at_s"], mark["what"]) for mark in marks(data)
    ]


def test_stems_stand_in_the_order_of_a_desk_and_guesses_are_called_so():
    """Drums, bass, harmonies, voices, the rest; whatever their files are called."""
    roles = {"a": "fx", "b": "lead", "c": "bass", "d": "kick"}
    rows = [stem_row(f"{name}.wav", strip={"role": role}) for name, role in roles.items()]
    odd = {"role": "other", "role_why": "its name names no role"}
    text = made(report(*rows, stem_row("e.wav", strip=odd)))
    summaries = re.findall(r'<span class="name">(.)\.wav</span>\s*<span class="([^"]*)">', text)

    assert ["d", "c", "b", "a", "e"] == [name for name, _ in summaries]
    assert ["role"] * 4 + ["role guessed"] == [kind for _, kind in summaries]


def test_bands_without_lead_are_grey():
    """Where the lead has next to no sound, nothing covers it."""
    spectrum = [-20.0] * 15 + [-60.0] * 16
    row = stem_row("lead.wav", strip={"role": "lead"}, spectrum_db=spectrum)
    styles = {line.style: line.path for line in charts.lead(report(row)).lines}

    assert styles["absent"]
    assert styles["lead"]
    assert "absent" not in {line.style for line in charts.lead(report(stem_row("a.wav"))).lines}
