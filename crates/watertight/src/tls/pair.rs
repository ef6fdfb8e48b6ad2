//! For tests: a TLS session and a client of rustls's own, in memory.

use std::io::Read;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, SupportedProtocolVersion};
use watertight_testkit::tls::{server_config, trusting_client};

use super::{Receiver, TlsError, TlsSession};

/// Keeps what arrives, and has so much room.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) plain: Vec<u8>,
    pub(crate) room: usize,
}

impl Receiver for Kept {
    fn data(&mut self, plain: &[u8]) {
        self.plain.extend_from_slice(plain);
    }

    fn room(&mut self, bytes: usize) -> bool {
        bytes <= self.room
    }
}

/// Both ends of a connection.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) server: TlsSession,
    pub(crate) client: ClientConnection,
    pub(crate) kept: Kept,
}

impl Pair {
    /// Before the handshake.
    pub(crate) fn new(versions: &[&'static SupportedProtocolVersion]) -> Pair {
        let server = TlsSession::new(server_config(versions, &[])).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(trusting_client(&[]), name).unwrap();
        Pair { server, client, kept: Kept { plain: Vec::new(), room: usize::MAX } }
    }

    /// After the handshake.
    pub(crate) fn connected(versions: &[&'static SupportedProtocolVersion]) -> Pair {
        let mut pair = Pair::new(versions);
        while pair.server.is_handshaking() || pair.client.is_handshaking() {
            let answer = pair.give_server(usize::MAX).unwrap();
            pair.give_client(&answer);
        }
        pair
    }

    /// What the client has to send.
    pub(crate) fn take_from_client(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Gives the server what the client has to send, in pieces. Returns its answer.
    pub(crate) fn give_server(&mut self, piece: usize) -> Result<Vec<u8>, TlsError> {
        let mut bytes = self.take_from_client();
        let mut out = Vec::new();
        for piece in bytes.chunks_mut(piece) {
            self.server.receive(piece, &mut out, &mut self.kept)?;
        }
        Ok(out)
    }

    /// Gives the client bytes. Returns what they say.
    pub(crate) fn give_client(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
            let mut some = [0; 1024];
            while let Ok(read @ 1..) = self.client.reader().read(&mut some) {
                plain.extend_from_slice(&some[..read]);
            }
        }
        plain
    }
}

/// The records in these bytes: type, and length with the header.
pub(crate) fn records(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let [kind, _, _, high, low, ..] = *bytes {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        records.push((kind, length));
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "half a record");
    records
}

/// Both versions that are spoken.
pub(crate) const VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

/// A server configuration is what a connection is made from.
pub(crate) fn config() -> Arc<rustls::ServerConfig> {
    server_config(rustls::ALL_VERSIONS, &[])
}
