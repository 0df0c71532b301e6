"""Chunks in earnest: many droppers at once, long recordings, a daemon that is killed meanwhile.

Each prints what it measured.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from tests.support.daemons import ROOT, Daemon, settings_for, until
from tests.support.truth import rows, statuses

RATE_HZ = 48_000


def merging(root, **settling):
    """Return a daemon as it comes: confined, and waiting for what has no marker."""
    settings = settings_for(root, pool={"slots": 2})
    inbox = {"handler": "daemon.handlers.merge", "limits": {"files": 5_000}}
    settings["inboxes"] = {"mix": inbox | ({"settling": settling} if settling else {})}
    return Daemon(root, settings)


def sound_of(path):
    return soundfile.read(path, dtype="int16")[0].tobytes()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_droppers_of_chunks_for_five_minutes_are_all_served(tmp_path):
    """Each drop ends once, with its own sound or as skipped, though the daemon is killed once."""
    root, began_s = tmp_path / "spool", time.monotonic()
    with merging(root, settle_unknown_s=60.0) as daemon, ThreadPoolExecutor(50) as people:
        daemon.start()
        (root / "dropped").mkdir()
        command = [sys.executable, "-m", "tests.support.chunk_dropper", root]
        all_of_them = [
            people.submit(subprocess.run, [*command, str(who), "300"], cwd=ROOT, check=True)
            for who in range(50)
        ]
        until(lambda: time.monotonic() - began_s > 120.0, "it is at work", 200.0, 1.0)
        daemon.kill()
        daemon.start()
        for one in all_of_them:
            one.result()
        until(daemon.at_rest, "all have ended", 1_800.0, 1.0)
        assert 0 == daemon.stop()
    journals = [path.read_text().splitlines() for path in (root / "dropped").iterdir()]
    wanted = {one["name"]: one["sha256"] for text in journals for one in map(json.loads, text)}
    told = statuses(root)
    print(  # noqa: T201 - the measurement is wanted
        f"{len(wanted)} drops by 50 droppers: {time.monotonic() - began_s:.0f} s,"
        f" {Counter(one['state'] for one in told.values())}"
    )

    assert {name: "done" if sha256 else "skipped" for name, sha256 in wanted.items()} == {
        name: one["state"] for name, one in told.items()
    }
    assert sorted(wanted) == sorted(row["name"].decode() for row in rows(root))
    for name, sha256 in wanted.items():
        made = root / "outbox" / "mix" / name / "merged.wav"
        assert sha256 == (hashlib.sha256(sound_of(made)).hexdigest() if made.exists() else "")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hours_of_chunks_are_joined_to_the_frame(tmp_path):
    """720 chunks, ten of them bad; the daemon is killed in the middle and starts again."""
    root, began_s = tmp_path / "spool", time.monotonic()
    staged, expected, frames = root / "staged" / "Talk", hashlib.sha256(), 0
    staged.mkdir(parents=True)
    for number in range(720):
        path = staged / f"rec_{number}.wav"
        if number % 72 == 5:
            path.write_bytes((b"", b"no sound at all", b"RIFF\0\0\1\0WAVEfmt ")[number % 3])
            continue
        rng = np.random.default_rng(number)
        sound = rng.integers(-9_000, 9_000, 10 * RATE_HZ, dtype=np.int16)
        soundfile.write(path, sound, RATE_HZ)
        expected.update(sound.tobytes())
        frames += len(sound)
    (staged / ".done").touch()
    made = root / "outbox" / "mix" / "Talk" / "merged.wav"
    with merging(root) as daemon:
        daemon.start()
        staged.rename(root / "inbox" / "mix" / "Talk")
        until(lambda: [*root.glob("work/mix/*/out.*/merged.wav")], "it writes", 600.0)
        daemon.kill()
        restarted_s = time.monotonic()
        daemon.start()
        until(made.exists, "it is published", 900.0)
        took_s = time.monotonic() - restarted_s
        until(daemon.at_rest, "it rests")
        assert 0 == daemon.stop()
    found, heard = hashlib.sha256(), 0
    for block in soundfile.blocks(made, RATE_HZ * 60, dtype="int16"):
        found.update(block.tobytes())
        heard += len(block)
    peak_mib = statuses(root)["Talk"]["attempts"][-1]["max_rss_mb"]
    print(  # noqa: T201 - the measurement is wanted
        f"2 h of chunks: {took_s:.0f} s after the kill, {7_200 / took_s:.0f} × real time,"
        f" {peak_mib} MB; {time.monotonic() - began_s:.0f} s in all"
    )

    assert (frames, expected.hexdigest()) == (heard, found.hexdigest())
    assert (710, 10) == tuple(
        statuses(root)["Talk"]["measurements"][key] for key in ("chunks", "skipped")
    )
