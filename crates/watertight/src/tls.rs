//! One TLS connection as a state machine: bytes in, bytes out, no socket.
//!
//! It is rustls's unbuffered connection, because that is what an idle stream can afford: the buffered type keeps 4 KB
//! for input that a subscriber never sends. Everything that TLS asks of a server (handshake, alerts, key updates,
//! limits of records and of keys) is done by rustls; no secret leaves it. Here is only the memory around it: bytes that
//! are no whole record yet, held while they are there and given back when they are not.
//!
//! Two drive it: `serve/tls.rs` until a stream leaves hyper, and a pump (`shard/link.rs`) from then on. It is the same
//! object, so there is nothing to convert between them, and a record that has half arrived goes along.

#[cfg(test)]
pub(crate) mod pair;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

/// Plain bytes in one record at most (RFC 8446, section 5.1).
pub(crate) const RECORD_BYTES: usize = 16 * 1024;
/// What a record may be longer than its plain bytes: header, nonce, type and tag, whatever the version.
const SEALING_BYTES: usize = 64;
/// What is held of a record that has not arrived whole: header, and 2 KB more than a record's plain bytes (RFC 5246,
/// section 6.2.3).
const INCOMING_MAX: usize = 5 + RECORD_BYTES + 2048;
/// The same while the handshake goes on, whose messages may span records: the certificates of a client.
const HANDSHAKE_INCOMING_MAX: usize = 64 * 1024 + INCOMING_MAX;

/// Why a TLS connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the record could not be sealed: {0}")]
    Seal(#[from] EncryptError),
    #[error("the handshake could not be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("the peer sent more than a record without finishing it")]
    TooLong,
    #[error("the memory budget has no room for what has arrived")]
    NoRoom,
    #[error("the connection is in a state in which nothing can be sent")]
    Unexpected,
}

impl TlsError {
    /// Whether the peer gave up, rather than we.
    pub(crate) fn is_of_the_peer(&self) -> bool {
        matches!(self, TlsError::Tls(rustls::Error::AlertReceived(_)))
    }
}

/// Who gets what has arrived.
pub(crate) trait Receiver {
    /// Application data.
    fn data(&mut self, plain: &[u8]);

    /// So many bytes are about to be held until more comes. `false`: there is no room for them.
    fn room(&mut self, bytes: usize) -> bool;
}

/// A TLS connection, server side. What stands first is read by each write (see `shard/link.rs`).
#[repr(C)]
pub(crate) struct TlsSession {
    /// Arrived, and not a whole record yet. Given back as soon as it is empty.
    incoming: Vec<u8>,
    /// The peer has said that it sends nothing more.
    peer_closed: bool,
    /// So have we.
    said_close: bool,
    /// It cannot go on. rustls is not asked again: it may stand in the middle of bytes that are gone.
    failed: bool,
    connection: UnbufferedServerConnection,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsSession").field("held", &self.held()).finish_non_exhaustive()
    }
}

/// What is written once the connection can be written to.
type Write<'w> =
    &'w mut dyn FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>;

impl TlsSession {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<TlsSession, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(TlsSession {
            connection,
            incoming: Vec::new(),
            peer_closed: false,
            said_close: false,
            failed: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// What was settled by ALPN.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Whether the peer has said (`close_notify`) that it sends nothing more.
    pub(crate) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Bytes held of what has not arrived whole.
    pub(crate) fn held(&self) -> usize {
        self.incoming.capacity()
    }

    /// Takes bytes that have arrived, and does all that can be done with them. What is to be sent in return is
    /// appended to `out`, also when this fails: then it is the alert.
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        receiver: &mut dyn Receiver,
    ) -> Result<(), TlsError> {
        if self.peer_closed {
            // What comes behind `close_notify` is ignored (RFC 8446, section 6.1).
            return Ok(());
        }
        if self.incoming.is_empty() {
            let used = self.process(bytes, out, receiver, None)?;
            return self.keep(bytes.get(used..).unwrap_or_default(), receiver);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        if !receiver.room(incoming.len() + bytes.len()) {
            return Err(self.fail(TlsError::NoRoom));
        }
        incoming.reserve_exact(bytes.len());
        incoming.extend_from_slice(bytes);
        let used = self.process(&mut incoming, out, receiver, None)?;
        if used > 0 || self.peer_closed {
            return self.keep(incoming.get(used..).unwrap_or_default(), receiver);
        }
        self.incoming = incoming;
        self.check_length()
    }

    /// Seals `plain` in a record (or several, if it does not fit into one), appended to `out`. A key update that the
    /// peer has asked for, or that the limits of the cipher ask for, goes before it.
    ///
    /// # Errors
    /// When the connection cannot go on. What is to be sent nevertheless stands in `out`.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.write(plain.len(), out, &mut |traffic, room| traffic.encrypt(plain, room))
    }

    /// Says that nothing more will be sent (`close_notify`), unless that was said, or an alert: appended to `out`.
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.said_close || self.failed {
            return Ok(());
        }
        self.said_close = true;
        self.write(0, out, &mut |traffic, room| traffic.queue_close_notify(room))
    }

    fn write(&mut self, plain: usize, out: &mut Vec<u8>, write: Write<'_>) -> Result<(), TlsError> {
        // What has arrived and is no whole record may belong to a message that is half there: rustls looks at it again.
        let mut incoming = std::mem::take(&mut self.incoming);
        let result = self.process(&mut incoming, out, &mut Nothing, Some((plain, write)));
        incoming.drain(..*result.as_ref().unwrap_or(&0));
        self.incoming = incoming;
        result.map(|_| ())
    }

    /// Keeps what is no whole record.
    fn keep(&mut self, rest: &[u8], receiver: &mut dyn Receiver) -> Result<(), TlsError> {
        if rest.is_empty() || self.peer_closed {
            return Ok(());
        }
        if !receiver.room(rest.len()) {
            return Err(self.fail(TlsError::NoRoom));
        }
        self.incoming = rest.to_vec();
        self.check_length()
    }

    fn check_length(&mut self) -> Result<(), TlsError> {
        let max = if self.is_handshaking() { HANDSHAKE_INCOMING_MAX } else { INCOMING_MAX };
        if self.incoming.len() > max { Err(self.fail(TlsError::TooLong)) } else { Ok(()) }
    }

    /// What has arrived is gone: rustls is not asked again.
    fn fail(&mut self, error: TlsError) -> TlsError {
        self.failed = true;
        error
    }

    fn process(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        receiver: &mut dyn Receiver,
        write: Option<(usize, Write<'_>)>,
    ) -> Result<usize, TlsError> {
        if self.failed {
            return Err(TlsError::Unexpected);
        }
        let result = self.go_on(bytes, out, receiver, write);
        if result.is_err() {
            self.failed = true;
            self.last_words(out);
        }
        result
    }

    /// Has rustls go on until it waits for bytes. Returns how many of `bytes` it is done with.
    fn go_on(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        receiver: &mut dyn Receiver,
        mut write: Option<(usize, Write<'_>)>,
    ) -> Result<usize, TlsError> {
        let mut used = 0;
        loop {
            let rest = bytes.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(rest);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        receiver.data(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(message)) => encode(message, out)?,
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let Some((plain, write)) = write.take() else { return Ok(used) };
                    append(out, plain + SEALING_BYTES, |room| write(&mut traffic, room))?;
                    return Ok(used);
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => {
                    return if write.is_some() { Err(TlsError::Unexpected) } else { Ok(used) };
                }
                // Early data, which no configuration of ours accepts, and what rustls may come to say.
                Ok(_) => return Err(TlsError::Unexpected),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Appends what is to be sent although the connection cannot go on: the alert that says why.
    fn last_words(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            let state = self.connection.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(message)) = state else { return };
            if encode(message, out).is_err() {
                return;
            }
        }
    }
}

/// Nobody: what is only written to gives no application data.
struct Nothing;

impl Receiver for Nothing {
    fn data(&mut self, _: &[u8]) {}

    fn room(&mut self, _: usize) -> bool {
        true
    }
}

fn encode(
    mut message: EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let needs = match message.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needs)) => needs.required_size,
        other => return other.map(|_| ()),
    };
    let begin = out.len();
    out.resize(begin + needs, 0);
    let wrote = message.encode(out.get_mut(begin..).unwrap_or_default())?;
    out.truncate(begin + wrote);
    Ok(())
}

/// Appends what `write` writes; if `room` is not enough, what it says that it needs.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let begin = out.len();
    loop {
        out.resize(begin + room, 0);
        match write(out.get_mut(begin..).unwrap_or_default()) {
            Ok(wrote) => {
                out.truncate(begin + wrote);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(needs)) if needs.required_size > room => {
                room = needs.required_size
            }
            Err(error) => {
                out.truncate(begin);
                return Err(error);
            }
        }
    }
}
