//! The body of an answer, made when it is sent: pictures are drawn then, and what is huge is never in memory as a whole.

use std::io::{self, Cursor};

use axum::body::Body;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::answer::Content;
use super::picture::{Extent, HUGE, Picture};

impl Content {
    /// The body.
    ///
    /// # Errors
    /// When a picture cannot be drawn.
    pub(super) async fn into_body(self) -> io::Result<Body> {
        match self {
            Self::Bytes(bytes) => Ok(Body::from(bytes)),
            Self::Picture(picture) => drawn(picture).await,
        }
    }
}

async fn drawn(picture: Picture) -> io::Result<Body> {
    let bytes = tokio::task::spawn_blocking(move || picture.bytes()).await?.map_err(io::Error::other)?;
    Ok(match picture.extent {
        Extent::Whole | Extent::FirstHalf => Body::from(bytes),
        Extent::Padded => padded(bytes),
    })
}

/// The bytes and zeros after them, of a length that is not announced: who wants to know it has to count.
fn padded(bytes: Vec<u8>) -> Body {
    Body::from_stream(ReaderStream::new(Cursor::new(bytes).chain(tokio::io::repeat(0)).take(HUGE)))
}
