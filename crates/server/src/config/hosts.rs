//! Under which names a hub is reached: host names with or without a port.

use super::cross_origin::host_and_port;
use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::read_list;

/// A host in the list takes at most this many bytes with its port: a name ends at 253 (RFC 1035).
const HOST_BYTES_MAX: usize = 260;

/// Hosts of requests that are answered beside the hub's own addresses, each as `host` (any port) or `host:port`, in
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts(pub(super) Vec<String>);

impl AllowedHosts {
    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn for_test(hosts: &[&str]) -> AllowedHosts {
        AllowedHosts(hosts.iter().map(ToString::to_string).collect())
    }

    /// Whether this host, in lower case, is on the list; an entry without a port is for all ports.
    pub fn allows(&self, host: &str, port: Option<u16>) -> bool {
        self.0.iter().any(|entry| match host_and_port(entry) {
            Ok((known, None)) => known == host,
            Ok((known, known_port)) => known == host && known_port == port,
            Err(_) => false,
        })
    }
}

/// The list of hosts as it is written.
pub(super) enum Hosts {}

impl Kind for Hosts {
    type Value = AllowedHosts;
    const FORM: Form = Form {
        value_name: "HOST,...",
        noun: "a list of hosts",
        advice: "a list of host[:port], such as [\"events.example.com\"]",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<AllowedHosts, Refusal> {
        read_list(raw, &Self::FORM, bounds, normal).map(AllowedHosts)
    }

    fn plain(value: &AllowedHosts) -> Plain {
        Plain::List(value.0.clone())
    }
}

/// The host as it is compared, or what is wrong with it.
fn normal(text: &str) -> Result<String, &'static str> {
    if text.len() > HOST_BYTES_MAX {
        return Err("is longer than any host");
    }
    if text.contains("://") || text.contains('/') {
        return Err("has more than a host and a port");
    }
    if text.contains('*') {
        return Err("has a wildcard: list each host by itself");
    }
    host_and_port(text)?;
    Ok(text.to_ascii_lowercase())
}
