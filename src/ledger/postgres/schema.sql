-- The ledgers of any number of accounts: what happened to every music task ever sent. Times are milliseconds since 1970,
-- UTC; those of the pace by the clock of the server, all others by the clock of whoever wrote them.
--
-- A role that only uses the tables needs USAGE of the schema, SELECT, INSERT, UPDATE and DELETE of its tables, and USAGE and
-- SELECT of its sequences.

CREATE SCHEMA IF NOT EXISTS coverbatch;

CREATE TABLE coverbatch.ledger (
    version integer NOT NULL
);
INSERT INTO coverbatch.ledger (version) VALUES (1);

-- One row per account, with what all its runs share of the pace. Whoever writes for an account locks its row.
CREATE TABLE coverbatch.account (
    account      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    api_url      text NOT NULL,
    next_at      bigint NOT NULL DEFAULT 0, -- the theoretical arrival time of the next submission, in nanoseconds since 1970
    paused_until bigint,                    -- nothing is sent before; empty if nothing pauses everyone
    refusal      text,                      -- why, as the next two
    reason       text,
    refusals     bigint NOT NULL DEFAULT 0, -- in a row, each after a pause of its own
    probe        bigint,                    -- the last submission that was made to find out whether the service answers again
    share        double precision NOT NULL DEFAULT 1, -- of the rate is used, as long as the service allows less
    share_since  bigint NOT NULL DEFAULT 0  -- from when each clean window lets it rise
) WITH (fillfactor = 50);

-- One row per run of the program, counted for each account. `ended` says how; of one that was killed it says so once
-- somebody has found out, and when that was nobody knows.
CREATE TABLE coverbatch.run (
    account    integer NOT NULL REFERENCES coverbatch.account,
    run        bigint NOT NULL,
    catalog    text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('run', 'follow')),
    is_partial boolean NOT NULL DEFAULT false, -- whether it took up some of its catalog's rows only
    results    text,   -- the results file that it writes
    command    text NOT NULL, -- the command line that goes on with it
    host       text NOT NULL,
    pid        bigint NOT NULL,
    lock       bigint, -- the advisory lock that it holds while it is alive
    locked_at  timestamptz NOT NULL DEFAULT clock_timestamp(), -- by the clock of the server, as only this is
    started_at bigint NOT NULL,
    ended_at   bigint,
    ended      text,
    sent       bigint, -- what came of it, as `coverbatch status` tells: submissions,
    new_covers bigint, -- rows that have a cover and had none before,
    failed     bigint, -- rows that failed, in this run or before,
    exit_code  bigint,
    PRIMARY KEY (account, run)
);
CREATE INDEX run_catalog ON coverbatch.run (account, catalog, run);
CREATE INDEX run_open ON coverbatch.run (account) WHERE ended IS NULL AND kind = 'run';

-- One row per music task: its present state, what was said of it last, and what came of its cover. It is written twice for each
-- submission, and its words are checked by whoever reads them: to check them here as well takes a twentieth of a row's time.
CREATE TABLE coverbatch.task (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       integer NOT NULL,
    id            text COLLATE "C" NOT NULL,
    state         text NOT NULL,
    reason        text,   -- while in flight: of the answer before, as the next four
    http_status   bigint,
    code          bigint,
    message       text,
    answered_at   bigint,
    submissions   bigint NOT NULL,
    failed_runs   bigint NOT NULL DEFAULT 0,
    first_sent_at bigint,
    cover_id      text,
    route         text NOT NULL DEFAULT 'legacy', -- by which its cover was asked for
    accepted_at   bigint, -- since when its cover is known
    due_at        bigint, -- when to poll its cover next, or to download an image; empty if there is nothing to follow
    waiter        bigint, -- the run that waits for its cover
    given_up_by   bigint, -- the last run that has waited for it in vain
    wants_files   boolean NOT NULL DEFAULT false, -- whether it is completed only once its images are on disk
    claimed_at    bigint, -- the last claim for a poll or a download
    woken_at      bigint, -- the last hint that there are news
    polls         bigint NOT NULL DEFAULT 0,
    failures      bigint NOT NULL DEFAULT 0, -- polls or downloads that failed since the last one that went well
    image_1       text,
    image_2       text,
    completed_at  bigint,
    generated_in  bigint, -- milliseconds, by the clock of the service
    credits       bigint, -- what its cover cost, in thousandths of a credit
    file_1        text,
    width_1       bigint, -- in pixels, as the height
    height_1      bigint,
    bytes_1       bigint,
    file_2        text,
    width_2       bigint,
    height_2      bigint,
    bytes_2       bigint,
    fallback      text,   -- the copy of the default cover that stands in for it
    UNIQUE (account, id)
) WITH (fillfactor = 70);

-- Polls and downloads apart: however many of one kind are due, the others are found at once.
CREATE INDEX task_due_poll ON coverbatch.task (account, due_at) WHERE due_at IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_due_download ON coverbatch.task (account, due_at) WHERE due_at IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_awaited_poll ON coverbatch.task (account, waiter, due_at)
    WHERE waiter IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_awaited_download ON coverbatch.task (account, waiter, due_at)
    WHERE waiter IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_generated ON coverbatch.task (account, completed_at) WHERE generated_in IS NOT NULL;

-- One row per submission. It is in flight while it has no reason, and its `paced_at` is the end of time.
CREATE TABLE coverbatch.attempt (
    account      integer NOT NULL,
    seq          bigint GENERATED ALWAYS AS IDENTITY,
    task         bigint NOT NULL,
    run          bigint NOT NULL,
    state_before text,   -- what to go back to if nothing was sent; empty if the claim made the task
    sent_at      bigint NOT NULL, -- when it was claimed, as long as it is not known when it was sent
    paced_at     bigint NOT NULL, -- from when the rate limit counts it
    answered_at  bigint,
    reason       text,   -- 'interrupted' if its run died before there was an answer
    http_status  bigint,
    code         bigint,
    message      text,
    PRIMARY KEY (account, seq)
) WITH (fillfactor = 70);
CREATE INDEX attempt_task ON coverbatch.attempt (task, seq);

-- Of the submissions before `attempt` none is in flight, and none counts after `at`. Most answers change no column of an
-- index, which is a third of the work for them; so what is in flight or counts is looked for from a checkpoint on.
CREATE TABLE coverbatch.checkpoint (
    account integer NOT NULL,
    at      bigint NOT NULL,
    attempt bigint NOT NULL,
    PRIMARY KEY (account, at)
);

-- One row per decision of a person about a music task. None is ever deleted: one that is taken back says when.
CREATE TABLE coverbatch.decision (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account   integer NOT NULL,
    id        text COLLATE "C" NOT NULL, -- of the music task
    kind      text NOT NULL CHECK (kind IN ('ignore', 'retry', 'forget')),
    reason    text NOT NULL, -- in the words of that person; may be empty
    host      text NOT NULL, -- on which machine
    at        bigint NOT NULL,
    known     text,          -- the row of the music task before, as a JSON object; empty if there was none
    undone_at bigint
);
CREATE INDEX decision_id ON coverbatch.decision (account, id, seq);

-- What the files of a music task are called by, if it is not its id.
CREATE TABLE coverbatch.file_name (
    account integer NOT NULL,
    id      text COLLATE "C" NOT NULL, -- of the music task
    words   text NOT NULL,
    folded  text COLLATE "C" NOT NULL, -- the same for all words that some file system takes for the same
    PRIMARY KEY (account, id),
    UNIQUE (account, folded)
);

-- The last reads of records, by whichever process: they share one pace.
CREATE TABLE coverbatch.read_log (
    account integer NOT NULL,
    seq     bigint GENERATED ALWAYS AS IDENTITY,
    at      bigint NOT NULL,
    PRIMARY KEY (account, seq)
);
