//! Services: connections that have a name in a file, as libpq has them.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgservice.html>

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::bad_place::BadPlace;

/// Where the file of the whole machine is, if nothing says otherwise.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// The name of that file.
const SYSTEM_FILE: &str = "pg_service.conf";

/// The parameters of a service, from the file of the user, else that of the machine.
pub(super) fn find(
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
        if let Some(parameters) = in_file(&text, service) {
            return Ok(parameters);
        }
    }
    Err(BadPlace::NoService(service.to_owned()))
}

/// The parameters below `[service]`, up to the next name.
fn in_file(text: &str, service: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(service))?;
    let lines = lines.take_while(|line| !line.starts_with('['));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Some(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_what_stands_below_its_name() {
        let text = "# ours\n[other]\nhost=no\n\n[covers]\nhost = db.example\n# not=this\nport=6432\npassword=a=b\n[last]\nuser=me";
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(in_file(text, "covers"), pairs(&[("host", "db.example"), ("port", "6432"), ("password", "a=b")]));
        assert_eq!(in_file(text, "last"), pairs(&[("user", "me")]));
        assert_eq!(in_file(text, "cover"), None);
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
            find(service, &variable).map(|pairs| pairs[0].1.clone())
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
}
