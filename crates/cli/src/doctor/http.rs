//! HTTP/1.1 in plain sight: a request as bytes, and an answer as it comes, piece by piece. Libraries hide what the
//! checks look at: first bytes, an end in the middle, an answer before the request is sent.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link::Link;

/// How long the head of an answer may be, bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How many fields a head may have.
const FIELDS_MAX: usize = 128;
/// How long an answer may be that is read whole, bytes: listings and refusals, nothing else.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// A request.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: &'static str,
    /// Path and query.
    pub(super) target: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// Whether the sending half is closed behind it.
    pub(super) half_close: bool,
    /// Whether it goes without the token.
    pub(super) is_anonymous: bool,
}

impl Request {
    pub(super) fn new(method: &'static str, target: impl Into<String>) -> Request {
        Request { method, target: target.into(), ..Request::default() }
    }

    pub(super) fn field(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn body(self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Request {
        Request { body: Some(body.into()), ..self.field("Content-Type", content_type) }
    }

    pub(super) fn without_token(self) -> Request {
        Request { is_anonymous: true, ..self }
    }

    pub(super) fn bytes(&self, host: &str) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "User-Agent: watertight-doctor\r\nConnection: close\r\n\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// The head of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// 0 or 1: the answer is HTTP/1.0 or HTTP/1.1.
    pub(super) minor: u8,
    fields: Vec<(String, String)>,
}

impl Head {
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first field of this name, which is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    /// The size of a chunk follows, or the end of the line behind a chunk.
    ChunkSize,
    /// Bytes of a chunk, and the end of its line.
    Chunk(u64),
    Length(u64),
    UntilClose,
    Ended,
}

/// An answer that is coming. Dropping it closes the connection.
pub(super) struct Answering {
    link: Link,
    raw: Vec<u8>,
    head: Option<Head>,
    framing: Framing,
}

/// An answer that has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Whole {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Answering {
    /// Sends a request. An answer that comes before all of it is sent ends the sending.
    pub(super) async fn to(link: Link, bytes: &[u8], half_close: bool) -> io::Result<Answering> {
        let (mut reader, mut writer) = tokio::io::split(link);
        let mut raw = Vec::new();
        {
            let mut sending = std::pin::pin!(async {
                writer.write_all(bytes).await?;
                if half_close { writer.shutdown().await } else { writer.flush().await }
            });
            tokio::select! {
                biased;
                sent = &mut sending => {
                    // Whoever refuses a body may close before it has read it; the answer is there nevertheless.
                    if let Err(error) = sent && reader.read_buf(&mut raw).await? == 0 {
                        return Err(error);
                    }
                }
                read = reader.read_buf(&mut raw) => {
                    read?;
                }
            }
        }
        let link = reader.unsplit(writer);
        Ok(Answering { link, raw, head: None, framing: Framing::UntilClose })
    }

    /// The head, once it has come.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Appends what came of the body to `into`, after at most one read. `false` at the end. Dropping the future loses
    /// nothing.
    pub(super) async fn pull(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        if self.raw.is_empty() || !self.decode(into)? {
            let read = self.link.read_buf(&mut self.raw).await?;
            if read == 0 {
                return match self.framing {
                    _ if self.head.is_none() => Err(io::ErrorKind::UnexpectedEof.into()),
                    Framing::UntilClose => Ok(false),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            self.decode(into)?;
        }
        Ok(!matches!(self.framing, Framing::Ended))
    }

    /// Reads to the end.
    pub(super) async fn whole(mut self) -> io::Result<Whole> {
        let mut body = Vec::new();
        while self.pull(&mut body).await? {
            if body.len() > WHOLE_BYTES_MAX {
                return Err(malformed("the answer is longer than any that was asked for"));
            }
        }
        Ok(Whole { head: self.head.unwrap_or_default(), body })
    }

    /// Takes what is there apart. Whether anything was there to take.
    fn decode(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let before = self.raw.len();
        if self.head.is_none() && !self.take_head()? {
            return Ok(false);
        }
        while !self.raw.is_empty() && self.step(into)? {}
        Ok(self.raw.len() < before)
    }

    fn take_head(&mut self) -> io::Result<bool> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(&self.raw).map_err(|error| malformed(format!("no HTTP/1: {error}")))?;
        let httparse::Status::Complete(length) = parsed else {
            let is_endless = self.raw.len() > HEAD_BYTES_MAX;
            return if is_endless { Err(malformed("a head without end")) } else { Ok(false) };
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let fields = answer.headers.iter();
        let head = Head {
            status: answer.code.unwrap_or_default(),
            minor: answer.version.unwrap_or_default(),
            fields: fields.map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect(),
        };
        self.raw.drain(..length);
        if head.status == 100 {
            return self.take_head();
        }
        let length = head.get("content-length").and_then(|length| length.trim().parse().ok());
        let is_chunked =
            head.get("transfer-encoding").is_some_and(|it| it.to_ascii_lowercase().contains("chunked"));
        self.framing = match length {
            _ if matches!(head.status, 101..=199 | 204 | 304) => Framing::Ended,
            _ if is_chunked => Framing::ChunkSize,
            Some(0) => Framing::Ended,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        self.head = Some(head);
        Ok(true)
    }

    /// One step of the body; whether another can follow.
    fn step(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        match self.framing {
            Framing::Ended => return Ok(false),
            Framing::UntilClose => into.append(&mut self.raw),
            Framing::Length(left) => {
                let left = left - self.take(left, into);
                self.framing = if left == 0 { Framing::Ended } else { Framing::Length(left) };
            }
            Framing::ChunkSize => {
                let size = httparse::parse_chunk_size(&self.raw).map_err(|_| malformed("no chunk"))?;
                let httparse::Status::Complete((length, size)) = size else { return Ok(false) };
                self.raw.drain(..length);
                self.framing = if size == 0 { Framing::Ended } else { Framing::Chunk(size) };
            }
            Framing::Chunk(0) => {
                if self.raw.len() < 2 {
                    return Ok(false);
                }
                self.raw.drain(..2);
                self.framing = Framing::ChunkSize;
            }
            Framing::Chunk(left) => {
                let left = left - self.take(left, into);
                self.framing = Framing::Chunk(left);
            }
        }
        Ok(true)
    }

    fn take(&mut self, most: u64, into: &mut Vec<u8>) -> u64 {
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.raw.len());
        into.extend(self.raw.drain(..count));
        count as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(answer: &'static [u8], cut: usize) -> io::Result<(u16, Vec<u8>)> {
        let (ours, mut theirs) = tokio::io::duplex(cut);
        let sending = async move {
            // An answer that is refused in its middle is not taken to its end.
            let _ = theirs.write_all(answer).await;
        };
        let reading = async {
            let answering = Answering::to(Box::new(ours), b"", false).await?;
            let whole = answering.whole().await?;
            Ok((whole.head.status, whole.body))
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_is_read_however_it_is_cut_and_framed() {
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
        let sized = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\nabcdefg";
        let closed = b"HTTP/1.0 200 OK\r\n\r\nabcdefg";
        for cut in [1, 2, 7, 1000] {
            assert_eq!(read(chunked, cut).await.unwrap(), (200, b"abcdefg".to_vec()), "{cut}");
            assert_eq!(read(sized, cut).await.unwrap(), (202, b"abcdefg".to_vec()), "{cut}");
            assert_eq!(read(closed, cut).await.unwrap(), (200, b"abcdefg".to_vec()), "{cut}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_that_is_cut_off_or_no_http_is_an_error() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"220 mail.example ESMTP\r\n",
            b"",
        ] {
            read(answer, 5).await.unwrap_err();
        }
    }
}
