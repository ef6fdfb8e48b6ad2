//! A small HTTP/1.1 client on a blocking socket: one kept connection, for control requests and flat-out
//! publishing. Its cost is small and steady, which is why it is not hyper. Knows no events.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::endpoint::{Blocking, Endpoint};
use super::failure::{Outcome, While, broken};
use super::scan::{self, Chunk};

/// An answer must come within this time. Generous: a hub holds back its 202 from a publisher that outruns it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest answer taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct HttpClient {
    stream: Blocking,
    host: String,
    /// Read and not used yet.
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// From `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    pub(super) fn connect(to: impl Into<Endpoint>) -> Outcome<Self> {
        let to = to.into();
        let address = to.address;
        let doing = format!("connecting to {address}");
        let stream = TcpStream::connect(address).during(&doing)?;
        stream.set_nodelay(true).during(&doing)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).during(&doing)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).during(&doing)?;
        let stream = to.blocking(stream).during(&doing)?;
        Ok(Self { stream, host: address.to_string(), buffer: Vec::new() })
    }

    pub(super) fn get(&mut self, path: &str) -> Outcome<Answer> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n\r\n", self.host);
        self.send(request.as_bytes())?;
        self.receive()
    }

    pub(super) fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> Outcome<Answer> {
        let mut request = Vec::with_capacity(body.len() + 256);
        self.write_post(&mut request, path, content_type, body);
        self.send(&request)?;
        self.receive()
    }

    /// Appends a POST to `request`, so that several may go out together.
    pub(super) fn write_post(&self, request: &mut Vec<u8>, path: &str, content_type: &str, body: &[u8]) {
        let host = &self.host;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.stream.write_all(request).and_then(|()| self.stream.flush()).during("sending a request")
    }

    /// The next answer.
    pub(super) fn receive(&mut self) -> Outcome<Answer> {
        let head = loop {
            match scan::head(&self.buffer) {
                Ok(Some(head)) => break head,
                Ok(None) => self.fill()?,
                Err(malformed) => return broken(format!("an answer that is no HTTP: {}", malformed.0)),
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head.length]).to_ascii_lowercase();
        self.buffer.drain(..head.length);
        let value = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
        let retry_after = value("retry-after:").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let length = value("content-length:").and_then(|text| text.parse().ok());
        let body = if value("transfer-encoding:") == Some("chunked") {
            self.chunked_body()?
        } else {
            self.sized_body(length.unwrap_or(0))?
        };
        Ok(Answer { status: head.status, retry_after, body })
    }

    fn sized_body(&mut self, length: usize) -> Outcome<Vec<u8>> {
        if length > ANSWER_BYTES_MAX {
            return broken(format!("an answer of {length} bytes"));
        }
        while self.buffer.len() < length {
            self.fill()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn chunked_body(&mut self) -> Outcome<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match scan::chunk(&self.buffer) {
                Ok(Chunk::Partial) => self.fill()?,
                Ok(Chunk::Whole { payload, length }) if body.len() + payload.len() <= ANSWER_BYTES_MAX => {
                    body.extend_from_slice(payload);
                    self.buffer.drain(..length);
                }
                Ok(Chunk::Last) => {
                    self.buffer.drain(.."0\r\n\r\n".len());
                    return Ok(body);
                }
                _ => return broken("an answer with a malformed or endless body"),
            }
        }
    }

    fn fill(&mut self) -> Outcome<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[filled..]);
        self.buffer.truncate(filled + read.as_ref().map_or(0, |count| *count));
        match read.during("waiting for an answer")? {
            0 => broken("the connection was closed before the answer came"),
            _ => Ok(()),
        }
    }
}

impl Answer {
    /// The body as JSON, if the status is what it should be.
    pub(super) fn json(&self, what: &str) -> Outcome<serde_json::Value> {
        self.expect_success(what)?;
        serde_json::from_slice(&self.body).during(&format!("reading {what}"))
    }

    /// The body as text, likewise.
    pub(super) fn text(&self, what: &str) -> Outcome<String> {
        self.expect_success(what)?;
        Ok(String::from_utf8_lossy(&self.body).into_owned())
    }

    fn expect_success(&self, what: &str) -> Outcome<()> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        broken(format!("{what}: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client reads of these answers, all over one connection.
    fn answers(bytes: &[u8], count: usize) -> Vec<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = HttpClient::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(bytes).unwrap();
        (0..count).map(|_| client.receive().unwrap()).collect()
    }

    #[test]
    fn answers_of_each_form_follow_each_other() {
        let bytes = b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{\"id\":7 }\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n\
            HTTP/1.1 503 No\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
        let answers = answers(bytes, 3);
        assert_eq!(answers[0].json("it").unwrap()["id"], 7);
        assert_eq!(answers[1].json("it").unwrap()["a"], 1);
        assert_eq!(answers[2].retry_after, Some(Duration::from_secs(2)));
        assert!(answers[2].json("it").is_err());
    }
}
