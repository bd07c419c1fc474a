//! Callbacks on their way: hand-written HTTP, since one POST that is tried again is all there is to it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::callback::Recipient;

/// Within this time the recipient has to have answered, by the service's documentation.
const PATIENCE: Duration = Duration::from_secs(15);
/// Before a callback is tried again or repeated; the documentation is silent about it.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// After so many failed retries in a row the service gives up, by its documentation.
pub(super) const RETRIES: u32 = 3;
/// No answer has a longer head.
const MAX_HEAD: usize = 16 * 1024;

/// Whether the recipient answers this request with 200 in time.
pub(super) async fn is_taken(recipient: &Recipient, request: &str) -> bool {
    let exchange = tokio::time::timeout(PATIENCE, exchange(recipient, request));
    exchange.await.is_ok_and(|head| head.is_ok_and(|head| status(&head) == Some(200)))
}

/// The answer, at least to the end of its head.
async fn exchange(recipient: &Recipient, request: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(recipient.addresses.as_slice()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_second_word_of_an_http_answer() {
        let table: [(&[u8], _); 6] = [
            (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Some(200)),
            (b"HTTP/1.0 204\r\n\r\n", Some(204)),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(503)),
            (b"SSH-2.0 200 x\r\n\r\n", None),
            (b"HTTP/1.1\r\n\r\n", None),
            (b"\xff\r\n\r\n", None),
        ];
        for (head, expected) in table {
            assert_eq!(status(head), expected, "{}", head.escape_ascii());
        }
    }
}
