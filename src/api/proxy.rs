//! The proxies that the environment names, as curl and most others read it.
//!
//! `reqwest` would read the same variables, and go around a proxy that it cannot understand: out of a network that has one
//! for a reason. Here that is an error.

use std::{env, fmt};

use reqwest::{NoProxy, Proxy};
use thiserror::Error;
use url::Url;

use super::address::ApiUrl;
use crate::secret::masked_url;

/// The variables, and what those requests are to that each is for. Of two spellings the first that is set counts.
const VARIABLES: [([&str; 2], MakeProxy); 3] = [
    (["HTTPS_PROXY", "https_proxy"], Proxy::https),
    (["HTTP_PROXY", "http_proxy"], Proxy::http),
    (["ALL_PROXY", "all_proxy"], Proxy::all),
];

/// Kinds of proxy there are clients for. With `socks5h` and `socks4a` the proxy looks names up.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Makes a proxy for one kind of requests, or for all.
type MakeProxy = fn(Url) -> reqwest::Result<Proxy>;

/// Why a proxy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{variable} names no usable proxy: `{value}`: {why}")]
pub struct BadProxy {
    variable: &'static str,
    /// Without its password.
    value: String,
    why: String,
}

/// A proxy that the environment names.
#[derive(Debug, Clone)]
pub(super) struct NamedProxy {
    variable: &'static str,
    url: Url,
    make: MakeProxy,
}

/// The proxies that these variables name; those that come first win.
pub(super) fn named(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<NamedProxy>, BadProxy> {
    let mut proxies = Vec::new();
    for (names, make) in VARIABLES {
        let set = names.iter().find_map(|name| Some((*name, variable(name)?)));
        let Some((variable, value)) = set.filter(|(_, value)| !value.trim().is_empty()) else { continue };
        let bad = |why| BadProxy { variable, value: masked_url(value.trim()), why };
        proxies.push(NamedProxy { variable, url: read(value.trim()).map_err(bad)?, make });
    }
    Ok(proxies)
}

/// The address of a proxy, whose scheme may be left out.
fn read(value: &str) -> Result<Url, String> {
    let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
    let url = url.map_err(|error| error.to_string())?;
    match url.host_str() {
        _ if !SCHEMES.contains(&url.scheme()) => Err(format!("`{}` is none of {}", url.scheme(), SCHEMES.join(", "))),
        None | Some("") => Err("there is no host in it".to_owned()),
        Some(host) if host.contains('%') => Err("its host is not a name".to_owned()),
        Some(_) => Ok(url),
    }
}

/// As `ALL_PROXY is socks5h://proxy.corp:1080`, without its password.
impl fmt::Display for NamedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.variable, masked_url(self.url.as_str()))
    }
}

impl NamedProxy {
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The proxy for a client, left out for what `NO_PROXY` names.
    pub(super) fn proxy(&self) -> Result<Proxy, BadProxy> {
        let bad = |error: reqwest::Error| BadProxy {
            variable: self.variable,
            value: masked_url(self.url.as_str()),
            why: error.without_url().to_string(),
        };
        Ok((self.make)(self.url.clone()).map_err(bad)?.no_proxy(NoProxy::from_env()))
    }
}

/// The proxy that the environment names for an API, in words; `NO_PROXY` may still leave it out.
#[must_use]
pub fn proxy_of(api_url: &ApiUrl) -> Option<String> {
    let is_meant = |proxy: &&NamedProxy| !proxy.variable.eq_ignore_ascii_case("HTTP_PROXY");
    let proxies = if api_url.is_loopback() { Vec::new() } else { proxies().ok()? };
    proxies.iter().find(is_meant).map(ToString::to_string)
}

/// The proxies that the environment names.
pub(super) fn proxies() -> Result<Vec<NamedProxy>, BadProxy> {
    named(|name| Some(env::var_os(name)?.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        let proxies = named(variable).map_err(|bad| bad.to_string())?;
        proxies
            .iter()
            .map(|proxy| proxy.proxy().map_err(|bad| bad.to_string()).map(|_| proxy.host().to_owned()))
            .collect()
    }

    #[test]
    fn a_proxy_in_every_form_it_is_named_in() {
        for value in [
            "http://proxy.corp:3128",
            "https://proxy.corp",
            "proxy.corp:3128",
            "proxy.corp",
            " http://user:word@proxy.corp/path ",
            "user:word@proxy.corp:3128",
            "socks5://proxy.corp",
            "socks5h://user:word@proxy.corp:1080",
            "socks4://proxy.corp",
            "SOCKS4A://proxy.corp",
        ] {
            assert_eq!(hosts(&[("HTTPS_PROXY", value)]), Ok(vec!["proxy.corp".to_owned()]), "{value}");
        }
        assert_eq!(hosts(&[("ALL_PROXY", "http://[::1]:3128")]), Ok(vec!["[::1]".to_owned()]));
    }

    #[test]
    fn what_names_no_proxy_is_an_error_without_the_password() {
        for (value, words) in [
            ("http://", "`http://`: empty host"),
            ("http://user:word@proxy:port", "`http://***@proxy:port`: invalid port number"),
            ("proxy.corp:99999", "invalid port number"),
            ("user:word@", "`***@`: empty host"),
            ("ftp://user:word@proxy", "`ftp://***@proxy`: `ftp` is none of http, https, socks4"),
            ("socks://proxy", "`socks` is none of"),
            ("socks5://", "there is no host in it"),
            ("socks5://bücher:1080", "its host is not a name"),
            ("two words", "invalid"),
            ("://proxy", "relative URL without a base"),
        ] {
            for name in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
                let error = hosts(&[(name, value)]).unwrap_err();
                assert!(error.starts_with(&format!("{name} names no usable proxy: ")), "{error}");
                assert!(error.contains(words) && !error.contains("word@"), "{error}");
            }
        }
    }

    #[test]
    fn of_two_spellings_the_first_that_is_set_counts() {
        let both = [("https_proxy", "b"), ("HTTPS_PROXY", "a"), ("all_proxy", "c")];
        assert_eq!(hosts(&both), Ok(vec!["a".to_owned(), "c".to_owned()]));
        assert_eq!(hosts(&[("https_proxy", "ftp://b"), ("HTTPS_PROXY", "")]), Ok(vec![]));
        assert_eq!(hosts(&[("NO_PROXY", "x")]), Ok(vec![]));
    }
}
