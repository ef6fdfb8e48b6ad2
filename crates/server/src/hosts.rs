//! Which hosts the hub answers to. A web page can give its own name an address of the hub (DNS rebinding); its
//! requests then look like those of the hub's own page, except for their `Host`. So a hub without authentication
//! answers only to hosts that it knows.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::config::{AllowedHosts, Config, ListenAddress, host_and_port};
use crate::problem::Problem;

/// The hosts that the hub answers to. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct KnownHosts(Arc<Known>);

#[derive(Debug)]
enum Known {
    /// Whoever runs it said so, or tokens are needed, which no page has; and there is no list.
    Any,
    /// The hub's own addresses, `localhost` and what is listed.
    These { own: Vec<IpAddr>, listed: AllowedHosts },
}

impl KnownHosts {
    pub(crate) fn of(config: &Config) -> KnownHosts {
        let listed = config.allowed_hosts.clone();
        if (config.needs_tokens() || config.insecure_open) && listed.is_empty() {
            return KnownHosts(Arc::new(Known::Any));
        }
        let own = config.listen.iter().chain(&config.admin_listen);
        let own = own.map(ListenAddress::own_ip).collect();
        KnownHosts(Arc::new(Known::These { own, listed }))
    }

    /// Refuses a request for a host that the hub does not know.
    pub(crate) fn refuse(&self, request: &Request) -> Option<Response> {
        let host = host_of(request).filter(|host| !self.knows(host))?;
        let shown: String = host.chars().take(100).collect();
        let detail = format!(
            "this hub does not know the host {shown:?}; allowed_hosts is the list of those it may have"
        );
        let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, "HOST_NOT_ALLOWED", detail);
        Some(problem.into_response())
    }

    /// Whether the hub answers to this host, with or without a port.
    pub(crate) fn knows(&self, authority: &str) -> bool {
        let Known::These { own, listed } = &*self.0 else { return true };
        let authority = match authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(authority.to_ascii_lowercase()),
            false => Cow::Borrowed(authority),
        };
        let Ok((host, port)) = host_and_port(&authority) else { return false };
        // A name may end with the dot of the root.
        let host = host.strip_suffix('.').unwrap_or(host);
        host == "localhost" || address(host).is_some_and(|ip| is_own(own, ip)) || listed.allows(host, port)
    }
}

fn address(host: &str) -> Option<IpAddr> {
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = match inside {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    };
    parsed.map(|ip| ip.to_canonical())
}

/// Whether a hub that listens on these addresses has this one. On all addresses of the machine it may be any: an
/// address is no name that somebody else could rebind.
fn is_own(own: &[IpAddr], ip: IpAddr) -> bool {
    own.iter().any(|own| own.is_unspecified() || *own == ip || (own.is_loopback() && ip.is_loopback()))
}

/// The host that a request is for, as it was sent. `None`: it says none, as no browser does.
pub(crate) fn host_of(request: &Request) -> Option<&str> {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    // What is no text is no host that anybody knows.
    let header = || request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    target.or_else(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(change: impl FnOnce(&mut Config)) -> KnownHosts {
        let mut config = Config::default();
        change(&mut config);
        KnownHosts::of(&config)
    }

    #[test]
    fn a_loopback_hub_knows_its_addresses_localhost_and_no_other_name() {
        let known = known(|_| {});
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:8080",
            "LocalHost",
            "localhost.",
            "[::1]:8080",
            "127.0.0.2",
        ] {
            assert!(known.knows(host), "{host}");
        }
        for host in [
            "evil.com",
            "evil.com:8080",
            "localhost.evil.com",
            "10.0.0.1",
            "[2001:db8::1]",
            "",
            "a b",
            "127.0.0.1.evil.com",
        ] {
            assert!(!known.knows(host), "{host}");
        }
    }

    #[test]
    fn listed_hosts_are_known_with_their_port_or_with_any() {
        let known =
            known(|config| config.allowed_hosts = AllowedHosts::for_test(&["events.example.com", "hub:81"]));
        for host in ["events.example.com", "Events.Example.com:8443", "hub:81", "127.0.0.1"] {
            assert!(known.knows(host), "{host}");
        }
        for host in ["hub", "hub:80", "example.com", "x.events.example.com"] {
            assert!(!known.knows(host), "{host}");
        }
    }

    #[test]
    fn an_insecurely_open_hub_knows_any_host_until_it_has_a_list() {
        let open = known(|config| config.insecure_open = true);
        assert!(open.knows("evil.com"));
        let listed = known(|config| {
            config.insecure_open = true;
            config.listen = vec![ListenAddress::Tcp("0.0.0.0:8080".parse().unwrap())].into();
            config.allowed_hosts = AllowedHosts::for_test(&["a"]);
        });
        assert!(listed.knows("a") && listed.knows("10.0.0.5:8080") && !listed.knows("evil.com"));
    }
}
