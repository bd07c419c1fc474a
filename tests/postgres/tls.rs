//! Servers that show who they are, and one that asks the same of this side.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coverbatch::ledger::{LedgerErrorKind, PostgresLedger, ReadLedger as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::processes::PROGRAM;
use super::rows::works;
use super::server::Server;
use super::{API, MAX_OUTAGE};

/// What the server is told before it is started: to listen, to encrypt, and whom to let in how.
const SETUP: &str = r#"
umask 077
printf %s "$CERTIFICATE" >"$folder/data/server.crt"
printf %s "$KEY" >"$folder/data/server.key"
printf %s "$AUTHORITY" >"$folder/data/root.crt"
printf "ssl = on\nssl_ca_file = 'root.crt'\nlisten_addresses = '127.0.0.1'\nport = $PORT\n" >>"$folder/data/postgresql.conf"
printf 'hostssl all shown 127.0.0.1/32 cert\nhostssl all postgres 127.0.0.1/32 trust\nhostnossl all plain 127.0.0.1/32 trust\n' \
    >>"$folder/data/pg_hba.conf"
"#;

/// An authority, and what it has signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, name);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A certificate of whoever has this name, and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
        own.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = own.signed_by(&key, &self.0).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A server that encrypts, and the files of whoever talks to it.
struct Encrypted {
    server: Server,
    port: u16,
    files: TempDir,
}

impl Encrypted {
    fn start() -> Self {
        let (authority, port) = (Authority::new("the tests' authority"), free_port());
        let (certificate, key) = authority.sign("localhost");
        let variables = [
            ("CERTIFICATE", certificate),
            ("KEY", key),
            ("AUTHORITY", authority.certificate()),
            ("PORT", port.to_string()),
        ];
        let server = Server::set_up(SETUP, &variables, port);
        server.sql("postgres", "CREATE ROLE shown LOGIN SUPERUSER; CREATE ROLE plain LOGIN SUPERUSER");
        let files = tempfile::tempdir().unwrap();
        let own = authority.sign("shown");
        for (name, text) in [
            ("root.crt", authority.certificate()),
            ("other.crt", Authority::new("another authority").certificate()),
            ("own.crt", own.0),
            ("own.key", own.1),
        ] {
            fs::write(files.path().join(name), text).unwrap();
        }
        Self { server, port, files }
    }

    /// The URL for a user at a host, with files by the names that they have here.
    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let folder = self.files.path().display().to_string().replace('/', "%2F") + "%2F";
        format!("postgres://{user}@{host}:{}/postgres?{}", self.port, parameters.replace('@', &folder))
    }

    fn sessions(&self, user: &str) -> String {
        let sql = "SELECT DISTINCT ssl, client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename";
        self.server.sql("postgres", &format!("{sql} = '{user}'"))
    }
}

/// One that nobody listens on at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn refusal(url: &str) -> (LedgerErrorKind, String) {
    let error = PostgresLedger::open(url, "main", API, MAX_OUTAGE).await.unwrap_err();
    assert!(error.kind.hint().is_some(), "{url}");
    (error.kind, error.cause.to_string())
}

#[tokio::test]
async fn a_server_is_believed_as_far_as_it_shows_who_it_is() {
    let encrypted = Encrypted::start();
    for (host, parameters) in [
        ("localhost", "sslmode=verify-full&sslrootcert=@root.crt"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=@root.crt"),
        ("127.0.0.1", "sslmode=require"),
        ("127.0.0.1", "sslmode=prefer"),
    ] {
        let url = encrypted.url("postgres", host, parameters);
        let ledger = PostgresLedger::open(&url, parameters, API, MAX_OUTAGE).await.unwrap();
        works(&ledger).await;
        assert_eq!(encrypted.sessions("postgres").lines().filter(|line| *line == "t|").count(), 1, "{parameters}");
        ledger.close().await;
    }
    for (host, parameters, words) in [
        ("localhost", "sslmode=verify-full&sslrootcert=@other.crt", "invalid peer certificate: UnknownIssuer"),
        ("localhost", "sslmode=verify-ca&sslrootcert=@other.crt", "invalid peer certificate: UnknownIssuer"),
        ("localhost", "sslmode=require&sslrootcert=@other.crt", "invalid peer certificate: UnknownIssuer"),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=@root.crt",
            "invalid peer certificate: certificate not valid for name",
        ),
    ] {
        let (kind, why) = refusal(&encrypted.url("postgres", host, parameters)).await;
        assert_eq!(kind, LedgerErrorKind::Untrusted, "{parameters}: {why}");
        assert!(why.starts_with(&format!("error performing TLS handshake: {words}")), "{parameters}: {why}");
    }
    let missing = refusal(&encrypted.url("postgres", "localhost", "sslmode=verify-full&sslrootcert=@none.crt")).await;
    assert_eq!(missing.0, LedgerErrorKind::BadPlace, "{}", missing.1);
    // Whom the server lets in without encryption only, and who asks for it.
    let plain = encrypted.url("plain", "localhost", "sslmode=require");
    assert_eq!(refusal(&plain).await.0, LedgerErrorKind::Login);
    let socket = super::server::url("postgres", encrypted.server.folder(), "postgres");
    let socket = format!("{socket}?port={}&sslmode=require", encrypted.port);
    let (kind, why) = refusal(&socket).await;
    assert_eq!(
        (kind, why.as_str()),
        (LedgerErrorKind::Untrusted, "error performing TLS handshake: server does not support TLS")
    );
}

#[tokio::test]
async fn this_side_shows_its_certificate_to_a_server_that_asks_for_one() {
    let encrypted = Encrypted::start();
    let shown = encrypted.url(
        "shown",
        "localhost",
        "sslmode=verify-full&sslrootcert=@root.crt&sslcert=@own.crt&sslkey=@own.key",
    );
    let ledger = PostgresLedger::open(&shown, "main", API, MAX_OUTAGE).await.unwrap();
    works(&ledger).await;
    assert_eq!(encrypted.sessions("shown"), "t|/CN=shown");
    ledger.close().await;
    let nothing = encrypted.url("shown", "localhost", "sslmode=verify-full&sslrootcert=@root.crt");
    assert_eq!(refusal(&nothing).await.0, LedgerErrorKind::Login);
}

#[tokio::test]
async fn who_prefers_encryption_does_without_if_the_server_knows_none_that_is_good_enough() {
    let encrypted = Encrypted::start();
    let old =
        "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1'; ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.1'";
    for statement in old.split(';').chain(["SELECT pg_reload_conf()"]) {
        encrypted.server.sql("postgres", statement);
    }
    let asks = |mode: &str| encrypted.url("plain", "127.0.0.1", &format!("sslmode={mode}"));
    // Until it has read that.
    for _ in 0..50 {
        if refusal(&asks("require")).await.0 == LedgerErrorKind::Untrusted {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(refusal(&asks("require")).await.0, LedgerErrorKind::Untrusted);
    let ledger = PostgresLedger::open(&asks("prefer"), "main", API, MAX_OUTAGE).await.unwrap();
    works(&ledger).await;
    assert_eq!(encrypted.sessions("plain"), "f|");
    ledger.close().await;
    // Of two refusals the first one is told: the second one would ask for what was tried.
    let (kind, why) = refusal(&encrypted.url("postgres", "127.0.0.1", "sslmode=prefer")).await;
    assert!(kind == LedgerErrorKind::Untrusted && why.starts_with("error performing TLS handshake"), "{why}");
}

/// As `psql` would be told, with nothing but a name in the URL.
#[test]
fn a_service_and_the_environment_say_what_the_url_leaves_open() {
    let encrypted = Encrypted::start();
    let folder = encrypted.files.path();
    let service = format!("[covers]\nhost=localhost\nport={}\ndbname=postgres\nuser=shown\n", encrypted.port);
    fs::write(folder.join("services"), service).unwrap();
    let ledger = |words: &[&str], mode: &str| {
        let mut program = Command::new(PROGRAM);
        program.args(["ledger"]).args(words).env("PGSERVICEFILE", folder.join("services")).env("PGSSLMODE", mode);
        for (variable, file) in [("PGSSLROOTCERT", "root.crt"), ("PGSSLCERT", "own.crt"), ("PGSSLKEY", "own.key")] {
            program.env(variable, folder.join(file));
        }
        let output = program.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let shown = format!("postgres://localhost:{}/postgres", encrypted.port);
    let nothing_there = (Some(2), format!("error: no ledger at `{shown}`\n"));
    let (exit, said) = ledger(&["check", "postgres://?service=covers"], "verify-full");
    assert!(exit == nothing_there.0 && said.starts_with(&nothing_there.1), "{said}");
    assert_eq!(ledger(&["check", "postgres://?service=covers"], "disable").0, Some(2));
    let (exit, said) = ledger(&["check", "postgres://?service=other"], "verify-full");
    assert!(exit == Some(2) && said.contains("there is no service `other`"), "{said}");
}

#[test]
fn plain_text_to_another_host_is_warned_of_once() {
    let encrypted = Encrypted::start();
    // It does not know how, so that who would prefer it has to do without.
    let port = free_port();
    let set_up = "printf \"listen_addresses = '127.0.0.1'\\nport = $PORT\\n\" >>\"$folder/data/postgresql.conf\"
                  echo 'host all postgres 127.0.0.1/32 trust' >>\"$folder/data/pg_hba.conf\"";
    let _unable = Server::set_up(set_up, &[("PORT", port.to_string())], port);
    let warning = "is not encrypted";
    // Linux takes 0.0.0.0 for this machine, and its users take it for no loopback.
    for (url, warnings) in [
        (format!("postgres://postgres@0.0.0.0:{port}/postgres"), 1),
        (format!("postgres://postgres@127.0.0.1:{port}/postgres"), 0),
        (encrypted.url("plain", "0.0.0.0", "sslmode=disable"), 1),
        (encrypted.url("plain", "localhost", "sslmode=disable"), 0),
        (encrypted.url("postgres", "0.0.0.0", "sslmode=prefer"), 0),
        // It refuses this one as long as all is encrypted.
        (encrypted.url("plain", "0.0.0.0", "sslmode=prefer"), 1),
        (encrypted.url("plain", "127.0.0.1", ""), 0),
        (encrypted.url("postgres", "0.0.0.0", "sslmode=require"), 0),
    ] {
        let output = Command::new(PROGRAM).args(["ledger", "check", &url]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no ledger at"), "{said}");
        assert_eq!(said.matches(warning).count(), warnings, "{url}: {said}");
    }
    // A run has several connections.
    fs::write(encrypted.files.path().join("catalog.csv"), "task_id\na\n").unwrap();
    let mut run = Command::new(PROGRAM);
    run.args([
        "run",
        "catalog.csv",
        "--no-callback",
        "--max-outage",
        "1s",
        "--api-url",
        "http://127.0.0.1:9",
        "--ledger",
    ]);
    run.arg(format!("postgres://postgres@0.0.0.0:{port}/postgres")).env("SUNO_API_KEY", "any");
    let output = run.current_dir(encrypted.files.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.matches(warning).count()), (Some(4), 1), "{said}");
}
