//! A request and what comes back, over any protocol, never waiting: bytes as they come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::http2::{Frame, Http2, kind};
use crate::{Client, ConnectOptions, End, RawConnection, Response};

/// Bytes of a body that are taken before their room is given back (HTTP/2).
const WINDOW_STEP: u32 = 16 * 1024;
/// The only stream of a connection.
const STREAM: u32 = 1;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http10,
    Http11,
    Http2,
}

/// The hub that is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// How TLS is spoken with HTTP/1.x and with HTTP/2, if it is.
    pub(super) tls: Option<[Arc<ClientConfig>; 2]>,
}

impl Target {
    fn options(&self, protocol: Protocol, is_small: bool) -> ConnectOptions {
        let base = if is_small { ConnectOptions::small_window() } else { ConnectOptions::default() };
        let tls = self.tls.as_ref().map(|tls| Arc::clone(&tls[usize::from(protocol == Protocol::Http2)]));
        ConnectOptions { tls, ..base }
    }
}

/// A request as a reader or a publisher makes it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn get(path: String, accept: &str) -> Request {
        Request { method: "GET", path, headers: vec![("accept", accept.to_owned())], body: String::new() }
    }
}

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    Nothing,
    Bytes(Vec<u8>),
    End(End),
}

#[derive(Debug)]
enum Carrier {
    Http1(RawConnection),
    Http2 { connection: Http2, untaken: u32, status: Option<u16>, is_over: bool },
}

/// A connection with one request on it.
#[derive(Debug)]
pub(super) struct Line {
    carrier: Carrier,
    /// Why it ended, if it was not by its rules.
    error: Option<String>,
}

impl Line {
    /// Connects and sends. `part`: only that share of it, out of 1, and nothing that would end it.
    ///
    /// # Errors
    /// What the connection met.
    pub(super) fn open(
        to: &Target,
        protocol: Protocol,
        request: &Request,
        is_small: bool,
        part: Option<f64>,
    ) -> io::Result<Line> {
        let options = to.options(protocol, is_small);
        if protocol == Protocol::Http2 {
            return Line::open_http2(to, &options, request, part.is_none());
        }
        let mut connection = RawConnection::connect_with(to.address, &options)?;
        let client = Client::new(to.address);
        let mut http = client.request(request.method, &request.path).body(&request.body);
        for (name, value) in &request.headers {
            http = http.header(name, value);
        }
        let mut bytes = http.bytes();
        if protocol == Protocol::Http10 {
            let line = format!("{} {} HTTP/1.0\r\n", request.method, request.path);
            bytes.splice(..line.len(), line.into_bytes());
        }
        if let Some(part) = part {
            bytes.truncate(((bytes.len() as f64 * part) as usize).min(bytes.len() - 1));
        }
        connection.try_send(bytes)?;
        Ok(Line { carrier: Carrier::Http1(connection), error: None })
    }

    fn open_http2(
        to: &Target,
        options: &ConnectOptions,
        request: &Request,
        is_whole: bool,
    ) -> io::Result<Line> {
        let mut connection = Http2::try_connect(to.address, &[], options)?;
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut frames = Vec::new();
        if request.method == "POST" {
            frames.push(Frame::post(STREAM, &request.path, &headers));
            let mut chunks: Vec<&[u8]> = request.body.as_bytes().chunks(16_000).collect();
            let last = chunks.pop().unwrap_or_default();
            frames.extend(chunks.into_iter().map(|chunk| Frame::data(STREAM, chunk)));
            frames.push(if is_whole { Frame::last_data(STREAM, last) } else { Frame::data(STREAM, last) });
        } else {
            frames.push(Frame::get_with(STREAM, &request.path, &headers));
        }
        connection.send(&frames)?;
        let carrier = Carrier::Http2 { connection, untaken: 0, status: None, is_over: false };
        Ok(Line { carrier, error: None })
    }

    /// What is there, at most about `max` bytes.
    pub(super) fn read(&mut self, max: usize) -> Came {
        match &mut self.carrier {
            Carrier::Http1(connection) => match connection.try_read(max) {
                Ok(None) => Came::Nothing,
                Ok(Some(bytes)) if bytes.is_empty() => Came::End(End::Closed),
                Ok(Some(bytes)) => Came::Bytes(bytes),
                Err(error) => {
                    self.error = Some(error.to_string());
                    Came::End(End::Reset)
                }
            },
            Carrier::Http2 { is_over: true, .. } => Came::End(End::Complete),
            Carrier::Http2 { connection, untaken, status, is_over } => loop {
                let frame = match connection.try_frame(max) {
                    Ok(None) => return Came::Nothing,
                    Ok(Some(frame)) => frame,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Came::End(End::Closed);
                    }
                    Err(error) => {
                        self.error = Some(error.to_string());
                        return Came::End(End::Reset);
                    }
                };
                connection.acknowledge(&frame);
                *status = status.or(frame.status());
                *is_over |= frame.ends_stream();
                match frame.kind {
                    kind::RST_STREAM => {
                        self.error = Some(format!("RST_STREAM with code {:?}", frame.payload));
                        return Came::End(End::Reset);
                    }
                    kind::GOAWAY => self.error = Some(format!("GOAWAY: {:?}", frame.payload)),
                    kind::DATA if !frame.payload.is_empty() => {
                        *untaken += u32::try_from(frame.payload.len()).unwrap();
                        if *untaken >= WINDOW_STEP {
                            let room =
                                [Frame::window_update(0, *untaken), Frame::window_update(STREAM, *untaken)];
                            // Whoever closes meanwhile is noticed by the next read.
                            let _ = connection.send(&room);
                            *untaken = 0;
                        }
                        return Came::Bytes(frame.payload);
                    }
                    _ if *is_over => return Came::End(End::Complete),
                    _ => {}
                }
            },
        }
    }

    /// The status of an answer over HTTP/2, once it is there; over HTTP/1.x it is among the bytes.
    pub(super) fn status(&self) -> Option<u16> {
        match &self.carrier {
            Carrier::Http1(_) => None,
            Carrier::Http2 { status, .. } => *status,
        }
    }

    /// Why it ended, if it was not by its rules.
    pub(super) fn error(&self) -> &str {
        self.error.as_deref().unwrap_or("no error")
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.carrier, Carrier::Http2 { .. })
    }

    /// Leaves: with a reset, or by closing.
    pub(super) fn leave(self, with_reset: bool) {
        match self.carrier {
            Carrier::Http1(connection) if with_reset => connection.reset(),
            Carrier::Http2 { mut connection, .. } if with_reset => {
                // A hub that has closed by now needs no word.
                let _ = connection.send(&[Frame::cancel(STREAM)]);
            }
            Carrier::Http1(_) | Carrier::Http2 { .. } => {}
        }
    }
}

/// A whole answer that is still coming.
#[derive(Debug)]
pub(super) struct Answer {
    line: Line,
    method: &'static str,
    bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn over(line: Line, method: &'static str) -> Answer {
        Answer { line, method, bytes: Vec::new() }
    }

    /// Status and body, once they are there. `None`: not yet.
    ///
    /// # Errors
    /// When the connection ended before.
    pub(super) fn read(&mut self) -> Option<io::Result<(u16, Vec<u8>)>> {
        loop {
            let end = match self.line.read(64 * 1024) {
                Came::Nothing => return None,
                Came::Bytes(bytes) => {
                    self.bytes.extend_from_slice(&bytes);
                    None
                }
                Came::End(end) => Some(end),
            };
            if self.line.is_http2() {
                if let Some(end) = end {
                    let status = self.line.status().filter(|_| end == End::Complete);
                    let what = || {
                        format!("{end:?} over HTTP/2, {}, status {:?}", self.line.error(), self.line.status())
                    };
                    let answer = status.map(|status| (status, std::mem::take(&mut self.bytes)));
                    return Some(answer.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, what())));
                }
                continue;
            }
            match Response::parse(self.method, &self.bytes, end.is_some()) {
                Err(error) => return Some(Err(error)),
                Ok(Some((response, _))) => return Some(Ok((response.status, response.body))),
                Ok(None) => {}
            }
        }
    }

    pub(super) fn leave(self, with_reset: bool) {
        self.line.leave(with_reset);
    }
}
