//! `watertight doctor` behind proxies: each in front of a hub, set up well but for what a test says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;

use watertight_testkit::HubProcess;

use crate::doctor_run::{Diagnosis, WATERTIGHT, doctor};
use crate::proxy::{Proxy, free_address, start_apache, start_caddy, start_haproxy, start_nginx};

/// What `docs/operations.md` says of nginx.
pub(crate) const NGINX: &str =
    "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
    proxy_pass_header X-Accel-Buffering; client_max_body_size 8m;";

/// A hub that says nothing for long.
pub(crate) fn silent_hub() -> HubProcess {
    HubProcess::builder(WATERTIGHT).flag("--heartbeat-interval", "20s").start()
}

pub(crate) fn through(proxy: &Proxy, flags: &[&str]) -> Diagnosis {
    doctor(&format!("http://{}", proxy.address), flags)
}

pub(crate) fn nginx(hub: &HubProcess, location: &str) -> Proxy {
    nginx_to(hub.address(), location)
}

/// In front of whatever is at this address.
pub(crate) fn nginx_to(hub: SocketAddr, location: &str) -> Proxy {
    let address = free_address();
    let server = format!("listen {address}; location / {{ proxy_pass http://{hub}; {location} }}");
    start_nginx(address, &format!("server {{ {server} }}\n"))
}

pub(crate) fn caddy(hub: &HubProcess, site: &str, upstream: &str) -> Proxy {
    caddy_to(hub.address(), site, upstream)
}

/// In front of whatever is at this address.
pub(crate) fn caddy_to(hub: SocketAddr, site: &str, upstream: &str) -> Proxy {
    let address = free_address();
    let head = format!("http://:{} {{\n    bind 127.0.0.1\n{site}\n", address.port());
    start_caddy(address, &format!("{head}    reverse_proxy {hub} {{\n{upstream}\n    }}\n}}\n"))
}

pub(crate) fn haproxy(hub: &HubProcess, defaults: &str, frontend: &str) -> Proxy {
    haproxy_to(hub.address(), defaults, frontend)
}

/// In front of whatever is at this address.
pub(crate) fn haproxy_to(hub: SocketAddr, defaults: &str, frontend: &str) -> Proxy {
    let address = free_address();
    let head = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n";
    let front = format!("frontend web\n    bind {address}\n{frontend}\n    default_backend hub\n");
    start_haproxy(address, &format!("{head}{defaults}\n{front}backend hub\n    server hub {hub}\n"))
}

pub(crate) fn apache(hub: &HubProcess, pass: &str, modules: &[&str], host: &str) -> Proxy {
    let (address, hub) = (free_address(), hub.address());
    let text = format!(
        "<VirtualHost {address}>\nAllowEncodedSlashes NoDecode\nProxyPreserveHost On\n\
         ProxyPass \"/\" \"http://{hub}/\" nocanon {pass}\n{host}\n</VirtualHost>\n"
    );
    start_apache(address, modules, &text)
}

/// Fields of requests without which clients lose events, or cannot work.
pub(crate) const DROPPED: [&str; 3] = ["last-event-id", "authorization", "idempotency-key"];
