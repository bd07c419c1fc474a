//! Send times, measured without the gate.

use std::time::Duration;

use tokio::time::Instant;

use super::Sent;

/// The most submissions in any half-open window of this length; each window that matters begins with a submission.
pub(crate) fn most_in_window(sent: &[Sent], length: Duration) -> usize {
    let times: Vec<Instant> = sent.iter().map(|sent| sent.at).collect();
    let in_window = |start: Instant| times.iter().filter(|time| (start..start + length).contains(*time)).count();
    times.iter().map(|start| in_window(*start)).max().unwrap_or(0)
}

/// From each submission to the next.
pub(crate) fn gaps<'a>(sent: impl IntoIterator<Item = &'a Sent>) -> Vec<Duration> {
    let times: Vec<Instant> = sent.into_iter().map(|sent| sent.at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
