//! Where the server is, and how to connect to it: a URL as libpq understands it.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::failure::BadPlace;
use super::settings::{Login, Settings, password_for};

/// How far the server has to show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// Not at all: only listeners are kept out.
    Nothing,
    /// By a certificate that an authority has signed.
    Authority,
    /// By one for the name that it is reached by.
    Name,
}

/// What the URL says of encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) verify: Verify,
    /// The authorities; those of the system if there is no such file.
    pub(super) authorities: Option<PathBuf>,
    /// The certificate and the key that this side shows.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// Where a ledger is.
pub(super) struct Place {
    config: Config,
    pub(super) tls: Tls,
    /// For people: without the user and the password.
    pub(super) location: String,
    /// Where a password is looked for that nothing else says.
    passwords: Option<PathBuf>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("location", &self.location).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Place {
    /// Understands a URL; `variable` is the environment, which may know what it leaves open.
    pub(super) fn new(url: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BadPlace> {
        let mut settings = Settings::of(url, variable)?;
        let (mode, tls) = encryption(
            settings.take("sslmode").as_deref().unwrap_or("prefer"),
            settings.take("sslrootcert"),
            [settings.take("sslcert"), settings.take("sslkey")],
        )?;
        let passwords = settings.take("passfile").map(PathBuf::from);
        let mut config = settings.config()?;
        config.ssl_mode(mode);
        Ok(Self { location: location(&config), config, tls, passwords })
    }

    /// How to connect there, with the password.
    pub(super) fn config(&self) -> Result<Config, BadPlace> {
        let mut config = self.config.clone();
        if let (None, Some(file)) = (config.get_password(), &self.passwords)
            && let Some(found) = password_for(&login(&config), file)?
        {
            config.password(found);
        }
        Ok(config)
    }

    /// Whether it is on another machine, as far as its name tells.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.config.get_hosts().iter().any(|host| match host {
            Host::Tcp(name) => name != "localhost" && !name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
            Host::Unix(_) => false,
        })
    }
}

/// A good URL without the password, which stands between the first colon and the last `@`, or behind a name of its own.
pub(super) fn without_password(url: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = before.split_once("://").unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or_else(
        || rest.to_owned(),
        |(login, rest)| format!("{}@{rest}", login.split(':').next().unwrap_or_default()),
    );
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("password=")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{rest}{mark}{}", others.join("&"))
}

/// What `sslmode` stands for; as in libpq, a file of authorities makes `require` check them.
fn encryption(
    mode: &str,
    authorities: Option<String>,
    [certificate, key]: [Option<String>; 2],
) -> Result<(SslMode, Tls), BadPlace> {
    let (mode, verify) = match mode {
        "disable" => (SslMode::Disable, Verify::Nothing),
        "prefer" | "allow" => (SslMode::Prefer, Verify::Nothing),
        "require" if authorities.is_some() => (SslMode::Require, Verify::Authority),
        "require" => (SslMode::Require, Verify::Nothing),
        "verify-ca" => (SslMode::Require, Verify::Authority),
        "verify-full" => (SslMode::Require, Verify::Name),
        other => return Err(BadPlace::SslMode(other.to_owned())),
    };
    let authorities = authorities.filter(|file| file != "system").map(PathBuf::from);
    let identity = certificate.zip(key).map(|(certificate, key)| (certificate.into(), key.into()));
    Ok((mode, Tls { verify, authorities, identity }))
}

fn login(config: &Config) -> Login {
    Login {
        host: config.get_hosts().first().map_or_else(|| "localhost".to_owned(), host_name),
        port: port(config),
        database: database(config),
        user: config.get_user().unwrap_or_default().to_owned(),
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

fn port(config: &Config) -> u16 {
    config.get_ports().first().copied().unwrap_or(5432)
}

fn database(config: &Config) -> String {
    config.get_dbname().or(config.get_user()).unwrap_or_default().to_owned()
}

/// Host, port and database.
fn location(config: &Config) -> String {
    let hosts: Vec<String> = config.get_hosts().iter().map(host_name).collect();
    format!("postgres://{}:{}/{}", hosts.join(","), port(config), database(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place, BadPlace> {
        Place::new(url, |_| None)
    }

    #[test]
    fn a_place_is_shown_without_its_user_and_password() {
        let place =
            place("postgres://me:secret@db.example:5433/covers?sslmode=verify-full&application_name=x").unwrap();
        assert_eq!(place.location, "postgres://db.example:5433/covers");
        assert_eq!(place.config.get_password(), Some(&b"secret"[..]));
        assert_eq!(place.config.get_application_name(), Some("x"));
        assert!(!format!("{place:?}").contains("secret"));
    }

    #[test]
    fn a_url_is_told_without_its_password() {
        for (url, told) in [
            ("postgres://me:secret@db.example/covers", "postgres://me@db.example/covers"),
            (
                "postgres://me:se@cret@db.example/covers?sslmode=require",
                "postgres://me@db.example/covers?sslmode=require",
            ),
            ("postgres://db.example/covers?user=me&password=secret", "postgres://db.example/covers?user=me"),
            ("postgres://me@db.example/covers", "postgres://me@db.example/covers"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }

    #[test]
    fn no_error_about_a_url_shows_the_password() {
        for url in [
            "postgres://me:secret@db.example:port/covers",
            "postgres://me:secret@db.example/covers?colour=secret",
            "postgres://me:secret@db.example/covers?sslmode=always",
            "postgres://me:secret@db.example/covers?sslcrl=secret",
            "postgres://me:secret@db.example/covers?service=none",
            "postgres://me:secret@db.example/covers?sslmode=require&secret",
            "postgres://me:secret@[db.example/covers",
        ] {
            let error = place(url).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn every_sslmode_says_whether_to_encrypt_and_what_to_verify() {
        for (query, mode, verify) in [
            ("", SslMode::Prefer, Verify::Nothing),
            ("?sslmode=disable", SslMode::Disable, Verify::Nothing),
            ("?sslmode=allow", SslMode::Prefer, Verify::Nothing),
            ("?sslmode=prefer", SslMode::Prefer, Verify::Nothing),
            ("?sslmode=require", SslMode::Require, Verify::Nothing),
            ("?sslmode=require&sslrootcert=%2Fa.pem", SslMode::Require, Verify::Authority),
            ("?sslmode=verify-ca", SslMode::Require, Verify::Authority),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require, Verify::Name),
        ] {
            let place = place(&format!("postgresql://db.example/covers{query}")).unwrap();
            assert_eq!((place.config.get_ssl_mode(), place.tls.verify), (mode, verify), "{query}");
            let file = query.contains("pem").then(|| PathBuf::from("/a.pem"));
            assert_eq!(place.tls.authorities, file, "{query}");
        }
    }

    #[test]
    fn a_place_is_elsewhere_unless_its_name_says_that_it_is_here() {
        for (url, is_elsewhere) in [
            ("postgres://localhost/covers", false),
            ("postgres://127.0.0.2/covers", false),
            ("postgres://[::1]/covers", false),
            ("postgres://%2Fvar%2Frun/covers", false),
            ("postgres://db.example/covers", true),
            ("postgres://localhost,db.example/covers", true),
            ("postgres://0.0.0.0/covers", true),
        ] {
            assert_eq!(place(url).unwrap().is_elsewhere(), is_elsewhere, "{url}");
        }
    }

    #[test]
    fn the_password_of_the_url_comes_before_that_of_the_environment() {
        let variable = |name: &str| (name == "PGPASSWORD").then(|| "other".into());
        for (user, expected) in [("me:secret", "secret"), ("me", "other")] {
            let place = Place::new(&format!("postgres://{user}@db.example/covers"), variable).unwrap();
            assert_eq!(place.config().unwrap().get_password(), Some(expected.as_bytes()));
        }
    }
}
