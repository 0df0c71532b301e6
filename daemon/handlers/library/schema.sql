-- CHECKs compare one by one: for IN with three values or more SQLite fills a table of its own, at
-- each row that is written, which is as dear as all the rest of it.
CREATE TABLE root (                  -- a folder that stays where it is
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,  -- as the inbox calls it
  path        BLOB NOT NULL,
  fs_type     TEXT NOT NULL,
  top_ino     INTEGER NOT NULL,
  fsid        TEXT NOT NULL,
  gen         INTEGER NOT NULL DEFAULT 0,  -- the last run that scanned all of it
  first_gen   INTEGER NOT NULL DEFAULT 0,  -- the first one that did
  inodes      INTEGER NOT NULL DEFAULT 1 CHECK (inodes IN (0, 1)),  -- whether they stay
  times       TEXT NOT NULL DEFAULT '' CHECK (times IN ('', 'fine', 'coarse'))
) STRICT;

CREATE TABLE folder (
  id          INTEGER PRIMARY KEY,
  root        INTEGER NOT NULL REFERENCES root,
  parent      INTEGER REFERENCES folder,
  path        BLOB NOT NULL,         -- below the root; of the root itself empty
  dev         INTEGER NOT NULL DEFAULT 0,
  mount       TEXT,                  -- what is mounted here, if something is
  found_gen   INTEGER NOT NULL,      -- the last run that found its name
  seen_gen    INTEGER NOT NULL,      -- the last run that listed it to the end: the cursor
  trouble     TEXT,                  -- why it could not be listed
  digest      BLOB,                  -- of its entries, when all its rows were as they are
  UNIQUE (root, path)
) STRICT;
CREATE INDEX folder_parent ON folder (parent);

CREATE TABLE content (               -- the bytes of a file, wherever they lie
  id          INTEGER PRIMARY KEY,
  size        INTEGER NOT NULL,
  quick       BLOB NOT NULL,
  sha256      BLOB                   -- once a file was read to its end
) STRICT;
CREATE INDEX content_quick ON content (quick, size);

CREATE TABLE meta (                  -- what is known of a content
  content     INTEGER PRIMARY KEY REFERENCES content,
  version     INTEGER NOT NULL,
  title       TEXT,
  artist      TEXT,
  album       TEXT,
  tags        TEXT,                  -- all of them, as a JSON object
  declared_s  REAL,                  -- by its header
  duration_s  REAL,                  -- of what could be decoded
  rate_hz     INTEGER,
  channels    INTEGER,
  integrated_lufs REAL,
  sample_peak_dbfs REAL,
  peaks       BLOB,                  -- 200 bytes: the greatest sample of each stretch
  follow      TEXT,                  -- what else was found, as a JSON object
  transcript  TEXT,                  -- what is said: engine, segments (start_s, end_s, text)
  trouble     TEXT                   -- why it could not be decoded
) STRICT;

CREATE TABLE file (
  id          INTEGER PRIMARY KEY,
  folder      INTEGER NOT NULL REFERENCES folder,
  name        BLOB NOT NULL,
  kind        TEXT NOT NULL CHECK (kind = 'audio' OR kind = 'other' OR kind = 'link'),
  size        INTEGER NOT NULL,
  mtime_ns    INTEGER NOT NULL,
  ctime_ns    INTEGER NOT NULL,      -- 0: so young that it is looked at again
  ino         INTEGER NOT NULL,
  links       INTEGER NOT NULL,      -- names of the inode
  quick       BLOB,                  -- of its first and its last 64 KiB
  sha256      BLOB,
  audio_md5   BLOB,                  -- of its sound alone
  content     INTEGER REFERENCES content,
  state       TEXT NOT NULL DEFAULT 'here'
    CHECK (state = 'here' OR state = 'missing' OR state = 'removed'),
  born_gen    INTEGER NOT NULL,      -- the run that saw it first
  last_gen    INTEGER,               -- of one that is not here: the last run that saw it
  missing_gen INTEGER,               -- the first one that did not
  missing_ms  INTEGER,
  due         TEXT
    CHECK (due = 'tags' OR due = 'decode' OR due = 'follow' OR due = 'transcript'),
  due_gen     INTEGER,
  verified_ms INTEGER,               -- when it was last read to its end
  UNIQUE (folder, name),
  CONSTRAINT what_is_not_here_says_since_when
    CHECK ((state = 'here') = (missing_gen IS NULL) AND (state = 'here') = (missing_ms IS NULL))
) STRICT;
CREATE INDEX file_due ON file (due, due_gen) WHERE due IS NOT NULL;
CREATE INDEX file_gone ON file (state) WHERE state <> 'here';
CREATE INDEX file_born ON file (born_gen);
CREATE INDEX file_content ON file (content) WHERE content IS NOT NULL;

CREATE TABLE run (
  id          INTEGER PRIMARY KEY,   -- the gen of everything else
  job         TEXT NOT NULL,         -- whose run it was last
  began_ms    INTEGER NOT NULL,
  ended_ms    INTEGER,
  scope       TEXT NOT NULL          -- what was asked for, as JSON
) STRICT;

CREATE TABLE change (
  id          INTEGER PRIMARY KEY,
  run         INTEGER NOT NULL REFERENCES run,
  kind        TEXT NOT NULL CHECK (kind IN ('added', 'changed', 'moved', 'missing', 'returned',
                                            'removed', 'damaged', 'merged')),
  file        INTEGER NOT NULL,
  "from"      BLOB,                  -- its path, the name of its root first
  "to"        BLOB
) STRICT;
CREATE INDEX change_run ON change (run);
