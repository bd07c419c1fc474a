//! `coverbatch sandbox`: the stand-in service on its own.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::cli::outcome::{MetricsFile, watch_signals};
use crate::cli::output::{LogFormat, begin_logging, print};
use crate::clock::Clock;
use crate::domain::{Rate, parse_duration};
use crate::error::{Error, Exit};
use crate::progress::Screen;
use crate::runner::Stop;
use crate::sandbox::{Callbacks, Form, MaintenanceWindow, Sandbox, Scenario, SigningKey, Spread};

/// Run the stand-in API server until interrupted
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch sandbox --credits 100 --maintenance 30s+20s\n         \
                         SUNO_API_KEY=any coverbatch run catalog.csv --no-callback --api-url http://127.0.0.1:8780")]
pub(super) struct SandboxArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8780")]
    listen: SocketAddr,

    /// The limit it enforces in every window, for each key
    #[arg(long, value_name = "N/PERIOD", default_value = "20/10s")]
    rate: Rate,

    /// Its limit for reads of records, for each key
    #[arg(long, value_name = "N/PERIOD", default_value = "100/10s")]
    read_rate: Rate,

    /// How long it takes to answer
    #[arg(long, value_name = "DUR..DUR", default_value = "50ms..400ms")]
    latency: Spread,

    /// Covers that can be paid for [default: endless]
    #[arg(long, value_name = "N")]
    credits: Option<u64>,

    /// A maintenance window: time after the start, and length; may be repeated
    #[arg(long, value_name = "FROM+LASTS")]
    maintenance: Vec<MaintenanceWindow>,

    /// Answer maintenance with code 500 and words about it, as kie.ai does, and not with 455
    #[arg(long)]
    spoken_maintenance: bool,

    /// Of 100 requests, how many meet a passing fault
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    faults: u8,

    /// Where an answer carries its code: body, http or mixed
    #[arg(long, value_name = "FORM", default_value = "body")]
    form: Form,

    /// How long a cover takes, always or at least and at most
    #[arg(long, value_name = "DUR..DUR", default_value = "3s")]
    generation: Spread,

    /// Of 100 covers, how many fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    generation_failures: u8,

    /// How long its images can be had; 336h are 14 days
    #[arg(long, value_name = "DUR", default_value = "336h", value_parser = parse_duration)]
    retention: Duration,

    /// Width and height of an image
    #[arg(long, value_name = "PIXELS", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=4096))]
    image_pixels: u16,

    /// From the end of a cover to its callback, always or at least and at most
    #[arg(long, value_name = "DUR..DUR", default_value = "0s")]
    callback_delay: Spread,

    /// How often a callback that arrived is delivered again
    #[arg(long, value_name = "N", default_value_t = 0)]
    callback_repeats: u32,

    /// Signs callbacks as `api.kie.ai` does
    #[arg(long, value_name = "TEXT", env = "COVERBATCH_WEBHOOK_KEY", hide_env_values = true)]
    webhook_key: Option<SigningKey>,

    /// Call nobody back; otherwise callback addresses on this machine, and only those, are called
    #[arg(long)]
    no_callbacks: bool,

    /// Makes ids, times, faults and images repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl SandboxArgs {
    fn scenario(self) -> Scenario {
        let (delay, repeats) = (self.callback_delay.0, self.callback_repeats);
        let callbacks = Callbacks { delay, repeats, signing_key: self.webhook_key };
        Scenario {
            limit: self.rate,
            read_limit: self.read_rate,
            latency: self.latency.0,
            credits: self.credits,
            maintenance: self.maintenance,
            spoken_maintenance: self.spoken_maintenance,
            fault_percent: self.faults,
            form: self.form,
            generation: self.generation.0,
            generation_failure_percent: self.generation_failures,
            retention: self.retention,
            image_pixels: self.image_pixels,
            callbacks: (!self.no_callbacks).then_some(callbacks),
            seed: self.seed,
        }
    }
}

pub(super) async fn run(args: SandboxArgs, screen: &Screen) -> Result<Exit, Error> {
    begin_logging(LogFormat::Text, 0, false, screen);
    let stop = Stop::default();
    watch_signals(&stop, &MetricsFile::none())?;
    let listen = args.listen;
    let sandbox = Sandbox::start(listen, args.scenario(), Clock::start()).await.map_err(Error::Sandbox)?;
    print(&format!("listening on {}\n", sandbox.base_url()))?;
    stop.wait().await;
    sandbox.stop().await;
    Ok(Exit::Success)
}
