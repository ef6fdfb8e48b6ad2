//! Response heads that are written without hyper: of a stream that a pump takes over, and of an answer at once.

use http::{HeaderMap, StatusCode, header};

use crate::shard::Framing;

/// Status line and headers of a stream, ready to be written (RFC 9112, section 4). The body that follows is
/// chunked on HTTP/1.1; the connection ends with it. Header values are typed, so none can hold a line break.
pub(super) fn of_stream(status: StatusCode, headers: &HeaderMap, framing: Framing) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    // A server answers with the highest version that it speaks (RFC 9110, section 2.5), except where a reader of
    // HTTP/1.0 might take that for chunks.
    let version = if framing == Framing::Chunked { "HTTP/1.1 " } else { "HTTP/1.0 " };
    write_status(version, status, &mut head);
    write_fields(headers, &mut head);
    if framing == Framing::Chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    head.extend_from_slice(b"connection: close\r\n");
    if !headers.contains_key(header::DATE) {
        super::date::write(&mut head);
    }
    head.extend_from_slice(b"\r\n");
    head
}

pub(super) fn write_status(version: &str, status: StatusCode, head: &mut Vec<u8>) {
    head.extend_from_slice(version.as_bytes());
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or("OK").as_bytes());
    head.extend_from_slice(b"\r\n");
}

/// Writes the fields, without those that say how the body is framed.
pub(super) fn write_fields(headers: &HeaderMap, head: &mut Vec<u8>) {
    for (name, value) in headers {
        if matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
}
