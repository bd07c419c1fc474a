//! Ledgers that are moved and checked by the program as its user calls it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::number;
use super::processes::{PROGRAM, ROWS, Stage};
use super::server::Server;

/// The program with these words, in a folder.
fn ledger(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("ledger").args(words).current_dir(folder).env_remove("COVERBATCH_ACCOUNT");
    command
}

/// What it says, if it ends so.
#[track_caller]
fn says(folder: &Path, words: &[&str], exit: i32) -> String {
    let Output { status, stdout, stderr } = ledger(folder, words).output().unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(exit), "{words:?}: {said}");
    said
}

/// For a minute at most.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let is_there = (0..3_000).any(|_| {
        sleep(Duration::from_millis(20));
        is_so()
    });
    assert!(is_there, "no {what}");
}

/// Two databases of a server: one that holds the account `main` of so many rows, and an empty one.
struct Two {
    server: Server,
    from: String,
    to: String,
}

impl Two {
    fn of(rows: u32) -> Self {
        let server = Server::start();
        let filled = format!(
            "{}; INSERT INTO coverbatch.account (name, api_url) VALUES ('main', 'https://api.example');
             INSERT INTO coverbatch.run (account, run, catalog, command, kind, host, pid, started_at, ended_at, ended)
             VALUES (1, 1, '/c.csv', 'coverbatch run /c.csv', 'run', 'here', 1, 1, 2, 'finished');
             INSERT INTO coverbatch.task (account, id, state, reason, answered_at, submissions, first_sent_at, route)
             SELECT 1, md5(n::text), 'failed', 'not_found', n, 1, n, 'jobs' FROM generate_series(1, {rows}) n;
             INSERT INTO coverbatch.attempt (account, task, run, sent_at, paced_at, answered_at, reason)
             SELECT 1, seq, 1, first_sent_at, first_sent_at, answered_at, reason FROM coverbatch.task",
            coverbatch::ledger::PostgresLedger::SCHEMA
        );
        let (from, to) = (server.database("moving", &filled), server.database("moved", ""));
        Self { server, from, to }
    }

    /// Keeps a table of a database locked until the process that is returned has no input any more.
    fn hold(&self, database: &str, table: &str) -> Child {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-U", "postgres", "-d", database, "-h"]).arg(self.server.folder());
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let sql = format!("BEGIN; LOCK TABLE coverbatch.{table} IN ACCESS EXCLUSIVE MODE;\n");
        psql.stdin.as_mut().unwrap().write_all(sql.as_bytes()).unwrap();
        wait_for("lock", || self.ask("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") != "0");
        psql
    }

    fn ask(&self, sql: &str) -> String {
        self.server.sql("moved", sql)
    }

    /// Waits until a copy has done all but what the lock of a table keeps it from.
    fn wait_for_standstill(&self, table: &str) {
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = 'coverbatch' AND wait_event_type = 'Lock' AND query LIKE '%{table}%'"
        );
        wait_for("copy that waits", || self.ask(&waits) == "1");
    }

    fn wait_until_alone(&self) {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coverbatch'";
        wait_for("server without a copy", || self.ask(sessions) == "0");
    }
}

#[test]
fn a_night_on_a_copy_sends_nothing_again_that_is_settled() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    let database = stage.url();
    let mut run = stage.run("moved");
    wait_for("some answers", || stage.settled() > ROWS / 4);
    // While it goes on: into a file, and from there into another account, which a run uses under that name.
    says(folder, &["copy", &database, "copy.db"], 0);
    says(folder, &["copy", "copy.db", &database, "--as", "again"], 0);
    super::processes::signal(&run, "-KILL");
    run.wait().unwrap();
    let settled = stage.ask(&of_account("again", "state IN ('submitted', 'exists')"));
    assert!(settled.parse::<u32>().unwrap() > ROWS / 4, "{settled}");
    let before = stage.ask("SELECT max(seq) FROM coverbatch.attempt");
    let mut night = stage.command("night", &database);
    assert_eq!(night.args(["--account", "again"]).status().unwrap().code(), Some(0));
    assert_eq!(stage.ask(&of_account("again", "state IN ('submitted', 'exists')")), ROWS.to_string());
    let repeats = format!(
        "SELECT count(*) FROM coverbatch.attempt later JOIN coverbatch.attempt earlier USING (account, task)
         WHERE later.seq > {before} AND earlier.seq <= {before} AND earlier.reason IN ('accepted', 'already_exists')"
    );
    assert_eq!(stage.ask(&repeats), "0");
    for words in [&["check", "copy.db"][..], &["check", &database, "--account", "again"]] {
        assert!(says(folder, words, 0).contains(" is in order: "), "{words:?}");
    }
}

fn of_account(name: &str, condition: &str) -> String {
    format!(
        "SELECT count(*) FROM coverbatch.task JOIN coverbatch.account USING (account) WHERE name = '{name}' AND {condition}"
    )
}

#[test]
fn of_a_copy_that_is_killed_on_its_way_nothing_is_there() {
    let two = Two::of(20_000);
    let folder = tempfile::tempdir().unwrap();
    // All but the last table is there, for nobody to see.
    two.server.sql("moved", coverbatch::ledger::PostgresLedger::SCHEMA);
    let lock = two.hold("moved", "read_log");
    let mut copy = ledger(folder.path(), &["copy", &two.from, &two.to]).spawn().unwrap();
    two.wait_for_standstill("read_log");
    super::processes::signal(&copy, "-KILL");
    copy.wait().unwrap();
    end(lock);
    two.wait_until_alone();
    assert_eq!(
        two.ask("SELECT (SELECT count(*) FROM coverbatch.account) + (SELECT count(*) FROM coverbatch.task)"),
        "0"
    );
    // The same for a server that ends the session.
    let lock = two.hold("moved", "read_log");
    let copy = ledger(folder.path(), &["copy", &two.from, &two.to]).stderr(Stdio::piped()).spawn().unwrap();
    two.wait_for_standstill("read_log");
    two.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coverbatch' AND datname = 'moved'");
    let ended = copy.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(8), "{said}");
    assert!(said.starts_with("error: cannot make the ledger `postgres://"), "{said}");
    end(lock);
    two.wait_until_alone();
    assert_eq!(two.ask("SELECT count(*) FROM coverbatch.account"), "0");
    // And for a file.
    let lock = two.hold("moving", "read_log");
    let mut copy = ledger(folder.path(), &["copy", &two.from, "copy.db"]).spawn().unwrap();
    two.wait_for_standstill("read_log");
    super::processes::signal(&copy, "-KILL");
    copy.wait().unwrap();
    end(lock);
    assert!(!folder.path().join("copy.db").exists());
    says(folder.path(), &["copy", &two.from, "copy.db"], 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what the killed one left is gone");
    says(folder.path(), &["copy", "copy.db", &two.to], 0);
    let holds = "is in order: 20000 music tasks, 20000 submissions, 1 run\n";
    assert!(says(folder.path(), &["check", "copy.db"], 0).ends_with(holds));
    assert!(says(folder.path(), &["check", &two.to], 0).ends_with(holds));
    assert_eq!(
        two.ask("SELECT name FROM coverbatch.account"),
        "api.example",
        "a file knows no name but that of its API"
    );
}

fn end(mut psql: Child) {
    drop(psql.stdin.take());
    psql.wait().unwrap();
}

/// What is committed while it is read is not in it, and no half of it is.
#[test]
fn a_copy_is_of_the_moment_at_which_it_began() {
    let (two, folder) = (Two::of(3), tempfile::tempdir().unwrap());
    let mut lock = two.hold("moving", "task");
    let mut copy = ledger(folder.path(), &["copy", &two.from, &two.to]).spawn().unwrap();
    two.wait_for_standstill("task");
    let late = "INSERT INTO coverbatch.task (account, id, state, submissions) VALUES (1, 'late', 'failed', 1);
                INSERT INTO coverbatch.attempt (account, task, run, sent_at, paced_at, answered_at, reason)
                SELECT 1, seq, 1, 1, 1, 1, 'not_found' FROM coverbatch.task WHERE id = 'late'; COMMIT;\n";
    lock.stdin.as_mut().unwrap().write_all(late.as_bytes()).unwrap();
    end(lock);
    assert_eq!(copy.wait().unwrap().code(), Some(0));
    assert_eq!(two.server.sql("moving", "SELECT count(*) FROM coverbatch.attempt"), "4");
    let holds = "is in order: 3 music tasks, 3 submissions, 1 run\n";
    assert!(says(folder.path(), &["check", &two.to], 0).ends_with(holds));
}

/// Nobody writes to a file without a log, so it is read without a lock, and looked at once more at the end.
#[test]
fn there_is_no_copy_of_a_file_that_changes_while_it_is_read() {
    let (two, folder) = (Two::of(20_000), tempfile::tempdir().unwrap());
    says(folder.path(), &["copy", &two.from, "x.db"], 0);
    two.server.sql("moved", coverbatch::ledger::PostgresLedger::SCHEMA);
    let lock = two.hold("moved", "attempt");
    let copy = ledger(folder.path(), &["copy", "x.db", &two.to]).stderr(Stdio::piped()).spawn().unwrap();
    two.wait_for_standstill("attempt");
    let file = fs::File::options().write(true).open(folder.path().join("x.db")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    end(lock);
    let ended = copy.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(8) && said.contains("x.db` was written to while it was read"), "{said}");
    assert_eq!(two.ask("SELECT count(*) FROM coverbatch.account"), "0");
}

#[test]
fn what_cannot_be_copied_or_is_not_in_order_is_told() {
    let server = Server::shared();
    let folder = tempfile::tempdir().unwrap();
    let name = format!("told_{}", number());
    let url = server.database(&name, coverbatch::ledger::PostgresLedger::SCHEMA);
    let shown = format!("postgres://{}:5432/{name}", server.folder().display());
    let told = |words: &[&str], exit, expected: &str| {
        let said = says(folder.path(), words, exit);
        assert!(said.contains(expected), "{words:?}: {said}");
    };
    told(&["check", &url], 2, &format!("error: no ledger at `{shown}`\n"));
    told(&["copy", &url, "x.db"], 2, &format!("error: no ledger at `{shown}`\n"));
    server.sql(
        &name,
        "INSERT INTO coverbatch.account (name, api_url) VALUES ('a', 'https://a.example'), ('b', 'https://b.example');
         INSERT INTO coverbatch.task (account, id, state, submissions) VALUES (1, 'odd', 'in_flight', 1), (2, 'even', 'pending', 0)",
    );
    told(&["copy", &url, "x.db"], 2, "it holds several accounts: a, b");
    told(&["copy", &url, &url, "--account", "a"], 2, "it holds the account a already, and a copy replaces nothing");
    told(&["copy", &url, &url, "--account", "a", "--as", "b"], 2, "it holds the account b already");
    told(
        &["check", &url, "--account", "a"],
        8,
        "music task `odd` contradicts itself: it is in flight, and no submission of it is",
    );
    told(
        &["check", &url, "--account", "b"],
        0,
        &format!("`{shown}` is in order: 1 music task, 0 submissions, 0 runs\n"),
    );
    // A submission of a music task that is not there is nothing that a copy could hold.
    server.sql(&name, "INSERT INTO coverbatch.attempt (account, task, run, sent_at, paced_at) VALUES (2, 99, 1, 1, 1)");
    told(&["copy", &url, &url, "--account", "b", "--as", "c"], 8, "null value in column \"task\"");
    told(&["copy", &url, "x.db", "--account", "b"], 8, "NOT NULL constraint failed: attempt.task");
    assert_eq!(server.sql(&name, "SELECT count(*) FROM coverbatch.account"), "2");
    told(&["check", &url, "--account", "b"], 8, "music task `number 99` contradicts itself");
    let careless = server.database(&format!("{name}_careless"), coverbatch::ledger::PostgresLedger::SCHEMA);
    server.sql(
        &format!("{name}_careless"),
        &format!(
            "INSERT INTO coverbatch.account (name, api_url) VALUES ('a', 'https://a.example');
             ALTER DATABASE {name}_careless SET synchronous_commit TO off"
        ),
    );
    told(&["check", &careless], 2, "synchronous_commit is off");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What nobody has thought of is copied too: every column that two accounts may have in common.
#[test]
fn every_column_of_every_row_is_the_same_in_a_copy() {
    let two = Two::of(3);
    let folder = tempfile::tempdir().unwrap();
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns
                   WHERE table_schema = 'coverbatch' AND table_name IN ('run', 'task', 'attempt', 'read_log')
                     AND column_name NOT IN ('account', 'seq', 'task', 'lock', 'locked_at', 'state', 'kind', 'route',
                                             'run', 'id')";
    two.server.sql("moving", "INSERT INTO coverbatch.read_log (account, at) VALUES (1, 5)");
    let columns = two.server.sql("moving", columns);
    let mut told = Vec::new();
    for (number, column) in columns.lines().enumerate() {
        let [table, column, kind] = column.split('|').collect::<Vec<_>>()[..] else { panic!("{column}") };
        let value = match kind {
            "text" => format!("'text {number}'"),
            "bigint" => format!("{number} + 1000"),
            "boolean" => "true".to_owned(),
            other => panic!("{table}.{column} is of type {other}"),
        };
        two.server.sql("moving", &format!("UPDATE coverbatch.{table} SET {column} = {value}"));
        told.push(format!("SELECT '{table}.{column}', array_agg({column}::text)::text FROM coverbatch.{table}"));
    }
    told.push("SELECT 'task.route', array_agg(route)::text FROM coverbatch.task".to_owned());
    assert!(told.len() > 40, "{told:?}");
    says(folder.path(), &["copy", &two.from, "x.db"], 0);
    says(folder.path(), &["copy", "x.db", &two.to], 0);
    let told = told.join(" UNION ALL ");
    assert_eq!(two.server.sql("moved", &told), two.server.sql("moving", &told));
}

/// The rights that the page of several hosts names are enough, and without them it is told which are missing.
#[test]
fn who_may_read_copies_out_of_a_database_and_who_may_write_into_it() {
    let (two, folder) = (Two::of(3), tempfile::tempdir().unwrap());
    let rights = "REVOKE TEMPORARY ON DATABASE moved FROM public;
                  CREATE ROLE reader LOGIN PASSWORD 'p'; CREATE ROLE writer LOGIN PASSWORD 'p'";
    two.server.sql("moved", &format!("{}; {rights}", coverbatch::ledger::PostgresLedger::SCHEMA));
    for database in ["moving", "moved"] {
        let rights = "GRANT USAGE ON SCHEMA coverbatch TO reader, writer;
                      GRANT SELECT ON ALL TABLES IN SCHEMA coverbatch TO reader;
                      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA coverbatch TO writer;
                      GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA coverbatch TO writer";
        two.server.sql(database, rights);
    }
    let [from, into] =
        [("reader:p", "moving"), ("reader:p", "moved")].map(|(user, name)| two.server.url_of(user, name));
    says(folder.path(), &["check", &from], 0);
    says(folder.path(), &["copy", &from, "x.db"], 0);
    assert!(says(folder.path(), &["copy", "x.db", &into], 2).contains("permission denied for table account"));
    let into = two.server.url_of("writer:p", "moved");
    let said = says(folder.path(), &["copy", "x.db", &into], 2);
    assert!(said.contains("permission denied to create temporary tables in database \"moved\""), "{said}");
    two.ask("GRANT TEMPORARY ON DATABASE moved TO writer");
    says(folder.path(), &["copy", "x.db", &into], 0);
    says(folder.path(), &["check", &into], 0);
}
