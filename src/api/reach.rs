//! Which hosts a download may lead to: public ones, and those that the user names.
//!
//! The address of an image comes from the service, and a redirect from anywhere; neither may make this program read
//! what only this machine's network can. So names are resolved here and private addresses dropped before a connection is
//! made: a check of its own beforehand could be told another address than the connection later. The special purposes of
//! addresses are those of the IANA registries of RFC 6890; what is not known to be public is not.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

use super::client::addresses;
use super::proxy::NamedProxy;

/// Why an address is not fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Forbidden {
    /// Neither http nor https.
    #[error("`{0}:` is neither http nor https")]
    Scheme(String),
    /// A user name or password before the host, which would be sent to it.
    #[error("the address at `{0}` holds a user name or a password")]
    UserInfo(String),
    /// An address of this machine or its networks.
    #[error("`{host}` is {address}, which is not public; `--image-host` would permit the host")]
    NotPublic { host: String, address: IpAddr },
    /// The proxy, which is let through for being that and nothing else.
    #[error("`{0}` is this machine's proxy; `--image-host` would permit it")]
    Proxy(String),
}

/// The hosts that may be reached besides public ones.
#[derive(Debug, Default)]
pub(super) struct Reach {
    hosts: HashSet<String>,
    proxies: HashSet<String>,
    loopback_allowed: bool,
}

impl Reach {
    /// These hosts besides public ones; `Err` with the one that is no host name.
    pub(super) fn new(hosts: &[String], loopback_allowed: bool) -> Result<Self, String> {
        let known = |host: &String| configured(host).ok_or_else(|| host.clone());
        let hosts = hosts.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { hosts, proxies: HashSet::new(), loopback_allowed })
    }

    /// Lets the connections to these proxies through.
    ///
    /// What a proxy is asked for, it resolves itself: only addresses in a URL are judged here then, not names.
    pub(super) fn with_proxies(mut self, proxies: &[NamedProxy]) -> Self {
        self.proxies = proxies.iter().map(|proxy| normal(proxy.host())).collect();
        self
    }

    /// Whether a URL may be asked for at all; where its name leads is decided by [`Self::usable`].
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden::Scheme(url.scheme().to_owned()));
        }
        let host = normal(url.host_str().unwrap_or_default());
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::UserInfo(host));
        }
        if self.hosts.contains(&host) {
            return Ok(());
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(host, address.into()),
            Some(Host::Ipv6(address)) => self.check_address(host, address.into()),
            Some(Host::Domain(_)) | None if self.proxies.contains(&host) => Err(Forbidden::Proxy(host)),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Of the addresses that a name has, those that may be connected to.
    fn usable(&self, name: &str, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
        let host = normal(name);
        if self.hosts.contains(&host) || self.proxies.contains(&host) {
            return Ok(addresses);
        }
        let first = addresses.first().copied();
        addresses.retain(|address| self.permits(address.ip()));
        match first {
            Some(first) if addresses.is_empty() => Err(Forbidden::NotPublic { host, address: first.ip() }),
            _ => Ok(addresses),
        }
    }

    fn check_address(&self, host: String, address: IpAddr) -> Result<(), Forbidden> {
        if self.permits(address) { Ok(()) } else { Err(Forbidden::NotPublic { host, address }) }
    }

    fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || (self.loopback_allowed && address.to_canonical().is_loopback())
    }
}

/// Resolves names by the system and drops what may not be reached.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<Reach>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = Arc::clone(&self.0);
        Box::pin(async move {
            let found = addresses(name.as_str()).await?;
            let usable = reach.usable(name.as_str(), found)?;
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// A host as it is compared: in lower case and without the dot of the root.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The host that a user names, as it stands in a URL; `None` if it is none.
fn configured(text: &str) -> Option<String> {
    let host = Host::parse(text).or_else(|_| Host::parse(&format!("[{text}]"))).ok()?;
    Some(normal(&host.to_string())).filter(|host| !host.is_empty())
}

/// Whether anyone on the internet can reach this address, so that fetching from it gives nothing away.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // This network, private, loopback; multicast, reserved, broadcast.
        [0 | 10 | 127 | 224..=255, ..] => false,
        // Shared by the customers of a provider.
        [100, 64..=127, ..] => false,
        // Link-local, where clouds answer with their secrets.
        [169, 254, ..] => false,
        // Private.
        [172, 16..=31, ..] | [192, 168, ..] => false,
        // Protocol assignments and documentation, relays of 6to4.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => false,
        // Benchmarks.
        [198, 18..=19, ..] => false,
        // Documentation.
        [198, 51, 100, _] | [203, 0, 113, _] => false,
        _ => true,
    }
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inside) = v4_inside(address) {
        return is_public_v4(inside);
    }
    match address.segments() {
        // Protocol assignments, among them Teredo, which leads to any IPv4 address.
        [0x2001, 0..=0x01ff, ..] => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Outside 2000::/3 nothing is assigned for everyone.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, by 6to4 (RFC 3056) or by NAT64 (RFC 6052).
const fn v4_inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::api::proxy::named;

    fn reach(hosts: &[&str], loopback_allowed: bool) -> Reach {
        Reach::new(&hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), loopback_allowed).unwrap()
    }

    fn check(reach: &Reach, url: &str) -> Result<(), String> {
        reach.check(&Url::parse(url).unwrap()).map_err(|forbidden| forbidden.to_string())
    }

    fn usable(reach: &Reach, name: &str, addresses: &[&str]) -> Result<Vec<String>, Forbidden> {
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        Ok(reach.usable(name, addresses)?.into_iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn an_address_is_recognised_in_every_form_that_a_url_gives_it() {
        let nobody = reach(&[], false);
        let loopback = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7F000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "0.0.0.0",
            "0",
            "[::]",
            "[2002:7f00:1::]",
            "10.0.0.1:8080",
            "169.254.169.254",
            "LOCALHOST@127.0.0.1",
        ];
        for host in loopback {
            assert!(check(&nobody, &format!("http://{host}/x.png")).is_err(), "{host}");
        }
        for host in ["8.8.8.8", "example.com", "EXAMPLE.com.", "[2606:4700::1111]:8443", "example.com:81"] {
            assert_eq!(check(&nobody, &format!("https://{host}/x.png")), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_forbidden_address_is_named_without_its_path() {
        let nobody = reach(&[], false);
        let table = [
            ("file:///etc/passwd?s=1", "`file:` is neither http nor https"),
            ("ftp://x.example/s", "`ftp:` is neither http nor https"),
            ("http://s@x.example/", "the address at `x.example` holds a user name or a password"),
            ("http://:s@x.example/", "the address at `x.example` holds a user name or a password"),
            ("http://10.1/?s=1", "`10.0.0.1` is 10.0.0.1, which is not public; `--image-host` would permit the host"),
        ];
        for (url, words) in table {
            assert_eq!(check(&nobody, url).unwrap_err(), words);
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_only_public_ones_are_used() {
        let nobody = reach(&[], false);
        assert_eq!(usable(&nobody, "x.example", &["10.0.0.1", "8.8.8.8", "::1"]).unwrap(), ["8.8.8.8"]);
        assert!(usable(&nobody, "x.example", &["10.0.0.1", "::ffff:10.0.0.2"]).is_err());
        assert_eq!(usable(&nobody, "x.example", &[]), Ok(vec![]));
    }

    #[test]
    fn a_host_named_by_the_user_is_reached_wherever_it_is() {
        let named = reach(&["CDN.local", "10.0.0.7", "fd00::7", "[fd00::8]", "root.", "bücher.example"], false);
        assert_eq!(usable(&named, "cdn.LOCAL.", &["10.0.0.1"]).unwrap(), ["10.0.0.1"]);
        let urls = ["cdn.local.:8080", "10.7", "[fd00::7]", "[fd00::8]", "root", "xn--bcher-kva.example"];
        for host in urls {
            assert_eq!(check(&named, &format!("http://{host}/")), Ok(()), "{host}");
        }
        assert!(check(&named, "http://10.0.0.8/").is_err());
        assert!(usable(&named, "x.cdn.local", &["10.0.0.1"]).is_err(), "a host does not name those below it");
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for text in ["", ".", "https://x.example", "x.example/", "x.example:80", "a b", "[::1"] {
            assert_eq!(Reach::new(&[text.to_owned()], false).unwrap_err(), text);
        }
    }

    #[test]
    fn the_sandbox_reaches_this_machine_and_no_other() {
        let sandbox = reach(&[], true);
        for host in ["127.0.0.1:1", "127.9.9.9", "[::1]:1", "[::ffff:127.0.0.1]"] {
            assert_eq!(check(&sandbox, &format!("http://{host}/")), Ok(()), "{host}");
        }
        for host in ["10.0.0.1", "0.0.0.0", "169.254.169.254", "[fe80::1]"] {
            assert!(check(&sandbox, &format!("http://{host}/")).is_err(), "{host}");
        }
        assert_eq!(usable(&sandbox, "localhost", &["::1", "10.0.0.1"]).unwrap(), ["::1"]);
    }

    #[test]
    fn a_proxy_is_connected_to_but_never_asked_for_images() {
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://user:word@Proxy.corp:3128/".to_owned()),
            "ALL_PROXY" => Some("other.corp:8080".to_owned()),
            "HTTP_PROXY" => Some(String::new()),
            _ => None,
        };
        let named = named(variable).unwrap();
        let proxied = reach(&[], false).with_proxies(&named);
        assert_eq!(usable(&proxied, "proxy.corp", &["10.0.0.1"]).unwrap(), ["10.0.0.1"]);
        assert_eq!(usable(&proxied, "other.corp", &["10.0.0.1"]).unwrap(), ["10.0.0.1"]);
        assert!(usable(&proxied, "third.corp", &["10.0.0.1"]).is_err());
        for url in ["http://proxy.corp:9200/", "http://PROXY.corp./"] {
            let words = "`proxy.corp` is this machine's proxy; `--image-host` would permit it";
            assert_eq!(check(&proxied, url).unwrap_err(), words);
        }
        assert_eq!(check(&reach(&["proxy.corp"], false).with_proxies(&named), "http://proxy.corp/"), Ok(()));
    }

    fn all_are(public: bool, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn every_ipv4_network_of_256_addresses() {
        let mut table = String::new();
        let mut before = None;
        for network in 0..1_u32 << 24 {
            let address = Ipv4Addr::from(network << 8);
            let public = is_public_v4(address);
            assert_eq!(public, is_public_v4(Ipv4Addr::from(network << 8 | 255)), "{address}");
            if before != Some(public) {
                writeln!(table, "from {address}: {}", if public { "public" } else { "-" }).unwrap();
                before = Some(public);
            }
        }
        insta::assert_snapshot!(table, @r"
        from 0.0.0.0: -
        from 1.0.0.0: public
        from 10.0.0.0: -
        from 11.0.0.0: public
        from 100.64.0.0: -
        from 100.128.0.0: public
        from 127.0.0.0: -
        from 128.0.0.0: public
        from 169.254.0.0: -
        from 169.255.0.0: public
        from 172.16.0.0: -
        from 172.32.0.0: public
        from 192.0.0.0: -
        from 192.0.1.0: public
        from 192.0.2.0: -
        from 192.0.3.0: public
        from 192.88.99.0: -
        from 192.88.100.0: public
        from 192.168.0.0: -
        from 192.169.0.0: public
        from 198.18.0.0: -
        from 198.20.0.0: public
        from 198.51.100.0: -
        from 198.51.101.0: public
        from 203.0.113.0: -
        from 203.0.114.0: public
        from 224.0.0.0: -
        ");
    }

    #[test]
    fn ipv6_is_public_only_where_it_is_assigned_for_everyone() {
        all_are(true, &["2606:4700::1111", "2a00::1", "2001:200::1", "3ffe::1", "2003::1", "2000::"]);
        all_are(
            false,
            &[
                "::",
                "::1",
                "::8.8.8.8",
                "100::1",
                "fc00::1",
                "fd12::1",
                "fe80::1",
                "fec0::1",
                "ff02::1",
                "2001:db8::1",
                "2001::1",
                "2001:10::1",
                "2001:1ff::1",
                "3fff::1",
                "4000::1",
                "5f00::1",
                "1fff::1",
                "64:ff9b:1::8.8.8.8",
            ],
        );
    }

    #[test]
    fn an_ipv4_address_inside_another_is_judged_itself() {
        all_are(true, &["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]);
        all_are(
            false,
            &[
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::10.0.0.1",
                "2002:7f00:1::",
                "2002:a9fe:a9fe::1",
                "2002:c0a8:1::1",
            ],
        );
    }

    proptest! {
        #[test]
        fn what_the_standard_library_calls_private_is_never_public(bits: u32) {
            let address = Ipv4Addr::from(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!(special && is_public(address.into())));
            prop_assert_eq!(is_public(address.to_ipv6_mapped().into()), is_public(address.into()));
        }
    }
}
