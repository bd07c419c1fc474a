//! Variables that look like settings of this program and are none: one with a mistake in its name changes nothing, and
//! nobody would notice.

use std::env;

use clap::Command;

use super::settings::{nearest_setting, variable_of};

/// How the names of all variables of this program begin.
const PREFIX: &str = "COVERBATCH_";

/// One that is no option of any command, because command lines can be seen by everyone on a machine.
const SECRET: &str = "COVERBATCH_CALLBACK_SECRET";

/// How those begin that Kubernetes sets in every container beside a service named `coverbatch`.
const OF_KUBERNETES: [&str; 2] = ["COVERBATCH_SERVICE_", "COVERBATCH_PORT"];

/// What is said of each that is set and means nothing, a line each; `program` has all options.
pub(super) fn unknown(program: &Command) -> Vec<String> {
    let set = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut set: Vec<String> = set.collect();
    set.sort();
    unknown_of(&set, program)
}

/// The same as one text.
pub(super) fn unknown_text(program: &Command) -> String {
    unknown(program).into_iter().map(|line| line + "\n").collect()
}

fn unknown_of(set: &[String], program: &Command) -> Vec<String> {
    let told = |name: &String| {
        let option = name.strip_prefix(PREFIX)?.to_lowercase().replace('_', "-");
        let is_of_others = OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix));
        if is_of_others || name == SECRET || is_known(program, name) {
            return None;
        }
        let meant =
            nearest_setting(program, &option).map(|nearest| format!("; did you mean {}?", variable_of(&nearest)));
        Some(format!("the variable {name} means nothing to coverbatch{}", meant.unwrap_or_default()))
    };
    set.iter().filter_map(told).collect()
}

/// Whether an option of any command takes its value from this variable.
fn is_known(command: &Command, variable: &str) -> bool {
    command.get_arguments().any(|option| option.get_env().is_some_and(|name| name == variable))
        || command.get_subcommands().any(|command| is_known(command, variable))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn a_variable_with_a_mistake_in_its_name_is_told_with_the_nearest() {
        let option = |name: &'static str| Arg::new(name).long(name).env(format!("COVERBATCH_{}", name.to_uppercase()));
        let program =
            Command::new("x").subcommand(Command::new("run").args(["rate", "results", "failures"].map(option)));
        let told = |name: &str| unknown_of(&[name.to_owned()], &program);
        for name in ["COVERBATCH_RATE", "RATE", "COVERBATCHES", "COVERBATCH_SERVICE_HOST", "COVERBATCH_PORT_80_TCP"] {
            assert!(told(name).is_empty(), "{name}");
        }
        let means_nothing = "means nothing to coverbatch";
        assert_eq!(
            told("COVERBATCH_FAILURE"),
            [format!("the variable COVERBATCH_FAILURE {means_nothing}; did you mean COVERBATCH_FAILURES?")]
        );
        assert_eq!(told("COVERBATCH_COLOUR"), [format!("the variable COVERBATCH_COLOUR {means_nothing}")]);
    }
}
