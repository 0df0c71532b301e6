-- A result that goes on into another inbox. The id of the job that it becomes is chosen once, before
-- anything is copied: whoever repeats it after a crash sees by that id how far it had come.

CREATE TABLE forward (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- they go in this order
    job TEXT NOT NULL UNIQUE REFERENCES job (id) ON DELETE CASCADE,
    inbox TEXT NOT NULL,                          -- where it goes
    as_job TEXT NOT NULL UNIQUE,
    name BLOB NOT NULL,                           -- of the drop
    files TEXT NOT NULL,                          -- of the result, by their paths
    settings TEXT NOT NULL,                       -- that the drop has
    done INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT "files and settings are JSON" CHECK (json_valid(files) AND json_valid(settings)),
    CONSTRAINT "it is done or not" CHECK (done IN (0, 1))
) STRICT;
CREATE INDEX due_forward ON forward (number) WHERE done = 0;
