//! `coverbatch receive`: the endpoint for callbacks, and whoever follows their hints, in one long-running process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::Notify;

use crate::callback::{HintFailed, Hints, Receiver, ReceiverConfig};
use crate::cli::account::{AccountArgs, open_existing};
use crate::cli::cover_args::{ReadArgs, RequestArgs};
use crate::cli::guard::Guard;
use crate::cli::outcome::{MetricsFile, watch_signals};
use crate::cli::output::{LogArgs, print};
use crate::cli::service::{KeyArgs, callback_secret, webhook_key};
use crate::clock::Clock;
use crate::domain::{Ended, MusicTaskId};
use crate::error::{Error, Exit};
use crate::ledger::{AnyLedger, CoverScope, FollowLedger as _, LedgerPlace, ReadLedger as _};
use crate::policy::{GenerationEstimate, PollPolicy};
use crate::progress::Screen;
use crate::runner::{CoverTracking, Parts, Runner, Stop};

/// How long requests under way may take once the end is asked for.
const GRACE: Duration = Duration::from_secs(5);

/// A service that refuses everyone is waited for as long as it takes: ten years.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Under which heading the help tells of the options that no other command has.
const CALLBACKS: &str = "Callbacks";

/// Take callbacks and follow covers to their images until interrupted, also while runs are going on
#[derive(Debug, Args)]
#[command(before_help = "Example: COVERBATCH_CALLBACK_SECRET=… coverbatch receive --download covers/")]
pub(super) struct ReceiveArgs {
    #[command(flatten)]
    account: AccountArgs,

    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787", env = "COVERBATCH_LISTEN", hide_env = true, help_heading = CALLBACKS)]
    listen: SocketAddr,

    /// File whose first line is the secret that makes the `{token}` of callback URLs [default:
    /// `$COVERBATCH_CALLBACK_SECRET`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_CALLBACK_SECRET_FILE", hide_env = true, help_heading = CALLBACKS)]
    callback_secret_file: Option<PathBuf>,

    /// File whose first line is the key that kie.ai signs callbacks with; unsigned ones are then refused [default:
    /// `$COVERBATCH_WEBHOOK_KEY`]
    #[arg(long, value_name = "PATH", env = "COVERBATCH_WEBHOOK_KEY_FILE", hide_env = true, help_heading = CALLBACKS)]
    webhook_key_file: Option<PathBuf>,

    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl ReceiveArgs {
    fn receiver(&self, clock: Clock) -> Result<ReceiverConfig, Error> {
        let secret = callback_secret(self.callback_secret_file.as_deref())?.ok_or_else(|| {
            let hint = "make one with `openssl rand -hex 32`, and give it to `coverbatch run` too, whose callback URL \
                        ends in /callback/{task_id}/{token}";
            Error::usage("there is no secret in COVERBATCH_CALLBACK_SECRET or --callback-secret-file", hint)
        })?;
        Ok(ReceiverConfig { secret, webhook_key: webhook_key(self.webhook_key_file.as_deref())?, clock })
    }

    /// The paths of this command.
    fn guard(&self, ledger: &LedgerPlace) -> Guard {
        let guard = self.key.guarded(Guard::default().ledger(ledger));
        let guard = guard.reads("the file of the callback secret", self.callback_secret_file.as_deref());
        let guard = guard.reads("the file of the webhook key", self.webhook_key_file.as_deref());
        guard.images("--download", self.read.download.as_deref())
    }
}

pub(super) async fn run(args: ReceiveArgs, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    let (clock, stop) = (Clock::start(), Stop::default());
    watch_signals(&stop, &MetricsFile::none())?;
    let place = args.account.ledger()?;
    args.guard(&place).check()?;
    let config = args.receiver(clock)?;
    let api = Arc::new(args.read.api(&args.account, args.key.key()?, args.request.timeout, clock)?);
    let folder = args.read.folder()?;
    let ledger = Arc::new(open_existing(&place, Some(&args.account.url()?), FOR_EVER).await?);
    let woken = Arc::new(Notify::new());
    let hints = Arc::new(LedgerHints { ledger: Arc::clone(&ledger), clock, woken: Arc::clone(&woken) });
    let listen = |cause| Error::Listen { address: args.listen, cause };
    let receiver = Receiver::start(args.listen, config, hints).await.map_err(listen)?;
    print(&format!("listening on http://{}\n", receiver.address()))?;
    let gate = args.read.gate(FOR_EVER, clock);
    let policy = PollPolicy { wait: None, max_attempts: args.request.max_attempts };
    let policy = (policy, args.request.timeout);
    let tracking = args.read.tracking(CoverScope::All, clock.unix(), &gate, folder.as_ref(), policy);
    let tracking = CoverTracking { woken, ..tracking };
    let usual = GenerationEstimate::new(ledger.generation_times().await?);
    let parts = Parts { api, ledger: Arc::clone(&ledger), clock, stop: stop.clone() };
    let runner = Runner::new(parts, args.request.run_config()).tracking(tracking).knowing(usual);
    let ended = runner.run().await;
    receiver.stop(GRACE).await;
    Ok(match ended? {
        Ended::Unauthorized | Ended::NoCredits => return Err(Error::KeyRefused),
        Ended::WrongAddress => {
            let hint = "the log says what answers there; check --api-url and the network between, and start again";
            return Err(Error::usage("the service is not to be reached at this address", hint));
        }
        Ended::Interrupted(_)
        | Ended::Finished
        | Ended::Deadline
        | Ended::Outage
        | Ended::TooManyFailures
        | Ended::Limit
        | Ended::Budget
        | Ended::BalanceUnknown
        | Ended::NotUnderstood => Exit::Success,
    })
}

/// Hints go into the ledger, where the follower of this process or of any other finds them.
struct LedgerHints {
    ledger: Arc<AnyLedger>,
    clock: Clock,
    /// Wakes the follower of this process.
    woken: Arc<Notify>,
}

impl Hints for LedgerHints {
    async fn hint(&self, task: MusicTaskId) -> Result<(), HintFailed> {
        self.ledger.wake(&task, self.clock.unix()).await.map_err(HintFailed::new)?;
        self.woken.notify_one();
        Ok(())
    }

    async fn is_healthy(&self) -> bool {
        self.ledger.is_healthy()
    }
}
