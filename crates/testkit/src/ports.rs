//! Ports for servers that must be told theirs.

use std::net::{SocketAddr, TcpListener};
use std::ops::Range;

/// Below those that the kernel gives to connections and to whoever asks for any port (`ip_local_port_range`): a port of
/// these is still free when a server that was stopped is started again, and no connection can take it meanwhile.
const PORTS: Range<u16> = 10_000..32_768;

/// How many are tried.
const TRIES: usize = 100;

/// An address of loopback at which nobody listens. Another program may still take it before it is used: who starts a
/// server there sees whether it did.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    free_listener().local_addr().expect("it listens")
}

/// A listener at such an address.
pub(crate) fn free_listener() -> TcpListener {
    let mut tried = (0..TRIES).map(|_| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS))));
    tried.find_map(|address| TcpListener::bind(address).ok()).expect("a port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_none_that_a_connection_can_get() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let lowest: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(PORTS.end <= lowest, "the kernel gives ports from {lowest} on");
        assert!(PORTS.contains(&free_address().port()));
    }
}
