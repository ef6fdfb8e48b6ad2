//! The hub as its users run it: the binary, started with flags, spoken to over sockets, stopped by a signal.
//! Long because all the ways to start the binary, to ask it and to stop it are of one type.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::balance::Balance;
use crate::ending::{StopGuard, wait};
use crate::http::{Client, Response};
use crate::process::Process;
use crate::raw::ConnectOptions;
use crate::sse::SseReader;
use crate::stats::Stats;
use crate::tls::Certificate;
use crate::transport::{ClientTls, Endpoint, Transport};

/// How a hub is to be started.
#[derive(Debug)]
pub struct HubBuilder {
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    open_files: Option<u64>,
    transport: Transport,
    balanced: bool,
    own_group: bool,
    given: Vec<(String, OwnedFd)>,
}

/// A running hub. Dropping it asserts that everything came back (unless the test panics already), then stops
/// it gracefully. Declare it before its clients, so that it is dropped after them.
#[derive(Debug)]
pub struct HubProcess {
    child: Child,
    /// Held open: the hub may print.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    client: Client,
    dir: TempDir,
    /// What its clients offer, if it speaks TLS.
    tls: Option<ClientTls>,
    status: Option<ExitStatus>,
    /// What there was at the start; `None`: the test looks after it itself.
    balance: Option<Balance>,
}

impl HubBuilder {
    /// Adds a flag with its value.
    #[must_use]
    pub fn flag(self, flag: &str, value: impl ToString) -> Self {
        self.arg(format!("{flag}={}", value.to_string()))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Sets a variable of its environment. Apart from these it gets the test's own, without `WATERTIGHT_*`.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Limits the files it may have open (soft and hard).
    #[must_use]
    pub fn open_files(mut self, limit: u64) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Makes it speak TLS, with a certificate of its own. Connections that are given the hub follow it.
    #[must_use]
    pub fn tls(self) -> Self {
        self.over(Transport::Tls)
    }

    /// Makes it speak plain TCP, which is the default, or TLS.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Does not assert on drop that everything came back: for tests that end the hub themselves in a state
    /// that is not its first.
    #[must_use]
    pub fn unbalanced(mut self) -> Self {
        self.balanced = false;
        self
    }

    /// Puts it into a process group of its own: an interrupt of the terminal reaches the test and not the hub.
    #[must_use]
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Gives it a socket under a name, as a service manager does (`LISTEN_FDS`): one or two.
    #[must_use]
    pub fn given(mut self, name: &str, socket: impl Into<OwnedFd>) -> Self {
        self.given.push((name.to_owned(), socket.into()));
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not: with its log.
    #[must_use]
    pub fn start(self) -> HubProcess {
        let dir = TempDir::new().unwrap();
        let mut child = self.command(dir.path()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("{} cannot be started: {error}; is it built?", self.binary.display())
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = sync_channel(1);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            // At the end of its output the line is empty, which is no address.
            let _ = stdout.read_line(&mut line);
            let _ = tell.send(line);
            stdout
        });
        let line = told.recv_timeout(PATIENCE).unwrap_or_default();
        let scheme = if self.transport == Transport::Tls { "https" } else { "http" };
        let prefix = format!("watertight: listening on {scheme}://");
        let address = line.trim().strip_prefix(&prefix).and_then(|text| text.parse::<SocketAddr>().ok());
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the hub does not start; it printed {line:?} and logged:\n{}", read_log(dir.path()));
        };
        let stdout = reader.join().unwrap();
        let tls = (self.transport == Transport::Tls).then(ClientTls::new);
        let for_client = tls.as_ref().map(|tls| Arc::clone(&tls.http1));
        let options = ConnectOptions { tls: for_client, ..ConnectOptions::default() };
        let mut hub = HubProcess {
            child,
            _stdout: stdout,
            address,
            client: Client::with_options(address, options),
            dir,
            tls,
            status: None,
            balance: None,
        };
        if self.balanced {
            hub.balance = Some(Balance::at_start(&hub));
        }
        hub
    }

    /// Runs it to its end, for what should not start: its status and its standard error.
    ///
    /// # Panics
    /// When it runs on.
    #[must_use]
    pub fn run_to_end(self) -> (ExitStatus, String) {
        let dir = TempDir::new().unwrap();
        let mut child = self.command(dir.path()).stdout(Stdio::null()).spawn().unwrap();
        let status = wait(&mut child, PATIENCE);
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = read_log(dir.path());
        (status.unwrap_or_else(|| panic!("the hub runs although it should not; its log:\n{log}")), log)
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = match self.open_files {
            None if !self.given.is_empty() => {
                // A socket that is given becomes standard input, the second one standard error, until the shell moves them.
                let and_second = if self.given.len() > 1 { "4<&2" } else { "" };
                let run = format!("exec \"$@\" 3<&0 {and_second} </dev/null 2>\"$log\"");
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("log=$1; shift; LISTEN_PID=$$; export LISTEN_PID; {run}"), "sh"]);
                shell.arg(dir.join("log")).arg(&self.binary);
                shell
            }
            None => Command::new(&self.binary),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]).arg(&self.binary);
                shell
            }
        };
        command.arg("serve");
        let listens =
            self.arguments.iter().any(|argument| argument.to_string_lossy().starts_with("--listen"));
        if !listens && self.given.is_empty() {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        // What the tests call it in their heads.
        let has_hosts = |argument: &OsString| argument.to_string_lossy().starts_with("--allowed-hosts");
        if !self.arguments.iter().any(has_hosts) && !self.arguments.iter().any(|it| it == "--insecure-open") {
            command.arg("--allowed-hosts=hub");
        }
        if self.transport == Transport::Tls {
            let files = Certificate::write_into(dir);
            command.arg("--tls-cert").arg(files.certificate).arg("--tls-key").arg(files.key);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WATERTIGHT_") {
                command.env_remove(name);
            }
        }
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.own_group {
            command.process_group(0);
        }
        command.stdin(Stdio::null()).stderr(std::fs::File::create(dir.join("log")).unwrap());
        let stdio = |(_, socket): &(String, OwnedFd)| Stdio::from(socket.try_clone().unwrap());
        if let Some(first) = self.given.first() {
            let names: Vec<&str> = self.given.iter().map(|(name, _)| name.as_str()).collect();
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
            command.stdin(stdio(first));
        }
        if let Some(second) = self.given.get(1) {
            command.stderr(stdio(second));
        }
        command
    }
}

impl HubProcess {
    /// How to start the binary at this path: `env!("CARGO_BIN_EXE_watertight")` in a test of its crate.
    #[must_use]
    pub fn builder(binary: impl AsRef<Path>) -> HubBuilder {
        HubBuilder {
            binary: binary.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            open_files: None,
            transport: Transport::Plain,
            balanced: true,
            own_group: false,
            given: Vec::new(),
        }
    }

    /// Starts the binary at this path with its defaults, on a free port.
    #[must_use]
    pub fn start(binary: impl AsRef<Path>) -> HubProcess {
        HubProcess::builder(binary).start()
    }

    /// Where it listens, and over what: for connections that follow it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address, tls: self.tls.clone() }
    }

    /// Where it listens. A connection to this alone is plain.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.url_at(self.address, path)
    }

    /// The same at another address that leads to it.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}{path}")
    }

    /// A directory that lives as long as the hub.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// What the kernel says about it.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, bytes.
    #[must_use]
    pub fn rss(&self) -> u64 {
        self.process().rss()
    }

    /// CPU time used so far.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        self.process().cpu_time()
    }

    /// Open descriptors.
    #[must_use]
    pub fn fds(&self) -> usize {
        self.process().fds()
    }

    /// Threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.process().threads()
    }

    /// Connections it holds, as the kernel sees them.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.process().sockets(self.address)
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `GET` of this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.client.get(path)
    }

    /// Its figures. The request that asks is one of its connections, requests and tasks. While the hub has no
    /// room for one more, as the connections of a moment ago are just going, it is asked again.
    ///
    /// # Panics
    /// When it stays full.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let full = |answer: &Response| matches!(answer.status, 429 | 503);
        let had_room = |answer: &Response| !full(answer);
        let answer = crate::eventually::wait_until("room to ask", PATIENCE, || self.get("/stats"), had_room);
        Stats::new(answer.expect(200).json())
    }

    /// What is charged for the connection and request that ask for the figures, once nobody else is there.
    ///
    /// # Panics
    /// When somebody else stays.
    #[must_use]
    pub fn asking_bytes(&self) -> u64 {
        let alone = |stats: &Stats| stats.live("connection") == 1 && stats.live("request") == 1;
        crate::eventually::wait_until("nobody else is connected", PATIENCE, || self.stats(), alone)
            .request_bytes()
    }

    /// Publishes text to a session, and returns the event's id.
    ///
    /// # Panics
    /// When it is refused.
    pub fn publish_text(&self, session: &str, text: &str) -> String {
        let answer = self.client.post(events_path(session), "text/plain", text).expect(202).json();
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Publishes JSON (an event, or an array of them) and returns the ids.
    ///
    /// # Panics
    /// When it is refused.
    pub fn publish_json(&self, session: &str, events: &Value) -> Vec<String> {
        let body = events.to_string();
        let answer = self.client.post(events_path(session), "application/json", body).expect(202).json();
        let ids = answer["ids"].as_array().cloned().unwrap_or_else(|| vec![answer["id"].clone()]);
        ids.iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
    }

    /// Subscribes to a session, live only.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn subscribe(&self, session: &str) -> SseReader {
        self.subscribe_with(session, "", &[])
    }

    /// Subscribes with a query (`replay=all`) and headers.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn subscribe_with(&self, session: &str, query: &str, headers: &[(&str, &str)]) -> SseReader {
        let path =
            if query.is_empty() { events_path(session) } else { format!("{}?{query}", events_path(session)) };
        SseReader::open_with(self.address, &path, headers, self.client.options()).expect("a stream")
    }

    /// Subscribes from an id on.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn resume(&self, session: &str, id: &str) -> SseReader {
        self.subscribe_with(session, "", &[("Last-Event-ID", id)])
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the hub runs");
    }

    /// Waits for it to end. After that nothing is asserted on drop.
    ///
    /// # Panics
    /// When it runs on for longer than `within`: with its log.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        if self.status.is_none() {
            self.status = wait(&mut self.child, within);
        }
        self.status.unwrap_or_else(|| panic!("the hub still runs after {within:?}; its log:\n{}", self.log()))
    }

    /// From now on asserts nothing about what came back: the test has failed, and says so itself.
    pub fn assert_nothing(&mut self) {
        self.balance = None;
    }

    /// Asserts that everything came back: ledger, descriptors and `/proc` are as they were at the start. Done
    /// on drop; call it to have it earlier.
    ///
    /// # Panics
    /// When something is still out after [`PATIENCE`].
    pub fn assert_balanced(&self) {
        if let Some(balance) = &self.balance {
            balance.assert(self);
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        let failing = std::thread::panicking();
        if failing {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- the hub's log (last lines):\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
        // Stops it also if the assertion fails.
        let stop = StopGuard::of(&mut self.child);
        if !failing {
            if let Some(balance) = &self.balance {
                balance.assert_process(Process::new(stop.pid()), self.address, &self.client);
            }
            let status = stop.stop();
            let log = read_log(self.dir.path());
            assert!(status.is_some_and(|status| status.success()), "the hub ended with {status:?}:\n{log}");
            assert!(!log.contains("panicked at"), "the hub panicked:\n{log}");
            // The head of every JWT begins so in base64url.
            assert!(!log.contains("eyJ"), "a token stands in the hub's log:\n{log}");
        }
    }
}

/// The path of a session's events; the name goes into the path as it is.
fn events_path(session: &str) -> String {
    format!("/sessions/{session}/events")
}

fn read_log(dir: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(dir.join("log")).unwrap_or_default()).into_owned()
}
