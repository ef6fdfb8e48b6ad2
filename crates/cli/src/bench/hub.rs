//! The hub under measurement: a child of this process, or one that runs already. Knows its HTTP API from the
//! outside only.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::Bench;
use super::certificate::Certificate;
use super::child::ServerChild;
use super::endpoint::Endpoint;
use super::failure::{Failure, Outcome, broken};
use super::http::HttpClient;
use super::process::{Memory, Process};

/// Between two looks at figures that are to settle.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A memory figure that has not moved by more than this counts as settled, in bytes.
const SETTLED_BYTES: u64 = 64 * 1024;

pub(super) struct Hub {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    /// Held to be ended with this; `None` if it runs by itself.
    child: Option<ServerChild>,
    control: HttpClient,
    /// If it speaks TLS.
    certificate: Option<Certificate>,
}

/// `GET /stats`.
pub(super) struct Stats(serde_json::Value);

impl Hub {
    /// The hub that the options name, or a new one with settings of its own (key and value as in its
    /// configuration file).
    pub(super) fn obtain(bench: &Bench, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::obtain_over(bench, Transport::Plain, settings)
    }

    /// The same, over TLS: always a new one, since clients trust a certificate that was made for it.
    pub(super) fn obtain_over(
        bench: &Bench,
        transport: Transport,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let is_tls = transport == Transport::Tls;
        if is_tls && bench.options.url.is_some() {
            return Err(Failure::Usage("--tls needs a hub of its own: leave out --url".into()));
        }
        if let Some(url) = &bench.options.url {
            return Self::running(url, bench.options.pid);
        }
        bench.progress.step("starting a hub");
        let certificate = if is_tls { Some(Certificate::make()?) } else { None };
        let own = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let quiet = [("log_level".to_owned(), "error".to_owned())];
        let asked = bench.options.set.iter().cloned();
        let variables = quiet.into_iter().chain(own).chain(asked);
        let environment: Vec<_> =
            variables.map(|(key, value)| (format!("WATERTIGHT_{}", key.to_uppercase()), value)).collect();
        let mut arguments = vec!["serve".to_owned(), "--listen=127.0.0.1:0".to_owned()];
        if let Some(certificate) = &certificate {
            arguments.push(format!("--tls-cert={}", certificate.chain().display()));
            arguments.push(format!("--tls-key={}", certificate.key().display()));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = ServerChild::start(bench.clock, &arguments, &environment)?;
        let process = Process { pid: child.pid() };
        let control = HttpClient::connect(endpoint(child.address, certificate.as_ref(), HTTP1)?)?;
        Ok(Self { address: child.address, process, child: Some(child), control, certificate })
    }

    fn running(url: &str, pid: Option<u32>) -> Outcome<Self> {
        let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let address = authority.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.ok_or_else(|| Failure::Usage(format!("`{url}` is no http://HOST:PORT")))?;
        let mut control = HttpClient::connect(address)?;
        let pid = match pid {
            Some(pid) => pid,
            None => {
                let stats = Stats(control.get("/stats")?.json("GET /stats")?);
                let pid = stats.number("/process/pid").and_then(|pid| u32::try_from(pid).ok());
                pid.ok_or_else(|| Failure::Usage("GET /stats has no process.pid: give --pid".into()))?
            }
        };
        Ok(Self { address, process: Process { pid }, child: None, control, certificate: None })
    }

    /// Where connections go that follow it, over TLS if it speaks TLS.
    pub(super) fn endpoint(&self) -> Outcome<Endpoint> {
        endpoint(self.address, self.certificate.as_ref(), HTTP1)
    }

    /// The same for HTTP/2.
    pub(super) fn endpoint_http2(&self) -> Outcome<Endpoint> {
        endpoint(self.address, self.certificate.as_ref(), HTTP2)
    }

    /// The process, for what can only be done to a hub that was started here.
    pub(super) fn child(&self) -> Outcome<&ServerChild> {
        let own = || Failure::Usage("this needs a hub of its own: leave out --url".into());
        self.child.as_ref().ok_or_else(own)
    }

    pub(super) fn stats(&mut self) -> Outcome<Stats> {
        // The hub may have closed an idle connection.
        let answer = match self.control.get("/stats") {
            Ok(answer) => answer,
            Err(_) => {
                self.control = HttpClient::connect(self.endpoint()?)?;
                self.control.get("/stats")?
            }
        };
        Ok(Stats(answer.json("GET /stats")?))
    }

    /// A figure of `GET /metrics`, by its name with its labels.
    pub(super) fn metric(&mut self, sample: &str) -> Outcome<f64> {
        let answer = match self.control.get("/metrics") {
            Ok(answer) => answer,
            Err(_) => {
                self.control = HttpClient::connect(self.endpoint()?)?;
                self.control.get("/metrics")?
            }
        };
        let text = answer.text("GET /metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok());
        match value {
            Some(value) => Ok(value),
            None => broken(format!("GET /metrics has no {sample}")),
        }
    }

    /// Waits until a live count of the ledger is at most (or, with `at_least`, at least) `count`; answers with
    /// the count at the end.
    pub(super) fn wait_for_live(
        &mut self,
        bench: &Bench,
        kind: &str,
        wanted: impl Fn(u64) -> bool,
        timeout: Duration,
    ) -> Outcome<u64> {
        let deadline = bench.clock.now() + timeout;
        loop {
            let live = self.stats()?.live(kind)?;
            if wanted(live) || bench.clock.now() > deadline {
                return Ok(live);
            }
            bench.progress.at(|| format!("{live} {kind}s live"));
            bench.pause(LOOK_EVERY)?;
        }
    }

    /// Waits until its memory has not moved for `quiet`, at most for `timeout`, while `meanwhile` keeps the
    /// subscribers going; answers with the last figure.
    pub(super) fn settled_memory(
        &self,
        bench: &Bench,
        quiet: Duration,
        timeout: Duration,
        mut meanwhile: impl FnMut() -> Outcome<()>,
    ) -> Outcome<Memory> {
        let deadline = bench.clock.now() + timeout;
        let mut still_since = bench.clock.now();
        let mut last = self.process.memory()?;
        loop {
            bench.pause(LOOK_EVERY)?;
            meanwhile()?;
            let memory = self.process.memory()?;
            let now = bench.clock.now();
            if memory.anonymous.abs_diff(last.anonymous) > SETTLED_BYTES {
                last = memory;
                still_since = now;
            }
            if now - still_since >= quiet || now > deadline {
                return Ok(memory);
            }
            bench.progress.at(|| format!("memory settles at {} KiB", memory.anonymous / 1024));
        }
    }
}

impl Stats {
    /// A number by its JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Option<u64> {
        let value = self.0.pointer(pointer)?;
        value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
    }

    /// What the ledger has live of a kind.
    pub(super) fn live(&self, kind: &str) -> Outcome<u64> {
        match self.number(&format!("/ledger/{kind}/live")) {
            Some(live) => Ok(live),
            None => broken(format!("GET /stats has no ledger.{kind}.live")),
        }
    }

    /// All live counts, by kind.
    pub(super) fn ledger(&self) -> Vec<(String, u64)> {
        let kinds = self.0.get("ledger").and_then(|ledger| ledger.as_object()).into_iter().flatten();
        kinds.filter_map(|(kind, counts)| Some((kind.clone(), counts.get("live")?.as_u64()?))).collect()
    }
}

fn endpoint(address: SocketAddr, certificate: Option<&Certificate>, protocol: &str) -> Outcome<Endpoint> {
    let tls = certificate.map(|certificate| certificate.client(protocol)).transpose()?;
    Ok(Endpoint { address, tls })
}

/// Over what a hub and its clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

/// `--tls`, of the scenarios that have it.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct OverTls {
    /// Over TLS, with a certificate that is made for the run (needs a hub of its own)
    #[arg(long)]
    pub(super) tls: bool,
}

impl OverTls {
    pub(super) fn transport(self) -> Transport {
        if self.tls { Transport::Tls } else { Transport::Plain }
    }

    /// What a figure over it is marked with.
    pub(super) fn suffix(self) -> &'static str {
        if self.tls { ", over TLS" } else { "" }
    }
}

/// Protocols by their names in a TLS handshake (RFC 7301).
const HTTP1: &str = "http/1.1";
const HTTP2: &str = "h2";

/// The host that requests name where they do not name an address: every hub answers to it.
pub(super) const HOST: &str = "localhost";

/// The head of a subscription to `session`.
pub(super) fn subscribe_request(session: &str, query: &str, last_event_id: Option<&str>) -> Vec<u8> {
    let resume = last_event_id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
    format!("GET /sessions/{session}/events{query} HTTP/1.1\r\nhost: {HOST}\r\naccept: text/event-stream\r\n{resume}\r\n")
        .into_bytes()
}

/// A setting given as `KEY=VALUE`.
pub(super) fn parse_setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or("KEY=VALUE would do".into())
}
