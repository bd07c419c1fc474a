-- The ledger of one account: what happened to every music task ever sent. Times are milliseconds since 1970, UTC.

CREATE TABLE account (
    api_url TEXT NOT NULL
) STRICT;

-- One line per run of the program. `ended` stays empty if it was killed.
CREATE TABLE run (
    run        INTEGER PRIMARY KEY,
    catalog    TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('run', 'follow')),
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    ended      TEXT
) STRICT;

-- One line per music task, holding its last submission and what came of its cover. Once a look or a download has
-- something to say, the submission moves into `attempt` and `sent_at` is empty.
CREATE TABLE task (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL,
    state         TEXT NOT NULL
                  CHECK (state IN ('pending', 'in_flight', 'in_doubt', 'submitted', 'exists', 'failed', 'gave_up',
                                   'completed', 'generation_failed')),
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
    answered_at   INTEGER,
    accepted_at   INTEGER, -- since when its cover is known
    due_at        INTEGER, -- when to look at its cover next, or to fetch an image; empty if there is nothing to follow
    follow_run    INTEGER, -- the run that waits for its cover
    wants_files   INTEGER NOT NULL DEFAULT 0, -- whether it is completed only once its images are on disk
    looked_at     INTEGER, -- the last look or download
    hinted_at     INTEGER, -- the last hint that there are news
    looks         INTEGER NOT NULL DEFAULT 0,
    troubles      INTEGER NOT NULL DEFAULT 0, -- looks or downloads since the last one that went well
    image_1       TEXT,
    image_2       TEXT,
    completed_at  INTEGER,
    generated_in  INTEGER, -- milliseconds, by the clock of the service
    file_1        TEXT,
    file_2        TEXT,
    fallback      TEXT,    -- the copy of the default cover that stands in for it
    key           INTEGER NOT NULL -- the first four bytes of the SHA-256 of the id, by which it is found
) STRICT;

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

-- The last looks at covers, by whichever process: they share one pace.
CREATE TABLE look (
    seq INTEGER PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT;
