-- A resource is something of which there is only so much for all jobs together: the gpus of the
-- machine, places at a speech server. How much there is, the configuration says; who has what of
-- it, these rows. They come with a claim and go with the end of its attempt.

CREATE TABLE holding (
    resource TEXT NOT NULL,
    member TEXT NOT NULL,                         -- of a list, by its name; of a number, counted from 1
    job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    CONSTRAINT "nothing is held twice" PRIMARY KEY (resource, member)
) STRICT, WITHOUT ROWID;

-- What waits stands in lines: of each inbox one of whole jobs, one of jobs whose parts have ended,
-- one of parts. The first of a line is found however many stand behind it.
DROP INDEX queued_by_order;
CREATE INDEX queued_by_inbox
    ON job (inbox, (parent IS NOT NULL), (round > 0), order_key_ms, number)
    WHERE state = 'queued' AND split = 0;

-- How many parts of a round are in each state is asked at each beat and after each part.
CREATE INDEX part_by_state ON job (parent, round, state, part, weight) WHERE parent IS NOT NULL;
