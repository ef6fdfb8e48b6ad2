//! An application that is asked by a webhook: real HTTP on a port of loopback, with answers down to the byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ports;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its first line.
    pub line: String,
    /// Its header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Asked {
    /// The value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What the application does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Writes these bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// Writes these bytes and closes the connection.
    Last(Vec<u8>),
    /// Writes these bytes one by one, with this pause before each.
    Drip(Vec<u8>, Duration),
    /// Says nothing and keeps the connection open.
    Silence,
    /// Closes the connection.
    Close,
}

impl Reply {
    /// An answer with this status line and body.
    #[must_use]
    pub fn answer(status: &str, body: &str) -> Reply {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        Reply::Bytes(format!("{head}{body}").into_bytes())
    }

    /// `{"allowed": true}` or false, with 200.
    #[must_use]
    pub fn allowed(is_allowed: bool) -> Reply {
        Reply::answer("200 OK", &format!("{{\"allowed\": {is_allowed}}}"))
    }
}

type Handler = Box<dyn Fn(&Asked) -> Reply + Send>;

struct Shared {
    handler: Mutex<Handler>,
    asked: Mutex<Vec<Asked>>,
    /// Connections there are, so that they can be cut.
    open: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    stop: AtomicBool,
}

/// The application. Dropping it closes everything and waits for its threads.
pub struct WebhookServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for WebhookServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl WebhookServer {
    /// Listens on a free port, which no connection gets while it is down, and answers every request the same.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(reply: Reply) -> WebhookServer {
        let listener = ports::free_listener();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Mutex::new(Box::new(move |_| reply.clone())),
            asked: Mutex::default(),
            open: Mutex::default(),
            accepted: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let mut server = WebhookServer { address, shared, acceptor: None };
        server.listen(listener);
        server
    }

    /// Answers from now on like this.
    ///
    /// # Panics
    /// When a thread of it has panicked.
    pub fn reply_by(&self, handler: impl Fn(&Asked) -> Reply + Send + 'static) {
        *self.shared.handler.lock().unwrap() = Box::new(handler);
    }

    /// Answers every request from now on like this.
    pub fn reply(&self, reply: Reply) {
        self.reply_by(move |_| reply.clone());
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/owns", self.address)
    }

    /// All requests so far.
    ///
    /// # Panics
    /// When a thread of it has panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.asked().len()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes its connections.
    ///
    /// # Panics
    /// When a thread of it has panicked.
    pub fn cut(&self) {
        for socket in self.shared.open.lock().unwrap().drain(..) {
            // Its peer may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Goes away: nothing listens on its port any more, and its connections are closed.
    pub fn down(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor, if it still listens.
        let _ = TcpStream::connect(self.address);
        self.cut();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }

    /// Comes back on the same port.
    ///
    /// # Panics
    /// When its port is taken.
    pub fn up(&mut self) {
        self.listen(TcpListener::bind(self.address).unwrap());
    }

    fn listen(&mut self, listener: TcpListener) {
        self.shared.stop.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || accept(&shared, &listener)));
    }
}

impl Drop for WebhookServer {
    fn drop(&mut self) {
        self.down();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut threads = Vec::new();
    for socket in listener.incoming().map_while(Result::ok) {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        shared.open.lock().unwrap().push(socket.try_clone().unwrap());
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            // Whoever asks may leave at any time.
            let _ = serve(&shared, &socket);
            let _ = socket.shutdown(Shutdown::Both);
        }));
    }
    for socket in shared.open.lock().unwrap().drain(..) {
        let _ = socket.shutdown(Shutdown::Both);
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

fn serve(shared: &Shared, mut socket: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    while let Some(asked) = read(&mut reader)? {
        // Counted before it is answered: whoever has the answer sees the count.
        shared.asked.lock().unwrap().push(asked.clone());
        let reply = (shared.handler.lock().unwrap())(&asked);
        match reply {
            Reply::Bytes(bytes) => socket.write_all(&bytes)?,
            Reply::Drip(bytes, pause) => {
                for byte in bytes {
                    std::thread::sleep(pause);
                    socket.write_all(&[byte])?;
                }
            }
            Reply::Last(bytes) => return socket.write_all(&bytes),
            Reply::Silence => {}
            Reply::Close => return Ok(()),
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut asked = Asked { line: line.trim_end().to_owned(), headers, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse::<u64>().unwrap());
    reader.take(length).read_to_string(&mut asked.body)?;
    Ok(Some(asked))
}
