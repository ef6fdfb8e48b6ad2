//! `no_proxy`: who is reached without a proxy. Pure; no name is looked up for it.

use std::net::IpAddr;

/// A list of hosts, domains, addresses and networks, each with or without a port.
#[derive(Debug, Clone, Default)]
pub(super) struct Bypass {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    who: Who,
    /// Any port without one.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// `*`
    Anybody,
    /// This name, and all names under it; in lower case, without dots around it.
    Domain(String),
    /// Addresses whose first bits are those of this one.
    Network(IpAddr, u32),
}

impl Bypass {
    /// Reads a list that is separated by commas or white space. What makes no sense in it applies to nobody.
    pub(super) fn parse(list: &str) -> Self {
        let words = list.split(|separator: char| separator == ',' || separator.is_whitespace());
        Self { entries: words.filter(|word| !word.is_empty()).filter_map(Entry::parse).collect() }
    }

    /// Whether `host`, a name or an address without brackets, is reached without a proxy at this port.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        let mut entries = self.entries.iter().filter(|entry| entry.port.is_none_or(|known| known == port));
        entries.any(|entry| match (&entry.who, address) {
            (Who::Anybody, _) => true,
            (Who::Network(network, bits), Some(address)) => shares(*network, address, *bits),
            (Who::Domain(domain), None) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            // The digits of an address are no domain.
            (Who::Network(..), None) | (Who::Domain(_), Some(_)) => false,
        })
    }
}

impl Entry {
    fn parse(word: &str) -> Option<Self> {
        if let Some((network, bits)) = word.split_once('/') {
            let network = without_brackets(network).parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(network))?;
            return Some(Self { who: Who::Network(network, bits), port: None });
        }
        if let Some(who) = address(word) {
            return Some(Self { who, port: None });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (word, None),
        };
        if let Some(who) = address(host) {
            return Some(Self { who, port });
        }
        if host == "*" {
            return Some(Self { who: Who::Anybody, port });
        }
        let domain = host.trim_start_matches('*').trim_matches('.').to_ascii_lowercase();
        (!domain.is_empty()).then_some(Self { who: Who::Domain(domain), port })
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn address(host: &str) -> Option<Who> {
    let address = without_brackets(host).parse::<IpAddr>().ok()?.to_canonical();
    Some(Who::Network(address, width(address)))
}

/// Bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { u32::BITS } else { u128::BITS }
}

/// Whether the first `bits` of both are the same, which are addresses of one kind.
fn shares(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            // The upper half of a wider number: then both kinds are shifted alike.
            u128::from(one.to_bits() ^ other.to_bits()) << (u128::BITS - u32::BITS)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_addresses_networks_and_ports_are_told_apart() {
        for (list, host, port, expected) in [
            ("example.org", "example.org", 80, true),
            ("Example.ORG", "EXAMPLE.org", 80, true),
            ("example.org", "a.b.example.org", 80, true),
            (".example.org", "a.example.org", 80, true),
            (".example.org", "example.org", 80, true),
            ("*.example.org", "a.example.org", 80, true),
            ("example.org.", "example.org", 80, true),
            ("example.org", "example.org.", 80, true),
            ("example.org", "notexample.org", 80, false),
            ("example.org", "example.org.evil.com", 80, false),
            ("a.example.org", "example.org", 80, false),
            ("x, example.org ,y", "example.org", 80, true),
            ("x example.org\ty", "example.org", 80, true),
            ("*", "anything", 80, true),
            ("x,*", "10.0.0.1", 80, true),
            ("*:8080", "anything", 8080, true),
            ("*:8080", "anything", 80, false),
            ("example.org:8080", "example.org", 8080, true),
            ("example.org:8080", "example.org", 80, false),
            ("10.0.0.1:8080", "10.0.0.1", 8080, true),
            ("10.0.0.1:8080", "10.0.0.1", 80, false),
            ("[::1]:8080", "::1", 8080, true),
            ("[::1]:8080", "::1", 80, false),
            ("[::1]", "::1", 80, true),
            ("::1", "0:0:0:0:0:0:0:1", 80, true),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1", "::ffff:127.0.0.1", 80, true),
            ("127.0.0.1", "localhost", 80, false),
            ("0.0.1", "10.0.0.1", 80, false),
            (".1", "10.0.0.1", 80, false),
            ("10.1.0.0/16", "10.1.255.255", 80, true),
            ("10.1.2.3/16", "10.1.255.255", 80, true),
            ("10.1.0.0/16", "10.2.0.0", 80, false),
            ("10.1.0.0/16", "10.1.name", 80, false),
            ("10.0.0.1/32", "10.0.0.2", 80, false),
            ("0.0.0.0/0", "10.0.0.2", 80, true),
            ("0.0.0.0/0", "::2", 80, false),
            ("2001:db8::/32", "2001:db8:ffff::1", 80, true),
            ("2001:db8::/32", "2001:db9::1", 80, false),
            ("10.0.0.0/33", "10.0.0.0", 80, false),
            ("example.org:x", "example.org", 80, false),
            (",, . , *. ,/8,:80", "example.org", 80, false),
            ("", "", 80, false),
        ] {
            assert_eq!(Bypass::parse(list).has(host, port), expected, "{list:?} and {host}:{port}");
        }
    }
}
