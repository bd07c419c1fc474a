//! Runs as processes of their own over one catalog and one account, some of which are killed or stopped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use super::server::{Server, url};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_coverbatch");

/// Rows of the catalog.
pub(super) const ROWS: u32 = 300;

/// The stand-in service, a server and a catalog.
pub(super) struct Stage {
    pub(super) folder: TempDir,
    server: Server,
    service: Child,
    api_url: String,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<String> = (0..ROWS).map(|row| format!("track-{row}\n")).collect();
        fs::write(folder.path().join("catalog.csv"), format!("task_id\n{}", rows.concat())).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--rate", "50/1s", "--latency", "20ms..200ms"]);
        let mut service = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let api_url = line.trim().rsplit_once(' ').unwrap().1.to_owned();
        Self { folder, server: Server::start(), service, api_url }
    }

    fn results(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.csv"))
    }

    /// Where the ledger is.
    pub(super) fn url(&self) -> String {
        url("postgres:hush-hush", self.server.folder(), "postgres")
    }

    /// A run that has begun.
    pub(super) fn run(&self, name: &str) -> Child {
        self.run_at(name, &self.url())
    }

    fn run_at(&self, name: &str, ledger: &str) -> Child {
        self.command(name, ledger).spawn().unwrap()
    }

    /// A run, which tells into a file of that name.
    pub(super) fn command(&self, name: &str, ledger: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "catalog.csv", "--no-callback", "--rate", "50/1s", "--api-url", &self.api_url]);
        command.args(["--ledger", ledger, "--results"]).arg(self.results(name));
        command.current_dir(self.folder.path()).env("SUNO_API_KEY", "any");
        command.stdout(Stdio::null()).stderr(fs::File::create(self.folder.path().join(name)).unwrap());
        command
    }

    /// How many rows have their cover.
    pub(super) fn settled(&self) -> u32 {
        // Its tables are not there at first.
        let is_there = self.ask("SELECT to_regclass('coverbatch.task') IS NOT NULL") == "t";
        let settled = "SELECT count(*) FROM coverbatch.task WHERE state IN ('submitted', 'exists')";
        if is_there { self.ask(settled).parse().unwrap() } else { 0 }
    }

    pub(super) fn ask(&self, sql: &str) -> String {
        self.server.sql("postgres", sql)
    }

    /// Every row has its cover, and none was sent twice but those of which a dead run left no answer.
    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.settled(), ROWS);
        let repeated = "SELECT count(*) FROM coverbatch.attempt earlier JOIN coverbatch.attempt later
                        ON later.task = earlier.task AND later.seq > earlier.seq
                        WHERE earlier.reason IS DISTINCT FROM 'interrupted' AND earlier.reason <> 'rate_limited'";
        assert_eq!(self.ask(repeated), "0");
    }

    fn doubted(&self) -> String {
        self.ask("SELECT count(*) FROM coverbatch.attempt WHERE reason = 'interrupted'")
    }
}

pub(super) fn signal(process: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

fn is_told(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn runs_share_a_catalog_and_a_killed_one_loses_nothing() {
    let stage = Stage::new();
    let mut killed = stage.run("killed");
    let mut others = [stage.run("one"), stage.run("two")];
    sleep(Duration::from_secs(2));
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    for other in &mut others {
        // One may end while a row in doubt is on its way in the other.
        assert!(matches!(other.wait().unwrap().code(), Some(0 | 4)));
    }
    let status = stage.run("last").wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", is_told(&stage.folder.path().join("last")));
    stage.is_whole();
    assert_eq!(stage.ask("SELECT count(*) FROM coverbatch.run WHERE ended IS NULL"), "0");
    assert_eq!(stage.ask("SELECT count(*) FROM coverbatch.run WHERE ended = 'interrupted'"), "1");
    assert_eq!(is_told(&stage.results("last")).lines().count(), ROWS as usize + 1);
}

#[test]
fn a_run_that_stands_still_is_not_believed_dead_and_holds_up_nobody() {
    let stage = Stage::new();
    let mut still = stage.run("still");
    let mut other = stage.run("other");
    sleep(Duration::from_secs(2));
    signal(&still, "-STOP");
    sleep(Duration::from_secs(15));
    assert_eq!(stage.doubted(), "0");
    let sent: u32 = stage.ask("SELECT count(*) FROM coverbatch.attempt").parse().unwrap();
    assert!(sent > ROWS / 2, "{sent}");
    signal(&still, "-CONT");
    assert_eq!((still.wait().unwrap().code(), other.wait().unwrap().code()), (Some(0), Some(0)));
    assert_eq!(stage.doubted(), "0");
    stage.is_whole();
}

#[test]
fn the_password_is_in_no_output() {
    let stage = Stage::new();
    let ledger = url("postgres:hush-hush", Path::new("/no/socket"), "postgres");
    assert_eq!(stage.run_at("unreachable", &ledger).wait().unwrap().code(), Some(8));
    let told = is_told(&stage.folder.path().join("unreachable"));
    assert!(told.contains("cannot open the ledger `postgres:///no/socket:5432/postgres`"), "{told}");
    // One that has something to tell.
    let mut run = stage.run("interrupted");
    sleep(Duration::from_secs(2));
    signal(&run, "-INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let digest = is_told(&stage.folder.path().join("interrupted"));
    assert!(digest.contains("--ledger 'postgres://postgres@"), "{digest}");
    assert!(!told.contains("hush") && !digest.contains("hush"), "{told}{digest}");
}
