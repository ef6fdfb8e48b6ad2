//! The first bytes of a plain connection: HTTP/2 with prior knowledge announces itself with a fixed preface
//! (RFC 9113, section 3.4); everything else is HTTP/1.1.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which protocol the peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known: one byte for most requests, the whole preface for HTTP/2. Returns what
/// was read. Cancelling loses what was read; the connection is closed then anyway.
pub(super) async fn sniff(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Vec<u8>)> {
    let mut bytes = [0; PREFACE.len()];
    let mut filled = 0;
    while filled < PREFACE.len() {
        let read = stream.read(&mut bytes[filled..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        if bytes[..filled] != PREFACE[..filled] {
            return Ok((Protocol::Http1, bytes[..filled].to_vec()));
        }
    }
    Ok((Protocol::Http2, bytes.to_vec()))
}
