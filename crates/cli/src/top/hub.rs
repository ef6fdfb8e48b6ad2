//! Asks a hub, by its public interface only: one request at a time, each with a limit of time and of length.

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use watertight_client::{Body, Error, HyperTransport, Publisher, Subscriber, Transport, tls, unix_socket};

use super::TopArgs;
use super::answer::{Connections, Problem, ROWS_MAX, Sessions, Stats};
use super::exposition::Exposition;
use crate::plain::escaped;

/// A hub that takes longer for an answer is as good as none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answers taken, in bytes. A row of a list has a name or two, and figures: 1,000 of them seldom 1 MiB.
const FIGURES_BYTES_MAX: usize = 1024 * 1024;
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
const PROBLEM_BYTES_MAX: usize = 16 * 1024;

/// Characters of a hub's own words that are shown.
const DETAIL_CHARS_MAX: usize = 200;

/// What a Unix socket stands for.
const UNIX_BASE: &str = "http://localhost";

/// The largest event of a session that is watched, in bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// What a look at a hub found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) stats: Stats,
    /// What a hub may keep from us although it gives its figures.
    pub(super) metrics: Result<Exposition, Trouble>,
    pub(super) sessions: Result<Sessions, Trouble>,
    pub(super) connections: Result<Connections, Trouble>,
}

/// Why a hub gave no answer, in words that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// Its status, if it answered.
    pub(super) status: Option<u16>,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(error: impl fmt::Display) -> Self {
        // Errors carry words of servers and of files.
        let text: String = error.to_string().chars().take(2 * DETAIL_CHARS_MAX).collect();
        Self { text: escaped(&text), status: None, retry_after: None }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A hub, and what proves who asks.
pub(super) struct Hub {
    /// Its URL, as it was given.
    url: String,
    /// What paths stand behind, without a slash at the end: over a Unix socket the host that it stands for.
    base: String,
    transport: HyperTransport,
    roots: Option<tls::ClientConfig>,
    token: Token,
}

enum Token {
    None,
    Fixed(String),
    /// Read for each request: it may be another one later.
    File(PathBuf),
}

impl Hub {
    /// Checks what was given on the command line; asks nothing yet.
    ///
    /// # Errors
    /// What cannot work.
    pub(super) fn new(args: &TopArgs) -> Result<Self, String> {
        // It knows what a hub's URL is.
        Publisher::new(&args.url).map_err(|error| error.to_string())?;
        let socket = unix_socket(&args.url).map_err(|error| error.to_string())?;
        let url = if socket.is_some() { &args.url } else { args.url.split('#').next().unwrap_or_default() };
        let url = url.trim_end_matches('/').to_owned();
        let base = if socket.is_some() { UNIX_BASE.to_owned() } else { url.clone() };
        let roots =
            args.ca.as_ref().map(tls::roots_from_pem).transpose().map_err(|error| error.to_string())?;
        let mut transport = HyperTransport::default();
        if let Some(path) = socket {
            transport = transport.with_unix_socket(path);
        }
        if let Some(roots) = &roots {
            transport = transport.with_tls_config(roots);
        }
        let token = match (&args.token_file, &args.token) {
            (Some(file), _) => Token::File(file.clone()),
            (None, Some(token)) => Token::Fixed(token.clone()),
            (None, None) => Token::None,
        };
        let hub = Self { url, base, transport, roots, token };
        // A file that is not there at the start is a mistake; later it may be on its way.
        hub.authorization().map_err(|trouble| trouble.text)?;
        Ok(hub)
    }

    /// Its address, as text that can be shown.
    pub(super) fn address(&self) -> String {
        escaped(&self.url)
    }

    /// Asks for everything that the page shows. Dropping the future closes the connection.
    ///
    /// # Errors
    /// There are no figures to be had.
    pub(super) async fn look(&self) -> Result<Look, Trouble> {
        let stats = self.json("/stats", FIGURES_BYTES_MAX).await?;
        let metrics = self.get("/metrics", "text/plain", FIGURES_BYTES_MAX).await;
        let metrics = metrics.map(|text| Exposition::parse(&String::from_utf8_lossy(&text)));
        let sessions = self.json(&format!("/sessions?limit={ROWS_MAX}"), LIST_BYTES_MAX).await;
        let connections = self.json(&format!("/connections?limit={ROWS_MAX}"), LIST_BYTES_MAX).await;
        Ok(Look { stats, metrics, sessions, connections })
    }

    /// Closes a connection.
    ///
    /// # Errors
    /// Why it is not closed.
    pub(super) async fn close(&self, id: &str) -> Result<(), Trouble> {
        // Whoever answers may call a connection anything; it must stay a part of a path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Trouble::new("no connection can have this id"));
        }
        let path = format!("/connections/{id}");
        self.ask(Method::DELETE, &path, "application/json", PROBLEM_BYTES_MAX).await.map(drop)
    }

    /// Whoever watches a session's events, from now on.
    ///
    /// # Errors
    /// The name is none that a session can have.
    pub(super) fn subscriber(&self, session: &str) -> Result<Subscriber, Error> {
        let mut subscriber = Subscriber::new(&self.url, session)?.with_max_event_bytes(EVENT_BYTES_MAX);
        subscriber = match &self.token {
            Token::None => subscriber,
            Token::Fixed(token) => subscriber.with_token(token)?,
            Token::File(file) => {
                let file = file.clone();
                subscriber.with_token_source(move |_| {
                    let token = std::fs::read_to_string(&file).map(|text| text.trim().to_owned());
                    async move { token }
                })
            }
        };
        if let Some(roots) = &self.roots {
            subscriber = subscriber.with_tls_config(roots);
        }
        Ok(subscriber)
    }

    async fn json<T: DeserializeOwned>(&self, path: &str, bytes_max: usize) -> Result<T, Trouble> {
        let body = self.get(path, "application/json", bytes_max).await?;
        let path = path.split('?').next().unwrap_or_default();
        let unreadable = |error| Trouble::new(format!("what GET {path} answers is not a hub's: {error}"));
        serde_json::from_slice(&body).map_err(unreadable)
    }

    async fn get(&self, path: &str, accept: &'static str, bytes_max: usize) -> Result<Bytes, Trouble> {
        self.ask(Method::GET, path, accept, bytes_max).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        bytes_max: usize,
    ) -> Result<Bytes, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, accept)
            .body(Bytes::new())
            .map_err(Trouble::new)?;
        if let Some(value) = self.authorization()? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let exchange = async {
            let answer = self.transport.open(request).await.map_err(Trouble::new)?;
            let (head, body) = answer.into_parts();
            if head.status.is_success() {
                return collect(body, bytes_max).await;
            }
            let retry_after =
                head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let problem = collect(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
            let mut trouble = Trouble::new(refusal(head.status, &problem));
            trouble.status = Some(head.status.as_u16());
            trouble.retry_after = retry_after.map(Duration::from_secs);
            Err(trouble)
        };
        let late = |_| Trouble::new(format!("the hub has not answered for {} s", ANSWER_TIMEOUT.as_secs()));
        timeout(ANSWER_TIMEOUT, exchange).await.map_err(late)?
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, Trouble> {
        let token = match &self.token {
            Token::None => return Ok(None),
            Token::Fixed(token) => token.clone(),
            Token::File(file) => std::fs::read_to_string(file).map_err(|error| {
                Trouble::new(format!("cannot read the token file {}: {error}", file.display()))
            })?,
        };
        let unsendable =
            |_| Trouble::new("the token cannot be sent: it has characters that no header may carry");
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(unsendable)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// All of a body, if it is no longer than this.
async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Trouble> {
    let mut whole = Vec::new();
    while let Some(part) = poll_fn(|context| body.as_mut().poll_next(context)).await {
        let part = part.map_err(Trouble::new)?;
        if whole.len() + part.len() > bytes_max {
            return Err(Trouble::new(format!("the hub's answer is longer than {bytes_max} bytes")));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}

/// A refusal in words: the hub's own, and what would do where we know that.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let Problem { code, title, detail } = serde_json::from_slice(body).unwrap_or_default();
    let number = status.as_u16();
    let code = code.unwrap_or_default();
    let mut text = format!("the hub answers {number} {}", code.as_str()).trim_end().to_owned();
    let advice = match number {
        401 => Some("give a token with --token or --token-file"),
        403 => Some("the token does not let its bearer see this: an operator's does"),
        404 if matches!(code.as_str(), "" | "NOT_FOUND") => {
            Some("operators' calls are at the hub's `admin_listen` address, if it has one")
        }
        300..=399 => Some("redirects are not followed here"),
        _ => None,
    };
    let detail = detail.or(title).map(|words| words.as_str().chars().take(DETAIL_CHARS_MAX).collect());
    if let Some(words) = advice.map(str::to_owned).or(detail) {
        text.push_str(&format!(": {words}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_would_do_or_else_what_the_hub_says() {
        let body = br#"{"code":"TOKEN_MISSING","title":"No token","detail":"send one"}"#;
        let text = refusal(StatusCode::UNAUTHORIZED, body);
        assert_eq!(text, "the hub answers 401 TOKEN_MISSING: give a token with --token or --token-file");
        let body = br#"{"code":"MEMORY_PRESSURE","detail":"later"}"#;
        let text = refusal(StatusCode::SERVICE_UNAVAILABLE, body);
        assert_eq!(text, "the hub answers 503 MEMORY_PRESSURE: later");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html>"), "the hub answers 502");
    }

    #[test]
    fn words_of_others_cannot_steer_a_terminal_nor_fill_it() {
        let hostile = format!(r#"{{"code":"A\u001b[2J","detail":"\u202e{}"}}"#, "x".repeat(10_000));
        let trouble = Trouble::new(refusal(StatusCode::BAD_REQUEST, hostile.as_bytes()));
        assert!(trouble.text.starts_with("the hub answers 400 A\\u001b[2J: \\u202exxx"), "{trouble}");
        assert!(trouble.text.len() < 3 * DETAIL_CHARS_MAX);
    }
}
