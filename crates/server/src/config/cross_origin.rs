//! Which web pages of other origins may read the hub: an exact list, or all.
//!
//! An origin is `scheme://host[:port]` as a browser sends it in `Origin` (RFC 6454, section 6.2):
//! lower case and without the scheme's own port. What is configured is brought into that form, so
//! that the comparison at run time is one of bytes.

use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::{items, read_list};

/// An origin in the list takes at most this many bytes: a host name ends at 253 (RFC 1035).
const ORIGIN_BYTES_MAX: usize = 300;

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// These and no others, each as a browser sends it; none if empty.
    Listed(Vec<String>),
    /// `*`: all pages. Never together with credentials.
    Any,
}

impl AllowedOrigins {
    /// Whether no page of another origin is allowed, so that there is nothing to answer.
    pub fn is_empty(&self) -> bool {
        matches!(self, AllowedOrigins::Listed(origins) if origins.is_empty())
    }

    /// Whether a page of `origin`, the value of the `Origin` header, may read.
    pub fn allows(&self, origin: &[u8]) -> bool {
        match self {
            AllowedOrigins::Any => true,
            AllowedOrigins::Listed(origins) => origins.iter().any(|known| known.as_bytes() == origin),
        }
    }
}

/// The list of origins as it is written.
pub(super) enum Origins {}

impl Kind for Origins {
    type Value = AllowedOrigins;
    const FORM: Form = Form {
        value_name: "ORIGIN,...",
        noun: "a list of origins",
        advice: "a list of scheme://host[:port], such as [\"https://app.example.com\"], or [\"*\"] alone",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<AllowedOrigins, Refusal> {
        if items(raw).is_some_and(|texts| texts == ["*"]) {
            return Ok(AllowedOrigins::Any);
        }
        read_list(raw, &Self::FORM, bounds, normal).map(AllowedOrigins::Listed)
    }

    fn plain(value: &AllowedOrigins) -> Plain {
        Plain::List(match value {
            AllowedOrigins::Listed(origins) => origins.clone(),
            AllowedOrigins::Any => vec!["*".to_owned()],
        })
    }
}

/// The origin as a browser sends it, or what is wrong with it.
fn normal(text: &str) -> Result<String, &'static str> {
    if text == "*" {
        return Err("stands alone: with it no other origin means anything");
    }
    if text.eq_ignore_ascii_case("null") {
        return Err("is what every sandboxed page sends: whoever allows it allows all");
    }
    if text.len() > ORIGIN_BYTES_MAX {
        return Err("is longer than any origin");
    }
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("has more than scheme, host and port");
    }
    if rest.contains('*') {
        return Err("has a wildcard: list each origin by itself");
    }
    let scheme = scheme.to_ascii_lowercase();
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !scheme_ok {
        return Err("has no valid scheme");
    }
    let (host, port) = host_and_port(rest)?;
    let host = host.to_ascii_lowercase();
    match (scheme.as_str(), port) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => Ok(format!("{scheme}://{host}")),
        (_, Some(port)) => Ok(format!("{scheme}://{host}:{port}")),
    }
}

/// Host and port of an authority, or what is wrong with it.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let bracket = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[bracket..].rfind(':') {
        Some(at) => (&text[..bracket + at], Some(&text[bracket + at + 1..])),
        None => (text, None),
    };
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_ok = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    };
    if !host_ok {
        return Err("has no valid host (names outside ASCII in their xn-- form)");
    }
    let port = port.map(|port| valid_port(port).ok_or("has no valid port")).transpose()?;
    Ok((host, port))
}

/// Digits only: `parse` by itself would take `+80`.
fn valid_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}
