"""What a person finds in the morning after a night in which much went wrong."""

import json

from structlog.testing import capture_logs

from daemon.intake.observations import Sighting, Wait
from daemon.supervisor.log_lines import Waits
from tests.support.daemons import until
from tests.support.truth import drop_song, states

TOLD = ("drop", "inbox", "code", "message", "hint", "lies_in")


def test_log_alone_tells_what_happened_to_which_drop_and_what_to_do(daemon):
    """Each failure is one line above info that needs no other; what went well is none."""
    daemon.settings["inboxes"]["mix"]["handler"] = "tests.support.misbehaving"
    daemon.start()
    for name, how in (("Fine", "well"), ("Refused", "bad_input"), ("Broken", "no such deed")):
        drop_song(daemon.root, name, f"how: {how}\n")
    drop_song(daemon.root, "Misspelt", "priority: [rush]\n")
    wanted = {"Fine": "done", **dict.fromkeys(("Refused", "Broken", "Misspelt"), "failed")}
    until(lambda: states(daemon.root) == wanted, "all have ended")
    daemon.stop()

    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    loud = [line for line in lines if line["level"] in ("warning", "error") and "drop" in line]
    failures = {line["drop"]: line for line in loud if line["event"] == "failed"}
    assert {"Refused", "Broken", "Misspelt"} == {line["drop"] for line in loud}
    assert {"Refused", "Broken", "Misspelt"} == set(failures)
    assert not [(name, key) for name, line in failures.items() for key in TOLD if not line.get(key)]
    assert "failed/mix/Broken" == failures["Broken"]["lies_in"]
    assert ("error", "warning") == (failures["Broken"]["level"], failures["Refused"]["level"])
    assert "Traceback" in failures["Broken"]["exception"]
    assert not [line for line in lines if "job" in line and "drop" not in line]


def test_of_drops_that_wait_for_the_disk_one_is_named():
    """Not each of ten thousand; when it has been taken, that is said, and another may be."""
    waits, wait = Waits(), Wait("disk", None, "3.0 GiB needed, 1.2 GiB free for drops")
    with capture_logs() as said:
        for name in ("A", "B"):
            waits.see(Sighting("mix", name, 0, (), wait))
        waits.over("mix", "A")
        waits.see(Sighting("mix", "B", 0, (), wait))

    assert [("not taken yet", "A"), ("waits no more", "A"), ("not taken yet", "B")] == [
        (line["event"], line["drop"]) for line in said
    ]
    assert ("warning", wait.detail) == (said[0]["log_level"], said[0]["message"])


def test_failed_drop_that_was_mended_and_moved_back_leaves_nothing_behind(daemon):
    """Neither its reason, nor a row in the list of failures."""
    daemon.start()
    drop_song(daemon.root, "Song", "priority: [rush]\n")
    until(lambda: states(daemon.root) == {"Song": "failed"}, "it has failed")
    failed = daemon.root / "failed/mix"
    (failed / "Song/job.yaml").write_text("priority: rush\n")
    (failed / "Song").rename(daemon.root / "inbox/mix/Song")
    until(lambda: states(daemon.root) == {"Song": "done"}, "it is done")

    assert [] == list(failed.iterdir())
