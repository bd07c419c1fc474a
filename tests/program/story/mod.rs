//! The words the tests are written in: a batch, what a run of it came to, and the service it talks to.

mod process;
mod ran;
mod service;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub(crate) use process::{Running, Signal, wait_for};
pub(crate) use ran::{Ran, Table};
pub(crate) use service::{Scripted, StandIn, accepted, envelope};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_coverbatch");

/// Whether a file system can be mounted where nobody else sees it; said if not.
pub(crate) fn can_mount() -> bool {
    let words = ["--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"];
    let can = Command::new("unshare").args(words).output().is_ok_and(|output| output.status.success());
    if !can {
        println!("not tested: file systems cannot be mounted here");
    }
    can
}

/// A catalog in a folder of its own, and the environment its runs see.
pub(crate) struct Batch {
    folder: TempDir,
    name: OsString,
    environment: Vec<(String, OsString)>,
    input: Option<Vec<u8>>,
}

impl Batch {
    /// A catalog `songs.csv` of these bytes.
    pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::named("songs.csv", bytes)
    }

    /// A catalog of this name.
    pub(crate) fn named(name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> Self {
        let batch = Self {
            folder: tempfile::tempdir().unwrap(),
            name: name.as_ref().to_owned(),
            environment: Vec::new(),
            input: None,
        };
        fs::write(batch.catalog(), bytes).unwrap();
        batch
    }

    /// A catalog with these ids and nothing else.
    pub(crate) fn ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let rows: Vec<&str> = ids.into_iter().collect();
        Self::of(format!("task_id\n{}\n", rows.join("\n")))
    }

    /// A catalog of so many ordinary tracks.
    pub(crate) fn tracks(count: usize) -> Self {
        let ids: Vec<String> = (1..=count).map(|number| format!("track{number}")).collect();
        Self::ids(ids.iter().map(String::as_str))
    }

    /// A copy of one of the sample batches.
    pub(crate) fn sample(path: &str) -> Self {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-batches").join(path);
        Self::named(original.file_name().unwrap(), fs::read(&original).unwrap())
    }

    /// With this variable in the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sent to the service at `address`, fast, with a key.
    pub(crate) fn to(self, address: &str) -> Self {
        self.env("COVERBATCH_API_URL", address)
            .env("COVERBATCH_NO_CALLBACK", "1")
            .env("COVERBATCH_RATE", "500/1s")
            .env("SUNO_API_KEY", "a-key-for-the-tests")
    }

    /// With these bytes on standard input.
    pub(crate) fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = Some(bytes.as_ref().to_vec());
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.path(&self.name)
    }

    /// `coverbatch run CATALOG …`, to its end.
    pub(crate) fn run(&self, options: &[&str]) -> Ran {
        self.start(options).finish()
    }

    /// `coverbatch COMMAND CATALOG …`, to its end.
    pub(crate) fn call(&self, command: &str, options: &[&str]) -> Ran {
        let mut words = vec![OsStr::new(command), &self.name];
        words.extend(options.iter().map(OsStr::new));
        self.words(&words)
    }

    /// `coverbatch …`, to its end.
    pub(crate) fn words(&self, words: &[&OsStr]) -> Ran {
        self.begin(OsStr::new(PROGRAM), words).finish()
    }

    /// A command line as a shell runs it, to its end.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        self.start_shell(line).finish()
    }

    /// A command line as a shell runs it, begun.
    pub(crate) fn start_shell(&self, line: &str) -> Running {
        self.begin(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(line)])
    }

    /// `coverbatch run CATALOG …`, begun.
    pub(crate) fn start(&self, options: &[&str]) -> Running {
        let mut words = vec![OsStr::new("run"), &self.name];
        words.extend(options.iter().map(OsStr::new));
        self.begin(OsStr::new(PROGRAM), &words)
    }

    /// `coverbatch …`, begun.
    pub(crate) fn start_words(&self, words: &[&str]) -> Running {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        self.begin(OsStr::new(PROGRAM), &words)
    }

    fn begin(&self, program: &OsStr, words: &[&OsStr]) -> Running {
        let mut command = Command::new(program);
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        command.args(words).env_clear().envs(self.state()).envs(variables).current_dir(self.folder());
        command.stdin(self.input.as_ref().map_or_else(Stdio::null, |bytes| {
            let file = self.outside("input");
            fs::write(&file, bytes).unwrap();
            File::open(&file).unwrap().into()
        }));
        let is_sandbox = |words: &str| words.split([' ', ';']).any(|word| word == "--sandbox");
        let is_sandbox = words.iter().any(|word| is_sandbox(&word.to_string_lossy()))
            || self.environment.iter().any(|(name, _)| name == "COVERBATCH_SANDBOX");
        Running::begin(command, if is_sandbox { self.sandbox_results_path() } else { self.results_path() })
    }

    /// What puts the ledger beside the catalog, as `songs.db`: no test may find that of whoever runs it.
    fn state(&self) -> [(&str, &OsStr); 2] {
        [("STATE_DIRECTORY", self.folder().as_os_str()), ("COVERBATCH_ACCOUNT", OsStr::new("songs"))]
    }

    /// A file that does not lie in the batch's folder.
    fn outside(&self, name: &str) -> PathBuf {
        let mut file = self.folder().as_os_str().to_owned();
        file.push(format!("-{name}"));
        PathBuf::from(file)
    }

    /// Where the results go if nothing else is said.
    pub(crate) fn results_path(&self) -> PathBuf {
        self.path(Path::new(&self.name).with_extension("results.csv"))
    }

    /// Where the results of the stand-in go.
    pub(crate) fn sandbox_results_path(&self) -> PathBuf {
        self.path(Path::new(&self.name).with_extension("sandbox.results.csv"))
    }

    /// The names of the files in the folder, in order.
    pub(crate) fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.as_bytes().escape_ascii().to_string()).collect();
        names.sort();
        names
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.outside("input"));
    }
}
