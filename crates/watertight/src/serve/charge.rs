//! What the phases of a connection hold, in bytes, and how it is charged.
//!
//! When the budget is full, a few connections are still served without a charge: an operator must be able to
//! inspect a full hub and to free memory.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use http::Request;
use parking_lot::Mutex;
use watertight_core::{Owner, Permit};

use super::Shared;
use super::permits::FairPermit;

// Measured with the binary: resident bytes over a few thousand connections of each sort.

/// What an accepted connection holds before its first byte: its task and its socket.
pub(super) const CONNECTION_BYTES: usize = 2048;
/// What a TLS session holds from its first byte on: state, keys, and what a record that came in pieces leaves.
pub(super) const TLS_BYTES: usize = 7 * 1024;
/// What an HTTP/1 connection holds from its first head on, also while it rests.
pub(super) const HTTP1_TASK_BYTES: usize = 1536;
/// What hyper and the router hold of an HTTP/1 connection while a request goes on, and for each byte of its
/// head: it is copied into buffers that grow in steps.
const HTTP1_BYTES: usize = 13_824;
const HTTP1_HEAD_PERCENT: usize = 150;
/// What an HTTP/2 connection holds beside its streams: its buffers and header tables.
pub(super) const HTTP2_BYTES: usize = 16 * 1024;
/// What one stream of an HTTP/2 connection holds beside the head of its request and what it sends.
pub(super) const HTTP2_STREAM_BYTES: usize = 3_840;
/// What the router holds until it has answered such a stream.
pub(super) const HTTP2_CALL_BYTES: usize = 4_352;
/// What a request's parts hold beside its header fields.
const REQUEST_BYTES: usize = 512;
/// What a map of headers holds for each field beside its text: name, value, hash, links and index.
const HEADER_BYTES: usize = 112;
/// Connections that are served without a charge while the budget is full: a fixed cost, like threads' stacks.
pub(super) const SPARE_CONNECTIONS: usize = 32;

/// Bytes that are charged, or the right to hold them uncharged.
#[derive(Debug)]
pub(super) enum Charge {
    Charged { _permit: Permit },
    Spare,
}

/// What one connection may hold. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<OfConnection>);

#[derive(Debug)]
struct OfConnection {
    address: Option<IpAddr>,
    /// Taken when the budget was full, and kept for as long as the connection lives.
    spare: Mutex<Option<FairPermit>>,
    /// What unread bodies of waiting requests may fill: HTTP/2's window, charged once for all of them.
    window: Mutex<Weak<Charge>>,
}

impl Allowance {
    pub(super) fn new(address: Option<IpAddr>) -> Allowance {
        Allowance(Arc::new(OfConnection { address, spare: Mutex::default(), window: Mutex::default() }))
    }

    /// Charges bytes before they are held. `None`: there is no room for them.
    pub(super) fn charge(&self, shared: &Shared, bytes: usize) -> Option<Charge> {
        let mut spare = self.0.spare.lock();
        if spare.is_some() {
            return Some(Charge::Spare);
        }
        if let Ok(permit) = shared.hub.budget().try_charge(Owner::Requests, bytes) {
            return Some(Charge::Charged { _permit: permit });
        }
        *spare = shared.spare.try_acquire(self.0.address);
        spare.as_ref().map(|_| Charge::Spare)
    }

    /// Charges the window that bodies may fill which nobody reads yet; all that wait share it.
    pub(super) fn charge_window(&self, shared: &Shared, bytes: usize) -> Option<Arc<Charge>> {
        let mut window = self.0.window.lock();
        if let Some(charge) = window.upgrade() {
            return Some(charge);
        }
        let charge = Arc::new(self.charge(shared, bytes)?);
        *window = Arc::downgrade(&charge);
        Some(charge)
    }
}

/// What an HTTP/1 connection holds in hyper, given the head it begins with.
pub(super) fn http1_bytes(head: usize) -> usize {
    HTTP1_BYTES + head * HTTP1_HEAD_PERCENT / 100
}

/// What the head of a request holds once it is parsed. Texts that several heads share (HPACK's table) count
/// each time.
pub(super) fn head_bytes<B>(request: &Request<B>) -> usize {
    let headers = request.headers();
    let text: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    REQUEST_BYTES + fields_held(headers.len()) * HEADER_BYTES + text + target
}

/// Fields that a map of so many has room for: three quarters of a power of two. Not its own figure: hyper uses maps
/// again, so that equal requests would be charged differently.
fn fields_held(fields: usize) -> usize {
    let buckets = (fields + fields / 3 + 1).next_power_of_two().max(8);
    buckets - buckets / 4
}

#[cfg(test)]
mod tests {
    use super::fields_held;

    #[test]
    fn a_map_of_headers_is_charged_what_a_new_one_of_its_size_holds() {
        for fields in 0..200u16 {
            let mut headers = http::HeaderMap::new();
            for number in 0..fields {
                headers.insert(
                    http::HeaderName::try_from(format!("x-{number}")).unwrap(),
                    http::HeaderValue::from(1),
                );
            }
            let held = fields_held(usize::from(fields));
            assert!(held >= headers.capacity() && held <= 2 * headers.capacity().max(6), "{fields}: {held}");
        }
    }
}
