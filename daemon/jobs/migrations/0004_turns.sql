-- An inbox may have its jobs done one at a time; one that has split is at work until it ends.

CREATE INDEX job_in_rounds ON job (inbox) WHERE parent IS NULL AND round > 0 AND finished_ms IS NULL;
