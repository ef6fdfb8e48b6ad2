//! The directory of the application: a signed POST to the URL of the configuration. What its answers mean stands in
//! `docs/access.md`, "Directory".
//!
//! A question goes over a connection that was kept, or over a new one; a few are kept. Nothing runs beside the question: who
//! asks drives its connection, and an idle one is not driven at all. Redirects are not followed and no proxy is used.

mod exchange;
mod signature;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use watertight::Hub;
use watertight::clock::wall_clock;
use watertight_core::{Owner, Tick};

use self::exchange::{Answered, ClientConnection, Failure};
use self::signature::Signer;
use super::answer::{Answer, DirectoryError, DirectoryStartError};
use super::question::Question;
use crate::config::{Config, Secret};
use crate::outbound::RemoteServer;
use crate::publishing::events::Object;

/// The header with the signature.
const SIGNATURE: &str = "watertight-signature";
/// How many connections are kept for the next question.
const KEPT_MAX: usize = 8;
/// How long one is kept: less than servers keep an idle connection (nginx 75 s, Node.js 5 s by default, which the next
/// question notices).
const KEPT_FOR: Duration = Duration::from_secs(30);

pub(super) struct Webhook {
    hub: Hub,
    server: RemoteServer,
    /// Path and query.
    target: Uri,
    host: HeaderValue,
    signer: Signer,
    kept: Mutex<Vec<(ClientConnection, Tick)>>,
}

/// Its URL and its secret stay out of every message.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

/// The body of a question.
#[derive(Serialize)]
struct Body<'a> {
    user: &'a str,
    resource: String,
    action: &'static str,
}

/// The body of an answer. What else is in it is the application's own.
#[derive(Deserialize)]
struct Said {
    allowed: bool,
}

impl Webhook {
    pub(super) fn open(hub: &Hub, config: &Arc<Config>) -> Result<Webhook, DirectoryStartError> {
        let url = config.webhook_url.as_ref().ok_or(DirectoryStartError::NoWebhook)?;
        let secret = match (&config.webhook_secret, &config.webhook_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => Secret::read(file)?,
            (None, None) => return Err(DirectoryStartError::NoWebhook),
        };
        let signer = Signer::new(&secret)?;
        let is_tls = url.expose().scheme() == "https";
        let server = RemoteServer::new(url, if is_tls { 443 } else { 80 }, is_tls)?;
        let url = url.expose();
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", url.path());
        Ok(Webhook {
            hub: hub.clone(),
            server,
            target: target.parse().map_err(|_| DirectoryStartError::NoWebhook)?,
            host: HeaderValue::try_from(host).map_err(|_| DirectoryStartError::NoWebhook)?,
            signer,
            kept: Mutex::new(Vec::new()),
        })
    }

    /// Asks. Has no time limit of its own; dropping the future closes the connection.
    pub(super) async fn answer(&self, question: &Question) -> Result<Answer, DirectoryError> {
        let body = Body {
            user: &question.user,
            resource: question.resource.to_string(),
            action: question.action.name(),
        };
        let body = serde_json::to_vec(&body).map(Bytes::from);
        let body = body.map_err(|error| no_answer(&format!("the question cannot be written: {error}")))?;
        meaning(self.exchange(body).await?)
    }

    /// A kept connection may have been closed by the other side just now. A question changes nothing, so that it can be put
    /// again.
    async fn exchange(&self, body: Bytes) -> Result<Answered, DirectoryError> {
        while let Some(connection) = self.take_kept() {
            match self.exchange_over(connection, body.clone()).await {
                Err(Failure::BeforeAnswer(_)) => {}
                Err(Failure::InAnswer(why)) => return Err(no_answer(&why)),
                Ok(answered) => return Ok(answered),
            }
        }
        let charged = self.hub.budget().try_charge(Owner::Caches, ClientConnection::BYTES_MAX);
        let permit = charged.map_err(|_| DirectoryError::NoMemory)?;
        let stream = self.server.connect().await.map_err(|error| unreachable(&error.to_string()))?;
        let connection =
            ClientConnection::over(stream, permit).await.map_err(|error| unreachable(&error.to_string()))?;
        self.exchange_over(connection, body).await.map_err(|failure| match failure {
            Failure::BeforeAnswer(why) => unreachable(&why),
            Failure::InAnswer(why) => no_answer(&why),
        })
    }

    async fn exchange_over(
        &self,
        mut connection: ClientConnection,
        body: Bytes,
    ) -> Result<Answered, Failure> {
        let answered = connection.exchange(self.request(body)).await?;
        if connection.can_be_kept() {
            let now = self.hub.clock().now();
            let mut kept = self.kept.lock();
            if kept.len() < KEPT_MAX {
                kept.push((connection, now));
            }
        }
        Ok(answered)
    }

    /// The connection that was used last.
    fn take_kept(&self) -> Option<ClientConnection> {
        self.kept.lock().pop().map(|(connection, _)| connection)
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let signature = self.signer.sign(wall_clock().as_secs(), &body);
        let length = body.len();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("watertight/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(SIGNATURE, signature);
        request
    }

    /// Closes connections that nobody has used for a while.
    pub(super) fn sweep(&self, now: Tick) {
        self.kept.lock().retain(|(_, used)| now.since(*used) < KEPT_FOR);
    }
}

/// What an answer means: the table in `docs/access.md`.
fn meaning(answered: Answered) -> Result<Answer, DirectoryError> {
    match answered.status {
        StatusCode::OK => match said(&answered.body) {
            Some(Said { allowed: true }) => Ok(Answer::Allowed),
            Some(Said { allowed: false }) => Ok(Answer::Denied),
            None => Err(no_answer("200 without {\"allowed\": true} or {\"allowed\": false} in JSON")),
        },
        StatusCode::FORBIDDEN => Ok(Answer::Denied),
        StatusCode::NOT_FOUND => Ok(Answer::Unknown),
        status if status.is_redirection() => Err(no_answer(&format!(
            "{}: a redirect is not followed; write the final address into webhook_url",
            status.as_u16()
        ))),
        status => Err(no_answer(&format!("status {}", status.as_u16()))),
    }
}

/// What a body says.
fn said(body: &[u8]) -> Option<Said> {
    serde_json::from_slice(body).ok().map(|Object(said)| said)
}

fn unreachable(why: &str) -> DirectoryError {
    DirectoryError::Unreachable(why.into())
}

fn no_answer(why: &str) -> DirectoryError {
    DirectoryError::NoAnswer(why.into())
}
