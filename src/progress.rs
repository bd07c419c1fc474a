//! What a run shows of itself while it goes on: one line at a terminal, or a line now and then where there is none. The only
//! home of `indicatif` and `console`.
//!
//! Log lines go through the [`Screen`] too, which takes the progress line away while it writes them, so that neither tears
//! the other.

mod failures;
mod line;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};
use tracing::{Level, enabled, info};
use tracing_subscriber::fmt::MakeWriter;

use crate::clock::{Clock, UnixMillis};
use crate::domain::Rate;
use crate::ratelimit::{Gate, expected_time};
use crate::runner::{Failure, Progress};

use line::Moment;

pub use failures::Rows;

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// How often a line is written where none can be drawn.
const RARELY: Duration = Duration::from_secs(300);

/// The time over which the rate is measured.
const MEASURED: Duration = Duration::from_secs(30);

/// Failures that are told one by one. The line counts all of them.
const MOST_FAILURES: usize = 50;

/// How often failures are looked up in the catalog.
const LOOK_UP: Duration = Duration::from_millis(500);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One line that is drawn again and again.
    Drawn,
    /// A line every five minutes.
    Written,
}

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Watched {
    /// How.
    pub style: Style,
    /// The clock of the run.
    pub clock: Clock,
    /// Rows to send.
    pub rows: u64,
    /// Covers that were followed before any row is sent.
    pub covers: u64,
    /// The limit of submissions, if there are any.
    pub rate: Option<Rate>,
    /// The gate of submissions, else that of reads.
    pub gate: Arc<Gate>,
    /// The gate that covers wait at once nothing more is sent, if it is another.
    pub reads: Option<Arc<Gate>>,
    /// How long each cover is waited for, if covers are.
    pub wait: Option<Duration>,
    /// Where failures are named.
    pub failing: Rows,
}

/// Standard error, with the progress line if one is shown.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    lines: MultiProgress,
}

impl Screen {
    /// Shows how far a run has come, and what fails of it, until [`Shown::end`].
    #[must_use]
    pub fn follow(&self, watched: Watched, progress: watch::Receiver<Progress>, failures: Receiver<Failure>) -> Shown {
        let failing = tokio::spawn(tell_failures(self.clone(), watched.failing.clone(), failures));
        let meter = Meter { watched, progress, sent: VecDeque::new() };
        let (bar, showing) = match meter.watched.style {
            Style::Drawn => {
                let bar = self.lines.add(ProgressBar::new_spinner());
                (Some(bar.clone()), tokio::spawn(draw(bar, meter)))
            }
            Style::Written => {
                let (screen, mut meter) = (self.clone(), meter);
                let words = move || meter.moment().words();
                (None, tokio::spawn(write_rarely(words, move |line| screen.say(line))))
            }
        };
        Shown { bar, showing, failing }
    }

    /// Writes a line: as one of the log where that is wanted, else as it is.
    fn say(&self, line: &str) {
        if enabled!(Level::INFO) {
            info!("{line}");
        } else {
            let _ = self.clone().write_all(format!("{line}\n").as_bytes());
        }
    }
}

async fn draw(bar: ProgressBar, mut meter: Meter) {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    let (terminal, mut ticks) = (Term::stderr(), interval(TICK));
    loop {
        ticks.tick().await;
        let width = usize::from(terminal.size().1);
        // A terminal wraps what reaches into its last column.
        bar.set_message(meter.moment().line(width.saturating_sub(1)));
    }
}

/// Writes the words of every so many, which are asked for all the time, as they are measured.
async fn write_rarely(mut words: impl FnMut() -> String, write: impl Fn(&str)) {
    let mut ticks = interval(TICK);
    let mut last = ticks.tick().await;
    loop {
        let now = ticks.tick().await;
        let words = words();
        if now - last >= RARELY {
            write(&words);
            last = now;
        }
    }
}

/// Tells of failures until the run is over, and all that are left by then.
async fn tell_failures(screen: Screen, rows: Rows, mut failures: Receiver<Failure>) {
    let mut told = 0;
    loop {
        let mut several = match failures.recv().await {
            Ok(failure) => vec![failure],
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        while let Ok(failure) = failures.try_recv() {
            several.push(failure);
        }
        several.truncate(MOST_FAILURES - told);
        told += several.len();
        rows.told(several).await.iter().for_each(|line| screen.say(line));
        if told == MOST_FAILURES {
            return screen.say("more failures are counted, and no longer told one by one");
        }
        sleep(LOOK_UP).await;
    }
}

/// A progress line on the screen.
#[derive(Debug)]
pub struct Shown {
    bar: Option<ProgressBar>,
    showing: JoinHandle<()>,
    failing: JoinHandle<()>,
}

impl Shown {
    /// Takes it away, once every failure is told. The run is over.
    pub async fn end(self) {
        self.showing.abort();
        let _ = self.failing.await;
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// What is shown at a moment, measured.
struct Meter {
    watched: Watched,
    progress: watch::Receiver<Progress>,
    /// Submissions so far, at times of late.
    sent: VecDeque<(Instant, u64)>,
}

impl Meter {
    fn moment(&mut self) -> Moment {
        let progress = *self.progress.borrow();
        let lately = self.sent_lately(progress.sent);
        let Watched { clock, rows, covers, rate, gate, reads, wait, .. } = &self.watched;
        let gate = reads.as_ref().filter(|_| progress.done >= *rows).unwrap_or(gate);
        let (now, view) = (clock.unix(), gate.view());
        let since = progress.last_accepted.unwrap_or_else(|| now.before(clock.elapsed()));
        Moment {
            progress,
            total: *rows,
            covers: covers + progress.covers.accepted,
            elapsed: clock.elapsed(),
            pace: rate.map(|rate| (rate, lately * rate.period.as_secs_f64())),
            paused: view.paused.map(|(refusal, wait)| (refusal, time_of_day(now.after(wait)))),
            left: rate.map_or(Duration::ZERO, |rate| {
                let left = u32::try_from(rows.saturating_sub(progress.done)).unwrap_or(u32::MAX);
                expected_time(rate, left).div_f64(view.share.max(0.01))
            }),
            next_look: progress.next_poll.map(|at| now.until(at)),
            waited: wait.map(|most| (since.until(now).min(most), most)),
        }
    }

    /// Submissions in a second, of late.
    fn sent_lately(&mut self, sent: u64) -> f64 {
        let now = self.watched.clock.now();
        self.sent.push_back((now, sent));
        while self.sent.front().is_some_and(|(at, _)| now - *at > MEASURED) {
            self.sent.pop_front();
        }
        let (first, before) = self.sent.front().copied().unwrap_or((now, sent));
        let seconds = (now - first).max(TICK).as_secs_f64();
        u32::try_from(sent - before).map_or(0.0, f64::from) / seconds
    }
}

/// The time of day where this machine is.
fn time_of_day(time: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX);
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_every_five_minutes() {
        let lines = Mutex::new(Vec::new());
        let mut asked = 0;
        let words = || {
            asked += 1;
            asked.to_string()
        };
        let writing = write_rarely(words, |line| lines.lock().unwrap().push(line.to_owned()));
        tokio::pin!(writing);
        assert!(timeout(Duration::from_secs(299), &mut writing).await.is_err());
        assert!(lines.lock().unwrap().is_empty());
        assert!(timeout(Duration::from_secs(302), &mut writing).await.is_err());
        assert_eq!(*lines.lock().unwrap(), ["3000", "6000"], "what is so at that moment");
    }
}
