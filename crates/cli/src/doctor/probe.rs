//! The probe: its sessions, and requests to the hub by way of whatever stands between.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::Value;
use url::Url;

use super::http::{Answering, Head, Request, Whole};
use super::link::{self, HTTP1, Link};
use super::stream::Stream;

/// The host of what is asked over a Unix socket.
pub(super) const UNIX_HOST: &str = "localhost";
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer to a large body may take.
const LARGE_ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A body from here on is large, bytes.
const LARGE_BYTES: usize = 64 * 1024;
/// How long an event of the probe is kept, seconds: where the session cannot be deleted nothing of it stays.
const TTL_SECONDS: u32 = 60;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Trouble(String);

impl Trouble {
    pub(super) fn new(text: impl Into<String>) -> Trouble {
        Trouble(text.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
        Trouble(if is_end { "the connection ends without an answer".to_owned() } else { error.to_string() })
    }
}

/// What the hub says that it saw of a request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    said: Value,
    pub(super) head: Head,
}

impl Seen {
    pub(super) fn has(&self, name: &str) -> bool {
        self.said["headers"].as_array().is_some_and(|all| all.iter().any(|field| field["name"] == name))
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> f64 {
        self.said[name].as_f64().unwrap_or_default()
    }
}

pub(super) struct Probe {
    /// Where the hub is: its path ends without a slash.
    base: RefCell<Url>,
    pub(super) tls: Option<ClientConfig>,
    /// Where the URL that was given is, if that is a Unix socket.
    socket: Option<PathBuf>,
    token: Option<String>,
    name: String,
    /// The sessions that were used: they are deleted at the end.
    sessions: RefCell<Vec<String>>,
    shows: RefCell<Option<String>>,
    /// Whether the hub wants a token, as far as is known.
    pub(super) has_token: bool,
    pub(super) patience: Duration,
    counter: Cell<u32>,
}

impl Probe {
    pub(super) fn new(
        base: Url,
        socket: Option<PathBuf>,
        tls: Option<ClientConfig>,
        token: Option<String>,
        prefix: &str,
        patience: Duration,
    ) -> Probe {
        let name = format!("{prefix}{:016x}", fastrand::u64(..));
        let has_token = token.is_some();
        Probe {
            base: RefCell::new(base),
            tls,
            socket,
            token,
            name,
            sessions: RefCell::default(),
            shows: RefCell::default(),
            has_token,
            patience,
            counter: Cell::default(),
        }
    }

    pub(super) fn url(&self) -> Url {
        self.base.borrow().clone()
    }

    /// Goes on at another address.
    pub(super) fn follow(&self, base: Url) {
        self.base.replace(base);
    }

    /// `Server` and `Via` of the last answer that had one.
    pub(super) fn shows(&self) -> Option<String> {
        self.shows.borrow().clone()
    }

    /// The name of the session for one check, as a path has it.
    pub(super) fn session(&self, part: &str) -> String {
        let session = format!("{}-{part}", self.name);
        let encoded = escaped(&session);
        let mut sessions = self.sessions.borrow_mut();
        if !sessions.contains(&encoded) {
            sessions.push(encoded.clone());
        }
        encoded
    }

    /// A text that no other event has.
    pub(super) fn mark(&self) -> String {
        self.counter.set(self.counter.get() + 1);
        format!("probe {}", self.counter.get())
    }

    pub(super) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base.borrow().path().trim_end_matches('/'))
    }

    pub(super) fn events(&self, session: &str) -> String {
        self.target(&format!("/sessions/{session}/events"))
    }

    /// As the `Host` field has it.
    pub(super) fn host(&self) -> String {
        let base = self.base.borrow();
        let host = base.host_str().unwrap_or_default();
        base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The Unix socket that requests go over. A redirect may lead away from it.
    pub(super) fn socket(&self) -> Option<&Path> {
        let is_there = self.base.borrow().scheme() == "http" && self.host() == UNIX_HOST;
        self.socket.as_deref().filter(|_| is_there)
    }

    async fn connect(&self) -> io::Result<Link> {
        if let Some(path) = self.socket() {
            return link::unix(path).await;
        }
        let url = self.url();
        match &self.tls {
            Some(config) if url.scheme() == "https" => Ok(link::handshake(&url, config, HTTP1).await?.link),
            _ => Ok(Box::new(link::tcp(&url).await?)),
        }
    }

    /// Sends a request, with the token if there is one.
    pub(super) async fn send(&self, mut request: Request) -> Result<Answering, Trouble> {
        if let Some(token) = self.token.as_ref().filter(|_| !request.is_anonymous) {
            request = request.field("Authorization", format!("Bearer {token}"));
        }
        if !request.fields.iter().any(|(name, _)| *name == "Accept-Encoding") {
            request = request.field("Accept-Encoding", "identity");
        }
        let bytes = request.bytes(&self.host());
        let sending = async {
            let link = self.connect().await?;
            Answering::to(link, &bytes, request.half_close).await
        };
        Ok(within(bytes.len(), sending).await??)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Whole, Trouble> {
        let bytes = request.body.as_ref().map_or(0, Vec::len);
        let asking = async { Ok::<_, Trouble>(self.send(request).await?.whole().await?) };
        let whole = within(bytes, asking).await??;
        let shown: Vec<&str> = ["server", "via"].into_iter().flat_map(|name| whole.head.all(name)).collect();
        if !shown.is_empty() {
            self.shows.replace(Some(shown.join(", ")));
        }
        Ok(whole)
    }

    /// Asks for a stream. Its head may be still to come.
    pub(super) async fn stream(&self, session: &str) -> Result<Stream, Trouble> {
        let request = Request::new("GET", self.events(session)).field("Accept", "text/event-stream");
        Ok(Stream::new(self.send(request).await?))
    }

    pub(super) fn publishing(&self, session: &str, text: &str) -> Request {
        let target = format!("{}?ttl={TTL_SECONDS}", self.events(session));
        Request::new("POST", target).body("text/plain", text)
    }

    /// Publishes; answers with the event's id.
    pub(super) async fn publish(&self, session: &str, text: &str) -> Result<String, Trouble> {
        id_of(&self.ask(self.publishing(session, text)).await?)
    }

    /// What the hub sees of this request, which has this path below the base.
    pub(super) async fn see(&self, session: &str, request: Request) -> Result<Seen, Trouble> {
        let target = self.target(&format!("/doctor?session={session}"));
        let whole = self.ask(Request { target, ..request }).await?;
        let said: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
        if whole.head.status == 200 && said["httpVersion"].is_string() {
            return Ok(Seen { said, head: whole.head });
        }
        // A body that is too large says nothing of the path.
        let hint = if whole.head.status == 413 { "" } else { ": let it pass to the hub, too" };
        Err(Trouble(format!("/doctor answers {}{hint}", described(&whole))))
    }

    /// How many subscribers a session has.
    pub(super) async fn subscribers(&self, session: &str) -> Result<f64, Trouble> {
        let seen = self.see(session, Request::new("GET", "")).await;
        let trouble = match seen {
            Ok(seen) => return Ok(seen.number("subscribers")),
            Err(trouble) => trouble,
        };
        let whole = self.ask(Request::new("GET", self.target(&format!("/sessions/{session}")))).await?;
        let said: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
        said["subscribers"].as_f64().filter(|_| whole.head.status == 200).ok_or(trouble)
    }

    /// Deletes all sessions of the probe. Says what is left, and why.
    pub(super) async fn clean_up(&self) -> Option<String> {
        let sessions = self.sessions.take();
        let mut left = None;
        for session in &sessions {
            let request = Request::new("DELETE", self.target(&format!("/sessions/{session}")));
            let why = match self.ask(request).await {
                Ok(whole) if whole.head.status == 204 || code_of(&whole) == "SESSION_NOT_FOUND" => continue,
                Ok(whole) => described(&whole),
                Err(trouble) => trouble.to_string(),
            };
            left.get_or_insert(why);
        }
        left.map(|why| {
            format!(
                "{}-* could not be deleted ({why}): the hub forgets it by itself, after session_ttl",
                self.name
            )
        })
    }
}

/// The time limit for a request of so many bytes.
async fn within<T>(bytes: usize, doing: impl Future<Output = T>) -> Result<T, Trouble> {
    let limit = if bytes > LARGE_BYTES { LARGE_ANSWER_WITHIN } else { ANSWER_WITHIN };
    let late = |_| Trouble(format!("no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, doing).await.map_err(late)
}

/// The id of an event that was published.
pub(super) fn id_of(whole: &Whole) -> Result<String, Trouble> {
    let said: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
    let id = said["id"].as_str().filter(|_| whole.head.status == 202);
    id.map(str::to_owned).ok_or_else(|| Trouble(format!("publishing is answered with {}", described(whole))))
}

/// The code of a refusal; empty if the hub did not write it.
pub(super) fn code_of(whole: &Whole) -> String {
    let is_problem =
        whole.head.get("content-type").is_some_and(|it| it.starts_with("application/problem+json"));
    let said: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
    said["code"].as_str().filter(|_| is_problem).unwrap_or_default().to_owned()
}

/// A refusal in a few words, and whose it is.
pub(super) fn described(whole: &Whole) -> String {
    let (status, code) = (whole.head.status, code_of(whole));
    if code.is_empty() { format!("{status}, not from the hub") } else { format!("{status} {code}") }
}

/// As a path has it: everything but letters, digits and a few marks in hexadecimal.
fn escaped(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

/// Milliseconds below a second, then seconds.
pub(super) fn spoken(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
