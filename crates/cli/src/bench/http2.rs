//! HTTP/2 as its frames (RFC 9113): just enough to ask many things over one connection and take none of the
//! answers. It answers settings and pings like an honest client, and opens no window.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::failure::{Outcome, While};
use super::hub::HOST;
use super::process::give_way;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

/// `SETTINGS_INITIAL_WINDOW_SIZE`, as the two bytes of its name.
pub(super) const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// The longest frame that is accepted, in bytes; longer ones are never sent.
pub(super) const FRAME_BYTES_MAX: usize = 16 * 1024;

const JSON: &str = "application/json";

/// A connection with a window of zero. Dropping it closes it.
pub(super) struct Http2 {
    /// Shared with the thread that answers, so that frames do not mix.
    stream: Arc<Mutex<TcpStream>>,
    /// Answers until the connection ends; taken by `drop`.
    answering: Option<JoinHandle<io::Result<()>>>,
    next_stream: u32,
}

impl Http2 {
    pub(super) fn connect(address: SocketAddr) -> Outcome<Self> {
        let connect = || -> io::Result<(TcpStream, TcpStream)> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let settings = [&INITIAL_WINDOW_SIZE[..], &0_u32.to_be_bytes()].concat();
            stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat())?;
            Ok((stream.try_clone()?, stream))
        };
        let (reader, writer) = connect().during("connecting with HTTP/2")?;
        let stream = Arc::new(Mutex::new(writer));
        let work = {
            let stream = stream.clone();
            move || {
                give_way()?;
                answer(reader, &stream)
            }
        };
        let answering = Builder::new().name("http2".into()).spawn(work).during("starting a thread")?;
        Ok(Self { stream, answering: Some(answering), next_stream: 1 })
    }

    /// Asks for something in JSON.
    pub(super) fn get(&mut self, path: &str) -> Outcome<()> {
        let stream = self.next_stream();
        let block = header_block("GET", path, JSON);
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
    }

    /// Begins a request with one byte of its body, and leaves it at that.
    pub(super) fn unfinished_post(&mut self, path: &str) -> Outcome<()> {
        let stream = self.next_stream();
        let head = frame(HEADERS, END_HEADERS, stream, &header_block("POST", path, JSON));
        self.send(&[head, frame(DATA, 0, stream, b"x")].concat())
    }

    fn next_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    fn send(&mut self, frames: &[u8]) -> Outcome<()> {
        lock(&self.stream).write_all(frames).during("sending over HTTP/2")
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // It fails if the peer has closed it, and then the thread has ended.
        lock(&self.stream).shutdown(Shutdown::Both).ok();
        if let Some(thread) = self.answering.take() {
            thread.join().ok();
        }
    }
}

/// Answers settings and pings until the connection ends.
fn answer(mut reader: TcpStream, writer: &Mutex<TcpStream>) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head)?;
        let [a, b, c, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload)?;
        let reply = match kind {
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(PING, ACK, 0, &payload),
            _ => continue,
        };
        lock(writer).write_all(&reply)?;
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals without indexing (RFC 7541, section 6.2.2); all are shorter than 127 bytes.
pub(super) fn header_block(method: &str, path: &str, accept: &str) -> Vec<u8> {
    let fields =
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", HOST), ("accept", accept)];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn lock(stream: &Mutex<TcpStream>) -> std::sync::MutexGuard<'_, TcpStream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_request_follows_the_preface_and_pings_are_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Http2::connect(listener.local_addr().unwrap()).unwrap();
        client.get("/stats").unwrap();
        client.unfinished_post("/x").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let post =
            [frame(HEADERS, END_HEADERS, 3, &header_block("POST", "/x", JSON)), frame(DATA, 0, 3, b"x")];
        let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, &header_block("GET", "/stats", JSON));
        let expected = [PREFACE, &settings, &get, &post.concat()].concat();
        let mut sent = vec![0; expected.len()];
        server.read_exact(&mut sent).unwrap();
        assert_eq!(sent, expected);
        server.write_all(&frame(PING, 0, 0, b"12345678")).unwrap();
        let mut pong = vec![0; 17];
        server.read_exact(&mut pong).unwrap();
        assert_eq!(pong, frame(PING, ACK, 0, b"12345678"));
    }
}
