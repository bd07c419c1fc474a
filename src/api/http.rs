//! The service over HTTP: one request, one [`Outcome`] or [`Reading`].

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;
use std::sync::{Mutex, Once, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};
use url::{Position, Url};

use super::address::{ApiUrl, CallbackUrl, MUSIC_RECORD_PATH, percent_encoded};
use super::client::{self, CONNECT_TIMEOUT, ClientError, causes, header, lasting, wait};
use super::download::Downloads;
use super::wire::{
    Fault, MAX_BODY_BYTES, Provider, RawAnswer, is_known_code, is_unclear, read_balance, read_date, read_fault,
    read_music_record, read_no_answer, resolved, unpacked, with_successor, without_echo,
};
use crate::api::{CoverApi, ImageSink};
use crate::clock::{Clock, UnixMillis};
use crate::domain::{
    Answer, CoverProgress, CoverTaskId, Credits, Found, MusicProgress, MusicTaskId, Outcome, Reading, Route, Verdict,
};
use crate::secret::ApiKey;

/// How long an answer of the balance endpoint counts.
const BALANCE_LASTS: Duration = Duration::from_secs(60);

/// In what steps the time of a request is counted.
const STEP: Duration = Duration::from_secs(1);

/// What the client needs to know.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where the API is.
    pub api_url: ApiUrl,
    /// The account's key.
    pub key: ApiKey,
    /// Whose API it is.
    pub provider: Provider,
    /// The route that submissions take.
    pub route: Route,
    /// The address named in every submission.
    pub callback: CallbackUrl,
    /// Longest time for one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// For dates in `Retry-After`.
    pub clock: Clock,
    /// Who fetches images, without the key.
    pub downloads: Downloads,
}

/// What one read of the balance shows.
#[derive(Debug)]
pub struct Probe {
    /// What it said of the balance.
    pub balance: Reading<Credits>,
    /// When it was answered, by the clock of the service; `None` if it does not tell.
    pub date: Option<UnixMillis>,
}

/// The service over HTTP.
#[derive(Debug)]
pub struct HttpApi {
    client: RwLock<Client>,
    authorization: HeaderValue,
    /// Where submissions go.
    submissions: Url,
    config: HttpConfig,
    odd_codes: Mutex<HashSet<i64>>,
    /// Whether a wrong address was told.
    misled: Once,
    /// Whether connections are used once only.
    out_of_step: Once,
    balance: tokio::sync::Mutex<Option<Balance>>,
}

/// What the balance endpoint said, and when.
#[derive(Debug, Clone, Copy)]
struct Balance {
    is_empty: bool,
    read: Instant,
}

impl HttpApi {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`ClientError`] if the system's certificates cannot be read.
    pub fn new(config: HttpConfig) -> Result<Self, ClientError> {
        let client = client(&config)?.build().map_err(ClientError::Build)?;
        let mut authorization =
            HeaderValue::from_str(&config.key.bearer()).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
        authorization.set_sensitive(true);
        Ok(Self {
            client: RwLock::new(client),
            authorization,
            submissions: config.api_url.endpoint(config.route.submit_path()),
            config,
            odd_codes: Mutex::default(),
            misled: Once::new(),
            out_of_step: Once::new(),
            balance: tokio::sync::Mutex::default(),
        })
    }

    /// Reads the balance once: the one call that costs nothing and shows whether the service is reached, and as whom.
    pub async fn probe(&self) -> Probe {
        let request = self.get(self.config.provider.balance_path());
        let read = |raw: RawAnswer<'_>| Probe { date: raw.date, balance: read_balance(raw, &self.config.key) };
        let probe = self.exchange(request, read).await;
        let probe = probe.unwrap_or_else(|fault| Probe { date: None, balance: read_no_answer(&fault) });
        let Reading { found, reason, answer, .. } = &probe.balance;
        debug!(?found, %reason, said = answer.message, "balance");
        probe
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn submission(&self, task: &MusicTaskId) -> RequestBuilder {
        let route = self.config.route;
        self.client()
            .post(self.submissions.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(route.submission_body(task, &self.config.callback.for_task(task)))
    }

    /// The request for the record of a task.
    fn record(&self, path: &str, id: &str) -> RequestBuilder {
        self.get(&format!("{path}?taskId={}", percent_encoded(id)))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client().get(self.config.api_url.at(path)).header(AUTHORIZATION, self.authorization.clone())
    }

    /// Sends one request and gives its answer to `read`, if that comes in time.
    async fn exchange<T>(&self, request: RequestBuilder, read: impl FnOnce(RawAnswer<'_>) -> T) -> Result<T, Fault> {
        let longest = self.config.timeout;
        tokio::select! {
            biased;
            answered = self.answered(request, read) => answered,
            () = expired(longest) => Err(Fault::TimedOut(longest)),
        }
    }

    /// The same, however long it takes.
    async fn answered<T>(&self, request: RequestBuilder, read: impl FnOnce(RawAnswer<'_>) -> T) -> Result<T, Fault> {
        let mut response = request.send().await.map_err(|error| self.fault(&error))?;
        let body = self.read_body(&mut response).await?;
        let headers = response.headers();
        Ok(read(RawAnswer {
            address: &response.url()[..Position::AfterPath],
            status: response.status().as_u16(),
            location: header(headers, "location"),
            body: &body,
            encoding: header(headers, "content-encoding"),
            wait: wait(headers, self.config.clock),
            date: header(headers, "date").and_then(read_date),
        }))
    }

    /// The body, unpacked, unless it is too large.
    async fn read_body(&self, response: &mut Response) -> Result<Vec<u8>, Fault> {
        let too_large = Fault::TooLarge(response.status().as_u16());
        let encoding = header(response.headers(), "content-encoding").map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(&error))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        unpacked(body, encoding.as_deref()).ok_or(too_large)
    }

    /// Where in the exchange it broke. A connection that never stood is the one case in which nothing was sent.
    fn fault(&self, error: &reqwest::Error) -> Fault {
        if let Some(what) = lasting(error, self.config.api_url.host()) {
            Fault::NoWay(what)
        } else if error.is_connect() || error.is_builder() {
            Fault::NotSent(causes(error))
        } else if error.is_timeout() {
            Fault::TimedOut(self.config.timeout)
        } else {
            Fault::Broken(causes(error))
        }
    }

    /// Whether the account is empty: asked by one flight for all that wait, and not again for a while.
    async fn is_account_empty(&self) -> bool {
        let mut balance = self.balance.lock().await;
        let now = self.config.clock.now();
        if let Some(known) = balance.filter(|known| now - known.read < BALANCE_LASTS) {
            return known.is_empty;
        }
        // An account that cannot be read, or not in time, is taken for a full one: the run slows down and does not stop.
        *balance = Some(Balance { is_empty: false, read: now });
        let is_empty = matches!(self.read_balance().await.found, Found::Known(balance) if balance <= Credits::ZERO);
        info!(is_empty, "asked for the balance, because a 429 may mean haste or an empty account");
        *balance = Some(Balance { is_empty, read: self.config.clock.now() });
        is_empty
    }

    /// The reading, with its line in the log.
    fn noted<T: Debug>(&self, task: &MusicTaskId, reading: Reading<T>) -> Reading<T> {
        debug!(%task, found = ?reading.found, reason = %reading.reason, http_status = reading.answer.http_status,
            code = reading.answer.code, message = reading.answer.message, "record");
        self.note_oddity(&reading.answer, matches!(reading.found, Found::WrongAddress));
        reading
    }

    /// Names once a code that nobody documents, and what answers in the place of the service: whatever is on its way comes to
    /// the same.
    fn note_oddity(&self, answer: &Answer, is_wrong_address: bool) {
        if let Some(code) = answer.code.filter(|code| !is_known_code(*code))
            && self.odd_codes.lock().unwrap_or_else(PoisonError::into_inner).insert(code)
        {
            warn!(code, said = answer.message, "the service answers with a code that is not documented");
        }
        if is_wrong_address {
            self.misled
                .call_once(|| error!(answer = %answer.message, "the service is not to be reached at this address"));
        }
    }
}

impl CoverApi for HttpApi {
    fn route(&self) -> Route {
        self.config.route
    }

    async fn submit(&self, task: &MusicTaskId) -> Outcome {
        let began = self.config.clock.now();
        let HttpConfig { route, provider, key, .. } = &self.config;
        let answer = self.exchange(self.submission(task), |raw| route.read_submission(raw, key)).await;
        let mut outcome = answer.unwrap_or_else(|fault| read_fault(&fault));
        outcome = with_successor(without_echo(outcome, task), *provider, *route);
        if is_unclear(&outcome, *provider) {
            // The balance is read in what is left of the time: to those who wait it is one request.
            let left = self.config.timeout.saturating_sub(self.config.clock.now() - began);
            outcome = resolved(outcome, timeout(left, self.is_account_empty()).await.unwrap_or(false));
        }
        debug!(%task, reason = %outcome.reason, http_status = outcome.answer.http_status, code = outcome.answer.code,
            said = outcome.answer.message, "answer");
        self.note_oddity(&outcome.answer, outcome.verdict == Verdict::WrongAddress);
        outcome
    }

    fn drop_connections(&self) {
        self.out_of_step.call_once(|| {
            warn!("an answer belonged to another request; from now on each connection is used once");
            match client(&self.config)
                .and_then(|client| client.pool_max_idle_per_host(0).build().map_err(ClientError::Build))
            {
                Ok(client) => *self.client.write().unwrap_or_else(PoisonError::into_inner) = client,
                Err(error) => error!(%error, "the connections could not be dropped"),
            }
        });
    }

    async fn read_cover(&self, route: Route, cover: &CoverTaskId, task: &MusicTaskId) -> Reading<CoverProgress> {
        let read = |raw: RawAnswer<'_>| route.read_record(raw, &self.config.key, cover, task);
        let reading = self.exchange(self.record(route.record_path(), cover.as_str()), read).await;
        let mut reading = reading.unwrap_or_else(|fault| read_no_answer(&fault));
        // A route that is retired has answered for its own covers only, and submissions take another.
        if route != self.config.route && reading.found == Found::WrongAddress {
            reading.found = Found::Troubled;
        }
        self.noted(task, reading)
    }

    async fn read_music(&self, task: &MusicTaskId) -> Reading<MusicProgress> {
        let read = |raw: RawAnswer<'_>| read_music_record(raw, &self.config.key);
        let reading = self.exchange(self.record(MUSIC_RECORD_PATH, task.as_str()), read).await;
        self.noted(task, reading.unwrap_or_else(|fault| read_no_answer(&fault)))
    }

    async fn read_balance(&self) -> Reading<Credits> {
        let Probe { balance, .. } = self.probe().await;
        self.note_oddity(&balance.answer, matches!(balance.found, Found::WrongAddress));
        balance
    }

    async fn fetch_image<S: ImageSink>(&self, url: &str, sink: &mut S) -> io::Result<Reading<u64>> {
        self.config.downloads.fetch(url, sink).await
    }
}

/// The client of a service.
fn client(config: &HttpConfig) -> Result<reqwest::ClientBuilder, ClientError> {
    let builder = client::builder(config.api_url.is_secure(), config.api_url.is_loopback())?;
    Ok(builder.connect_timeout(CONNECT_TIMEOUT.min(config.timeout / 10 * 9)))
}

/// Waits so long, in steps: a process that stood still meanwhile, or a machine that slept, counts one of them, and hears what
/// the service has said before it gives it up.
async fn expired(longest: Duration) {
    let mut left = longest;
    while !left.is_zero() {
        let step = left.min(STEP);
        sleep(step).await;
        left -= step;
    }
}
