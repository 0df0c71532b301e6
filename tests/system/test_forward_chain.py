"""The real daemon with three inboxes in a row, killed again and again."""

import random
import time
from copy import deepcopy
from itertools import pairwise

import pytest

from tests.support.daemons import PATIENCE_S, read_json, until
from tests.support.truth import drop_song

CHAIN = ("mix", "second", "third")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, 100])
def test_kill_at_any_moment_lets_each_result_go_on_once(daemon, kills):
    """Each drop comes to one result in each inbox, and each says where it went."""
    dice = random.Random(kills)
    mix = daemon.settings["inboxes"]["mix"]
    goes_on = dict(pairwise(CHAIN))
    daemon.settings["inboxes"] = {
        name: deepcopy(mix) | ({"forward": goes_on[name]} if name in goes_on else {})
        for name in CHAIN
    }
    (daemon.root / "inbox" / "mix").mkdir(parents=True)
    daemon.start()
    for number in range(kills):
        drop_song(daemon.root, f"{number} a")
        drop_song(daemon.root, f"{number} b", "seconds: 0.2\n")
        time.sleep(dice.uniform(0.0, 0.6))  # the moment of death is random
        daemon.kill()
        daemon.start()
    outbox, wanted = daemon.root / "outbox", 2 * kills
    until(lambda: len(list(outbox.glob("third/*/count.json"))) == wanted, "all have come",
          PATIENCE_S + 2 * kills)  # fmt: skip
    until(lambda: not list(daemon.root.glob("work/*/*")), "all is at rest")
    assert 0 == daemon.stop()

    for inbox in CHAIN:
        told = [read_json(path) for path in (outbox / inbox).glob("*.status.json")]
        assert [wanted, wanted] == [len(told), len(list(outbox.glob(f"{inbox}/*/count.json")))]
        assert {"done"} == {status["state"] for status in told}
        if inbox in goes_on:
            after = [read_json(path) for path in (outbox / goes_on[inbox]).glob("*.status.json")]
            assert {one["forwarded_to"]["job"] for one in told} == {one["job"] for one in after}
            assert {one["job"] for one in told} == {one["forwarded_from"]["job"] for one in after}
