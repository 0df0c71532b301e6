-- What a drop's settings say to the daemon is read once, when it is admitted.

ALTER TABLE job ADD COLUMN sha256 TEXT NOT NULL DEFAULT '{}'  -- of the files that job.yaml lists
    CONSTRAINT "hashes are JSON" CHECK (json_valid(sha256));
