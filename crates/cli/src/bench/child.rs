//! A server run as a child of this process and ended with it. Knows one thing of it: the line in which it says
//! where it listens.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::clock::Clock;
use super::failure::{Outcome, While, broken};

/// What a server prints once it takes connections.
pub(super) const LISTENING: &str = "watertight: listening on http://";
const LISTENING_TLS: &str = "watertight: listening on https://";

/// A server must listen within this time.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// After SIGTERM a server must be gone within this time, or it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two looks at whether it is gone, or is to be read again.
const END_LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many of its last lines are kept.
const LAST_WORDS_MAX: usize = 20;

type LastWords = Arc<Mutex<VecDeque<String>>>;

/// A running server. Dropping it ends it.
pub(super) struct ServerChild {
    child: Child,
    pub(super) address: SocketAddr,
    /// Threads that read what it prints, so that it never waits for us. They end with it.
    drains: Vec<JoinHandle<()>>,
    /// While set, nobody reads its standard error.
    unread: Arc<AtomicBool>,
    clock: Clock,
}

impl ServerChild {
    /// Runs this very executable with other arguments and waits until it listens. Its standard input stays
    /// open until it is dropped.
    pub(super) fn start(clock: Clock, arguments: &[&str], environment: &[(String, String)]) -> Outcome<Self> {
        let executable = std::env::current_exe().during("looking for the own executable")?;
        let mut command = Command::new(executable);
        command.args(arguments).envs(environment.iter().map(|(key, value)| (key, value)));
        // Options of the clients: no settings of a hub's.
        command.env_remove("WATERTIGHT_URL").env_remove("WATERTIGHT_TOKEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().during("starting the server")?;
        let (listening, address) = sync_channel(1);
        let last_words = LastWords::default();
        let unread = Arc::new(AtomicBool::new(false));
        let mut drains = Vec::new();
        if let Some(output) = child.stdout.take() {
            drains.push(drain(output, last_words.clone(), Arc::default(), Some(listening))?);
        }
        if let Some(errors) = child.stderr.take() {
            drains.push(drain(errors, last_words.clone(), unread.clone(), None)?);
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { child, address: nowhere, drains, unread, clock };
        match address.recv_timeout(START_TIMEOUT) {
            Ok(address) => server.address = address,
            Err(_) => {
                drop(server);
                let words: Vec<_> = lock(&last_words).iter().cloned().collect();
                return broken(format!("the server did not start: {}", words.join("\n")));
            }
        }
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves its standard error unread, or reads it again. A line or two may still be read.
    pub(super) fn leave_errors_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Outcome<()> {
        match i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => kill_process(pid, signal).during("sending a signal"),
            None => broken("the server has no process id"),
        }
    }

    fn end(&mut self) {
        self.leave_errors_unread(false);
        // Closes its standard input, which ends a floor server.
        drop(self.child.stdin.take());
        // It fails only if the child is gone already.
        self.signal(Signal::TERM).ok();
        let deadline = self.clock.now() + END_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if self.clock.now() > deadline {
                eprintln!("bench: the server is still there {END_TIMEOUT:?} after SIGTERM: killed");
                self.child.kill().ok();
                self.child.wait().ok();
                break;
            }
            std::thread::sleep(END_LOOK_EVERY);
        }
        for thread in self.drains.drain(..) {
            thread.join().ok();
        }
    }
}

impl Drop for ServerChild {
    fn drop(&mut self) {
        self.end();
    }
}

fn drain(
    from: impl Read + Send + 'static,
    last_words: LastWords,
    unread: Arc<AtomicBool>,
    listening: Option<SyncSender<SocketAddr>>,
) -> Outcome<JoinHandle<()>> {
    let work = move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let authority = line.strip_prefix(LISTENING).or_else(|| line.strip_prefix(LISTENING_TLS));
            let address = authority.and_then(|rest| rest.trim_end_matches('/').parse().ok());
            if let (Some(address), Some(listening)) = (address, &listening) {
                // The receiver is gone if this came too late.
                listening.try_send(address).ok();
            }
            let mut words = lock(&last_words);
            if words.len() == LAST_WORDS_MAX {
                words.pop_front();
            }
            words.push_back(line);
            drop(words);
            while unread.load(Ordering::Relaxed) {
                std::thread::sleep(END_LOOK_EVERY);
            }
        }
    };
    Builder::new().name("child-output".into()).spawn(work).during("starting a thread")
}

fn lock(words: &LastWords) -> std::sync::MutexGuard<'_, VecDeque<String>> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}
