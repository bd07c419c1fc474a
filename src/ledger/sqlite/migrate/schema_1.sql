-- The ledger of one account: what happened to every music task ever sent. Times are milliseconds since 1970, UTC.

CREATE TABLE account (
    api_url TEXT NOT NULL
) STRICT;

-- One line per run of the program. `ended` stays empty if it was killed.
CREATE TABLE run (
    run        INTEGER PRIMARY KEY,
    catalog    TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    ended      TEXT
) STRICT;

-- One line per music task, holding its last submission.
CREATE TABLE task (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL,
    state         TEXT NOT NULL
                  CHECK (state IN ('pending', 'in_flight', 'in_doubt', 'submitted', 'exists', 'failed', 'gave_up')),
    state_before  TEXT,    -- while in flight: what to go back to if nothing was sent
    reason        TEXT,
    http_status   INTEGER,
    code          INTEGER,
    message       TEXT,
    cover_id      TEXT,
    submissions   INTEGER NOT NULL,
    failed_runs   INTEGER NOT NULL DEFAULT 0,
    run           INTEGER,
    first_sent_at INTEGER,
    sent_at       INTEGER,
    answered_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX task_id ON task (id);
CREATE INDEX task_sent_at ON task (sent_at);
CREATE INDEX task_in_flight ON task (seq) WHERE state = 'in_flight';

-- The submissions before the last one of each music task.
CREATE TABLE attempt (
    seq         INTEGER PRIMARY KEY,
    task        INTEGER NOT NULL REFERENCES task (seq),
    run         INTEGER,
    sent_at     INTEGER NOT NULL,
    answered_at INTEGER,
    reason      TEXT,
    http_status INTEGER,
    code        INTEGER,
    message     TEXT
) STRICT;

CREATE INDEX attempt_task ON attempt (task);
CREATE INDEX attempt_sent_at ON attempt (sent_at);
