//! A Redis server of a test's own: started on a free port of loopback, killed, paused, started again on the same port; with a
//! replica and a sentinel, or as a cluster.

mod cluster;
mod sentinel;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

pub use self::cluster::{RedisCluster, SlotMove};
pub use self::sentinel::Sentinel;
use crate::ports::free_address;
use crate::program::Program;
use crate::{PATIENCE, eventually};

/// How often another port is tried, if somebody else took the one that was free.
const TRIES: usize = 10;

/// A `redis-server`. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    arguments: Vec<String>,
    program: Option<Program>,
    dir: TempDir,
}

impl Redis {
    /// Starts one without a password, and waits until it answers.
    ///
    /// # Panics
    /// When it does not: `cargo xtask setup` installs it.
    #[must_use]
    pub fn start() -> Redis {
        Redis::start_with(&[])
    }

    /// The same with more arguments, such as `["--requirepass", "secret"]`.
    ///
    /// # Panics
    /// As [`Redis::start`].
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Redis {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        for _ in 0..TRIES {
            let mut redis = Redis {
                address: free_address(),
                arguments: arguments.clone(),
                program: None,
                dir: TempDir::new().unwrap(),
            };
            if redis.run() {
                return redis;
            }
        }
        panic!("redis-server found no port in {TRIES} tries");
    }

    /// Starts one that has what this one has, and waits until it does.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn replica_of(master: &Redis) -> Redis {
        let port = master.address.port().to_string();
        let arguments = ["--replicaof", &format!("127.0.0.1 {port}"), "--repl-diskless-sync-delay", "0"];
        let replica = Redis::start_with(&arguments);
        eventually!(replica.command(&["INFO", "replication"]), |info| info.contains("master_link_status:up"));
        replica
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its URL with a user and a password, as they stand in a URL.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}", self.address)
    }

    /// Kills it, as a machine that fails.
    pub fn stop(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.signal(Signal::KILL);
            program.wait(PATIENCE);
        }
    }

    /// Starts it again on the same port, with nothing in it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.run(), "redis-server does not start again: its port is taken");
    }

    /// Stops it from running (`SIGSTOP`): its connections stay, and nothing answers.
    ///
    /// # Panics
    /// When it is stopped.
    pub fn pause(&self) {
        self.program.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it is stopped.
    pub fn resume(&self) {
        self.program.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Carries out a command as its default user and gives its answer in words: a text, a number, `nil`, or an error
    /// beginning with `-`; of an array its first line.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn command(&self, words: &[&str]) -> String {
        self.try_commands(&[words]).expect("redis-server answers").remove(0)
    }

    /// The same, or why it does not answer: it may be down, or drop all who are there.
    ///
    /// # Errors
    /// When the connection is refused or breaks.
    pub fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        Ok(self.try_commands(&[words])?.remove(0))
    }

    /// The same of a command that answers with an array: all its texts and numbers, one behind the other.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn all(&self, words: &[&str]) -> Vec<String> {
        all_of(self.address, words).expect("redis-server answers")
    }

    /// Carries out many commands at once, as fast as it can.
    ///
    /// # Panics
    /// When it refuses one.
    pub fn commands(&self, commands: &[Vec<String>]) {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        for some in commands.chunks(1_000) {
            let bytes =
                |words: &Vec<String>| command_bytes(&words.iter().map(String::as_str).collect::<Vec<_>>());
            (&socket).write_all(&some.iter().flat_map(bytes).collect::<Vec<_>>()).unwrap();
            for words in some {
                let said = answer(&mut reader).unwrap();
                assert!(!said.starts_with('-'), "{words:?}: {said}");
            }
        }
    }

    /// The same after signing in.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn command_as(&self, password: &str, words: &[&str]) -> String {
        let answers = self.try_commands(&[&["AUTH", password], words]);
        answers.expect("redis-server answers").remove(1)
    }

    fn try_commands(&self, commands: &[&[&str]]) -> std::io::Result<Vec<String>> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(socket.try_clone()?);
        let mut answers = Vec::new();
        for words in commands {
            socket.write_all(&command_bytes(words))?;
            answers.push(answer(&mut reader)?);
        }
        Ok(answers)
    }

    /// `false`: its port is taken.
    fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--dir").arg(self.dir.path()).args(&self.arguments);
        let mut program = Program::spawn(command);
        // While it reads its file it answers every command with LOADING: what is sent then is not done.
        let is_ready = |answers: &Vec<String>| !answers.iter().any(|answer| answer.contains("LOADING"));
        let answers = || self.try_commands(&[&["PING"]]).as_ref().is_ok_and(is_ready);
        let has_ended = eventually!(
            (answers(), program.ended().is_some()),
            |(answers, has_ended)| *answers || *has_ended,
            Duration::from_secs(30)
        )
        .1;
        if has_ended {
            let said = program.text();
            assert!(said.contains("Address already in use"), "redis-server does not start: {said}");
            return false;
        }
        self.program = Some(program);
        true
    }
}

fn try_command(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    Ok(all_of(address, words)?.into_iter().next().unwrap_or_default())
}

/// Carries out a command and gives all texts and numbers of its answer.
fn all_of(address: SocketAddr, words: &[&str]) -> std::io::Result<Vec<String>> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(socket.try_clone()?);
    (&socket).write_all(&command_bytes(words))?;
    let (mut left, mut texts) = (1, Vec::new());
    while left > 0 {
        left -= 1;
        let text = answer(&mut reader)?;
        match text.strip_prefix('*').and_then(|count| count.parse::<usize>().ok()) {
            Some(count) => left += count,
            None => texts.push(text),
        }
    }
    Ok(texts)
}

fn command_bytes(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

fn answer(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("$", "-1")) | Some(("_", "")) => Ok("nil".to_owned()),
        Some(("$", length)) => {
            let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
            reader.read_exact(&mut text)?;
            text.truncate(text.len() - 2);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        Some((":" | "+", rest)) => Ok(rest.to_owned()),
        Some(_) => Ok(line.to_owned()),
        None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
