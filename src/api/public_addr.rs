//! Which addresses are public: a pure function, so that it can be tested as a table.
//!
//! The special purposes are those of the IANA registries of RFC 6890. What is not known to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
