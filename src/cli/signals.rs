//! Signals: the first one that asks for the end lets the run end well, the second one ends the process at once.

use std::fs;
use std::process;

use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

use crate::cli::metrics_file::MetricsFile;
use crate::cli::output::eprint;
use crate::domain::{Ended, Signal};
use crate::error::{Error, Exit};
use crate::runner::Stop;

/// The number of SIGHUP.
const HANGUP: u32 = 1;

/// The number of SIGXFSZ on Linux and macOS, MIPS aside.
const FILE_SIZE_LIMIT: i32 = 25;

/// From now on SIGINT, SIGTERM and SIGHUP ask `stop` for the end. The one that ends the process writes the metrics.
///
/// SIGHUP is left alone if it was ignored when the process began: under `nohup` it is to change nothing.
pub(super) fn watch(stop: &Stop, metrics: &MetricsFile) -> Result<(), Error> {
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = if is_ignored(HANGUP) { None } else { Some(listen(SignalKind::hangup())?) };
    let (stop, metrics) = (stop.clone(), metrics.clone());
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                Some(()) = next(hangup.as_mut()) => Signal::Terminate,
            };
            if asked {
                leave(signal, &metrics);
            }
            asked = true;
            eprint("coverbatch: stopping; answers on their way are awaited (a second signal leaves at once)\n");
            stop.request(Ended::Interrupted(signal));
        }
    });
    Ok(())
}

/// From now on a write past the limit of `ulimit -f` is an error like that of a full disk, which names its file.
pub(super) fn outlive_file_size_limit() -> Result<(), Error> {
    listen(SignalKind::from_raw(FILE_SIZE_LIMIT)).map(drop)
}

fn listen(kind: SignalKind) -> Result<Listener, Error> {
    signal(kind).map_err(|cause| Error::System { what: "listen for signals", cause })
}

/// The next signal; `None` if nobody listens for it.
async fn next(listener: Option<&mut Listener>) -> Option<()> {
    listener?.recv().await
}

/// Whether the process ignores a signal, as the kernel tells. Where it does not tell, none is taken over.
fn is_ignored(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (number - 1) & 1 == 1)
}

#[expect(clippy::exit, reason = "the second signal means at once; the ledger is safe at any time")]
fn leave(signal: Signal, metrics: &MetricsFile) {
    let exit = Exit::Signal(signal);
    metrics.write(exit, None);
    process::exit(i32::from(exit.code()));
}
