//! A hub in memory, as far as publishers need one: it takes events, remembers keys, and has bad luck on command.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// The events are taken, but the connection breaks before the answer.
    AnswerLost,
    /// The connection breaks before anything is taken.
    RequestLost,
    /// 503, with nothing taken.
    Busy,
    /// 401, with nothing taken.
    Unauthorized,
}

pub(crate) struct Hub {
    listener: TcpListener,
    state: Arc<State>,
}

struct State {
    /// What becomes of the request of this number, from 0.
    luck: Box<dyn Fn(usize) -> Luck + Send + Sync>,
    /// A request goes on only with a permit of this.
    gate: Semaphore,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// Session and data, in the order in which they were taken.
    log: Vec<(String, Value)>,
    /// Sizes of the batches taken.
    batches: Vec<usize>,
    answers: HashMap<String, Vec<String>>,
}

impl Hub {
    pub(crate) async fn with(luck: impl Fn(usize) -> Luck + Send + Sync + 'static) -> Self {
        let state = State {
            luck: Box::new(luck),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            taken: Mutex::default(),
        };
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), state: Arc::new(state) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Serves while `client` runs, and gives what it gives.
    pub(crate) async fn serve<T>(&self, client: impl Future<Output = T>) -> T {
        let serving = async {
            let mut connections = JoinSet::new();
            loop {
                let socket = self.listener.accept().await.unwrap().0;
                self.state.connections.fetch_add(1, SeqCst);
                self.state.open.fetch_add(1, SeqCst);
                let state = Arc::clone(&self.state);
                connections.spawn(async move {
                    // A client that breaks off is what these tests are about.
                    let _ = state.converse(socket).await;
                    state.open.fetch_sub(1, SeqCst);
                });
            }
        };
        tokio::select! {
            never = serving => never,
            output = client => output,
        }
    }

    /// Requests are received and neither taken nor answered.
    pub(crate) fn hold(&self) {
        self.state.gate.forget_permits(usize::MAX);
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    pub(crate) fn under_way_max(&self) -> usize {
        self.state.under_way_max.load(SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    /// The data of the events of a session, in the order in which they were taken.
    pub(crate) fn log(&self, session: &str) -> Vec<Value> {
        let taken = self.state.taken.lock().unwrap();
        taken.log.iter().filter(|(known, _)| known == session).map(|(_, data)| data.clone()).collect()
    }

    pub(crate) fn batches(&self) -> Vec<usize> {
        self.state.taken.lock().unwrap().batches.clone()
    }
}

impl State {
    async fn converse(&self, mut socket: TcpStream) -> std::io::Result<()> {
        let mut read = Vec::new();
        loop {
            let (head, body) = loop {
                if let Some(request) = cut_request(&mut read) {
                    break request;
                }
                if socket.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            };
            let luck = (self.luck)(self.requests.fetch_add(1, SeqCst));
            let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
            self.under_way_max.fetch_max(under_way, SeqCst);
            self.gate.acquire().await.unwrap().forget();
            self.gate.add_permits(1);
            // Others get to run while it is under way.
            tokio::task::yield_now().await;
            let answer = self.answer(luck, &head, &body);
            self.under_way.fetch_sub(1, SeqCst);
            match answer {
                Some(answer) => socket.write_all(answer.as_bytes()).await?,
                None => return Ok(()),
            }
        }
    }

    fn answer(&self, luck: Luck, head: &str, body: &[u8]) -> Option<String> {
        let say = |status: &str, body: &str| {
            let length = body.len();
            Some(format!("HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: {length}\r\n\r\n{body}"))
        };
        match luck {
            Luck::RequestLost => return None,
            Luck::Busy => return say("503 Busy", ""),
            Luck::Unauthorized => return say("401 Who", ""),
            Luck::Good | Luck::AnswerLost => {}
        }
        let session = head.split('/').nth(2).unwrap().to_owned();
        let key = super::value(head, "idempotency-key").unwrap().to_owned();
        let events = match serde_json::from_slice(body).unwrap() {
            Value::Array(events) => events,
            one => vec![one],
        };
        let mut taken = self.taken.lock().unwrap();
        if events.iter().any(|event| event["data"] == "refused") {
            return say("422 No", r#"{"code":"INVALID_EVENT"}"#);
        }
        let Taken { log, batches, answers } = &mut *taken;
        let ids = answers.entry(key).or_insert_with(|| {
            batches.push(events.len());
            events
                .into_iter()
                .map(|mut event| {
                    log.push((session.clone(), event["data"].take()));
                    format!("e-{}", log.len())
                })
                .collect()
        });
        let body = match ids.as_slice() {
            [id] => serde_json::json!({ "id": id }),
            ids => serde_json::json!({ "ids": ids }),
        };
        if luck == Luck::AnswerLost { None } else { say("202 Accepted", &body.to_string()) }
    }
}

/// Takes the first request out of what was read: its head in lower case, and its body.
fn cut_request(read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
    let length: usize = super::value(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    if read.len() < end + length {
        return None;
    }
    let body = read[end..end + length].to_vec();
    read.drain(..end + length);
    Some((head, body))
}
