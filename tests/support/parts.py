"""What must hold of the rows of split jobs after every step: a query each."""

BROKEN = {
    "a split job has open parts": """
        SELECT id FROM job AS whole WHERE split = 1 AND NOT EXISTS (
            SELECT 1 FROM job WHERE parent = whole.id AND finished_ms IS NULL)""",
    "a final job has no open parts": """
        SELECT whole.id FROM job AS whole JOIN job AS part ON part.parent = whole.id
        WHERE whole.finished_ms IS NOT NULL AND part.finished_ms IS NULL""",
    "a job whose parts are open waits for them": """
        SELECT whole.id FROM job AS whole JOIN job AS part ON part.parent = whole.id
        WHERE part.finished_ms IS NULL AND whole.split = 0""",
    "open parts are of their job's round": """
        SELECT part.id FROM job AS whole JOIN job AS part ON part.parent = whole.id
        WHERE part.finished_ms IS NULL AND part.round <> whole.round""",
    "the parts of a job's last round are whole": """
        SELECT part.parent FROM job AS part JOIN job AS whole ON whole.id = part.parent
        WHERE part.round = whole.round GROUP BY part.parent
        HAVING count(*) <> max(part.part) + 1 OR min(part.part) <> 0""",
    "a part is never unpublished": """
        SELECT id FROM job
        WHERE parent IS NOT NULL AND (finished_ms IS NULL) <> (published_ms IS NULL)""",
    "no more run at once than are allowed": """
        SELECT parent FROM job WHERE parent IS NOT NULL AND state = 'running'
        GROUP BY parent HAVING count(*) > max(at_once) AND max(at_once) > 0""",
    "a job that is being stopped has no waiting part": """
        SELECT part.id FROM job AS whole JOIN job AS part ON part.parent = whole.id
        WHERE whole.stopping IS NOT NULL AND part.state = 'queued'""",
    "a part has no parts": """
        SELECT part.id FROM job AS part JOIN job AS whole ON whole.id = part.parent
        WHERE whole.parent IS NOT NULL""",
    "parts are in no total": """
        SELECT 'total' WHERE coalesce((SELECT sum(jobs) FROM total), 0)
        <> (SELECT count(*) FROM job WHERE parent IS NULL AND finished_ms IS NOT NULL)""",
}


def broken(connection):
    """Return the names of what does not hold, each with the first row that shows it."""
    found = {name: connection.execute(query).fetchone() for name, query in BROKEN.items()}
    return {name: tuple(row) for name, row in found.items() if row}
