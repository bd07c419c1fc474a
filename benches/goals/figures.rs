//! Medians, ratios, tables and verdicts.

use std::fmt::{self, Display, Formatter};

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Anything: it is told for the record.
    Free,
}

/// A figure and what it has to be.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
}

impl Verdict {
    /// `what` is measured in `unit`, or is a ratio where that is empty.
    pub(crate) fn new(what: impl Into<String>, measured: f64, unit: &'static str, bound: Bound) -> Self {
        Self { what: what.into(), measured, unit, bound }
    }

    /// Whether the figure is what it has to be. One that is no number is not.
    pub(crate) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.measured >= least,
            Bound::AtMost(most) => self.measured <= most,
            Bound::Free => true,
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let told = |value| format!("{} {}", figure(value), self.unit).trim_end().to_owned();
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("at least {}", told(least)),
            Bound::AtMost(most) => format!("at most {}", told(most)),
            Bound::Free => return write!(formatter, "{}: {}, no bound", self.what, told(self.measured)),
        };
        let outcome = if self.holds() { "holds" } else { "MISSED" };
        write!(formatter, "{}: {}, bound {bound}: {outcome}", self.what, told(self.measured))
    }
}

/// The value in the middle; of an even number of them, the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
    f64::midpoint(middle(values.len().saturating_sub(1) / 2), middle(values.len() / 2))
}

/// A whole number, or one with about three digits that count.
pub(crate) fn figure(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Prints a table for markdown.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", head.join(" | "));
    println!("|---{}|", "|--:".repeat(head.len().saturating_sub(1)));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}
