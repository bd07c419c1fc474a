//! The addresses of hosts, as the system knows them.
//!
//! A name server that does not answer can hold a look-up for half a minute. So each has a thread of its own, and never
//! one of the few that serve the ledger.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// Resolves names by the system.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}

/// The addresses of a host, with port 0.
pub(super) async fn addresses(host: &str) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    let (tell, told) = oneshot::channel();
    let look_up = move || (host.as_str(), 0).to_socket_addrs().map(Iterator::collect);
    // Whoever gave up waiting needs no answer.
    thread::Builder::new().name("resolver".to_owned()).spawn(move || drop(tell.send(look_up())))?;
    told.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::task::spawn_blocking;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_look_up_needs_none_of_the_threads_that_serve_the_ledger() {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, released) = channel::<()>();
            let only = spawn_blocking(move || released.recv());
            let found = timeout(Duration::from_secs(10), addresses("localhost")).await.expect("it waits").unwrap();
            assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
            release.send(()).unwrap();
            only.await.unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_an_error() {
        assert!(addresses("no host").await.is_err());
    }
}
