//! Folders that the service manager or the system has for what programs keep and for how they are set.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where everybody's configuration is.
const CONFIG_OF_ALL: &str = "/etc/coverbatch/config.toml";

/// The home of the user whom the package makes for nightly runs, which is the service manager's folder for these too: whoever
/// starts a run as that user, systemd, cron or a person, it is with the same ledgers.
const HOME_OF_SERVICE: &str = "/var/lib/coverbatch";

/// The folder for what programs keep: that of the service manager, else that of the user.
pub(super) fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    named("STATE_DIRECTORY", &variable)
        .or_else(|| Some(named("XDG_STATE_HOME", &variable)?.join("coverbatch")))
        .or_else(|| {
            let home = named("HOME", &variable)?;
            let is_services = home == Path::new(HOME_OF_SERVICE);
            Some(if is_services { home } else { home.join(".local/state/coverbatch") })
        })
}

/// The configuration file that is there, the user's own before everybody's.
pub(super) fn config_file() -> Option<PathBuf> {
    config_files(|name| env::var_os(name)).into_iter().find(|path| path.exists())
}

/// Where the configuration file may be.
fn config_files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let users = named("XDG_CONFIG_HOME", &variable).or_else(|| Some(named("HOME", &variable)?.join(".config")));
    let users = users.map(|folder| folder.join("coverbatch/config.toml"));
    users.into_iter().chain([PathBuf::from(CONFIG_OF_ALL)]).collect()
}

/// The folder that a variable names. Relative ones would lead elsewhere from another folder. There may be several for one
/// service.
fn named(name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let value = variable(name)?;
    env::split_paths(&value).next().filter(|folder| folder.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a variable, if only these are set.
    fn only<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + use<'a> {
        |name| set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_state_folder_is_the_service_managers_else_the_users() {
        let all = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")];
        let found = |set: &[(&str, &str)]| state_folder(only(set)).map(|folder| folder.display().to_string());
        assert_eq!(found(&all).as_deref(), Some("/var/lib/a"));
        assert_eq!(found(&all[1..]).as_deref(), Some("/x/coverbatch"));
        assert_eq!(found(&all[2..]).as_deref(), Some("/home/u/.local/state/coverbatch"));
        assert_eq!(found(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), all[2]]), found(&all[2..]));
        assert_eq!(found(&[("HOME", "")]), None);
        assert_eq!(found(&[("HOME", "/var/lib/coverbatch/")]).as_deref(), Some("/var/lib/coverbatch/"));
        assert_eq!(
            found(&[("XDG_STATE_HOME", "/x"), ("HOME", "/var/lib/coverbatch")]).as_deref(),
            Some("/x/coverbatch")
        );
    }

    #[test]
    fn the_configuration_is_the_users_else_everybodys() {
        let everybodys = "/etc/coverbatch/config.toml";
        let both = [("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/u")];
        for (set, first) in [
            (&both[..], Some("/x/coverbatch/config.toml")),
            (&both[1..], Some("/home/u/.config/coverbatch/config.toml")),
            (&[("XDG_CONFIG_HOME", "x"), both[1]], Some("/home/u/.config/coverbatch/config.toml")),
            (&[], None),
        ] {
            let expected: Vec<PathBuf> = first.into_iter().chain([everybodys]).map(PathBuf::from).collect();
            assert_eq!(config_files(only(set)), expected);
        }
    }
}
