//! What the URL of a ledger leaves open, from where users of libpq expect it: the service that is named, else variables of the
//! environment, else files and places that are the same everywhere.
//!
//! <https://www.postgresql.org/docs/current/libpq-envars.html>,
//! <https://www.postgresql.org/docs/current/libpq-pgservice.html>,
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;

use super::failure::BadPlace;

/// Parameters, and the variables that say them.
const VARIABLES: [(&str, &str); 12] = [
    ("host", "PGHOST"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
];

/// Parameters, and the files in the home folder that stand for them if they are there.
const FILES: [(&str, &str); 4] = [
    ("passfile", ".pgpass"),
    ("sslrootcert", ".postgresql/root.crt"),
    ("sslcert", ".postgresql/postgresql.crt"),
    ("sslkey", ".postgresql/postgresql.key"),
];

/// Where the socket of a server on this machine is.
const SOCKETS: &str = "/var/run/postgresql";

/// Where the file of the services of the whole machine is, if nothing says otherwise.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// The name of that file.
const SYSTEM_FILE: &str = "pg_service.conf";

/// The parameters of a URL, and what it leaves open.
pub(super) struct Settings {
    /// What stands before the `?`.
    before: String,
    said_before: Config,
    /// Names, and values as they stand in a URL.
    parameters: Vec<(String, String)>,
}

impl Settings {
    /// Completes a URL; `variable` is the environment.
    pub(super) fn of(url: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, BadPlace> {
        let (before, query) = url.split_once('?').unwrap_or((url, ""));
        let mut settings = Self { before: before.to_owned(), said_before: parsed(before)?, parameters: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let unterminated = || BadPlace::Url("a parameter has no value".to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(unterminated)?;
            settings.parameters.push((name.to_owned(), value.to_owned()));
        }
        let text = |name: &str| Some(variable(name)?.to_string_lossy().into_owned()).filter(|text| !text.is_empty());
        if let Some(service) = settings.take("service").or_else(|| text("PGSERVICE")) {
            for (name, value) in service_named(&service, &variable)? {
                settings.add(&name, &value);
            }
        }
        for (name, value) in VARIABLES.iter().filter_map(|(name, variable)| Some((name, text(variable)?))) {
            settings.add(name, &value);
        }
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        for (name, file) in FILES.map(|(name, file)| (name, home.join(file))) {
            if file.is_file() {
                settings.add(name, &file.to_string_lossy());
            }
        }
        settings.add("host", if Path::new(SOCKETS).is_dir() { SOCKETS } else { "localhost" });
        Ok(settings)
    }

    /// Takes out the value of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.parameters.iter().position(|(known, _)| known == name)?;
        Some(percent_decode_str(&self.parameters.swap_remove(at).1).decode_utf8_lossy().into_owned())
    }

    /// All that was not taken out, as the driver understands it.
    pub(super) fn config(mut self) -> Result<Config, BadPlace> {
        let hosts = hosts(&self.before);
        if !hosts.is_empty()
            && let Some(port) = self.take("port")
        {
            // The driver takes the usual port for a host that stands without one, and another one for one too many.
            self.before.insert_str(hosts.end, &format!(":{port}"));
        }
        let pairs: Vec<String> = self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parsed(&format!("{}?{}", self.before, pairs.join("&")))
    }

    fn add(&mut self, name: &str, value: &str) {
        if !self.says(name) {
            self.parameters.push((name.to_owned(), utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()));
        }
    }

    fn says(&self, name: &str) -> bool {
        let before = &self.said_before;
        let is_before = match name {
            "host" => !before.get_hosts().is_empty(),
            "port" => self.before[hosts(&self.before)].rsplit(']').next().is_some_and(|end| end.contains([':', ','])),
            "dbname" => before.get_dbname().is_some(),
            "user" => before.get_user().is_some(),
            "password" => before.get_password().is_some(),
            _ => false,
        };
        is_before || self.parameters.iter().any(|(known, _)| known == name)
    }
}

/// Where in a URL its hosts are.
fn hosts(before: &str) -> Range<usize> {
    let scheme = before.find("://").map_or(0, |at| at + 3);
    let start = before.rfind('@').map_or(scheme, |at| at + 1);
    let end = before[start..].find('/').map_or(before.len(), |at| start + at);
    start..end
}

/// Its errors name parameters and never values.
fn parsed(url: &str) -> Result<Config, BadPlace> {
    url.parse().map_err(|error: tokio_postgres::Error| {
        BadPlace::Url(error.source().map_or_else(|| error.to_string(), ToString::to_string))
    })
}

/// The parameters of a service, a connection that has a name: from the file of the user, else that of the machine.
fn service_named(
    service: &str,
    variable: &impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(String, String)>, BadPlace> {
    let in_home = || Some(PathBuf::from(variable("HOME")?).join(".pg_service.conf"));
    let users = variable("PGSERVICEFILE").map(PathBuf::from).or_else(in_home);
    let folder = variable("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM_FOLDER.into());
    for path in users.into_iter().chain([PathBuf::from(folder).join(SYSTEM_FILE)]) {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(BadPlace::File { path: path.display().to_string(), why: error.to_string() }),
        };
        if let Some(parameters) = below_name(&text, service) {
            return Ok(parameters);
        }
    }
    Err(BadPlace::NoService(service.to_owned()))
}

/// The parameters below `[service]`, up to the next name.
fn below_name(text: &str, service: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(service))?;
    let lines = lines.take_while(|line| !line.starts_with('['));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Some(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
}

/// What a line of the file of passwords has to fit.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
}

/// The password that nothing else says, if there is one in the file at `path`.
pub(super) fn password_for(login: &Login, path: &Path) -> Result<Option<String>, BadPlace> {
    match fs::read_to_string(path) {
        Ok(lines) => Ok(in_lines(&lines, login)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BadPlace::File { path: path.display().to_string(), why: error.to_string() }),
    }
}

/// The password of the first line that fits: `host:port:database:user:password`, each of the first four may be `*`, and a
/// backslash takes the meaning from a colon or a backslash.
fn in_lines(lines: &str, login: &Login) -> Option<String> {
    let wanted = [&login.host, &login.port.to_string(), &login.database, &login.user];
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let [known @ .., password] = fields.as_slice() else { return None };
        let fits = known.len() == wanted.len()
            && known.iter().zip(wanted).all(|(known, wanted)| known == "*" || known == wanted);
        fits.then(|| password.clone())
    })
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let field = fields.last_mut();
        match (character, field) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(characters.next()),
            (_, Some(field)) => field.push(character),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn the_url_comes_before_its_service_that_before_the_environment_and_that_before_files() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".postgresql")).unwrap();
        let key = home.path().join(".postgresql/postgresql.key");
        for file in [&home.path().join(".postgresql/root.crt"), &key] {
            fs::write(file, "").unwrap();
        }
        let service =
            "[covers]\nhost=service.example\nport=6432\ndbname=of service\nsslmode=verify-ca\npassword=p@ss/word\n";
        fs::write(home.path().join(".pg_service.conf"), service).unwrap();
        let of = |url: &str, set: &[(&str, &str)]| {
            let variable = |name: &str| match name {
                "HOME" => Some(home.path().as_os_str().to_owned()),
                _ => set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
            };
            Settings::of(url, variable).unwrap()
        };
        let environment =
            [("PGHOST", "a.example"), ("PGUSER", "me"), ("PGDATABASE", "env"), ("PGSSLROOTCERT", "/e.crt")];
        let mut settings = of("postgres:///?service=covers&application_name=x", &environment);
        assert_eq!(settings.take("sslmode").as_deref(), Some("verify-ca"));
        assert_eq!(settings.take("sslrootcert").as_deref(), Some("/e.crt"));
        assert_eq!(settings.take("sslkey").as_deref(), key.to_str());
        assert_eq!((settings.take("sslcert"), settings.take("passfile")), (None, None));
        let config = settings.config().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("service.example".to_owned())]);
        assert_eq!((config.get_ports(), config.get_dbname()), (&[6432][..], Some("of service")));
        assert_eq!((config.get_user(), config.get_password()), (Some("me"), Some(&b"p@ss/word"[..])));
        assert_eq!(config.get_application_name(), Some("x"));
        let mut settings = of("postgres://you:own@b.example/own?sslrootcert=%2Fu.crt", &[("PGSERVICE", "covers")]);
        assert_eq!(settings.take("sslrootcert").as_deref(), Some("/u.crt"));
        let (_, _) = (settings.take("sslmode"), settings.take("sslkey"));
        let config = settings.config().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("b.example".to_owned())]);
        assert_eq!((config.get_ports(), config.get_dbname()), (&[6432][..], Some("own")));
        assert_eq!((config.get_user(), config.get_password()), (Some("you"), Some(&b"own"[..])));
        for (url, port) in [
            ("postgres://b.example:7/own", 7),
            ("postgres://me@[::1]/own", 8),
            ("postgres://[::1]:7/own", 7),
            ("postgres://%2Ftmp?port=9", 9),
            ("postgres://?host=%2Ftmp", 8),
        ] {
            let mut settings = of(url, &[("PGPORT", "8")]);
            let _ = (settings.take("sslrootcert"), settings.take("sslkey"));
            assert_eq!(settings.config().unwrap().get_ports(), [port], "{url}");
        }
        let mut settings = of("postgres://", &[("PGHOST", "")]);
        let _ = (settings.take("sslrootcert"), settings.take("sslkey"));
        let usual =
            if Path::new(SOCKETS).is_dir() { Host::Unix(SOCKETS.into()) } else { Host::Tcp("localhost".to_owned()) };
        assert_eq!(settings.config().unwrap().get_hosts(), [usual]);
    }

    #[test]
    fn a_service_is_what_stands_below_its_name() {
        let text = "# ours\n[other]\nhost=no\n\n[covers]\nhost = db.example\n# not=this\nport=6432\npassword=a=b\n[last]\nuser=me";
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(below_name(text, "covers"), pairs(&[("host", "db.example"), ("port", "6432"), ("password", "a=b")]));
        assert_eq!(below_name(text, "last"), pairs(&[("user", "me")]));
        assert_eq!(below_name(text, "cover"), None);
    }

    #[test]
    fn the_file_of_the_user_comes_before_that_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".pg_service.conf"), "[both]\nhost=users\n").unwrap();
        fs::write(folder.path().join(SYSTEM_FILE), "[both]\nhost=machines\n[machine]\nhost=machines\n").unwrap();
        fs::write(folder.path().join("named"), "[named]\nhost=named\n").unwrap();
        let host = |service, file: Option<&str>| {
            let variable = |name: &str| match name {
                "HOME" | "PGSYSCONFDIR" => Some(folder.path().as_os_str().to_owned()),
                "PGSERVICEFILE" => file.map(|file| folder.path().join(file).into_os_string()),
                _ => None,
            };
            service_named(service, &variable).map(|pairs| pairs[0].1.clone())
        };
        assert_eq!(host("both", None).unwrap(), "users");
        assert_eq!(host("machine", None).unwrap(), "machines");
        assert_eq!(host("named", Some("named")).unwrap(), "named");
        assert_eq!(host("both", Some("named")).unwrap(), "machines");
        assert_eq!(host("both", Some("nowhere")).unwrap(), "machines");
        assert!(matches!(host("both", Some("")), Err(BadPlace::File { .. })), "a folder is no file");
        let missing = host("named", None).unwrap_err().to_string();
        assert_eq!(
            missing,
            "there is no service `named` in PGSERVICEFILE, ~/.pg_service.conf or the pg_service.conf of this machine"
        );
    }

    fn login() -> Login {
        let text = str::to_owned;
        Login { host: text("db.example"), port: 5432, database: text("covers"), user: text("me") }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        for (lines, expected) in [
            ("db.example:5432:covers:me:secret", Some("secret")),
            ("# a comment\nother:*:*:*:no\n*:*:*:me:secret\n*:*:*:*:late", Some("secret")),
            (r"*:*:*:*:a\:b\\c", Some(r"a:b\c")),
            ("db.example:5433:covers:me:secret", None),
            ("db.example:5432:covers:me", None),
            ("", None),
        ] {
            assert_eq!(in_lines(lines, &login()).as_deref(), expected, "{lines}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        assert_eq!(password_for(&login(), &path).unwrap(), None);
        fs::write(&path, "*:*:*:*:filed").unwrap();
        assert_eq!(password_for(&login(), &path).unwrap().as_deref(), Some("filed"));
        assert!(password_for(&login(), folder.path()).is_err());
    }
}
