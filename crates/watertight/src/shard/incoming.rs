//! What a subscriber sends behind its request: read, counted and thrown away. Over TLS it passes rustls before, which
//! answers what is no application data; the limit is for what is on the wire, and what is shown is application data.

use std::io::{self, Read};

use tracing::debug;
use watertight_core::End;

use super::conn::Conn;
use super::ending::end_of;
use super::run::Shard;
use super::seal::Seal;
use crate::tls::TlsError;

/// Bytes a subscriber may send after its request before it is cut off, as they are on the wire.
const RECEIVED_MAX: u32 = 64 * 1024;
/// Scratch space for what is thrown away.
const DISCARD_BYTES: usize = 4096;

impl Shard {
    /// Reads what a subscriber sends, throws it away, and notices when it leaves: also behind bytes that it
    /// had pipelined.
    pub(super) fn read_and_discard(&mut self, slot: u32) -> Option<End> {
        let conn = self.sockets.get_mut(slot)?;
        let mut scratch = [0; DISCARD_BYTES];
        loop {
            match (&conn.socket).read(&mut scratch) {
                Ok(0) => return Some(End::PeerClosed),
                Ok(read) => {
                    let bytes = scratch.get_mut(..read).unwrap_or_default();
                    if let Some(end) = receive(conn, bytes, &mut self.seal) {
                        return Some(end);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(end_of(&error)),
            }
        }
        if conn.note_unsent() {
            self.sockets.make_ready(slot);
        }
        None
    }
}

/// Counts what has arrived. How the connection ends by it, if it does.
fn receive(conn: &mut Conn, bytes: &mut [u8], seal: &mut Seal) -> Option<End> {
    let received = bytes.len();
    let Some(tls) = conn.tls.as_mut() else {
        let in_all = conn.with_life(|life| life.received(received));
        return (in_all > RECEIVED_MAX).then_some(End::UnexpectedInput);
    };
    // Before rustls has any work with it.
    if tls.on_the_wire() + received > RECEIVED_MAX as usize {
        return Some(End::UnexpectedInput);
    }
    let end = pass_through_tls(conn, bytes, seal);
    let data = conn.tls.as_mut().map_or(0, |tls| tls.take_data());
    conn.with_life(|life| life.received(data));
    end
}

/// Gives what has arrived to the socket's TLS. How the connection ends by it, if it does.
fn pass_through_tls(conn: &mut Conn, bytes: &mut [u8], seal: &mut Seal) -> Option<End> {
    let tls = conn.tls.as_mut()?;
    match tls.receive(&conn.socket, bytes, seal) {
        Ok(false) => None,
        Ok(true) => Some(End::PeerClosed),
        Err(error) => {
            debug!(%error, "a subscriber's TLS cannot go on");
            Some(match error {
                error if error.is_of_the_peer() => End::PeerReset,
                TlsError::NoRoom | TlsError::TooLong => End::UnexpectedInput,
                // Not a hard end: the alert that was sent is to arrive.
                _ => End::SocketError,
            })
        }
    }
}
