//! An issuer: a real HTTP server on a free port of loopback that answers as it is told and counts its questions.

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(Value),
    Text(u16, String),
    Redirect(String),
    /// That answer, and blanks after it up to so many bytes.
    Padded(Value, usize),
    /// No answer at all.
    Silence,
    /// The answer comes when [`Issuer::release`] is called.
    Held(Value),
}

#[derive(Default)]
struct Shared {
    reply: Mutex<Option<Reply>>,
    questions: AtomicUsize,
    seen: Mutex<VecDeque<(HeaderMap, String)>>,
    release: Notify,
}

pub(crate) struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends the server when the issuer is dropped.
    _server: JoinSet<()>,
}

impl Issuer {
    pub(crate) async fn start(reply: Reply) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        *shared.reply.lock() = Some(reply);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Issuer { address, shared, _server: server }
    }

    /// One with a key set.
    pub(crate) async fn with_keys(keys: &[Value]) -> Issuer {
        Issuer::start(Reply::Json(json!({ "keys": keys }))).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    pub(crate) fn reply(&self, reply: Reply) {
        *self.shared.reply.lock() = Some(reply);
    }

    pub(crate) fn keys(&self, keys: &[Value]) {
        self.reply(Reply::Json(json!({ "keys": keys })));
    }

    /// How often it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }

    /// The head and body of the last question.
    pub(crate) fn last_question(&self) -> (HeaderMap, String) {
        self.shared.seen.lock().back().cloned().expect("it was asked")
    }

    /// Lets go of one held answer.
    pub(crate) fn release(&self) {
        self.shared.release.notify_one();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    shared.seen.lock().push_back((headers, String::from_utf8_lossy(&body).into_owned()));
    shared.questions.fetch_add(1, Ordering::SeqCst);
    let reply = shared.reply.lock().clone().unwrap();
    let respond = |status: u16| Response::builder().status(status);
    match reply {
        Reply::Json(value) => respond(200).body(value.to_string().into()),
        Reply::Text(status, text) => respond(status).body(text.into()),
        Reply::Redirect(to) => respond(302).header("location", to).body(Body::empty()),
        Reply::Padded(value, bytes) => {
            let mut text = value.to_string().into_bytes();
            text.resize(bytes, b' ');
            respond(200).body(text.into())
        }
        Reply::Silence => pending().await,
        Reply::Held(value) => {
            shared.release.notified().await;
            respond(200).body(value.to_string().into())
        }
    }
    .unwrap()
}
