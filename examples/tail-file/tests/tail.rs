//! What the example promises: the source by the test kit for sources, the stream over a socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use watertight::Hub;
use watertight::testing::SourceCheck;
use watertight_example_tail_file::{TailFile, hub, serve};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(bytes.as_ref()).unwrap();
}

/// How often this process has the file open.
fn open_files(path: &Path) -> usize {
    let links =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link == path).count()
}

#[tokio::test]
async fn it_keeps_what_every_source_promises() {
    let dir = TempDir::new().unwrap();
    let [path, away] = ["log", "away"].map(|name| dir.path().canonicalize().unwrap().join(name));
    append(&path, "first\n");
    let [made, stirred, left] = [0; 3].map(|_| path.clone());
    let mut lines = 0;
    SourceCheck::of(move || TailFile::new(&made, 3))
        .stirred_by(move || {
            lines += 1;
            append(&stirred, format!("line {lines}\n"));
        })
        .leaves(move || open_files(&left) == 0)
        .broken_by(move |is_broken| {
            let (from, to) = if is_broken { (&path, &away) } else { (&away, &path) };
            fs::rename(from, to).unwrap();
        })
        .says_everything_once()
        .run()
        .await;
}

/// The example on a free port, with a file in a folder of its own.
struct Running {
    hub: Hub,
    address: SocketAddr,
    path: PathBuf,
    dir: TempDir,
    server: JoinSet<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    async fn start() -> Running {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("log");
        let hub = hub().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = JoinSet::new();
        let stopped = async move { drop(stopped.await) };
        server.spawn({
            let (hub, path) = (hub.clone(), path.clone());
            async move { serve(hub, path, listener, stopped).await }
        });
        Running { hub, address, path, dir, server, stop: Some(stop) }
    }

    async fn open(&self, last_event_id: Option<&str>) -> Reader {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let id = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /tail HTTP/1.1\r\nHost: example\r\n{id}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        Reader { socket: BufReader::new(socket), id: String::new() }
    }

    /// Stops it, and sees that nothing is left.
    async fn end(mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, self.server.join_next()).await.expect("the server ends").unwrap().unwrap();
        let kinds = ["connection", "subscription", "timer", "request", "source"];
        let left = || {
            let ledger = self.hub.stats().ledger;
            ledger
                .into_iter()
                .filter(|(name, counts)| kinds.contains(name) && counts.live() > 0)
                .collect::<Vec<_>>()
        };
        let none = async {
            while !left().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, none).await.unwrap_or_else(|_| panic!("{:?} are left", left()));
    }
}

/// A reader with a socket of its own.
struct Reader {
    socket: BufReader<TcpStream>,
    id: String,
}

impl Reader {
    /// The next line of the stream that is an event's text, a gap or a comment about the source. The lines of the
    /// chunked encoding between are passed over.
    async fn next(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read =
                timeout(PATIENCE, self.socket.read_line(&mut line)).await.expect("a line in time").unwrap();
            assert!(read > 0, "the stream ended");
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return data.to_owned();
            }
            if line.contains("source") {
                return line.to_owned();
            }
        }
    }

    async fn expect(&mut self, lines: &[&str]) {
        for expected in lines {
            assert_eq!(self.next().await, *expected);
        }
    }

    /// The next is a gap, of which nobody knows how large it is.
    async fn expect_gap(&mut self) {
        let gap = self.next().await;
        assert!(gap.contains("\"missed\":null,\"reason\":\"source\""), "{gap}");
    }
}

#[tokio::test]
async fn a_reader_gets_the_last_lines_first_and_then_what_is_appended_in_whole_lines_and_characters() {
    let running = Running::start().await;
    append(&running.path, (1..=12).map(|n| format!("{n}\n")).collect::<String>());
    let mut first = running.open(None).await;
    first.expect(&["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]).await;
    let euro = "\u{20ac}".as_bytes();
    append(&running.path, [b"price: 5 ", &euro[..1]].concat());
    // Somebody sees the file as it is now: what is half written has been looked at.
    let mut second = running.open(None).await;
    second.expect(&["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]).await;
    append(&running.path, [&euro[1..], b"\r\nnext\n"].concat());
    for reader in [&mut first, &mut second] {
        reader.expect(&["price: 5 \u{20ac}", "next"]).await;
    }
    drop((first, second));
    running.end().await;
}

#[tokio::test]
async fn a_reader_is_told_what_may_be_missing_when_the_file_is_truncated_or_replaced() {
    let running = Running::start().await;
    append(&running.path, "one\ntwo\n");
    let mut reader = running.open(None).await;
    reader.expect(&["one", "two"]).await;
    File::create(&running.path).unwrap();
    reader.expect_gap().await;
    append(&running.path, "after truncation\n");
    reader.expect(&["after truncation"]).await;
    let new = running.dir.path().join("new");
    append(&new, "a file that is longer than the one before\nand has two lines\n");
    fs::rename(&new, &running.path).unwrap();
    reader.expect_gap().await;
    reader.expect(&["a file that is longer than the one before", "and has two lines"]).await;
    drop(reader);
    running.end().await;
}

#[tokio::test]
async fn a_file_that_is_missing_is_waited_for_and_is_no_error() {
    let running = Running::start().await;
    let mut reader = running.open(None).await;
    reader.expect(&[": waiting for source"]).await;
    append(&running.path, "here I am\n");
    let mut lines = [reader.next().await, reader.next().await];
    lines.sort();
    assert_eq!(lines, [": source is back", "here I am"], "in the order in which they are seen");
    assert_eq!(running.hub.counters().source_errors.load(std::sync::atomic::Ordering::Relaxed), 0);
    drop(reader);
    running.end().await;
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_every_line_once() {
    let running = Running::start().await;
    append(&running.path, "a\nb\n");
    let mut reader = running.open(None).await;
    reader.expect(&["a", "b"]).await;
    let id = std::mem::take(&mut reader.id);
    drop(reader);
    append(&running.path, (0..1000).map(|n| format!("{n}\n")).collect::<String>());
    let mut reader = running.open(Some(&id)).await;
    for n in 0..1000 {
        assert_eq!(reader.next().await, n.to_string());
    }
    drop(reader);
    running.end().await;
}

#[tokio::test]
async fn a_path_that_is_no_file_closes_its_readers_and_keeps_newcomers_out_for_a_while() {
    let running = Running::start().await;
    fs::create_dir(&running.path).unwrap();
    let mut reader = running.open(None).await;
    let mut seen = String::new();
    timeout(PATIENCE, reader.socket.read_to_string(&mut seen)).await.expect("it ends").unwrap();
    assert!(seen.contains("\"code\":\"CIRCUIT_OPEN\""), "{seen}");
    let mut refused = running.open(None).await;
    let mut line = String::new();
    refused.socket.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 503"), "{line}");
    drop((reader, refused));
    running.end().await;
}
