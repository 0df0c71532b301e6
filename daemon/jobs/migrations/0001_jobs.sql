-- Times are milliseconds since 1970, UTC. Constraints are named like sentences: what must
-- never be, the row itself refuses.

CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of arrival; breaks ties
    id TEXT NOT NULL UNIQUE,                      -- names the folder in work/
    inbox TEXT NOT NULL,
    name BLOB NOT NULL,                           -- the drop's, in bytes: not every name is text
    label TEXT NOT NULL,                          -- of the status and of the result in the outbox
    handler TEXT NOT NULL,
    lane TEXT NOT NULL,
    first_seen_ms INTEGER,
    created_ms INTEGER NOT NULL,
    order_key_ms INTEGER NOT NULL,                -- created_ms and the lane's allowance
    options TEXT NOT NULL,                        -- the settings of the inbox and of the drop, merged
    inputs TEXT NOT NULL,                         -- what the status says about each file
    warnings TEXT NOT NULL,
    audio_s REAL NOT NULL DEFAULT 0,              -- in the drop; sets the deadline
    state TEXT NOT NULL DEFAULT 'queued',
    not_before_ms INTEGER NOT NULL DEFAULT 0,     -- when a queued job is due
    attempts INTEGER NOT NULL DEFAULT 0,          -- the last attempt's number; fences late reports
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    started_ms INTEGER,                           -- the first attempt
    finished_ms INTEGER,
    published_ms INTEGER,                         -- everything in its final place
    drop_at TEXT NOT NULL DEFAULT 'work',         -- 'work', a path below the root, '' when gone
    outputs INTEGER NOT NULL DEFAULT 0,           -- how many rows of output are its own
    error TEXT,                                   -- of the last attempt that ended badly
    result TEXT NOT NULL DEFAULT '{}',            -- measurements, notes, inputs
    content_key TEXT,                             -- content, settings and engine; finds duplicates
    duplicate_of TEXT,                            -- the job whose result this one shares

    CONSTRAINT "a job is in one of six states"
        CHECK (state IN ('queued', 'running', 'done', 'failed', 'skipped', 'cancelled')),
    CONSTRAINT "a job goes in one of three lanes"
        CHECK (lane IN ('rush', 'normal', 'bulk')),
    CONSTRAINT "a job has a finishing time when it is final and only then"
        CHECK ((state IN ('queued', 'running')) = (finished_ms IS NULL)),
    CONSTRAINT "a row that is not final has its drop"
        CHECK (finished_ms IS NOT NULL OR drop_at = 'work'),
    CONSTRAINT "a done row, so a published one, has its outputs or shares another's"
        CHECK (state <> 'done' OR outputs > 0 OR duplicate_of IS NOT NULL),
    CONSTRAINT "only what is final is published"
        CHECK (published_ms IS NULL OR finished_ms IS NOT NULL),
    CONSTRAINT "a published row has moved its drop"
        CHECK (published_ms IS NULL OR drop_at <> 'work'),
    CONSTRAINT "a failed job says why"
        CHECK (state <> 'failed' OR error IS NOT NULL),
    CONSTRAINT "only what is done has outputs"
        CHECK (outputs = 0 OR state = 'done'),
    CONSTRAINT "only what is done is a duplicate"
        CHECK (duplicate_of IS NULL OR state = 'done'),
    CONSTRAINT "a running job has an attempt"
        CHECK (state <> 'running' OR (attempts > 0 AND started_ms IS NOT NULL)),
    CONSTRAINT "counts do not go below zero"
        CHECK (min(attempts, failures, crashes, interruptions, outputs) >= 0),
    CONSTRAINT "documents are JSON"
        CHECK (json_valid(options) AND json_valid(inputs) AND json_valid(warnings)
               AND json_valid(result) AND (error IS NULL OR json_valid(error)))
) STRICT;

-- One partial index per live state: each is as small as what it lists, however long the
-- history. A query uses one only when it repeats the WHERE word for word.
CREATE INDEX queued_by_order ON job (order_key_ms, number) WHERE state = 'queued';
CREATE INDEX running_job ON job (number) WHERE state = 'running';
CREATE INDEX unpublished_job ON job (number)
    WHERE finished_ms IS NOT NULL AND published_ms IS NULL;
CREATE INDEX published_by_time ON job (published_ms) WHERE published_ms IS NOT NULL;
CREATE INDEX result_by_content ON job (content_key)
    WHERE content_key IS NOT NULL AND outputs > 0 AND published_ms IS NOT NULL;
CREATE INDEX job_by_name ON job (inbox, name);

CREATE TABLE attempt (
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    outcome TEXT,
    error TEXT,
    exit_code INTEGER,
    signal INTEGER,
    max_rss_mb REAL,
    PRIMARY KEY (job, number),
    CONSTRAINT "attempts are counted from one" CHECK (number >= 1),
    CONSTRAINT "an attempt has an outcome when it has ended and only then"
        CHECK ((ended_ms IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE output (
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,                       -- order in which the handler named them
    path TEXT NOT NULL,                           -- below the result's folder
    role TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    measurements TEXT NOT NULL,
    PRIMARY KEY (job, place),
    CONSTRAINT "an output is named once" UNIQUE (job, path),
    CONSTRAINT "a hash is 64 digits" CHECK (length(sha256) = 64),
    CONSTRAINT "measurements are JSON" CHECK (json_valid(measurements))
) STRICT, WITHOUT ROWID;

-- Lifetime totals: they outlive the rows that history forgets.
CREATE TABLE total (
    inbox TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (inbox, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE control (
    only_row INTEGER PRIMARY KEY CONSTRAINT "there is one row" CHECK (only_row = 1),
    stopped_cleanly INTEGER NOT NULL CHECK (stopped_cleanly IN (0, 1)),
    starts INTEGER NOT NULL                       -- of the daemon, in the life of the spool
) STRICT;
INSERT INTO control VALUES (1, 1, 0);
