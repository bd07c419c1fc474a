//! SIGINT and SIGTERM: the first asks the run to end, the second ends the process at once.

use std::process;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output::eprint;
use crate::domain::{Ended, Signal};
use crate::error::{Error, Exit};
use crate::runner::Stop;

/// From now on signals ask `stop` for the end.
pub(super) fn watch(stop: &Stop) -> Result<(), Error> {
    let listen = |kind| signal(kind).map_err(|cause| Error::System { what: "listen for signals", cause });
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            };
            if asked {
                leave(signal);
            }
            asked = true;
            eprint("coverbatch: stopping; answers on their way are awaited (a second signal leaves at once)\n");
            stop.request(Ended::Interrupted(signal));
        }
    });
    Ok(())
}

#[expect(clippy::exit, reason = "the second signal means at once; the ledger is safe at any moment")]
fn leave(signal: Signal) {
    process::exit(i32::from(Exit::Signal(signal).code()));
}
