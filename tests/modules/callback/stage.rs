//! A receiver, the hints that it gives, and callers with bytes of their own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coverbatch::callback::{HintFailed, Hints, Receiver, ReceiverConfig, ReceiverStats, Rejection};
use coverbatch::clock::Clock;
use coverbatch::domain::MusicTaskId;
use coverbatch::secret::{CallbackSecret, WebhookKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// No answer takes nearly as long, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(12);

pub(crate) const KEY: &str = "webhook-key-of-the-tests";

/// Hints as they came.
#[derive(Debug)]
pub(crate) struct Notes {
    noted: Mutex<Vec<String>>,
    is_broken: AtomicBool,
    /// A hint takes one and gives it back.
    open: Semaphore,
    begun: Semaphore,
}

impl Hints for Notes {
    async fn hint(&self, task: MusicTaskId) -> Result<(), HintFailed> {
        self.begun.add_permits(1);
        let _open = self.open.acquire().await.unwrap();
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(HintFailed::new("disk full"));
        }
        self.noted.lock().unwrap().push(task.as_str().to_owned());
        Ok(())
    }

    async fn is_healthy(&self) -> bool {
        !self.is_broken.load(Ordering::SeqCst)
    }
}

impl Notes {
    pub(crate) fn noted(&self) -> Vec<String> {
        self.noted.lock().unwrap().clone()
    }

    pub(crate) fn let_hints_pass(&self) {
        self.open.add_permits(1000);
    }
}

pub(crate) struct Stage {
    receiver: Receiver,
    notes: Arc<Notes>,
    secret: CallbackSecret,
    pub(crate) clock: Clock,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with_key(None).await
    }

    pub(crate) async fn signed() -> Self {
        Self::with_key(Some(WebhookKey::new(KEY).unwrap())).await
    }

    async fn with_key(webhook_key: Option<WebhookKey>) -> Self {
        let (secret, clock) = (CallbackSecret::new("secret-of-the-tests").unwrap(), Clock::start());
        let notes = Arc::new(Notes {
            noted: Mutex::default(),
            is_broken: AtomicBool::new(false),
            open: Semaphore::new(1000),
            begun: Semaphore::new(0),
        });
        let config = ReceiverConfig { secret: secret.clone(), webhook_key, clock };
        let receiver = Receiver::start("127.0.0.1:0".parse().unwrap(), config, Arc::clone(&notes)).await.unwrap();
        Self { receiver, notes, secret, clock }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.receiver.address()
    }

    pub(crate) fn stats(&self) -> ReceiverStats {
        self.receiver.stats()
    }

    pub(crate) fn rejected(&self, rejection: Rejection) -> u64 {
        self.stats().rejected.get(&rejection).copied().unwrap_or_default()
    }

    pub(crate) async fn stop(self, grace: Duration) {
        self.receiver.stop(grace).await;
    }

    /// What outlives a stop.
    pub(crate) fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    /// The hints so far.
    pub(crate) fn noted(&self) -> Vec<String> {
        self.notes.noted()
    }

    pub(crate) fn break_notes(&self, is_broken: bool) {
        self.notes.is_broken.store(is_broken, Ordering::SeqCst);
    }

    /// Hints take until [`Stage::let_hints_pass`].
    pub(crate) async fn hold_hints(&self) {
        self.notes.open.acquire_many(1000).await.unwrap().forget();
    }

    pub(crate) fn let_hints_pass(&self) {
        self.notes.let_hints_pass();
    }

    /// Returns when one more hint has begun.
    pub(crate) async fn hint_begun(&self) {
        timeout(PATIENCE, self.notes.begun.acquire()).await.expect("a hint begins").unwrap().forget();
    }

    pub(crate) fn token(&self, id: &str) -> String {
        self.secret.token_for(&MusicTaskId::new(id).unwrap())
    }

    pub(crate) fn path(&self, id: &str) -> String {
        format!("/callback/{id}/{}", self.token(id))
    }

    /// A callback as the service sends it, on a connection of its own.
    pub(crate) fn callback(&self, id: &str) -> String {
        post(&self.path(id), "", r#"{"code":200,"msg":"success","data":{"taskId":"cover-1","images":[]}}"#)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Everything that is answered to `request` until the connection ends.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // A receiver that has heard enough may end the connection before all is said.
        let _ = stream.write_all(request.as_ref()).await;
        hear_out(&mut stream).await
    }

    /// The status that `request` is answered with.
    pub(crate) async fn status(&self, request: impl AsRef<[u8]>) -> u16 {
        status(&self.ask(request).await)
    }
}

/// What is still said until the connection ends.
pub(crate) async fn hear_out(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the connection did not end after {:?}", String::from_utf8_lossy(&heard));
    String::from_utf8(heard).unwrap()
}

/// The first answer on a connection that goes on.
pub(crate) async fn hear(stream: &mut TcpStream) -> String {
    let mut heard = [0; 4096];
    let bytes = timeout(PATIENCE, stream.read(&mut heard)).await.expect("it answers").unwrap();
    String::from_utf8(heard[..bytes].to_vec()).unwrap()
}

/// The status of an answer, 0 for none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

/// A POST with more header lines, each ended by CRLF.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// The headers of a signature for `task_id`, made here and not by the program.
pub(crate) fn signature(key: &str, task_id: &str, seconds: i64) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(format!("{task_id}.{seconds}"));
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("X-Webhook-Timestamp: {seconds}\r\nX-Webhook-Signature: {signature}\r\n")
}
