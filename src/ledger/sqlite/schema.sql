-- The ledger of one account: what happened to every music task ever sent. Times are milliseconds since 1970, UTC.

CREATE TABLE account (
    api_url TEXT NOT NULL
) STRICT;

-- One row per run of the program. `ended` says how; of one that was killed it says so once the next run has begun, and
-- when that was nobody knows.
CREATE TABLE run (
    run        INTEGER PRIMARY KEY,
    catalog    TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('run', 'follow')),
    is_partial INTEGER NOT NULL DEFAULT 0, -- whether it took up some of its catalog's rows only
    results    TEXT,    -- the results file that it writes
    command    TEXT NOT NULL, -- the command line that goes on with it
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    lock       TEXT,    -- the name of the lock that it holds while it is alive
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    ended      TEXT,
    sent       INTEGER, -- what came of it, as `coverbatch status` tells: submissions,
    new_covers INTEGER, -- rows that have a cover and had none before,
    failed     INTEGER, -- rows that failed, in this run or before,
    exit_code  INTEGER
) STRICT;

-- One row per music task: its present state, what was said of it last, and what came of its cover.
CREATE TABLE task (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL
                  CHECK (state IN ('pending', 'in_flight', 'in_doubt', 'submitted', 'exists', 'failed', 'gave_up',
                                   'completed', 'generation_failed', 'ignored')),
    reason        TEXT,    -- while in flight: of the answer before, as the next four
    http_status   INTEGER,
    code          INTEGER,
    message       TEXT,
    answered_at   INTEGER,
    submissions   INTEGER NOT NULL,
    failed_runs   INTEGER NOT NULL DEFAULT 0,
    first_sent_at INTEGER,
    cover_id      TEXT,
    route         TEXT NOT NULL DEFAULT 'legacy' CHECK (route IN ('legacy', 'jobs')), -- by which its cover was asked for
    accepted_at   INTEGER, -- since when its cover is known
    due_at        INTEGER, -- when to poll its cover next, or to download an image; empty if there is nothing to follow
    waiter        INTEGER, -- the run that waits for its cover
    given_up_by   INTEGER, -- the last run that has waited for it in vain
    wants_files   INTEGER NOT NULL DEFAULT 0, -- whether it is completed only once its images are on disk
    claimed_at    INTEGER, -- the last claim for a poll or a download
    woken_at      INTEGER, -- the last hint that there are news
    polls         INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0, -- polls or downloads that failed since the last one that went well
    image_1       TEXT,
    image_2       TEXT,
    completed_at  INTEGER,
    generated_in  INTEGER, -- milliseconds, by the clock of the service
    credits       INTEGER, -- what its cover cost, in thousandths of a credit
    file_1        TEXT,
    width_1       INTEGER, -- in pixels, as the height
    height_1      INTEGER,
    bytes_1       INTEGER,
    file_2        TEXT,
    width_2       INTEGER,
    height_2      INTEGER,
    bytes_2       INTEGER,
    fallback      TEXT,    -- the copy of the default cover that stands in for it
    -- Its images were wanted, are not there by the last word of their host, and nobody follows them any more.
    is_forgotten  INTEGER AS (image_1 IS NOT NULL AND wants_files AND due_at IS NULL AND reason IS 'not_found')
) STRICT;

-- One row per submission. It is in flight while it has no reason, and its `paced_at` is the end of time. The number of one
-- that was taken back is not used again: who has seen it takes what has that number or a smaller one for something older.
CREATE TABLE attempt (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    task         INTEGER NOT NULL REFERENCES task (seq),
    run          INTEGER NOT NULL,
    state_before TEXT,    -- what to go back to if nothing was sent; empty if the claim made the task
    sent_at      INTEGER NOT NULL, -- when it was claimed, as long as it is not known when it was sent
    paced_at     INTEGER NOT NULL, -- from when the rate limit counts it
    answered_at  INTEGER,
    reason       TEXT,    -- 'interrupted' if its run died before there was an answer
    http_status  INTEGER,
    code         INTEGER,
    message      TEXT
) STRICT;

-- One row per decision of a person about a music task. None is ever deleted: one that is taken back says when.
CREATE TABLE decision (
    seq       INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,    -- of the music task
    kind      TEXT NOT NULL CHECK (kind IN ('ignore', 'retry', 'forget')),
    reason    TEXT NOT NULL,    -- in the words of that person; may be empty
    host      TEXT NOT NULL,    -- on which machine
    at        INTEGER NOT NULL,
    known     TEXT,             -- the row of the music task before, as a JSON object; empty if there was none
    undone_at INTEGER
) STRICT;

-- What the files of a music task are called by, if it is not its id.
CREATE TABLE file_name (
    id     TEXT PRIMARY KEY, -- of the music task
    words  TEXT NOT NULL,
    folded TEXT NOT NULL UNIQUE -- the same for all words that some file system takes for the same
) STRICT;

-- What all runs share of the pace: one row.
CREATE TABLE pace (
    next_at      INTEGER NOT NULL, -- the theoretical arrival time of the next submission, in nanoseconds since 1970
    paused_until INTEGER,          -- nothing is sent before; empty if nothing pauses everyone
    refusal      TEXT,             -- why, as the next two
    reason       TEXT,
    refusals     INTEGER NOT NULL DEFAULT 0, -- in a row, each after a pause of its own
    probe        INTEGER,          -- the last submission that was made to find out whether the service answers again
    share        REAL NOT NULL DEFAULT 1,    -- of the rate is used, as long as the service allows less
    share_since  INTEGER NOT NULL DEFAULT 0  -- from when each clean window lets it rise
) STRICT;
INSERT INTO pace (next_at) VALUES (0);

-- The last reads of records, by whichever process: they share one pace.
CREATE TABLE read_log (
    seq INTEGER PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT;

-- Polls and downloads apart: however many of one kind are due, the others are found at once.
CREATE INDEX task_due_poll ON task (due_at) WHERE due_at IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_due_download ON task (due_at) WHERE due_at IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_awaited_poll ON task (waiter, due_at) WHERE waiter IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_awaited_download ON task (waiter, due_at) WHERE waiter IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_generated ON task (completed_at) WHERE generated_in IS NOT NULL;

CREATE INDEX attempt_task ON attempt (task);
CREATE INDEX attempt_paced_at ON attempt (paced_at);
CREATE INDEX attempt_interrupted ON attempt (run) WHERE reason = 'interrupted';

CREATE INDEX decision_id ON decision (id);
