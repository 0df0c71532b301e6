-- A job may split: it then waits, queued, until every part of its round has ended, and is claimed
-- again. Parts are jobs of their own that read their parent's drop and own none: a part whose row
-- is lost is made again by the parent's plan.

ALTER TABLE job ADD COLUMN parent TEXT REFERENCES job (id) ON DELETE CASCADE;
ALTER TABLE job ADD COLUMN round INTEGER NOT NULL DEFAULT 0  -- how often it has split; a part: when it was made
    CONSTRAINT "rounds are counted from nought" CHECK (round >= 0);
ALTER TABLE job ADD COLUMN part INTEGER                      -- its place in its round
    CONSTRAINT "a part has a parent, a round and a place"
        CHECK ((part IS NULL) = (parent IS NULL) AND (parent IS NULL OR round > 0));
ALTER TABLE job ADD COLUMN split INTEGER NOT NULL DEFAULT 0  -- 1: queued, but waits for its parts
    CONSTRAINT "only a queued job waits for its parts, and a part has none"
        CHECK (split IN (0, 1) AND (split = 0 OR (state = 'queued' AND parent IS NULL)));
ALTER TABLE job ADD COLUMN at_once INTEGER NOT NULL DEFAULT 0  -- parts of its round that may run; 0: any
    CONSTRAINT "at_once is a count" CHECK (at_once >= 0);
ALTER TABLE job ADD COLUMN weight REAL NOT NULL DEFAULT 1;   -- a part: its share in the progress
ALTER TABLE job ADD COLUMN reads TEXT NOT NULL DEFAULT '[]'  -- a part: what it may read, '[]': all
    CONSTRAINT "paths are JSON" CHECK (json_valid(reads));
ALTER TABLE job ADD COLUMN stopping TEXT                     -- how it ends when its running parts have
    CONSTRAINT "a job is stopped as cancelled or failed" CHECK (stopping IN ('cancelled', 'failed'));
ALTER TABLE job ADD COLUMN stop_at_failure INTEGER NOT NULL DEFAULT 0;

DROP INDEX queued_by_order;
CREATE INDEX queued_by_order ON job (order_key_ms, number) WHERE state = 'queued' AND split = 0;
CREATE UNIQUE INDEX one_part_per_place ON job (parent, round, part) WHERE parent IS NOT NULL;
CREATE INDEX open_part ON job (parent) WHERE parent IS NOT NULL AND finished_ms IS NULL;
CREATE INDEX queued_whole ON job (order_key_ms, number) WHERE state = 'queued' AND parent IS NULL;
DROP INDEX published_by_time;
CREATE INDEX published_by_time ON job (published_ms) WHERE published_ms IS NOT NULL AND parent IS NULL;
