//! The one progress line of a run at a terminal. The only home of `indicatif`.
//!
//! Log lines go through the [`Screen`] too, which takes the progress line away while it writes them, so that neither tears
//! the other.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tracing_subscriber::fmt::MakeWriter;

use crate::domain::{Brief, Rate};
use crate::policy::Refusal;
use crate::ratelimit::Gate;
use crate::runner::{Covers, Progress};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// The progress line, if anything is shown at all.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    lines: MultiProgress,
}

impl Screen {
    /// Shows how far a run with `total` rows to send has come until the handle is dropped.
    #[must_use]
    pub fn follow(&self, total: u64, rate: Rate, gate: Arc<Gate>, progress: watch::Receiver<Progress>) -> Shown {
        self.show(total, progress, move |now| (now.done, message(now, total, rate, &gate)))
    }

    /// Shows how far a command has come that follows `total` covers, until the handle is dropped.
    #[must_use]
    pub fn follow_covers(&self, total: u64, gate: Arc<Gate>, progress: watch::Receiver<Progress>) -> Shown {
        self.show(total, progress, move |now| {
            let Covers { generated, failed, given_up, saved, .. } = now.covers;
            let pause = paused(&gate).map(|pause| format!(", {pause}")).unwrap_or_default();
            let message = format!("covers, {} read, {saved} images saved{pause}", now.reads);
            (generated + failed + given_up, message)
        })
    }

    fn show(
        &self,
        total: u64,
        progress: watch::Receiver<Progress>,
        draw: impl Fn(&Progress) -> (u64, String) + Send + 'static,
    ) -> Shown {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.lines.add(ProgressBar::new(total).with_style(style));
        let drawing = tokio::spawn({
            let bar = bar.clone();
            async move {
                let mut ticks = interval(TICK);
                loop {
                    ticks.tick().await;
                    let (position, message) = draw(&progress.borrow());
                    bar.set_position(position);
                    bar.set_message(message);
                }
            }
        });
        Shown { bar, drawing }
    }
}

/// A progress line on the screen.
#[derive(Debug)]
pub struct Shown {
    bar: ProgressBar,
    drawing: JoinHandle<()>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}

/// Rate against limit, retrying, failed, and when it will be done; or why nothing is being sent.
fn message(progress: &Progress, total: u64, rate: Rate, gate: &Gate) -> String {
    let view = gate.view();
    let mut parts = vec![format!("{} sent, limit {rate}", progress.sent)];
    if progress.waiting > 0 {
        parts.push(format!("{} retrying", progress.waiting));
    }
    if progress.failed > 0 {
        parts.push(format!("{} failed", progress.failed));
    }
    if progress.covers.generated > 0 {
        parts.push(format!("{} covers finished", progress.covers.generated));
    }
    parts.push(paused(gate).unwrap_or_else(|| {
        format!("about {} left", Brief(Duration::from_secs(remaining(progress, total, rate, view.share).as_secs())))
    }));
    parts.join(", ")
}

/// Why nothing is sent and until when, if requests are paused.
fn paused(gate: &Gate) -> Option<String> {
    let (refusal, wait) = gate.view().paused?;
    let why = match refusal {
        Refusal::Throttled => "the service asks for a slower pace",
        Refusal::Unavailable => "the service is unavailable",
    };
    Some(format!("paused: {why}, next try in {}", Brief(Duration::from_secs(wait.as_secs()))))
}

/// How long the rest takes at the present pace.
fn remaining(progress: &Progress, total: u64, rate: Rate, share: f64) -> Duration {
    let rows = u32::try_from(total.saturating_sub(progress.done)).unwrap_or(u32::MAX);
    crate::ratelimit::expected_time(rate, rows).div_f64(share.max(0.01))
}

/// Writes to standard error, beside the progress line.
impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
