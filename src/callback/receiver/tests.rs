//! When a connection ends: in virtual time, to the millisecond.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::callback::handler::HintFailed;
use crate::callback::limiter::ConnectionLimiter;
use crate::clock::Clock;
use crate::domain::MusicTaskId;
use crate::secret::CallbackSecret;

/// How old a connection may become until its last answer.
const LIFETIME: Duration = BEGINS_WITHIN.saturating_add(REQUEST_WITHIN);

/// Notes hints after a while, or never.
struct After(Option<Duration>);

impl Hints for After {
    async fn hint(&self, _: MusicTaskId) -> Result<(), HintFailed> {
        match self.0 {
            Some(duration) => sleep(duration).await,
            None => pending().await,
        }
        Ok(())
    }

    async fn is_healthy(&self) -> bool {
        self.hint(MusicTaskId::new("any").unwrap()).await.is_ok()
    }
}

struct Caller {
    wire: DuplexStream,
    began: Instant,
    clock: Clock,
    limiter: Arc<ConnectionLimiter>,
    stop: CancellationToken,
    secret: CallbackSecret,
}

async fn call(hints: After) -> Caller {
    let (wire, theirs) = duplex(4096);
    let (clock, stop, limiter) = (Clock::start(), CancellationToken::new(), ConnectionLimiter::new(1));
    let secret = CallbackSecret::new("canary-canary-42").unwrap();
    let handler =
        Handler { secret: secret.clone(), webhook_key: None, clock, hints: Arc::new(hints), counters: Arc::default() };
    tokio::spawn(serve(theirs, limiter.take().await, Arc::new(handler), stop.clone()));
    Caller { wire, began: clock.now(), clock, limiter, stop, secret }
}

impl Caller {
    fn request(&self, rest: &str) -> String {
        let token = self.secret.token_for(&MusicTaskId::new("m-1").unwrap());
        format!("POST /callback/m-1/{token} HTTP/1.1\r\nHost: x\r\n{rest}")
    }

    async fn send(&mut self, text: &str) {
        let _ = self.wire.write_all(text.as_bytes()).await;
    }

    /// Everything until the end of the connection, and when that was.
    async fn hear_out(&mut self) -> (String, Duration) {
        let mut heard = Vec::new();
        timeout(Duration::from_secs(3600), self.wire.read_to_end(&mut heard)).await.expect("it ends").unwrap();
        (String::from_utf8(heard).unwrap(), self.age())
    }

    async fn hear(&mut self) -> String {
        let mut heard = [0; 4096];
        let bytes = timeout(Duration::from_secs(3600), self.wire.read(&mut heard)).await.expect("it says something");
        String::from_utf8(heard[..bytes.unwrap()].to_vec()).unwrap()
    }

    fn age(&self) -> Duration {
        self.clock.now() - self.began
    }
}

/// Timers have whole milliseconds.
fn is_about(actual: Duration, expected: Duration) -> bool {
    actual >= expected && actual <= expected + Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn silence_ends_after_the_time_for_a_head() {
    let mut caller = call(After(None)).await;
    let (heard, age) = caller.hear_out().await;
    assert_eq!(heard, "");
    assert!(is_about(age, HEAD_WITHIN), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_has_no_more_time() {
    let mut caller = call(After(None)).await;
    for byte in caller.request("").bytes() {
        caller.send(std::str::from_utf8(&[byte]).unwrap()).await;
        sleep(Duration::from_secs(1)).await;
    }
    let (heard, _) = caller.hear_out().await;
    assert_eq!(heard, "");
    assert_eq!(caller.limiter.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_answered_408_in_time() {
    for rest in ["Content-Length: 9\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let mut caller = call(After(None)).await;
        let request = caller.request(rest);
        caller.send(&request).await;
        let (heard, age) = caller.hear_out().await;
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(is_about(age, HANDLED_WITHIN), "{age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_and_a_body_at_the_last_moment_still_end_within_the_time_for_a_request() {
    let mut caller = call(After(None)).await;
    sleep(HEAD_WITHIN.mul_f32(0.99)).await;
    let request = caller.request("Content-Length: 2\r\n\r\n{");
    caller.send(&request).await;
    sleep(HANDLED_WITHIN.mul_f32(0.99)).await;
    caller.send("}").await;
    let (heard, age) = caller.hear_out().await;
    assert!(heard.starts_with("HTTP/1.1 503 "), "{heard}");
    assert!(age <= REQUEST_WITHIN, "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_not_noted_in_time_and_a_doubtful_health_are_503() {
    for is_hint in [true, false] {
        let mut caller = call(After(None)).await;
        let hint = caller.request("Content-Length: 0\r\n\r\n");
        caller.send(if is_hint { &hint } else { "GET /healthz HTTP/1.1\r\n\r\n" }).await;
        let (heard, age) = caller.hear_out().await;
        assert!(heard.starts_with("HTTP/1.1 503 "), "{heard}");
        assert!(is_about(age, HANDLED_WITHIN), "{age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_busy_ends_with_its_lifetime() {
    let mut caller = call(After(Some(Duration::ZERO))).await;
    let request = caller.request("Content-Length: 0\r\n\r\n");
    let mut answers = 0;
    loop {
        caller.send(&request).await;
        if caller.hear().await.is_empty() {
            break;
        }
        answers += 1;
        sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(answers, 7, "at 0, 3, … 18 s");
    assert_eq!(LIFETIME, Duration::from_secs(30));
    assert!(caller.age() <= LIFETIME, "{:?}", caller.age());
}

#[tokio::test(start_paused = true)]
async fn who_never_ends_sending_is_cut_off_after_the_answer() {
    let mut caller = call(After(None)).await;
    caller.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert!(caller.hear().await.starts_with("HTTP/1.1 404 "));
    while caller.wire.write_all(b"1\r\n.\r\n").await.is_ok() {
        sleep(Duration::from_millis(50)).await;
        assert!(caller.age() < Duration::from_secs(60), "it never ends");
    }
    let age = caller.age();
    assert!(age >= LINGER, "cut off before the answer can be read: {age:?}");
    assert!(age <= LINGER + Duration::from_millis(100), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_request_under_way_and_for_nothing_else() {
    let hint_takes = Duration::from_secs(2);
    let mut busy = call(After(Some(hint_takes))).await;
    let request = busy.request("Content-Length: 0\r\n\r\n");
    busy.send(&format!("{request}{request}")).await;
    sleep(Duration::from_millis(100)).await;
    busy.stop.cancel();
    let (heard, age) = busy.hear_out().await;
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 1, "the request that came after is not taken: {heard}");
    assert!(is_about(age, hint_takes), "{age:?}");

    let mut silent = call(After(None)).await;
    silent.send("POST /callb").await;
    sleep(Duration::from_millis(100)).await;
    silent.stop.cancel();
    let (heard, age) = silent.hear_out().await;
    assert!(heard.is_empty() && is_about(age, Duration::from_millis(100)), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_noted_although_its_sender_has_stopped_sending() {
    let mut caller = call(After(Some(Duration::from_secs(1)))).await;
    let request = caller.request("Content-Length: 0\r\n\r\n");
    caller.send(&request).await;
    caller.wire.shutdown().await.unwrap();
    let (heard, _) = caller.hear_out().await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}
