//! Variables that look like settings of this program and are none: one with a mistake in its name changes nothing, and
//! nobody would notice.

use std::env;
use std::fmt::Write as _;

use clap::Command;

/// How the names of all variables of this program begin.
const PREFIX: &str = "COVERBATCH_";

/// Those that are no options, because options can be seen by everyone on a machine.
const SECRETS: [&str; 2] = ["COVERBATCH_CALLBACK_SECRET", "COVERBATCH_WEBHOOK_KEY"];

/// How those begin that Kubernetes sets in every container beside a service named `coverbatch`.
const OF_KUBERNETES: [&str; 2] = ["COVERBATCH_SERVICE_", "COVERBATCH_PORT"];

/// How alike two names are that may be meant for each other, by [`strsim::jaro`].
const ALIKE: f64 = 0.8;

/// What is said of each that is set and means nothing, a line each; `command` has all options.
pub(super) fn unknown(command: &Command) -> Vec<String> {
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut set: Vec<String> = set.collect();
    set.sort();
    unknown_of(&set, &known(command))
}

/// The same as one text.
pub(super) fn unknown_text(command: &Command) -> String {
    unknown(command).iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// The names of all variables that mean something.
fn known(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|option| option.get_env());
    let own = own.map(|name| name.to_string_lossy().into_owned());
    own.chain(command.get_subcommands().flat_map(known)).chain(SECRETS.map(str::to_owned)).collect()
}

fn unknown_of(set: &[String], known: &[String]) -> Vec<String> {
    let is_unknown = |name: &&String| {
        name.starts_with(PREFIX)
            && !known.contains(name)
            && !OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
    };
    let told = |name: &String| {
        let likeness =
            |other: &String| strsim::jaro(&name[PREFIX.len()..], other.strip_prefix(PREFIX).unwrap_or(other));
        let nearest = known.iter().map(|other| (likeness(other), other)).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = nearest.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, other)| other);
        let hint = hint.map(|other| format!("; did you mean {other}?")).unwrap_or_default();
        format!("the variable {name} means nothing to coverbatch{hint}")
    };
    set.iter().filter(is_unknown).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_with_a_mistake_in_its_name_is_told_with_the_nearest() {
        let known = ["COVERBATCH_RATE", "COVERBATCH_RESULTS", "COVERBATCH_MAX_FAILURES", "OTHER"].map(str::to_owned);
        let told = |name: &str| unknown_of(&[name.to_owned()], &known);
        for name in ["COVERBATCH_RATE", "RATE", "COVERBATCHES", "COVERBATCH_SERVICE_HOST", "COVERBATCH_PORT_80_TCP"] {
            assert!(told(name).is_empty(), "{name}");
        }
        let means_nothing = "means nothing to coverbatch";
        assert_eq!(
            told("COVERBATCH_MAX_FAILURE"),
            [format!("the variable COVERBATCH_MAX_FAILURE {means_nothing}; did you mean COVERBATCH_MAX_FAILURES?")]
        );
        assert_eq!(told("COVERBATCH_COLOUR"), [format!("the variable COVERBATCH_COLOUR {means_nothing}")]);
    }
}
