//! The receiver on a socket: starts, accepts, stops.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::signing::{CallbackSecret, WebhookKey};

use super::connection::serve;
use super::handler::{Counters, Handler, Hints};
use super::limiter::ConnectionLimiter;
use super::request::Rejection;

/// Most connections at once; a system that lets a program open 1,024 files has room for them.
pub const MAX_CONNECTIONS: usize = 256;

/// How long nothing is accepted when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a receiver needs besides someone to tell.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// What tokens are checked with.
    pub secret: CallbackSecret,
    /// What signatures are checked with; `None` when the service does not sign.
    pub webhook_key: Option<WebhookKey>,
    /// What tells the age of signatures.
    pub clock: Clock,
}

/// What a receiver has seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Callbacks whose hint is durable.
    pub received: u64,
    /// Requests that were not taken, by reason; a reason that never occurred is not listed.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Connections that had to leave for others.
    pub dropped: u64,
    /// Times that the system could not hand over a connection.
    pub accept_failures: u64,
    /// Connections that are open now.
    pub connections: usize,
    /// Most connections that were open at once, at most [`MAX_CONNECTIONS`].
    pub most_connections: usize,
}

/// A running receiver; it takes no more callbacks when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    limiter: Arc<ConnectionLimiter>,
    counters: Arc<Counters>,
    accepting: JoinHandle<()>,
    stop: DropGuard,
}

impl Receiver {
    /// A receiver that takes callbacks at `listen` when this returns; port 0 is any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start<H: Hints>(listen: SocketAddr, config: ReceiverConfig, hints: Arc<H>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (limiter, counters, stop) =
            (ConnectionLimiter::new(MAX_CONNECTIONS), Arc::<Counters>::default(), CancellationToken::new());
        let ReceiverConfig { secret, webhook_key, clock } = config;
        let handler = Arc::new(Handler { secret, webhook_key, clock, hints, counters: Arc::clone(&counters) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&limiter), handler, stop.clone()));
        Ok(Self { address, limiter, counters, accepting, stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        let counts = self.counters.counts().clone();
        ReceiverStats {
            received: counts.received,
            rejected: counts.rejected,
            dropped: self.limiter.dropped(),
            accept_failures: counts.accept_failures,
            connections: self.limiter.taken(),
            most_connections: self.limiter.most(),
        }
    }

    /// Ends it: nothing is accepted any more, requests under way are answered, and what is not done after `grace` is cut
    /// off. Returns when no connection is left.
    pub async fn stop(self, grace: Duration) {
        let ReceiverStats { received, rejected, dropped, .. } = self.stats();
        info!(received, ?rejected, dropped, "no more callbacks are taken");
        drop(self.stop);
        // It ends by itself, at once, and has nothing to say.
        let _ = self.accepting.await;
        if timeout(grace, self.limiter.all_gone()).await.is_err() {
            self.limiter.drop_all();
            self.limiter.all_gone().await;
        }
    }
}

async fn accept<H: Hints>(
    listener: TcpListener,
    limiter: Arc<ConnectionLimiter>,
    handler: Arc<Handler<H>>,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let Some(slot) = stop.run_until_cancelled(limiter.take()).await else { return };
                tokio::spawn(serve(stream, slot, Arc::clone(&handler), stop.clone()));
            }
            Err(cause) if is_about_one_connection(&cause) => {}
            Err(cause) => {
                warn!(%cause, "cannot accept connections");
                handler.counters.count_accept_failure();
                // Mostly a lack of open files, of which this frees one.
                limiter.drop_oldest();
                stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
}

/// Whether only the connection that would have been accepted is gone, so that the next may be accepted at once.
fn is_about_one_connection(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
