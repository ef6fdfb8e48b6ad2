//! The response head that is written without hyper: of a stream that a pump takes over.

use http::{HeaderMap, StatusCode, header};

/// Status line and headers of a stream, ready to be written (RFC 9112, section 4). The body that follows is
/// chunked; the connection ends with it. Header values are typed, so none can hold a line break.
pub(super) fn of_stream(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or("OK").as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"transfer-encoding: chunked\r\nconnection: close\r\n");
    if !headers.contains_key(header::DATE) {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + crate::clock::wall_clock());
        head.extend_from_slice(b"date: ");
        head.extend_from_slice(date.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
