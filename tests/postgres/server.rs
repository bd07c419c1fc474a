//! A `PostgreSQL` server of its own, from the packages of Debian, without a TCP port.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Makes a database, starts a server for it, says in which folder that is, and stops it once nobody holds its input any more.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d /tmp/coverbatch-postgres-XXXXXX)
trap 'rm -rf "$folder"' EXIT
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
ln -s "$bin" "$folder/bin"
"$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --no-sync >/dev/null
printf 'local all postgres trust\nlocal all all scram-sha-256\n' >"$folder/data/pg_hba.conf"
printf "listen_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 200\n" "$folder" \
    >>"$folder/data/postgresql.conf"
eval "$SETUP"
"$bin/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --silent start
echo "$folder"
cat >/dev/null
"$bin/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop
"#;

/// Runs that; the server does not run as root. What only it sees at `/mnt` may be a file system of some size.
const AS_USER: &str = r#"
as_postgres='exec setpriv --reuid=postgres --regid=postgres --init-groups sh -c "$1"'
if [ -n "${SMALL_DISK-}" ]; then
    exec unshare --mount sh -c "mount -t tmpfs -o size=$SMALL_DISK,mode=777 none /mnt; $as_postgres" sh "$1"
fi
if [ "$(id -u)" = 0 ]; then eval "$as_postgres"; fi
exec sh -c "$1"
"#;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", AS_USER, "sh", script]).current_dir("/");
    command
}

/// A server that ends with the process that started it.
#[derive(Debug)]
pub(super) struct Server {
    folder: PathBuf,
    port: u16,
    _script: Child,
}

impl Server {
    /// The one that all tests of a process share which leave it alone.
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A new one.
    pub(super) fn start() -> Self {
        Self::set_up("", &[], 5432)
    }

    /// A new one, at a port, for which these commands with these variables are run before it is started.
    pub(super) fn set_up(commands: &str, variables: &[(&str, String)], port: u16) -> Self {
        let mut script = shell(SCRIPT);
        script.env("SETUP", commands).envs(variables.iter().map(|(name, value)| (name, value)));
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut folder = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        assert!(!folder.is_empty(), "no server was started; is the package `postgresql` installed?");
        Self { folder: folder.trim().into(), port, _script: script }
    }

    /// Where its socket is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn url(&self) -> String {
        self.url_of("postgres", "postgres")
    }

    /// The URL of a database for a user.
    pub(super) fn url_of(&self, user: &str, database: &str) -> String {
        url(user, &self.folder, database)
    }

    /// A new database, in which these statements were run.
    pub(super) fn database(&self, name: &str, sql: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.sql(name, sql);
        self.url_of("postgres", name)
    }

    /// Another session, inside a transaction that has done this and ends with the value's input.
    pub(super) fn transaction(&self, database: &str, sql: &str) -> Child {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-U", "postgres", "-d", database, "-h"]).arg(&self.folder);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        psql.stdin.as_mut().unwrap().write_all(format!("BEGIN; {sql};\n").as_bytes()).unwrap();
        psql
    }

    /// Runs statements as the owner of everything; the values of the last one.
    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql]);
        let output = psql.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Ends it: `fast`, `immediate`, or by a signal that it cannot catch.
    pub(super) fn end(&self, how: &str) {
        let folder = self.folder.display();
        run(&match how {
            "kill" => format!("kill -9 $(head -n 1 {folder}/data/postmaster.pid)"),
            mode => format!("{folder}/bin/pg_ctl --pgdata={folder}/data --mode={mode} --silent stop"),
        });
    }

    /// Starts it again; what a killed one leaves may be in the way for a moment.
    pub(super) fn start_again(&self) {
        let folder = self.folder.display();
        let start = format!("{folder}/bin/pg_ctl --pgdata={folder}/data --log={folder}/log --wait --silent start");
        run(&format!("for i in 1 2 3 4 5 6 7 8 9; do {start} && exit; sleep 0.5; done; exit 1"));
    }
}

/// Runs a script whose children keep no pipe of ours open.
fn run(script: &str) {
    let status = shell(script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{script}");
}

/// The URL of a database behind the socket in a folder.
pub(super) fn url(user: &str, folder: &Path, database: &str) -> String {
    format!("postgres://{user}@{}/{database}", folder.display().to_string().replace('/', "%2F"))
}
