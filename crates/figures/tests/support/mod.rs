//! What these tests share: a clock that is moved by hand, an exporter down to the byte, a tree of files like the kernel's.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use watertight_core::Budget;
use watertight_figures::{Limits, Roots, Sampler, ScrapeUrl, ServiceSample, Surroundings, Target};

/// Longer than anything takes, shorter than a test may.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
pub(crate) struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).expect("short"), Ordering::SeqCst);
    }
}

/// What a sampler needs, with what the test sees of it.
pub(crate) struct Around {
    pub(crate) clock: ManualClock,
    pub(crate) budget: Arc<Budget>,
    pub(crate) roots: Roots,
    pub(crate) limits: Limits,
}

impl Around {
    pub(crate) fn new() -> Around {
        Around {
            clock: ManualClock::default(),
            budget: Budget::new(1 << 30, 1 << 30),
            roots: Roots::default(),
            limits: Limits { time_max: PATIENCE, ..Limits::default() },
        }
    }

    pub(crate) fn sampler(&self, target: Target) -> Sampler {
        let nanos = self.clock.0.clone();
        let surroundings = Surroundings {
            roots: self.roots.clone(),
            clock: Arc::new(move || Duration::from_nanos(nanos.load(Ordering::SeqCst))),
            budget: self.budget.clone(),
        };
        Sampler::new(target, self.limits.clone(), surroundings).expect("a target")
    }

    /// A sampler of all families of an exporter.
    pub(crate) fn scraper(&self, exporter: &Exporter) -> Sampler {
        self.sampler(prometheus(&exporter.url()))
    }
}

pub(crate) fn prometheus(url: &str) -> Target {
    Target::Prometheus { url: ScrapeUrl::new(url).expect("a URL"), families: Vec::new() }
}

/// A sample as it stands in an event.
pub(crate) fn json(sample: &ServiceSample) -> Value {
    serde_json::from_str(&serde_json::to_string(sample).expect("JSON")).expect("JSON")
}

/// Waits for a condition, while the runtime goes on.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Polls a future `polls` times and drops it then; its value if it was ready before.
pub(crate) async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    struct Times<'a, F> {
        future: Pin<&'a mut F>,
        left: usize,
    }
    impl<F: Future> Future for Times<'_, F> {
        type Output = Option<F::Output>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
            self.left = left;
            match self.future.as_mut().poll(context) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }
    }
    let future = pin!(future);
    Times { future, left: polls }.await
}

/// What an exporter does with a request.
pub(crate) enum Answer {
    /// These bytes, in pieces, and the connection stays open.
    Pieces(Vec<Vec<u8>>),
    /// These bytes, and the connection is closed.
    Last(Vec<u8>),
    /// These bytes, and nothing more until the peer has gone.
    Hang(Vec<u8>),
    /// These bytes, then that piece again and again until the peer has gone, but for so many bytes at most.
    Endless(Vec<u8>, Vec<u8>, usize),
}

/// An answer of status 200 with this content type and body.
pub(crate) fn ok(content_type: &str, body: &[u8]) -> Answer {
    Answer::Pieces(vec![head(content_type, "", body.len()), body.to_vec()])
}

pub(crate) fn text(body: &str) -> Answer {
    ok("text/plain; version=0.0.4", body.as_bytes())
}

/// A head with further headers, each with its line end.
pub(crate) fn head(content_type: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{headers}content-length: {length}\r\n\r\n")
        .into_bytes()
}

/// An HTTP/1.1 server whose answers are given down to the byte.
pub(crate) struct Exporter {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Vec<Answer>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    bytes_sent: AtomicUsize,
    is_closed: AtomicBool,
}

impl Exporter {
    /// Answers in this order; the last one again and again.
    pub(crate) fn new(answers: Vec<Answer>) -> Exporter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { answers: Mutex::new(answers), ..Shared::default() });
        let accepting = shared.clone();
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, shared) = (stream.expect("a connection"), accepting.clone());
                shared.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &shared);
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Exporter { address, shared, listener: Some(listener) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("no panic").clone()
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes_sent(&self) -> usize {
        self.shared.bytes_sent.load(Ordering::SeqCst)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.listener.take().map(thread::JoinHandle::join);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).expect("a socket");
    while let Some(request) = request(&mut stream) {
        shared.requests.lock().expect("no panic").push(request);
        let mut answers = shared.answers.lock().expect("no panic");
        let answer = if answers.len() > 1 { answers.remove(0) } else { again(&answers[0]) };
        drop(answers);
        let mut send = |bytes: &[u8]| {
            let sent = stream.write_all(bytes).is_ok();
            shared.bytes_sent.fetch_add(if sent { bytes.len() } else { 0 }, Ordering::SeqCst);
            sent
        };
        match answer {
            Answer::Pieces(pieces) => {
                if !pieces.iter().all(|piece| send(piece)) {
                    return;
                }
            }
            Answer::Last(bytes) => {
                send(&bytes);
                return;
            }
            Answer::Hang(bytes) => {
                send(&bytes);
                // Until the peer closes.
                while stream.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
                return;
            }
            Answer::Endless(bytes, piece, most) => {
                send(&bytes);
                while shared.bytes_sent.load(Ordering::SeqCst) < most {
                    let sent = stream.write_all(&piece).is_ok();
                    if !sent {
                        return;
                    }
                    shared.bytes_sent.fetch_add(piece.len(), Ordering::SeqCst);
                }
                return;
            }
        }
    }
}

fn again(answer: &Answer) -> Answer {
    match answer {
        Answer::Pieces(pieces) => Answer::Pieces(pieces.clone()),
        Answer::Last(bytes) => Answer::Last(bytes.clone()),
        Answer::Hang(bytes) => Answer::Hang(bytes.clone()),
        Answer::Endless(bytes, piece, most) => Answer::Endless(bytes.clone(), piece.clone(), *most),
    }
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !stream.read(&mut byte).is_ok_and(|read| read == 1) {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).expect("a head"))
}

/// Files like the kernel's, below a folder of their own.
pub(crate) struct Tree(TempDir);

impl Tree {
    /// A machine of four CPUs and 8 GiB of memory, on which the hub is in no group.
    pub(crate) fn machine() -> Tree {
        let tree = Tree(TempDir::new().expect("a folder"));
        tree.cpu(1_000);
        tree.write(
            "proc/meminfo",
            "MemTotal:        8388608 kB\nMemFree:  100 kB\nMemAvailable:    6291456 kB\n",
        );
        tree.write("proc/vmstat", "nr_free_pages 1\npgpgin 1000\npgpgout 2000\n");
        tree.write("proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
        tree.write("proc/sys/fs/file-nr", "1216\t0\t9223372036854775807\n");
        tree.write("proc/self/cgroup", "0::/\n");
        // The root of a machine's hierarchy has no limits and no `memory.current`.
        tree.write("cgroup/cgroup.controllers", "cpu io memory pids\n");
        tree.write("cgroup/cpu.stat", "usage_usec 5\n");
        tree
    }

    /// The same machine, its hub in a container of 512 MB and one CPU.
    pub(crate) fn container() -> Tree {
        let tree = Tree::machine();
        tree.group("", 100_000_000, 209_715_200, 104_857_600);
        tree.write("cgroup/memory.max", "536870912\n");
        tree.write("cgroup/cpu.max", "100000 100000\n");
        tree
    }

    /// CPU time of the machine that was not idle, in ticks.
    pub(crate) fn cpu(&self, ticks: u64) {
        let (idle, waiting) = (5 * ticks, 3 * ticks);
        let busy = format!("cpu  {ticks} 0 0 {idle} {waiting} 0 0 0 {ticks} 0\n");
        self.write("proc/stat", &format!("{busy}cpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr 1 2 3\nctxt 5\n"));
    }

    /// A group without limits.
    pub(crate) fn group(&self, path: &str, cpu_micros: u64, memory: u64, inactive_file: u64) {
        let file = |name: &str| format!("cgroup/{path}/{name}");
        self.write(&file("cgroup.controllers"), "cpu io memory pids\n");
        self.write(&file("cpu.stat"), &format!("usage_usec {cpu_micros}\nuser_usec 1\nsystem_usec 1\n"));
        self.write(&file("cpu.max"), "max 100000\n");
        self.write(&file("memory.current"), &format!("{memory}\n"));
        self.write(
            &file("memory.stat"),
            &format!("anon 1\nfile 2\ninactive_anon 3\ninactive_file {inactive_file}\n"),
        );
        self.write(&file("memory.max"), "max\n");
        self.write(&file("pids.current"), "7\n");
        self.write(
            &file("io.stat"),
            "8:0 rbytes=1000 wbytes=10 rios=1 wios=1\n8:16 rbytes=500 wbytes=5 rios=1\n",
        );
    }

    /// A process by its `stat`: CPU time in ticks, and when it started.
    pub(crate) fn process(&self, id: u32, ticks: u64, started: u64) {
        let path = |name: &str| format!("proc/{id}/{name}");
        let stat = format!(
            "{id} (a ) b) S 1 1 1 0 -1 4194560 1 2 3 4 {ticks} 0 0 0 20 0 3 0 {started} 10000000 256 \
             18446744073709551615 1 1 0 0 0 0 0 4096 16384 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n"
        );
        self.write(&path("stat"), &stat);
        self.write(&path("cgroup"), "0::/\n");
        self.write(&path("fd/0"), "");
        self.write(&path("fd/1"), "");
        self.write(
            &path("io"),
            "rchar: 1\nwchar: 1\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
        );
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn around(&self) -> Around {
        Around { roots: Roots { proc: self.path("proc"), cgroup: self.path("cgroup") }, ..Around::new() }
    }
}
