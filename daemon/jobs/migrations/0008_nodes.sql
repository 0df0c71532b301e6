-- Which other machine worked on an attempt that has ended; empty: the daemon's own.

ALTER TABLE attempt ADD COLUMN node TEXT NOT NULL DEFAULT '';
