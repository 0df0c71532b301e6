-- When the daemon itself last dropped a scan into an inbox; the next one is due from there.

CREATE TABLE timer (
    inbox TEXT PRIMARY KEY,
    last_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
