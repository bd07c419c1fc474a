//! `coverbatch check`: whether a run with the same options would find all it needs.
//!
//! It looks at everything, also after something was found wrong. Nothing is submitted and no file is left: the balance is
//! read once, which costs nothing, and where something is to be written an empty file is made and removed.

use std::fs::OpenOptions;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::api::client::addresses;
use crate::api::http::Probe;
use crate::api::proxy::proxy_of;
use crate::api::{ApiUrl, CallbackUrl, is_public};
use crate::cli::options::{bad_rows, odd_ids};
use crate::cli::output::{eprint, print};
use crate::cli::service::{Service, check_callback, identity};
use crate::cli::settings::Settings;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Brief, Credits, Found, Reading, plural};
use crate::error::{Error, Exit};
use crate::files::{FileError, check_folder, check_writable, folder_of};
use crate::ledger::{AnyLedger, ReadLedger as _};
use crate::progress::Screen;
use crate::secret::SIGNATURE_AGE;

use super::api::{address, http_api, start_sandbox};
use super::args::RunArgs;
use super::findings::{Finding, Findings};

/// Clocks that differ by less agree: the service tells whole seconds, and an answer takes a while.
const SAME_TIME: Duration = Duration::from_secs(2);

/// Looks at everything that a run needs.
pub(in crate::cli) async fn check(args: &RunArgs, settings: &Settings, screen: &Screen) -> Result<Exit, Error> {
    args.log.begin(screen);
    let mut findings = Findings::default();
    findings.note("options", options(args, settings));
    findings.note("catalog", catalog(args).await);
    findings.note("callback", callback(args, settings).await);
    service(args, &mut findings).await?;
    findings.note("ledger", ledger(args).await);
    let paths = args.output.paths(&args.catalog, &args.ledger);
    let metrics = args.tell.metrics_file.as_deref();
    for (what, path) in
        [("results", Some(paths.results.as_path())), ("failures", paths.failures.as_deref()), ("metrics", metrics)]
    {
        if let Some(path) = path {
            findings.note(what, written(path, check_writable(path)));
        }
    }
    if let Some(folder) = args.wait.read.download.as_deref() {
        findings.note("images", args.wait.check().and_then(|()| written(folder, check_folder(folder))));
    }
    let text = if args.tell.json { format!("{:#}\n", findings.json()) } else { findings.text(args.log.quiet) };
    print(&text)?;
    Ok(findings.exit())
}

/// Whether the options fit together.
fn options(args: &RunArgs, settings: &Settings) -> Result<String, Error> {
    args.check_waits(settings)?;
    args.check_sandbox(settings)?;
    args.guard().check()?;
    args.tell.monitor()?;
    Ok(format!("at most {} submissions", args.pace.rate))
}

/// Whether the catalog can be used, and did not lose its rows.
async fn catalog(args: &RunArgs) -> Result<String, Error> {
    args.catalog.is_there()?;
    args.check_input()?;
    let catalog = args.catalog.open_for(args.rows.chosen().await?).await?;
    let results = args.output.paths(&args.catalog, &args.ledger).results;
    args.output.earlier(&args.catalog, &catalog, &results).await?;
    args.label.find(&catalog)?;
    args.wait.names(&catalog)?;
    eprint(&(bad_rows(&catalog) + &odd_ids(&catalog)));
    let check = catalog.check();
    let rows = plural(check.rows.into(), "row", "rows");
    Ok(format!(
        "{}: {rows}, {} repeated, {} that cannot be sent",
        args.catalog.identity(),
        check.duplicates,
        check.invalid
    ))
}

/// Whether the service may find whom to call.
async fn callback(args: &RunArgs, settings: &Settings) -> Result<String, Error> {
    let callback = args.callback(settings)?;
    let api_url = args.ledger.service().ok().and_then(|(api_url, _)| api_url);
    check_callback(&callback, api_url.as_ref())?;
    let Some(host) = callback.host() else {
        return Ok("nobody is called; --wait or `coverbatch follow` finds covers".to_owned());
    };
    if api_url.is_none_or(|api_url| api_url.is_loopback()) {
        return Ok(format!("`{host}`, which the service on this machine calls"));
    }
    let unreachable = |why: String| {
        let hint = "name the address by which the internet reaches `coverbatch receive`, or give --no-callback";
        Error::usage(format!("the host `{host}` of --callback-url {why}"), hint)
    };
    let found = addresses(host.trim_matches(['[', ']'])).await;
    let found = found.map_err(|cause| unreachable(format!("is not found: {cause}")))?;
    let found: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    match (found.iter().find(|address| is_public(**address)), found.first()) {
        (Some(public), _) => Ok(format!("`{host}` is {public}")),
        (None, Some(private)) => Err(unreachable(format!("is {private}, which the service cannot reach"))),
        (None, None) => Err(unreachable("has no address".to_owned())),
    }
}

/// What can be known of the service: whether it is reached, whether its clock agrees, and what it says of the key.
async fn service(args: &RunArgs, findings: &mut Findings) -> Result<(), Error> {
    let (service, key) = (args.ledger.service(), args.key.key_for(&args.ledger));
    let unasked = |why: &str| Finding::Unknown(why.to_owned());
    let (api_url, route, key) = match (service, key) {
        (Ok((api_url, route)), Ok(key)) => (api_url, route, key),
        (Err(error), key) => {
            findings.note("service", Err(error));
            findings.note("clock", unasked("nobody was asked"));
            let known = |_| unasked("nobody was asked");
            findings.note("key", key.map_or_else(|error| Err(error).into(), known));
            return Ok(());
        }
        (Ok(_), Err(error)) => {
            findings.note("service", unasked("there is no key to ask with"));
            findings.note("clock", unasked("there is no key to ask with"));
            findings.note("key", Err(error));
            return Ok(());
        }
    };
    let clock = Clock::start();
    let sandbox = if api_url.is_some() { None } else { Some(start_sandbox(clock).await?) };
    let url = address(api_url.as_ref(), sandbox.as_ref())?;
    let service = Service { api_url, route, key, callback: CallbackUrl::inert() };
    let downloads = args.wait.read.downloads(args.request.timeout, url.is_loopback(), clock);
    match downloads.and_then(|downloads| http_api(args, &service, (url.clone(), downloads), clock)) {
        Ok(api) => {
            let asked = clock.now();
            let probe = api.probe().await;
            let took = clock.now() - asked;
            let (reached, key) = judged(&probe.balance, &url, took);
            findings.note("service", reached);
            findings.note("clock", agreement(&probe, clock.unix()));
            findings.note("key", key);
        }
        Err(error) => {
            findings.note("service", Err(error));
            findings.note("clock", unasked("nobody was asked"));
            findings.note("key", unasked("nobody was asked"));
        }
    }
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// What the answer to the read of the balance, or the lack of one, says of the way to the service and of the key.
fn judged(balance: &Reading<Credits>, url: &ApiUrl, took: Duration) -> (Finding, Finding) {
    let Reading { found, reason, answer, .. } = balance;
    let way = if url.as_str().starts_with("https:") { "over TLS" } else { "on this machine" };
    let proxy = proxy_of(url).map(|proxy| format!(", {proxy}")).unwrap_or_default();
    let address = url.as_str();
    let reached = || Finding::Well(format!("{address} answers {way} after {}{proxy}", Brief(took)));
    let unknown = || Finding::Unknown("the service did not say".to_owned());
    let unreached =
        |hint: &str| Finding::Wrong(format!("{address}: {reason}: {}{proxy}; {hint}", answer.message), Exit::Usage);
    match found {
        Found::Known(Credits::ZERO) => {
            let words = "it is taken, and no credits are left; buy some".to_owned();
            (reached(), Finding::Wrong(words, Exit::Account))
        }
        Found::Known(credits) => (reached(), Finding::Well(format!("it is taken, and {credits} credits are left"))),
        Found::Unauthorized => {
            let words =
                format!("the service refuses it: {}; check the key, and that --provider gave it", answer.message);
            (reached(), Finding::Wrong(words, Exit::Account))
        }
        Found::Throttled => {
            (reached(), Finding::Unknown("the service asks for patience; check again in a minute".to_owned()))
        }
        Found::Unavailable => (unreached("check the network, or again when the service is back"), unknown()),
        Found::WrongAddress => (unreached("check --api-url and --provider"), unknown()),
        Found::Troubled => (unreached("check again; a run would wait and try again"), unknown()),
    }
}

/// Whether the clock of this machine agrees with that of the service. Times in the results come from it, and callbacks that
/// are signed are refused if it differs.
fn agreement(probe: &Probe, now: UnixMillis) -> Finding {
    let Some(date) = probe.date else { return Finding::Unknown("the service did not tell its time".to_owned()) };
    let (ahead, behind) = (date.until(now), now.until(date));
    let (differs, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let words = format!("{} {word} that of the service", Brief(differs));
    if differs <= SAME_TIME {
        Finding::Well("agrees with that of the service".to_owned())
    } else if differs <= SIGNATURE_AGE {
        Finding::Well(words)
    } else {
        Finding::Wrong(format!("{words}; set the clock of this machine, as by NTP"), Exit::Usage)
    }
}

/// Whether the ledger can be read and written, or made.
async fn ledger(args: &RunArgs) -> Result<String, Error> {
    let place = args.catalog.ledger(&args.ledger)?;
    let (api_url, _) = args.ledger.service()?;
    let ledger = AnyLedger::open_to_read(&place, Some(identity(api_url.as_ref()))).await?;
    let is_there = ledger.is_some();
    if let Some(ledger) = ledger {
        // Closed, so that it leaves no log of its own beside the ledger.
        ledger.close().await;
    }
    let Some(path) = place.file() else {
        let new = if is_there { "" } else { "; the first run makes the account's" };
        return Ok(format!("{place} can be read{new}"));
    };
    if !is_there {
        let is_made = args.ledger.is_in_state_folder();
        let made = if is_made { check_folder(folder_of(path)) } else { check_writable(path) };
        return Ok(made.map(|()| format!("{place} is not there yet; the first run makes it"))?);
    }
    // Only after the ledger was closed: to close a file ends all locks that a process has on it.
    OpenOptions::new().write(true).open(path).map_err(|cause| FileError::new(path, cause))?;
    written(path, check_folder(folder_of(path)))
}

fn written(path: &Path, result: Result<(), FileError>) -> Result<String, Error> {
    Ok(result.map(|()| format!("{} can be written", path.display()))?)
}
