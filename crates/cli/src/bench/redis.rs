//! A Redis server of the generator's own, and a plain client of it that sends many commands at once. Knows no events.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::clock::Clock;
use super::failure::{Failure, Outcome, While, broken};

/// It must answer within this time.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks at whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often another port is tried, if somebody else took the one that was free.
const TRIES: usize = 5;

/// An answer must come within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest answer taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A running `redis-server` that keeps nothing on disk. Dropping it ends it.
pub(super) struct RedisServer {
    child: Child,
    address: SocketAddr,
}

impl RedisServer {
    /// Starts one on a free port of loopback and waits until it answers.
    pub(super) fn start(clock: Clock) -> Outcome<Self> {
        for _ in 0..TRIES {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let mut server = Self::run(free.during("looking for a free port")?)?;
            let deadline = clock.now() + START_TIMEOUT;
            loop {
                if server.client().and_then(|mut client| client.ask(&[b"PING"])).is_ok() {
                    return Ok(server);
                }
                if server.child.try_wait().during("waiting for redis-server")?.is_some() {
                    break;
                }
                if clock.now() > deadline {
                    return broken(format!("redis-server does not answer within {START_TIMEOUT:?}"));
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        broken(format!("redis-server ended {TRIES} times before it answered"))
    }

    fn run(address: SocketAddr) -> Outcome<Self> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Broken(
                "redis-server is not there: it is in the package redis-server (apt-get install redis-server)"
                    .into(),
            ),
            _ => Failure::Broken(format!("while starting redis-server: {error}")),
        })?;
        Ok(Self { child, address })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn client(&self) -> Outcome<RedisClient> {
        RedisClient::connect(self.address)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It has nothing to save. Both fail only if it is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A connection to it.
pub(super) struct RedisClient {
    reader: BufReader<TcpStream>,
    /// Commands that are not sent yet.
    commands: Vec<u8>,
    count: usize,
}

impl RedisClient {
    fn connect(address: SocketAddr) -> Outcome<Self> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connect().during("connecting to redis-server")?;
        Ok(Self { reader: BufReader::new(stream), commands: Vec::new(), count: 0 })
    }

    /// Adds a command to those that [`send`](Self::send) sends.
    pub(super) fn add(&mut self, words: &[&[u8]]) {
        let head = |commands: &mut Vec<u8>, kind: char, count: usize| {
            commands.extend_from_slice(format!("{kind}{count}\r\n").as_bytes());
        };
        head(&mut self.commands, '*', words.len());
        for word in words {
            head(&mut self.commands, '$', word.len());
            self.commands.extend_from_slice(word);
            self.commands.extend_from_slice(b"\r\n");
        }
        self.count += 1;
    }

    /// Sends what was added at once and waits for all answers; gives the last.
    pub(super) fn send(&mut self) -> Outcome<String> {
        self.reader.get_mut().write_all(&self.commands).during("sending to redis-server")?;
        self.commands.clear();
        let mut last = String::new();
        for _ in 0..std::mem::take(&mut self.count) {
            last = self.answer()?;
        }
        Ok(last)
    }

    /// Carries out a command; of an array it gives the last part.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Outcome<String> {
        self.add(words);
        self.send()
    }

    fn answer(&mut self) -> Outcome<String> {
        let (mut left, mut text) = (1, String::new());
        while left > 0 {
            left -= 1;
            let mut line = String::new();
            self.reader.read_line(&mut line).during("reading from redis-server")?;
            let line = line.trim_end();
            text = match line.split_at_checked(1) {
                Some(("+" | ":", rest)) => rest.to_owned(),
                Some(("$", "-1")) => String::new(),
                Some(("$", length)) => self.text(length)?,
                Some(("*", count)) => {
                    left += count.parse::<usize>().during("reading from redis-server")?;
                    continue;
                }
                Some(("-", error)) => return broken(format!("redis-server refuses: {error}")),
                _ => return broken(format!("redis-server answers {line:?}")),
            };
        }
        Ok(text)
    }

    fn text(&mut self, length: &str) -> Outcome<String> {
        let length: usize = length.parse().during("reading from redis-server")?;
        if length > ANSWER_BYTES_MAX {
            return broken(format!("redis-server answers with {length} bytes"));
        }
        let mut text = vec![0; length + 2];
        self.reader.read_exact(&mut text).during("reading from redis-server")?;
        text.truncate(length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_out_together_and_answers_of_each_form_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = RedisClient::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b":1\r\n$3\r\n1-0\r\n*2\r\n$1\r\nc\r\n:7\r\n-ERR no\r\n").unwrap();
        client.add(&[b"PUBLISH", b"c", b"line"]);
        client.add(&[b"XADD"]);
        assert_eq!(client.send().unwrap(), "1-0");
        let mut sent = [0; 46];
        server.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$4\r\nline\r\n*1\r\n$4\r\nXADD");
        assert_eq!(client.ask(&[b"PUBSUB"]).unwrap(), "7");
        assert_eq!(client.ask(&[b"GET"]).unwrap_err().to_string(), "redis-server refuses: ERR no");
    }
}
