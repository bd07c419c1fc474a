//! What `coverbatch check` has found: a line for each thing it has looked at, and what they come to.

use serde_json::{Value, json};

use crate::error::{Error, Exit};

/// What was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<(&'static str, Finding)>);

/// What was found of one thing.
#[derive(Debug)]
pub(super) enum Finding {
    /// All is well; what there is to know.
    Well(String),
    /// A run would not go well: why, and what to do; the exit code of it.
    Wrong(String, Exit),
    /// It could not be looked at, and why not.
    Unknown(String),
}

/// The order in which the exit codes of the contract win.
const SEVEREST_FIRST: [Exit; 4] = [Exit::Unwritten, Exit::Catalog, Exit::Account, Exit::Usage];

impl From<Result<String, Error>> for Finding {
    fn from(found: Result<String, Error>) -> Self {
        match found {
            Ok(words) => Self::Well(words),
            Err(error) => Self::Wrong(error.line(), error.exit()),
        }
    }
}

impl Findings {
    /// Takes up what was found of a thing.
    pub(super) fn note(&mut self, what: &'static str, finding: impl Into<Finding>) {
        self.0.push((what, finding.into()));
    }

    /// What all of it comes to.
    pub(super) fn exit(&self) -> Exit {
        let wrong = || {
            self.0.iter().filter_map(|(_, finding)| match finding {
                Finding::Wrong(_, exit) => Some(*exit),
                Finding::Well(_) | Finding::Unknown(_) => None,
            })
        };
        let severest = SEVEREST_FIRST.into_iter().find(|severe| wrong().any(|exit| exit == *severe));
        severest.or_else(|| wrong().next()).unwrap_or(Exit::Success)
    }

    /// A line each; only those that are not well if `is_quiet`.
    pub(super) fn text(&self, is_quiet: bool) -> String {
        let line = |(what, finding): &(&str, Finding)| match finding {
            Finding::Well(_) if is_quiet => String::new(),
            Finding::Well(words) => format!("ok      {what:<9} {words}\n"),
            Finding::Wrong(words, _) => format!("not ok  {what:<9} {words}\n"),
            Finding::Unknown(why) => format!("?       {what:<9} not known: {why}\n"),
        };
        self.0.iter().map(line).collect()
    }

    /// All of them as one document.
    pub(super) fn json(&self) -> Value {
        let found = |(what, finding): &(&str, Finding)| match finding {
            Finding::Well(words) => json!({"what": what, "ok": true, "told": words}),
            Finding::Wrong(words, _) => json!({"what": what, "ok": false, "told": words}),
            Finding::Unknown(why) => json!({"what": what, "ok": null, "told": why}),
        };
        json!({"exit_code": self.exit().code(), "checks": self.0.iter().map(found).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severest_finding_is_the_exit_code() {
        let wrong = |exit| Finding::Wrong("no".to_owned(), exit);
        let mut findings = Findings::default();
        findings.note("a", Ok("yes".to_owned()));
        findings.note("b", Finding::Unknown("nobody answers".to_owned()));
        assert_eq!(
            (findings.exit(), findings.text(true)),
            (Exit::Success, "?       b         not known: nobody answers\n".to_owned())
        );
        for exit in [Exit::Defect, Exit::Usage, Exit::Account, Exit::Catalog, Exit::Unwritten] {
            findings.note("c", wrong(exit));
            findings.note("d", wrong(Exit::Usage));
            assert_eq!(findings.exit(), if exit == Exit::Defect { Exit::Usage } else { exit });
        }
    }
}
