import shutil
import sqlite3

import pytest

from daemon.config.models import Budgets, Retention
from daemon.errors import BadConfig, Unavailable
from daemon.jobs import database
from daemon.jobs.job import Ending, Job, Outcome, OutputFile, State, Tally
from daemon.jobs.store import open_store
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, MASTER, bad, new_job

DAY_S = 86_400


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.sqlite3"


@pytest.fixture
def store(path, clock):
    opened = open_store(path, clock)
    yield opened
    opened.close()


def run(store, job_id, ending=DONE):
    """Begin an attempt at the job and end it."""
    claim = store.claim()
    assert job_id == claim.job.id
    return store.finish(job_id, claim.attempt, ending)


def publish(store, job_id):
    """Bring a new job through its whole life."""
    store.adopt(new_job(job_id))
    run(store, job_id)
    store.mark_published(job_id, drop_at=f"archive/mix/{job_id}")


# a job begins


def test_adopt_is_read_back_as_it_was(store):
    """What was admitted is what the row says."""
    new = new_job(
        lane="rush",
        first_seen_ms=999_000,
        options={"preset": "podcast", "roles": {"a.wav": ["lead", 1]}},
        inputs=[{"path": "a.wav", "bytes": 4}],
        warnings=[{"code": "POSSIBLE_SPLIT_DROP", "message": "came twice"}],
    )
    store.adopt(new)

    job = store.get(new.id)
    assert vars(new).items() <= vars(job).items()
    assert (State.QUEUED, 0, "work") == (job.state, job.attempts, job.drop_at)


def test_adopt_keeps_names_that_are_no_text(store):
    """A drop's name may hold any bytes; it is found by them."""
    store.adopt(new_job(name="Gr\udcfcn \U0001f3b5"))

    assert ["Gr\udcfcn \U0001f3b5"] == [
        job.name for job in store.named("mix", "Gr\udcfcn \U0001f3b5")
    ]


def test_adopt_refuses_options_that_are_no_data(store):
    """What JSON cannot say is an error, not a guess."""
    with pytest.raises(ValueError, match="Out of range float"):
        store.adopt(new_job(options={"gain_db": float("nan")}))


def test_adopt_changes_nothing_of_a_known_job(store):
    """Start-up may adopt what it finds without asking what is known."""
    store.adopt(new_job())
    run(store, new_job().id, bad(Outcome.TIMED_OUT))

    assert [False, True] == [store.adopt(new_job()), store.adopt(new_job("another"))]
    assert 1 == store.get(new_job().id).attempts


def test_named_returns_the_newest_first(store):
    """All jobs of one name in one inbox."""
    store.adopt(new_job("older"))
    store.adopt(new_job("newer", created_ms=0))
    store.adopt(new_job("elsewhere", inbox="podcast"))

    assert ["newer", "older"] == [job.id for job in store.named("mix", "Song")]


# attempts


def test_claim_takes_the_smallest_order_key(store):
    """Lanes allow for 0, 15 and 60 minutes; within a lane the oldest goes first."""
    minute_ms = 60_000
    store.adopt(new_job("bulk", lane="bulk", created_ms=0))
    store.adopt(new_job("normal", created_ms=44 * minute_ms))
    store.adopt(new_job("later", created_ms=46 * minute_ms))
    store.adopt(new_job("rush", lane="rush", created_ms=58 * minute_ms))

    order = [store.claim().job.id for _ in range(4)]
    assert ["rush", "normal", "bulk", "later"] == order


def test_claim_leaves_closed_inboxes_alone(store):
    """Their jobs stay queued; others pass them."""
    store.adopt(new_job("a", inbox="mix"))
    store.adopt(new_job("b", inbox="podcast"))

    assert "b" == store.claim({"podcast"}).job.id
    assert store.claim({"podcast"}) is None


def test_claim_commits_the_attempt_before_it_returns(store, path, clock, tmp_path):
    """A poison drop cannot be tried for ever: a crash right after the claim has counted it."""
    store.adopt(new_job())
    claim = store.claim()

    found = _after_power_cut(path, tmp_path / "later", clock)
    assert (State.RUNNING, 1) == (found.get(claim.job.id).state, found.get(claim.job.id).attempts)
    assert [1] == [attempt.number for attempt in found.attempts(claim.job.id)]
    found.close()


def test_claim_waits_until_a_retry_is_due(store, clock):
    """The wait is a time in the row; nobody sleeps."""
    store.adopt(new_job())
    run(store, new_job().id, bad(Outcome.UNAVAILABLE))

    due_s = (store.next_due_ms() - clock.wall_ms()) / 1000
    assert 15.0 <= due_s < 30.0
    assert store.claim() is None
    clock.advance(due_s)
    assert 2 == store.claim().attempt


def test_next_due_ignores_closed_inboxes(store):
    """Nothing is due in an inbox that rests."""
    store.adopt(new_job())

    assert (0, None) == (store.next_due_ms(), store.next_due_ms(["podcast"]))


def test_finish_records_outputs_in_the_same_instant(store):
    """Done means that names, sizes and hashes are known."""
    report = OutputFile("report.json", "report", 20, "0" * 64)
    store.adopt(new_job())
    run(
        store,
        new_job().id,
        Ending(Outcome.DONE, outputs=(MASTER, report), result={"measurements": {"plr_db": 9.5}}),
    )

    job = store.get(new_job().id)
    assert [MASTER, report] == store.outputs(job.id)
    assert (State.DONE, {"measurements": {"plr_db": 9.5}}) == (job.state, job.result)


def test_finish_records_how_the_process_ended(store, clock):
    """History tells of each attempt, when it was, and how it ended."""
    store.adopt(new_job())
    clock.advance(1)
    begun_ms = clock.wall_ms()
    claim = store.claim()
    clock.advance(5)
    error = {"code": "CRASHED", "message": "SIGSEGV"}
    ending = Ending(Outcome.CRASHED, error, signal=11, max_rss_mb=310.5)
    store.finish(claim.job.id, claim.attempt, ending)

    (attempt,) = store.attempts(claim.job.id)
    assert (begun_ms, begun_ms + 5_000) == (attempt.started_ms, attempt.ended_ms)
    assert (Outcome.CRASHED, 11, 310.5) == (attempt.outcome, attempt.signal, attempt.max_rss_mb)
    assert error == attempt.error == store.get(claim.job.id).error


def test_finish_ignores_a_late_report(store):
    """The report of an attempt that was given up changes nothing, whatever it says."""
    store.adopt(new_job())
    first = store.claim()
    store.interrupt_running()
    second = store.claim()

    assert store.finish(first.job.id, first.attempt, DONE) is None
    assert (State.RUNNING, 2) == (store.get(first.job.id).state, second.attempt)


@pytest.mark.parametrize(
    "ending",
    [
        Ending(Outcome.DONE),
        Ending(Outcome.BAD_INPUT),
        Ending(Outcome.DONE, outputs=(MASTER, MASTER)),
    ],
)
def test_finish_refuses_an_ending_that_says_too_little(store, ending):
    """Done without an output, failed without a reason, one output twice: nothing is recorded."""
    store.adopt(new_job())
    claim = store.claim()

    with pytest.raises(sqlite3.IntegrityError):
        store.finish(claim.job.id, claim.attempt, ending)
    assert State.RUNNING is store.get(claim.job.id).state


def test_finish_clears_the_error_of_an_earlier_attempt(store, clock):
    """A job that is done has no error; its first attempt still tells of one."""
    store.adopt(new_job())
    run(store, new_job().id, bad(Outcome.UNAVAILABLE, "DISK_FULL"))
    clock.advance(60)
    run(store, new_job().id)

    assert store.get(new_job().id).error is None
    assert "DISK_FULL" == store.attempts(new_job().id)[0].error["code"]


def test_interrupt_running_puts_jobs_back_at_once(store):
    """Start-up finds no worker at them; they are due, and have paid nothing."""
    store.adopt(new_job())
    store.claim()

    (job,) = store.interrupt_running()
    assert (State.QUEUED, Tally()) == (job.state, job.tally)
    assert 2 == store.claim().attempt


def test_job_that_the_daemon_dies_of_pays_and_its_neighbour_does_not(store, clock):
    """Five deaths set the culprit aside; what ran beside it goes on as if nothing had been."""
    store.adopt(new_job("culprit"))
    store.adopt(new_job("neighbour"))
    for _ in range(5):
        clock.advance(3600.0)
        assert {"culprit", "neighbour"} == {store.claim().job.id for _ in range(2)}
        store.interrupt_running("culprit")

    culprit, neighbour = store.get("culprit"), store.get("neighbour")
    assert (State.FAILED, "DAEMON_DIED") == (culprit.state, culprit.error["code"])
    assert (State.QUEUED, Tally()) == (neighbour.state, neighbour.tally)


def test_job_that_the_daemon_dies_of_before_its_attempt_is_set_aside(store):
    """It need not run to be the last thing that a daemon handled."""
    store.adopt(new_job())
    for _ in range(5):
        store.interrupt_running(new_job().id)

    assert State.FAILED is store.get(new_job().id).state


@pytest.mark.parametrize("ended", [False, True], ids=["running", "done"])
def test_fail_ends_a_job_in_whichever_state_it_is(store, ended):
    """What cannot be handled fails, and is counted once."""
    store.adopt(new_job())
    claim = store.claim()
    if ended:
        store.finish(claim.job.id, claim.attempt, DONE)

    assert store.fail(claim.job.id, {"code": "INTERNAL"})
    assert (State.FAILED, []) == (store.get(claim.job.id).state, store.outputs(claim.job.id))
    assert {State.FAILED: 1} == {s: n for (_, s), n in store.totals().items() if n}


def test_budgets_are_those_of_the_configuration(path, clock):
    """The operator's budget decides."""
    store = open_store(path, clock, Budgets(crashes=1))
    store.adopt(new_job())

    assert State.FAILED is run(store, new_job().id, bad(Outcome.CRASHED)).state
    store.close()


def test_cancel_ends_what_waits(store):
    """A queued job is over at once."""
    store.adopt(new_job())

    assert store.cancel(new_job().id)
    assert (State.CANCELLED, [new_job().id]) == (
        store.get(new_job().id).state,
        [job.id for job in store.unpublished()],
    )


def test_cancel_leaves_what_runs_to_its_killer(store):
    """A running job ends by its outcome; a final or unknown one cannot be cancelled."""
    store.adopt(new_job())
    claim = store.claim()

    assert not store.cancel(claim.job.id)
    assert State.CANCELLED is store.finish(claim.job.id, 1, Ending(Outcome.CANCELLED)).state
    assert not store.cancel(claim.job.id)
    assert not store.cancel("unknown")


def test_refused_drop_fails_without_an_attempt(store):
    """What was found wanting at the door has a row, a reason and no history."""
    error = {"code": "INPUT_TRUNCATED", "message": "half of it"}

    assert store.adopt(new_job(), refusal=error)
    job = store.get(new_job().id)
    assert (State.FAILED, error, 0) == (job.state, job.error, job.attempts)


def test_drop_that_is_not_wanted_any_more_is_cancelled_as_it_comes(store):
    """It is never queued, not even for an instant that a crash could stretch."""
    assert store.adopt(new_job(), cancelled=True)
    assert State.CANCELLED is store.get(new_job().id).state


def test_claim_minds_no_clock_that_was_set_back(store, clock):
    """A job that would wait for a day, because the clock lost one, is due."""
    store.adopt(new_job())
    store.postpone(new_job().id, clock.wall_ms() + 86_400_000)

    assert store.claim() is not None


def test_postpone_moves_when_a_queued_job_is_due(store, clock):
    """Somebody has to find out something first; 0 makes it due at once."""
    store.adopt(new_job())
    store.postpone(new_job().id, clock.wall_ms() + 1)

    assert store.claim() is None
    store.postpone(new_job().id, 0)
    assert 1 == store.claim().attempt


# a job ends


def test_unpublished_lists_every_final_job_until_it_is_published(store):
    """Start-up repeats the last steps of these, the oldest first."""
    for job_id, ending in [("done", DONE), ("bad", bad(Outcome.BAD_INPUT))]:
        store.adopt(new_job(job_id))
        run(store, job_id, ending)
    assert ["done", "bad"] == [job.id for job in store.unpublished()]

    store.mark_published("done", drop_at="archive/mix/2026-11/Song")
    assert ["bad"] == [job.id for job in store.unpublished()]


def test_mark_published_keeps_the_first_time_and_place(store, clock):
    """Publishing may be repeated after a crash; the repetition says nothing new."""
    publish(store, "j")
    published_ms = clock.wall_ms()
    clock.advance(5)
    store.mark_published("j", drop_at="")

    job = store.get("j")
    assert (published_ms, "archive/mix/j") == (job.published_ms, job.drop_at)


def test_mark_published_ignores_what_is_not_final(store):
    """A job that runs cannot be published."""
    store.adopt(new_job())
    store.claim()
    store.mark_published(new_job().id, drop_at="archive/x")

    assert "work" == store.get(new_job().id).drop_at


def test_relabel_is_possible_until_it_is_published(store):
    """The label is free to change while nothing stands under it."""
    publish(store, "j")
    store.relabel("j", "Song (2)")
    store.adopt(new_job())
    store.relabel(new_job().id, "Song (3)")

    assert ["Song", "Song (3)"] == [store.get(j).label for j in ("j", new_job().id)]


def test_twin_is_the_newest_published_job_with_outputs_of_its_own(store):
    """A duplicate shares the result of an original, never that of another duplicate."""
    for job_id in ("first", "second"):
        publish(store, job_id)
        store.note_content(job_id, "key")
    store.adopt(new_job("third"))
    store.note_content("third", "key")

    assert "second" == store.twin("key").id
    assert store.finish_as_duplicate("third", "second")
    store.mark_published("third", drop_at="archive/x")
    third = store.get("third")
    assert (State.DONE, "second", 0) == (third.state, third.duplicate_of, third.attempts)
    assert "second" == store.twin("key").id
    assert store.twin("another") is None


def test_finish_as_duplicate_needs_a_queued_job(store):
    """What runs ends by its outcome."""
    store.adopt(new_job())
    store.claim()

    assert not store.finish_as_duplicate(new_job().id, "any")


@pytest.mark.parametrize(("prefix", "known"), [("123:", True), ("12:", False), ("1234:", False)])
def test_knows_content_by_the_beginning_of_its_key(store, prefix, known):
    """The size in front of the key tells most contents apart without hashing anything."""
    publish(store, "j")
    store.note_content("j", "123:" + "5a" * 32)

    assert known == store.knows_content(prefix)


# history


def test_prune_forgets_by_age_and_keeps_totals(store, clock):
    """Old jobs go with their attempts and outputs; what they add up to stays."""
    publish(store, "old")
    clock.advance(91 * DAY_S)
    publish(store, "new")

    assert 1 == store.prune(Retention(history_days=90))
    assert (None, [], []) == (store.get("old"), store.attempts("old"), store.outputs("old"))
    assert {("mix", State.DONE): 2} == store.totals()


def test_prune_forgets_the_oldest_beyond_the_count(store, clock):
    """At most as many as the operator wants to keep."""
    for number in range(5):
        publish(store, f"j{number}")
        clock.advance(1)

    assert 3 == store.prune(Retention(history_jobs=2))
    assert ["j3", "j4"] == [job.id for job in store.jobs(State.DONE)]


def test_prune_spares_what_is_not_published(store, clock):
    """A row that still has something to do is no history, however old."""
    store.adopt(new_job("waits"))
    store.adopt(new_job("ended", created_ms=0))
    run(store, "ended")
    clock.advance(400 * DAY_S)

    assert 0 == store.prune(Retention(history_days=1, history_jobs=1))


def test_depths_tell_what_waits_and_runs_in_each_lane(store):
    """With the age of the oldest; history is not counted."""
    publish(store, "history")
    store.adopt(new_job("a", lane="rush", created_ms=5))
    store.claim()
    store.adopt(new_job("b", created_ms=7))
    store.adopt(new_job("c", created_ms=6))

    assert {(State.QUEUED, "normal", 2, 6), (State.RUNNING, "rush", 1, 5)} == set(store.depths())


def test_jobs_lists_queued_ones_as_they_will_be_claimed(store):
    """The list is the queue: a place in it is the position a status tells."""
    store.adopt(new_job("second", created_ms=2))
    store.adopt(new_job("first", created_ms=1))
    store.adopt(new_job("third", created_ms=0, lane="bulk"))

    queued = [job.id for job in store.jobs(State.QUEUED)]
    assert queued == [store.claim().job.id for _ in range(3)] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (lambda store: store.claim(["x", "mix"]), "queued_by_inbox"),
        (lambda store: store.next_due_ms(["mix"]), "queued_by_inbox"),
        (lambda store: store.part_counts(Job(**vars(new_job()))), "part_by_state"),
        (lambda store: store.at_work("mix"), "job_in_rounds"),
        (lambda store: store.jobs(State.RUNNING), "running_job"),
        (lambda store: store.unpublished(), "unpublished_job"),
        (lambda store: store.twin("key"), "result_by_content"),
        (lambda store: store.knows_content("123:"), "result_by_content"),
        (lambda store: store.prune(Retention()), "published_by_time"),
        (lambda store: store.named("mix", "Song"), "job_by_name"),
    ],
)
def test_queries_use_their_index(store, question, index):
    """No question scans the table of jobs, however long the history."""
    asked = []
    store._db.set_trace_callback(asked.append)
    question(store)
    store._db.set_trace_callback(None)

    plans = [
        row["detail"]
        for query in asked
        if query.strip().startswith(("SELECT", "DELETE"))
        for row in store._db.execute(f"EXPLAIN QUERY PLAN {query}")
    ]
    assert any(index in plan for plan in plans), plans
    assert not [plan for plan in plans if plan.startswith("SCAN job") and "INDEX" not in plan]


# what a row refuses


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("state = 'sleeping'", "a job is in one of six states"),
        ("lane = 'fast'", "a job goes in one of three lanes"),
        ("finished_ms = 1", "a job has a finishing time when it is final and only then"),
        ("drop_at = 'archive/x'", "a row that is not final has its drop"),
        ("state = 'done', finished_ms = 1", "a done row, so a published one, has its outputs"),
        ("published_ms = 1", "only what is final is published"),
        (
            "state = 'skipped', finished_ms = 1, published_ms = 1",
            "a published row has moved its drop",
        ),
        ("state = 'failed', finished_ms = 1", "a failed job says why"),
        ("outputs = 1", "only what is done has outputs"),
        ("duplicate_of = 'x'", "only what is done is a duplicate"),
        ("state = 'running'", "a running job has an attempt"),
        ("crashes = -1", "counts do not go below zero"),
        ("options = '{'", "documents are JSON"),
    ],
)
def test_rows_refuse_what_must_never_be(store, change, sentence):
    """The constraint that is hurt says so in its own words."""
    store.adopt(new_job())

    with pytest.raises(sqlite3.IntegrityError, match=sentence):
        store._db.execute(f"UPDATE job SET {change}")


# the file


def _after_power_cut(path, folder, clock, **how):
    """Open what the disk would hold if the power went now."""
    folder.mkdir()
    for part in path.parent.glob(f"{path.name}*"):
        shutil.copy(part, folder)
    return open_store(folder / path.name, clock, **how)


def test_open_finds_what_was_there(path, clock):
    """A clean stop and a start change nothing."""
    store = open_store(path, clock)
    publish(store, "j")
    before = store.get("j")
    store.close()
    store = open_store(path, clock)

    assert before == store.get("j")
    assert store.moved_aside is None
    store.close()


def test_close_leaves_one_file(store, path):
    """After a clean stop the database can be copied as it lies."""
    store.adopt(new_job())
    store.close()

    assert [path.name] == [file.name for file in path.parent.iterdir()]


def test_open_moves_a_damaged_file_aside(path, clock):
    """The queue starts empty and says where its predecessor lies; nothing is deleted."""
    damaged = b"not a database, though as long as a page" * 200
    path.write_bytes(damaged)
    found = open_store(path, clock)

    assert [] == found.jobs(State.QUEUED)
    assert path.parent / "corrupt-2026-11-20T214501.000Z" == found.moved_aside
    assert damaged == (found.moved_aside / path.name).read_bytes()
    found.close()


def test_move_aside_takes_a_database_and_its_log_together(path):
    """Either without the other is worth less; copies of older forms stay."""
    for suffix in ("", "-wal", ".form-1"):
        path.with_name(f"{path.name}{suffix}").touch()
    folder = database.move_aside(path, "now")

    assert {path.name, f"{path.name}-wal"} == {file.name for file in folder.iterdir()}
    assert path.with_name(f"{path.name}.form-1").exists()


def test_open_recovers_what_is_in_the_log_only(store, path, clock, tmp_path):
    """What was committed is in the log until a checkpoint: the two belong together."""
    store.adopt(new_job())
    found = _after_power_cut(path, tmp_path / "later", clock)

    assert path.stat().st_size < path.with_name(f"{path.name}-wal").stat().st_size
    assert [new_job().id] == [job.id for job in found.jobs(State.QUEUED)]
    found.close()


def test_open_checks_after_an_unclean_stop(path, clock):
    """A page that was overwritten in the middle of the file is found before work begins."""
    store = open_store(path, clock)
    for number in range(200):
        store.adopt(new_job(f"j{number}", name="x" * 200))
    store.close(clean=False)
    damaged = bytearray(path.read_bytes())
    damaged[20 * 4096 : 24 * 4096] = b"\xa5" * 4 * 4096
    path.write_bytes(damaged)
    found = open_store(path, clock)

    assert found.moved_aside is not None
    found.close()


@pytest.mark.usefixtures("store")
def test_open_refuses_a_second_daemon(path, clock):
    """One process has the queue; SQLite itself turns the next one away."""
    with pytest.raises(Unavailable, match="SPOOL_IN_USE"):
        open_store(path, clock)


def test_open_says_when_the_disk_is_not_there(tmp_path, clock):
    """A folder that is not mounted is the surroundings' fault."""
    with pytest.raises(Unavailable, match="DISK_TROUBLE"):
        open_store(tmp_path / "unmounted" / "queue.sqlite3", clock)


def test_open_refuses_the_database_of_another_program(path, clock):
    """It is neither changed nor moved."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE song (title)")
    other.close()

    with pytest.raises(BadConfig, match="another program"):
        open_store(path, clock)
    assert path.exists()


def test_open_refuses_a_newer_form(store, path, clock):
    """A downgrade is refused in words, and nothing is lost."""
    store._db.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(BadConfig, match="form 99"):
        open_store(path, clock)


def test_open_refuses_an_old_sqlite():
    """STRICT tables came with 3.37."""
    with pytest.raises(BadConfig, match=r"version 3\.37\.0 is needed, Python has 3\.34\.1"):
        database.refuse_old_sqlite((3, 34, 1))


FORM = len(list(database.MIGRATIONS.glob("*.sql")))


@pytest.fixture
def migrations(tmp_path):
    """A folder of migrations in which a test may write a next one."""
    folder = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, folder)
    return folder


def test_migration_keeps_rows_and_a_copy_of_the_old_form(store, path, clock, migrations):
    """A newer daemon changes the tables, and the way back stays open."""
    store.adopt(new_job())
    store.close()
    (migrations / f"{FORM + 1:04}_mood.sql").write_text("ALTER TABLE job ADD COLUMN mood TEXT;")
    newer = open_store(path, clock, migrations=migrations)

    assert new_job().id == newer.claim().job.id
    newer.close()
    with pytest.raises(BadConfig, match=f"form {FORM + 1}"):
        open_store(path, clock)
    older = open_store(path.with_name(f"queue.sqlite3.form-{FORM}"), clock)
    assert State.QUEUED is older.get(new_job().id).state
    older.close()


def test_queue_of_the_first_form_is_served(path, clock, migrations):
    """Its jobs list no hashes; all else is as it was."""
    later = {step: step.read_text() for step in migrations.glob("*.sql")}
    del later[migrations / "0001_jobs.sql"]
    for step in later:
        step.unlink()
    older = open_store(path, clock, migrations=migrations)
    older._db.execute(
        "INSERT INTO job (id, inbox, name, label, handler, lane, created_ms, order_key_ms, options,"
        " inputs, warnings) VALUES ('a', 'mix', x'61', 'a', 'h', 'normal', 1, 1, '{}', '[]', '[]')"
    )
    older.close()
    for step, text in later.items():
        step.write_text(text)
    newer = open_store(path, clock, migrations=migrations)

    assert ("a", {}) == (newer.claim().job.name, newer.get("a").sha256)
    newer.close()


def test_migration_that_fails_changes_nothing(store, path, clock, migrations):
    """Its statements and its number are one transaction."""
    store.close()
    bad_step = migrations / f"{FORM + 1:04}_bad.sql"
    bad_step.write_text("ALTER TABLE job ADD COLUMN mood TEXT; SELECT nonsense;")
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        open_store(path, clock, migrations=migrations)
    found = open_store(path, clock)

    assert "mood" not in found._db.execute("SELECT * FROM job").description
    found.close()


def test_migrations_have_no_gap(path, clock, migrations):
    """A number that is missing is a release that went wrong."""
    (migrations / f"{FORM + 2:04}_late.sql").write_text("SELECT 1;")

    with pytest.raises(ValueError, match=rf" {FORM}, {FORM + 2}\]"):
        open_store(path, clock, migrations=migrations)


def test_full_disk_changes_nothing_and_passes(store):
    """No room: the caller hears so, the row is as it was, and later it works."""
    store.adopt(new_job())
    claim = store.claim()
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    large = Ending(Outcome.DONE, outputs=(MASTER,), result={"notes": "x" * 100_000})
    with pytest.raises(Unavailable, match="DISK_FULL"):
        store.finish(claim.job.id, claim.attempt, large)
    assert (State.RUNNING, []) == (store.get(claim.job.id).state, store.outputs(claim.job.id))
    store._db.execute("PRAGMA max_page_count = 1000000").fetchone()

    assert State.DONE is store.finish(claim.job.id, claim.attempt, large).state
