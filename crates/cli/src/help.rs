//! Help that several commands share.

/// For commands that connect to a hub.
pub(crate) const PROXIES: &str = "Goes through the proxy that http_proxy (for http://), https_proxy (for https://) or all_proxy names, \
also in upper case, unless no_proxy has the hub: hosts, domains, addresses, networks (10.0.0.0/8), with a port or without, or *. \
This machine is no exception: no_proxy=localhost,127.0.0.1 makes it one. A Unix socket is never behind a proxy.";
