//! A small HTTP client: one request, one answer, one connection each. Knows nothing of streams.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::PATIENCE;
use crate::raw::{ConnectOptions, RawConnection, find};

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Client {
    to: SocketAddr,
    options: ConnectOptions,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request<'c> {
    client: &'c Client,
    method: &'c str,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at `to`.
    #[must_use]
    pub fn new(to: SocketAddr) -> Client {
        Client { to, options: ConnectOptions::default() }
    }

    /// A client that connects with options.
    #[must_use]
    pub fn with_options(to: SocketAddr, options: ConnectOptions) -> Client {
        Client { to, options }
    }

    /// How it connects.
    #[must_use]
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.to
    }

    /// A request to be completed.
    #[must_use]
    pub fn request<'c>(&'c self, method: &'c str, path: impl Into<String>) -> Request<'c> {
        Request { client: self, method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: impl Into<String>) -> Response {
        self.request("GET", path).send()
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete(&self, path: impl Into<String>) -> Response {
        self.request("DELETE", path).send()
    }

    /// `POST` of a body with its type.
    #[must_use]
    pub fn post(&self, path: impl Into<String>, content_type: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("POST", path).header("Content-Type", content_type).body(body).send()
    }
}

impl Request<'_> {
    /// Adds a header; the value may be any bytes.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`].
    #[must_use]
    pub fn send(self) -> Response {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it and reads the answer, if there is one.
    ///
    /// # Errors
    /// What the connection met; `InvalidData` for an answer that is none.
    pub fn try_send(self) -> io::Result<Response> {
        let mut connection = RawConnection::connect_with(self.client.to, &self.client.options)?;
        // A server that refuses early may close before it has read everything: its answer counts.
        let sent = connection.try_send(self.bytes());
        let answer = Response::read_from(&mut connection, self.method, Instant::now() + PATIENCE);
        match (sent, answer) {
            (Err(error), Err(_)) => Err(error),
            (_, answer) => answer,
        }
    }

    /// The request as bytes, for a connection of the test's own.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        if !has("host") {
            line("Host", self.client.to.to_string().as_bytes());
        }
        if !has("connection") {
            // As publishers do it, who keep their connections; the others say that they are done.
            line("Connection", if self.method == "POST" { b"keep-alive" } else { b"close" });
        }
        if !self.body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            line("Content-Length", self.body.len().to_string().as_bytes());
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Response {
    /// Reads one response.
    ///
    /// # Errors
    /// What the connection met; `InvalidData` for bytes that are no response.
    pub fn read_from(
        connection: &mut RawConnection,
        method: &str,
        deadline: Instant,
    ) -> io::Result<Response> {
        let mut bytes = Vec::new();
        loop {
            let more = connection.read_some(deadline)?;
            let is_end = more.is_empty();
            bytes.extend_from_slice(&more);
            if let Some((response, used)) = Response::parse(method, &bytes, is_end)? {
                connection.unread(&bytes[used..]);
                return Ok(response);
            }
        }
    }

    /// The status of each of the answers that a connection gave up to its end, all to requests of `method`.
    ///
    /// # Panics
    /// When there is anything that is no whole answer.
    #[must_use]
    pub fn statuses(method: &str, mut answers: &[u8]) -> Vec<u16> {
        let mut statuses = Vec::new();
        while !answers.is_empty() {
            let (answer, used) = Response::parse(method, answers, true).unwrap().expect("an end");
            statuses.push(answer.status);
            answers = &answers[used..];
        }
        statuses
    }

    /// The response to a request of `method` that `bytes` begin with, and how many of them it took. `None`: it
    /// is not complete. `is_end`: no more bytes come.
    ///
    /// # Errors
    /// `InvalidData` for bytes that are no response, or end in the middle of one.
    pub fn parse(method: &str, bytes: &[u8], is_end: bool) -> io::Result<Option<(Response, usize)>> {
        let missing = |what: &str| if is_end { Err(bad(what, bytes)) } else { Ok(None) };
        let Some(at) = find(bytes, b"\r\n\r\n") else {
            return missing("the connection ended in the head");
        };
        let (head, rest) = bytes.split_at(at + 4);
        let (status, headers) = parse_head(head).ok_or_else(|| bad("no head", head))?;
        let mut response = Response { status, headers, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Some((response, head.len())));
        }
        let length: Option<usize> = response.header("content-length").and_then(|text| text.parse().ok());
        let is_chunked = response.header("transfer-encoding").is_some_and(|text| text.contains("chunked"));
        let body = match (is_chunked, length) {
            (true, _) => unchunk_all(rest),
            (false, Some(length)) => rest.get(..length).map(|body| (body.to_vec(), length)),
            (false, None) => is_end.then(|| (rest.to_vec(), rest.len())),
        };
        let Some((body, used)) = body else { return missing("the connection ended in the body") };
        response.body = body;
        Ok(Some((response, head.len() + used)))
    }

    /// A header's value; the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// Asserts the status, and returns the answer.
    ///
    /// # Panics
    /// When it is another: with the body.
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Asserts that it is a refusal in `application/problem+json` with this status and code, whole and
    /// consistent in itself, and returns its JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for key in ["type", "title", "detail"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "no {key}: {problem}");
        }
        if matches!(status, 429 | 503) {
            let after = self.header("retry-after").and_then(|text| text.parse::<u32>().ok());
            assert!(after.is_some_and(|seconds| seconds > 0), "{status} without Retry-After: {self:?}");
        }
        problem
    }
}

/// Status and headers of a head, blank line included.
pub(crate) fn parse_head(head: &[u8]) -> Option<(u16, Vec<(String, String)>)> {
    let text = str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some((status, headers.collect()))
}

/// The whole of a chunked body, and how many bytes it took. `None`: it is not complete.
fn unchunk_all(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
        let start = at + line + 2;
        let data = bytes.get(start..start + size)?;
        let after = bytes.get(start + size..start + size + 2)?;
        assert_eq!(after, b"\r\n", "a chunk ends with a line break");
        body.extend_from_slice(data);
        at = start + size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}

fn bad(what: &str, bytes: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {:?}", String::from_utf8_lossy(bytes)))
}
