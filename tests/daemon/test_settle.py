"""When is a drop whole? Every rule, with a clock that moves when told."""

import sys
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.manifest import Listed
from daemon.config.models import Limits, Settling
from daemon.errors import BadInput
from daemon.handlers.contract import Declaration
from daemon.intake.completeness import Rules
from daemon.intake.drop import Drop, Found, Signature
from daemon.intake.settle import Settler
from dsp.containers.header import Format, Header

RULES = Rules.of(Settling(settle_single_s=0), network=False)
SETTLE_S, FOLDER_S, UNKNOWN_S, TRUNCATED_S = 2.0, 5.0, 30.0, 900.0


@dataclass
class FakeEvidence:
    """What the disk would say; whole and written by nobody unless told otherwise."""

    verdicts: dict = field(default_factory=dict)
    writers: dict = field(default_factory=dict)
    listed: tuple = ()
    names: tuple = ()
    zeros: bool = False
    claims: dict = field(default_factory=dict)
    headers_read: int = 0

    def header(self, file):
        self.headers_read += 1
        return Header(self.verdicts.get(file.path, "complete"), "wav", "as told", **self.claims)

    def zero_tail(self, file):  # noqa: ARG002 - one answer for all
        return self.zeros

    def writer(self, file):
        return self.writers.get(file.path, "none")

    def named(self, drop):  # noqa: ARG002 - one answer for all
        return frozenset(self.names)

    def manifest(self, drop):  # noqa: ARG002 - one answer for all
        if isinstance(self.listed, BadInput):
            raise self.listed
        return self.listed


def found(path, version=0, size=100, *, accepted=True):
    return Found(path, Signature(1, hash(path) % 1000, size, version, version), accepted)


def loose(version=0, size=100, marks=()):
    return Drop("a.wav", "file", (found("a.wav", version, size),), marks=tuple(marks))


def folder(*files, marks=(), arriving=(), problem=None):
    more = {"marks": tuple(marks), "arriving": tuple(arriving), "problem": problem}
    return Drop("Song", "folder", tuple(files), **more)


def mark(path="", version=0):
    return Found(path, Signature(1, 999, 0, version, version), accepted=False)


def test_a_complete_file_settles_after_its_quiet_time():
    """Two looks, two seconds apart, and nobody writes."""
    settler, evidence = Settler(RULES), FakeEvidence()

    assert not settler.observe(loose(), evidence, 0.0).settled
    assert not settler.observe(loose(), evidence, SETTLE_S - 0.01).settled
    assert settler.observe(loose(), evidence, SETTLE_S).settled


def test_large_folder_is_judged_file_by_file():
    """Not each file against all others: a library is thousands of them, looked at every second."""

    def calls(count):
        files = [found(f"{number:04}.wav") for number in range(count)]
        settler, seen = Settler(RULES), []
        sys.setprofile(lambda _frame, event, _arg: seen.append(event))
        try:
            settler.observe(folder(*files), FakeEvidence(), 0.0)
        finally:
            sys.setprofile(None)
        return len(seen)

    assert calls(400) < 3 * calls(200)


def test_one_look_never_settles_by_quiet():
    """Even with no quiet time at all, one look shows no change."""
    rules = Rules.of(Settling(settle_s=0, settle_folder_s=0, settle_single_s=0), network=False)
    for drop in (loose(), folder(found("a.wav"))):
        settler = Settler(rules)

        assert not settler.observe(drop, FakeEvidence(), 0.0).settled
        assert settler.observe(drop, FakeEvidence(), 0.5).settled


@pytest.mark.parametrize("apart_s", [7.0, 60.0])
def test_stems_that_are_exported_one_by_one_are_one_drop(apart_s):
    """The folder is taken when the last of ten has been there for twice as long as a pause."""
    settler, evidence = Settler(Rules.of(Settling(), network=False)), FakeEvidence()
    stems = [found(f"{number}.wav") for number in range(10)]
    for second in range(round(9 * apart_s)):
        here = stems[: int(second / apart_s) + 1]

        assert not settler.observe(folder(*here), evidence, second).settled

    last_s = 9 * apart_s
    settler.observe(folder(*stems), evidence, last_s)
    waiting = settler.observe(folder(*stems), evidence, last_s + 2 * apart_s - 2)

    assert f"{apart_s:.0f} s apart" in waiting.detail
    assert ".done" in waiting.detail
    assert settler.observe(folder(*stems), evidence, last_s + 2 * apart_s).settled


def exported(*at_s, folder_at_s=None):
    """Return a folder whose files were written at these times, in seconds."""
    files = [
        Found(f"{number}.wav", Signature(1, number, 100, 0, round(1e9 * each)), accepted=True)
        for number, each in enumerate(at_s)
    ]
    changed_s = at_s[-1] if folder_at_s is None else folder_at_s
    return replace(folder(*files), ctime_ns=round(1e9 * changed_s))


@pytest.mark.parametrize("seen", [[3], [1, 2, 3]])
def test_stems_that_came_while_nobody_looked_tell_their_pauses(seen):
    """A daemon that starts in the middle of an export takes no half of it."""
    settler, evidence = Settler(Rules.of(Settling(), network=False)), FakeEvidence()
    times_s = [1000.0, 1007.0, 1014.0]
    for second, count in enumerate(seen):  # the first look comes late, and others soon after
        settler.observe(exported(*times_s[:count]), evidence, float(second))
    last_s = float(len(seen) - 1)

    waiting = settler.observe(exported(*times_s), evidence, last_s + 13)

    assert "7 s apart" in waiting.detail
    assert settler.observe(exported(*times_s), evidence, last_s + 14).settled


@pytest.mark.parametrize("drop", [exported(10.0, 50.0, folder_at_s=60.0), exported(10.0, 900.0)])
def test_old_pauses_hold_up_no_folder_that_was_moved(drop):
    """What was recorded in a day and is moved by one rename is there at once."""
    settler = Settler(Rules.of(Settling(), network=False))
    settler.observe(drop, FakeEvidence(), 0.0)

    assert settler.observe(drop, FakeEvidence(), FOLDER_S).settled


def test_a_folder_that_came_whole_does_not_wait_for_more():
    """Several files at the first look, or one where the handler takes each by itself."""
    alone = Rules.of(Settling(), handler=Declaration(judge="any"), network=False)
    for rules, files in ((Rules.of(Settling(), network=False), "ab"), (alone, "a")):
        settler, drop = Settler(rules), folder(*(found(f"{name}.wav") for name in files))
        settler.observe(drop, FakeEvidence(), 0.0)

        assert settler.observe(drop, FakeEvidence(), FOLDER_S).settled


def test_a_change_starts_the_quiet_time_anew():
    """A file that changed a moment ago is not quiet, however old it is."""
    settler, evidence = Settler(RULES), FakeEvidence()
    settler.observe(loose(0), evidence, 0.0)
    settler.observe(loose(1), evidence, 1.9)

    assert not settler.observe(loose(1), evidence, 3.8).settled
    assert settler.observe(loose(1), evidence, 3.9).settled


def test_a_header_is_read_once_per_change():
    """Looking again opens no unchanged file."""
    settler, evidence = Settler(RULES), FakeEvidence()
    for second in range(5):
        settler.observe(loose(0), evidence, second / 10)
    settler.observe(loose(1), evidence, 1.0)

    assert 2 == evidence.headers_read


def test_an_unknown_length_waits_longer():
    """What a pipe wrote is legal, and waits for half a minute."""
    settler, evidence = Settler(RULES), FakeEvidence({"a.wav": "unknown"})
    settler.observe(loose(), evidence, 0.0)

    assert not settler.observe(loose(), evidence, UNKNOWN_S - 1).settled
    answer = settler.observe(loose(), evidence, UNKNOWN_S)

    assert answer.settled
    assert "quiet" == answer.files[0].ready_by


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("short", "INPUT_TRUNCATED"),
        ("growing", "INPUT_TRUNCATED"),
        ("damaged", "INPUT_DAMAGED"),
        ("empty", "INPUT_EMPTY"),
        ("unreadable", "INPUT_UNREADABLE"),
    ],
)
def test_a_lacking_file_is_refused_in_the_end(verdict, code):
    """What is missing may still come for a quarter of an hour; then it is an error by name."""
    settler, evidence = Settler(RULES), FakeEvidence({"a.wav": verdict})
    settler.observe(loose(), evidence, 0.0)
    before = settler.observe(loose(), evidence, TRUNCATED_S - 1)

    assert ("incomplete", None) == (before.reason, before.refusal)
    assert code == settler.observe(loose(), evidence, TRUNCATED_S).refusal.code


@pytest.mark.parametrize(("frames", "rate_hz"), [(1 << 62, 1), (1 << 62, 192_000), (10**30, 0)])
def test_a_header_sets_no_deadline_beyond_the_limits(frames, rate_hz):
    """An inbox that takes ten minutes at 8 kHz counts no file as longer, whatever it claims."""
    rules = Rules.of(Settling(), Limits(frames=600 * 8_000), network=False)
    settler, evidence = Settler(rules), FakeEvidence(claims={"frames": frames})
    evidence.claims["format"] = Format("pcm", rate_hz, 2)
    (file,) = settler.observe(loose(), evidence, 0.0).files

    assert (file.seconds or 0.0) <= 600


def test_a_size_that_wrapped_is_used_with_a_warning():
    """The status says that the header told less than there is."""
    settler, evidence = Settler(RULES), FakeEvidence(claims={"warning": "its size has wrapped"})
    settler.observe(loose(), evidence, 0.0)
    settled = settler.observe(loose(), evidence, SETTLE_S)

    expected = ("INPUT_SIZE_WRAPPED", "a.wav: its size has wrapped; all of it is used")
    assert (expected,) == settled.warnings


def test_a_growing_file_may_be_accepted_by_configuration():
    """A recorder that never closed its header left a usable payload; the report says so."""
    rules = Rules.of(Settling(on_truncated="accept"), network=False)
    settler, evidence = Settler(rules), FakeEvidence({"a.wav": "growing"})
    settler.observe(loose(), evidence, 0.0)
    answer = settler.observe(loose(), evidence, TRUNCATED_S)

    assert answer.settled
    assert ["INPUT_TRUNCATED"] == [code for code, _ in answer.warnings]


def test_a_short_file_is_never_accepted():
    """Accepting is for unclosed headers, not for files that lost their end."""
    rules = Rules.of(Settling(on_truncated="accept"), network=False)
    settler, evidence = Settler(rules), FakeEvidence({"a.wav": "short"})
    settler.observe(loose(), evidence, 0.0)

    assert settler.observe(loose(), evidence, TRUNCATED_S).refusal


@pytest.mark.parametrize("verdict", ["complete", "unknown", "short", "not_audio", "empty"])
def test_a_file_somebody_writes_neither_settles_nor_fails(verdict):
    """A recording that is paused for an hour is still a recording."""
    settler = Settler(RULES)
    evidence = FakeEvidence({"a.wav": verdict}, {"a.wav": "busy"})
    settler.observe(loose(), evidence, 0.0)
    answer = settler.observe(loose(), evidence, 3600.0)

    assert (False, None) == (answer.settled, answer.refusal)


def test_zeros_at_the_end_wait_longer_when_no_writer_can_be_seen():
    """Reserved room looks final in size; without the probe only time can tell."""
    settler = Settler(RULES)
    evidence = FakeEvidence(writers={"a.wav": "unsupported"}, zeros=True)
    settler.observe(loose(), evidence, 0.0)

    assert not settler.observe(loose(), evidence, SETTLE_S).settled
    assert settler.observe(loose(), evidence, UNKNOWN_S).settled


def test_a_marker_settles_at_once():
    """One look is enough when the sender said that all is there."""
    answer = Settler(RULES).observe(loose(marks=[mark()]), FakeEvidence(), 0.0)

    assert answer.settled
    assert "marker" == answer.files[0].ready_by


@pytest.mark.parametrize("verdict", ["short", "growing", "empty"])
def test_a_marker_does_not_make_a_short_file_whole(verdict):
    """A marker is a promise; the header is a fact."""
    answer = Settler(RULES).observe(loose(marks=[mark()]), FakeEvidence({"a.wav": verdict}), 0.0)

    assert not answer.settled


def test_a_change_after_the_marker_takes_its_word_away():
    """A marker older than the last change vouches for nothing, until it is written again."""
    settler, evidence = Settler(RULES), FakeEvidence(writers={"a.wav": "busy"})
    settler.observe(loose(0, marks=[mark()]), evidence, 0.0)
    evidence.writers.clear()

    assert not settler.observe(loose(1, marks=[mark()]), evidence, 1.0).settled
    assert settler.observe(loose(1, marks=[mark(version=1)]), evidence, 1.5).settled


def test_a_folder_settles_when_its_tree_was_quiet():
    """The last stem may come seconds after the last but one."""
    settler, evidence = Settler(RULES), FakeEvidence()
    settler.observe(folder(found("a.wav")), evidence, 0.0)
    both = folder(found("a.wav"), found("b.wav"))

    assert not settler.observe(both, evidence, 2.4).settled
    assert not settler.observe(both, evidence, 2.4 + FOLDER_S - 0.1).settled
    assert settler.observe(both, evidence, 2.4 + FOLDER_S).settled


def test_a_folder_counts_files_that_are_no_audio_as_signs_of_life():
    """A picture that is still being copied says that the copier is not done."""
    settler, evidence = Settler(RULES), FakeEvidence()
    for second in range(20):
        drop = folder(found("a.wav"), found("cover.jpg", version=second, accepted=False))

        assert not settler.observe(drop, evidence, float(second)).settled


def test_a_name_still_arriving_blocks_its_folder():
    """However quiet: the uploader's name says that more is coming."""
    settler, evidence = Settler(RULES), FakeEvidence()
    drop = folder(found("a.wav"), arriving=["b.wav.part"], marks=[mark()])
    settler.observe(drop, evidence, 0.0)
    answer = settler.observe(drop, evidence, 100_000.0)

    assert (False, None) == (answer.settled, answer.refusal)
    assert "b.wav.part" in answer.detail


def test_a_stranger_in_a_folder_is_passed_over():
    """A file named like audio that is none becomes a warning beside other audio."""
    settler, evidence = Settler(RULES), FakeEvidence({"b.wav": "not_audio"})
    drop = folder(found("a.wav"), found("b.wav"))
    settler.observe(drop, evidence, 0.0)
    answer = settler.observe(drop, evidence, UNKNOWN_S)

    assert answer.settled
    assert ["INPUT_NOT_AUDIO"] == [code for code, _ in answer.warnings]


ANY, NONE = (
    Rules.of(Settling(), handler=Declaration(judge=judge), network=False)
    for judge in ("any", "none")
)
UNUSABLE = {
    "short": "INPUT_TRUNCATED",
    "growing": "INPUT_TRUNCATED",
    "damaged": "INPUT_DAMAGED",
    "empty": "INPUT_EMPTY",
    "unreadable": "INPUT_UNREADABLE",
    "not_audio": "INPUT_NOT_AUDIO",
}


@pytest.mark.parametrize(("verdict", "code"), UNUSABLE.items())
def test_a_handler_may_do_without_files_that_cannot_be_used(verdict, code):
    """Of chunks, each unusable one is named in a warning, once nothing more comes of it."""
    settler, evidence = Settler(ANY), FakeEvidence({"b.wav": verdict})
    drop = folder(found("a.wav"), found("b.wav"))
    settler.observe(drop, evidence, 0.0)
    patience_s = UNKNOWN_S if verdict == "not_audio" else TRUNCATED_S
    before = settler.observe(drop, evidence, patience_s - 1)
    after = settler.observe(drop, evidence, patience_s)

    assert (False, None) == (before.settled, before.refusal)
    assert after.settled
    assert [code] == [warning for warning, _ in after.warnings]
    assert "b.wav: passed over" in after.warnings[0][1]


@pytest.mark.parametrize("verdict", [each for each in UNUSABLE if each != "not_audio"])
def test_a_marker_says_that_no_more_of_a_cut_file_will_come(verdict):
    """A submitted folder of chunks starts at once, without the one that was cut."""
    settler, evidence = Settler(ANY), FakeEvidence({"b.wav": verdict})
    drop = folder(found("a.wav"), found("b.wav"), marks=[mark()])
    settler.observe(drop, evidence, 0.0)

    assert settler.observe(drop, evidence, 0.0).settled


def test_a_folder_in_which_nothing_can_be_used_is_refused():
    """Doing without some is not doing without all."""
    settler, evidence = Settler(ANY), FakeEvidence({"a.wav": "short", "b.wav": "short"})
    drop = folder(found("a.wav"), found("b.wav"))
    settler.observe(drop, evidence, 0.0)

    assert "INPUT_TRUNCATED" == settler.observe(drop, evidence, TRUNCATED_S).refusal.code


def test_a_loose_file_that_cannot_be_used_is_refused():
    """There is nothing else in the drop."""
    settler, evidence = Settler(ANY), FakeEvidence({"a.wav": "short"})
    settler.observe(loose(), evidence, 0.0)

    assert "INPUT_TRUNCATED" == settler.observe(loose(), evidence, TRUNCATED_S).refusal.code


def test_a_manifest_is_held_even_by_a_handler_that_does_without():
    """What a sender lists is wanted."""
    settler = Settler(ANY)
    evidence = FakeEvidence(listed=(Listed("a.wav", 100), Listed("b.wav", 200)))
    drop = folder(found("a.wav"), found("b.wav"))
    settler.observe(drop, evidence, 0.0)

    assert (
        "MANIFEST_MISMATCH" == settler.observe(drop, evidence, RULES.manifest_after_s).refusal.code
    )


@pytest.mark.parametrize("verdict", UNUSABLE)
def test_a_handler_may_want_no_header_read(verdict):
    """Then quiet alone decides, and whatever is there is the handler's to understand."""
    settler, evidence = Settler(NONE), FakeEvidence(dict.fromkeys(("a.wav", "b.wav"), verdict))
    drop = folder(found("a.wav"), found("b.wav"))
    settler.observe(drop, evidence, 0.0)

    assert not settler.observe(drop, evidence, UNKNOWN_S - 1).settled
    assert settler.observe(drop, evidence, UNKNOWN_S).settled
    assert 0 == evidence.headers_read


def test_a_folder_with_nothing_that_the_handler_takes_is_refused_in_its_words():
    """Whoever drops a song into an inbox for texts reads which suffixes it takes."""
    rules = Rules.of(Settling(), handler=Declaration(accepts={".md", ".txt"}), network=False)
    settler, drop = Settler(rules), folder(found("a.wav", accepted=False))
    settler.observe(drop, FakeEvidence(), 0.0)
    refusal = settler.observe(drop, FakeEvidence(), UNKNOWN_S).refusal

    assert "NO_INPUT" == refusal.code
    assert ".md .txt" in refusal.message


@pytest.mark.parametrize(
    ("drop", "after_s", "code"),
    [
        (folder(), TRUNCATED_S, "INPUT_EMPTY"),
        (folder(found("notes.txt", accepted=False)), UNKNOWN_S, "NO_AUDIO"),
        (folder(found("b.wav")), UNKNOWN_S, "NO_AUDIO"),
    ],
    ids=["empty", "only text", "only a stranger"],
)
def test_a_folder_without_audio_is_refused_in_the_end(drop, after_s, code):
    """Audio may still come for a while."""
    settler, evidence = Settler(RULES), FakeEvidence({"b.wav": "not_audio"})
    settler.observe(drop, evidence, 0.0)

    assert settler.observe(drop, evidence, after_s - 1).refusal is None
    assert code == settler.observe(drop, evidence, after_s).refusal.code


def test_a_copy_of_a_sync_tool_is_left_out_with_a_warning():
    """Not judged, not an input, and not waited for; the song is."""
    evidence = FakeEvidence(verdicts={"a (1).wav": "short"})
    settler, drop = Settler(RULES), folder(found("a.wav"), found("a (1).wav"))
    settler.observe(drop, evidence, 0.0)
    answer = settler.observe(drop, evidence, FOLDER_S)

    assert answer.settled
    assert ["a.wav"] == [file.path for file in answer.files]
    assert [("CONFLICT_COPY", "a (1).wav")] == [(code, text[:9]) for code, text in answer.warnings]


def test_a_copy_that_the_settings_name_is_meant():
    """Who names it wants it."""
    evidence = FakeEvidence(names=("a (1).wav",))
    settler, drop = Settler(RULES), folder(found("a.wav"), found("a (1).wav"))
    settler.observe(drop, evidence, 0.0)
    answer = settler.observe(drop, evidence, FOLDER_S)

    assert ["a.wav", "a (1).wav"] == [file.path for file in answer.files]
    assert () == answer.warnings


def _hollow(how):
    if how == "placeholder":
        return replace(folder(found("a.wav")), placeholders=("b.wav",)), FakeEvidence()
    return folder(found("a.wav"), found("b.wav")), FakeEvidence(verdicts={"b.wav": "empty"})


@pytest.mark.parametrize("how", ["placeholder", "no bytes"])
def test_a_stem_that_a_cloud_drive_did_not_fetch_is_named_and_waited_for(how):
    """Mixing without it would be a wrong master; in the end the drop is refused."""
    drop, evidence = _hollow(how)
    settler = Settler(RULES)
    settler.observe(drop, evidence, 0.0)
    waiting = settler.observe(drop, evidence, FOLDER_S)
    refused = settler.observe(drop, evidence, TRUNCATED_S)

    assert ("incomplete", None) == (waiting.reason, waiting.refusal)
    assert waiting.detail.startswith("b.wav: ")
    assert ("INPUT_PLACEHOLDER", "b.wav") == (refused.refusal.code, refused.refusal.path)


def test_a_manifest_settles_at_once():
    """Sizes that agree, and no writer: nothing to wait for."""
    evidence = FakeEvidence(listed=(Listed("a.wav", 100), Listed("b.wav", 100)))
    answer = Settler(RULES).observe(folder(found("a.wav"), found("b.wav")), evidence, 0.0)

    assert answer.settled
    assert {"manifest"} == {file.ready_by for file in answer.files}


@pytest.mark.parametrize(
    ("listed", "present"), [("e\u0301.wav", "\u00e9.wav"), ("\u00e9.wav", "e\u0301.wav")]
)
def test_a_manifest_finds_either_spelling_of_an_accent(listed, present):
    """A Mac writes é as two characters, others as one."""
    evidence = FakeEvidence(listed=(Listed(listed, 100),))

    assert Settler(RULES).observe(folder(found(present)), evidence, 0.0).settled


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        (Listed("gone.wav", 100), "MANIFEST_MISSING_FILES"),
        (Listed("a.wav", 9), "MANIFEST_MISMATCH"),
    ],
)
def test_a_manifest_that_is_not_met_is_refused_after_its_time(listed, code):
    """An hour of quiet, and what is listed is still not there."""
    settler, evidence = Settler(RULES), FakeEvidence(listed=(listed,))
    drop = folder(found("a.wav"), marks=[mark()])
    settler.observe(drop, evidence, 0.0)

    assert "incomplete" == settler.observe(drop, evidence, 3599.0).reason or listed.name == "a.wav"
    assert code == settler.observe(drop, evidence, 3600.0).refusal.code


@pytest.mark.parametrize("through", ["problem", "settings"])
def test_a_refusal_waits_for_quiet(through):
    """A folder is not taken from under its copier, even to be refused."""
    bad = BadInput("SETTINGS_INVALID", "no")
    evidence = FakeEvidence(listed=bad if through == "settings" else ())
    settler = Settler(RULES)
    for second in range(10):
        problem = bad if through == "problem" else None
        drop = folder(found("a.wav", version=second), problem=problem)
        assert settler.observe(drop, evidence, float(second)).refusal is None

    assert bad is settler.observe(drop, evidence, 9 + FOLDER_S).refusal


def test_a_network_doubles_the_patience():
    """Where writers on other machines cannot be seen, time has to do."""
    rules = Rules.of(Settling(), network=True)

    assert (10.0, 20.0, 60.0) == (rules.settle_s, rules.settle_folder_s, rules.settle_unknown_s)


def test_answer_tells_the_rule_and_the_time_left():
    """A person who waits reads why, and how long still."""
    settler, evidence = Settler(RULES), FakeEvidence()
    settler.observe(loose(), evidence, 0.0)
    answer = settler.observe(loose(), evidence, 0.5)

    assert "a.wav: header complete; quiet for 0.5 of 2 s" == answer.detail
    assert 1.5 == answer.left_s


# A story: each step lets time pass, then the writer writes, opens, closes or does nothing.
_STEPS = st.lists(
    st.tuples(st.floats(0, 40), st.sampled_from(["write", "open", "close", "nothing"])),
    max_size=30,
)
_VERDICTS = st.sampled_from(["complete", "unknown", "short", "growing", "empty", "not_audio"])


@given(steps=_STEPS, verdict=_VERDICTS, kind=st.sampled_from(["file", "folder"]))
def test_no_story_settles_under_a_writer_or_too_soon(steps, verdict, kind):
    """Whatever happens: settled means closed, whole, and quiet for as long as its rule says."""
    settler, evidence = Settler(RULES), FakeEvidence({"a.wav": verdict})
    now_s = changed_s = 0.0
    version, is_open = 0, False
    for pause_s, act in steps:
        now_s += pause_s
        if act == "write":
            version, changed_s = version + 1, now_s
        is_open = {"open": True, "close": False}.get(act, is_open)
        evidence.writers["a.wav"] = "busy" if is_open else "none"
        drop = loose(version) if kind == "file" else folder(found("a.wav", version))
        answer = settler.observe(drop, evidence, now_s)
        wanted_s = SETTLE_S if verdict == "complete" else UNKNOWN_S

        if answer.settled or answer.refusal:
            assert not is_open
            assert now_s - changed_s >= wanted_s
        if answer.settled:
            assert verdict in ("complete", "unknown")


@given(steps=_STEPS, verdict=_VERDICTS, kind=st.sampled_from(["file", "folder"]))
def test_every_story_ends_once_the_writer_has_gone(steps, verdict, kind):
    """After the last write every drop settles or is refused: none waits for ever."""
    settler, evidence = Settler(RULES), FakeEvidence({"a.wav": verdict})
    now_s, version = 0.0, 0
    for pause_s, act in steps:
        now_s += pause_s
        version += act == "write"
        drop = loose(version) if kind == "file" else folder(found("a.wav", version))
        settler.observe(drop, evidence, now_s)
    for _ in range(3):
        drop = loose(version) if kind == "file" else folder(found("a.wav", version))
        answer = settler.observe(drop, evidence, now_s)
        now_s += (answer.left_s or 1.0) + 0.001  # past the rounding of floats
        if answer.settled or answer.refusal:
            break

    assert (verdict in ("complete", "unknown")) == answer.settled
    assert (verdict in ("complete", "unknown")) == (answer.refusal is None)
