//! A network in memory: the test is the server, answers what it likes when it likes, and counts what is open.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Request, Response};
use tokio::sync::{mpsc, oneshot};
use watertight_client::{Answering, Body, Error, Item, Status, Subscriber, Transport};

/// What the network knows. Both ends hold it.
#[derive(Default)]
struct State {
    arrived: Vec<Arrived>,
    waker: Option<Waker>,
    open: usize,
    open_max: usize,
    requests: usize,
}

/// The server's end, and the transport for the client's.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

/// A connection, open until it is dropped.
struct Socket(Memory);

/// A request that waits for its answer.
pub(crate) struct Arrived {
    pub(crate) request: Request<Bytes>,
    reply: oneshot::Sender<Result<Response<Body>, Error>>,
    socket: Arc<Mutex<Option<Socket>>>,
}

/// The body of an answer being written. Dropping it ends the body.
pub(crate) struct Writer(mpsc::Sender<Result<Bytes, Error>>);

struct Reader {
    bytes: mpsc::Receiver<Result<Bytes, Error>>,
    _socket: Option<Socket>,
}

impl Memory {
    /// A subscriber to a hub in this network, with the longest delays that jitter may give.
    pub(crate) fn subscriber(&self) -> Subscriber {
        let new = Subscriber::new("http://hub", "demo").unwrap();
        new.with_transport(self.clone()).with_random(|| 1.0)
    }

    /// The next request.
    pub(crate) async fn accept(&self) -> Arrived {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            state.waker = Some(context.waker().clone());
            if state.arrived.is_empty() { Poll::Pending } else { Poll::Ready(state.arrived.remove(0)) }
        })
        .await
    }

    /// Accepts, and answers with a stream.
    pub(crate) async fn stream(&self) -> (Request<Bytes>, Writer) {
        let arrived = self.accept().await;
        let request = arrived.clone_request();
        (request, arrived.stream())
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.0.lock().unwrap().open
    }

    /// The most connections ever open at the same time.
    pub(crate) fn open_max(&self) -> usize {
        self.0.lock().unwrap().open_max
    }

    /// Requests ever made.
    pub(crate) fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }
}

impl Transport for Memory {
    fn open(&self, request: Request<Bytes>) -> Answering {
        let memory = self.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let socket = Arc::new(Mutex::new(Some(Socket::open(&memory))));
            // If nobody has accepted by the time this future is dropped, the socket goes with it.
            let held = Arc::clone(&socket);
            let waker = {
                let mut state = memory.0.lock().unwrap();
                state.requests += 1;
                state.arrived.push(Arrived { request, reply, socket: Arc::new(Mutex::new(None)) });
                let last = state.arrived.len() - 1;
                state.arrived[last].socket = socket;
                state.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
            let guard = Closing(held);
            let answer = answer.await.map_err(|_| Error::transport("reset by peer"))?;
            drop(guard);
            answer
        })
    }
}

/// Closes the socket if the request is dropped before its answer.
struct Closing(Arc<Mutex<Option<Socket>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.lock().unwrap().take();
    }
}

impl Socket {
    fn open(memory: &Memory) -> Self {
        let mut state = memory.0.lock().unwrap();
        state.open += 1;
        state.open_max = state.open_max.max(state.open);
        drop(state);
        Self(memory.clone())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().open -= 1;
    }
}

impl Arrived {
    fn clone_request(&self) -> Request<Bytes> {
        self.request.clone()
    }

    /// A header of the request.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.request, name)
    }

    /// The whole URL asked for.
    pub(crate) fn url(&self) -> String {
        self.request.uri().to_string()
    }

    /// Answers with a head, and gives the body to be written.
    pub(crate) fn head(self, status: u16, headers: &[(&str, &str)]) -> Writer {
        let (writer, bytes) = mpsc::channel(64);
        let socket = self.socket.lock().unwrap().take();
        let body: Body = Box::pin(Reader { bytes, _socket: socket });
        let mut answer = Response::new(body);
        *answer.status_mut() = status.try_into().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        *answer.headers_mut() = HeaderMap::from_iter(headers);
        let _ = self.reply.send(Ok(answer));
        Writer(writer)
    }

    /// Answers with a stream.
    pub(crate) fn stream(self) -> Writer {
        self.head(200, &[("content-type", "text/event-stream")])
    }

    /// Answers with a whole body.
    pub(crate) async fn answer(self, status: u16, headers: &[(&str, &str)], body: &str) {
        let writer = self.head(status, headers);
        if !body.is_empty() {
            writer.say(body).await;
        }
    }

    /// Answers as a hub does to a long-poll.
    pub(crate) async fn json(self, body: &str) {
        self.answer(200, &[("content-type", "application/json")], body).await;
    }

    /// Never lets the connection come about.
    pub(crate) fn refuse(self) {
        let source = std::io::ErrorKind::ConnectionRefused.into();
        let _ = self.reply.send(Err(Error::Connect { address: "hub".to_owned(), source }));
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        let _ = self.reply.send(Err(Error::transport("reset by peer")));
    }
}

impl Writer {
    /// Sends bytes; returns whether the client is still there.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.send(Ok(Bytes::copy_from_slice(bytes.as_ref()))).await.is_ok()
    }

    /// Waits until the client has closed.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.poll_recv(context)
    }
}

/// A header of a request.
pub(crate) fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

/// The next item that is no status.
pub(crate) async fn next_item(subscriber: &mut Subscriber) -> Item {
    loop {
        match subscriber.next().await.expect("not over").expect("no error") {
            Item::Status(_) => {}
            item => return item,
        }
    }
}

/// The data of the next event.
pub(crate) async fn next_data(subscriber: &mut Subscriber) -> String {
    match next_item(subscriber).await {
        Item::Event(event) => event.data,
        other => panic!("no event: {other:?}"),
    }
}

/// The next status of which `is` is true; everything else is passed over.
pub(crate) async fn until_status(subscriber: &mut Subscriber, is: impl Fn(&Status) -> bool) -> Status {
    loop {
        match subscriber.next().await.expect("not over").expect("no error") {
            Item::Status(status) if is(&status) => return status,
            _ => {}
        }
    }
}

/// Everything up to the end.
pub(crate) async fn until_over(subscriber: &mut Subscriber) -> Vec<Result<Item, Error>> {
    let mut seen = Vec::new();
    while let Some(item) = subscriber.next().await {
        seen.push(item);
    }
    seen
}

/// Drives the subscriber for ever, for a test whose server decides when it is over.
pub(crate) async fn drive(subscriber: &mut Subscriber) {
    let mut last = None;
    while let Some(item) = subscriber.next().await {
        last = Some(item);
    }
    panic!("the subscriber is over: {last:?}");
}

/// Polls once: what there is without waiting. `None` if there is nothing yet.
pub(crate) async fn now(subscriber: &mut Subscriber) -> Option<Option<Result<Item, Error>>> {
    poll_fn(|context| match Pin::new(&mut *subscriber).poll_next(context) {
        Poll::Ready(item) => Poll::Ready(Some(item)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
