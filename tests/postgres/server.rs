//! A `PostgreSQL` server of its own, from the packages of Debian, without a TCP port.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Makes a database, starts a server for it, says where its socket is, and stops it once nobody holds its input any more.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d /tmp/coverbatch-postgres-XXXXXX)
trap 'rm -rf "$folder"' EXIT
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
"$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --no-sync >/dev/null
"$bin/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --silent \
    --options="-c listen_addresses= -c unix_socket_directories=$folder -c max_connections=200" start
echo "$folder"
cat >/dev/null
"$bin/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop
"#;

/// Runs that; the server does not run as root.
const AS_USER: &str = r#"
if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --init-groups sh -c "$1"; fi
exec sh -c "$1"
"#;

/// A server that ends with the process that started it.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
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
        let mut script = Command::new("sh")
            .args(["-c", AS_USER, "sh", SCRIPT])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut folder = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        assert!(!folder.is_empty(), "no server was started; is the package `postgresql` installed?");
        let url = format!("postgres://postgres@{}/postgres", folder.trim().replace('/', "%2F"));
        Self { url, _script: script }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
