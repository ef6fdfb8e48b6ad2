//! Over what a test speaks with its hub, plain TCP or TLS. Said once, of the hub: connections that are given the hub
//! follow it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::hub::HubProcess;
use crate::tls::trusting_client;

/// Plain TCP, or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Bytes as they are.
    Plain,
    /// Inside TLS, with a certificate of the hub's own.
    Tls,
}

impl Transport {
    /// The full name of a test that [`both_transports!`](crate::both_transports) runs over this one.
    #[must_use]
    pub fn name_of(self, test: &str) -> String {
        format!("{test}::{self}")
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Plain => "plain",
            Transport::Tls => "tls",
        })
    }
}

/// Makes two tests, `NAME::plain` and `NAME::tls`, of each function `fn NAME(over: Transport)`. Attributes in front of a
/// name are those of its test over TLS.
#[macro_export]
macro_rules! both_transports {
    ($($(#[$of_tls:meta])* $test:ident),+ $(,)?) => {
        $(mod $test {
            #[test]
            fn plain() {
                super::$test($crate::Transport::Plain);
            }

            #[test]
            $(#[$of_tls])*
            fn tls() {
                super::$test($crate::Transport::Tls);
            }
        })+
    };
}

/// Where a connection goes, and over what: from an address it is plain, from a hub it is as the hub speaks.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<ClientTls>,
}

/// What clients of a hub that speaks TLS offer. Shared by all of them, so that sessions are resumed.
#[derive(Debug, Clone)]
pub(crate) struct ClientTls {
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) http2: Arc<ClientConfig>,
}

impl ClientTls {
    pub(crate) fn new() -> ClientTls {
        ClientTls { http1: trusting_client(&[b"http/1.1"]), http2: trusting_client(&[b"h2"]) }
    }
}

impl Endpoint {
    /// The same hub for a connection of HTTP/2: over TLS a hub wants to be told before the first byte.
    #[must_use]
    pub fn http2(self) -> Endpoint {
        let tls = self.tls.map(|tls| ClientTls { http1: Arc::clone(&tls.http2), ..tls });
        Endpoint { tls, ..self }
    }

    /// The same hub at another of its addresses.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Endpoint {
        Endpoint { address, ..self }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { address, tls: None }
    }
}

impl From<&HubProcess> for Endpoint {
    fn from(hub: &HubProcess) -> Endpoint {
        hub.endpoint()
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Endpoint {
        endpoint.clone()
    }
}
