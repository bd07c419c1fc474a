//! Who asks the service, or the stand-in in its place.

use std::net::{Ipv4Addr, SocketAddr};

use crate::api::ApiUrl;
use crate::api::download::Downloads;
use crate::api::http::{HttpApi, HttpConfig};
use crate::cli::service::Service;
use crate::clock::Clock;
use crate::error::Error;
use crate::sandbox::{Sandbox, Scenario};

use super::args::RunArgs;

/// The stand-in service, on a free port of this machine.
pub(super) async fn start_sandbox(clock: Clock) -> Result<Sandbox, Error> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Sandbox::start(anywhere, Scenario::default(), clock).await.map_err(Error::Sandbox)
}

/// The address of the API, or of the stand-in in its place.
pub(super) fn address(api_url: Option<&ApiUrl>, sandbox: Option<&Sandbox>) -> Result<ApiUrl, Error> {
    match api_url {
        Some(api_url) => Ok(api_url.clone()),
        None => ApiUrl::new(&sandbox.map(Sandbox::base_url).unwrap_or_default())
            .map_err(|bad| Error::usage(bad.to_string(), "")),
    }
}

/// Who asks the service at `api_url`.
pub(super) fn http_api(
    args: &RunArgs,
    service: &Service,
    (api_url, downloads): (ApiUrl, Downloads),
    clock: Clock,
) -> Result<HttpApi, Error> {
    let Service { route, key, callback, .. } = service;
    let config = HttpConfig {
        api_url,
        key: key.clone(),
        provider: args.ledger.account.provider(),
        route: *route,
        callback: callback.clone(),
        timeout: args.request.timeout,
        clock,
        downloads,
    };
    Ok(HttpApi::new(config)?)
}
