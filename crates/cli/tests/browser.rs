//! A real browser's own `EventSource`: headless Chromium, with the network cut under it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod chromium;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use chromium::chromium;
use serde_json::Value;
use watertight_testkit::{Cut, FaultProxy, HubProcess, Mode, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Starting a browser takes a while on a busy machine.
const BROWSER_PATIENCE: Duration = Duration::from_secs(60);

/// What the page runs. It reports all it has seen, whenever it sees something.
const SCRIPT: &str = r"
const seen = { opens: 0, errors: 0, closed: 0, events: [] };
let reporting = false, again = false;
async function report() {
  if (reporting) { again = true; return; }
  reporting = true;
  do { again = false; await fetch('/seen', { method: 'POST', body: JSON.stringify(seen) }); } while (again);
  reporting = false;
}
const source = new EventSource(HUB + '/sessions/demo/events?replay=all');
source.onopen = () => { seen.opens++; report(); };
source.onerror = () => { seen.errors++; seen.closed += source.readyState === EventSource.CLOSED ? 1 : 0; report(); };
for (const type of ['message', 'tick', 'gap', 'error'])
  source.addEventListener(type, (event) => {
    if (event instanceof MessageEvent) { seen.events.push([type, event.lastEventId, event.data]); report(); }
  });
";

/// Serves the page, and takes its reports.
struct Page {
    address: SocketAddr,
    seen: Arc<Mutex<Value>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    fn bind() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn serve(listener: TcpListener, hub: String) -> Page {
        let (seen, stop) = (Arc::new(Mutex::new(Value::Null)), Arc::new(AtomicBool::new(false)));
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::SeqCst) {
                    match listener.accept() {
                        // A peer that breaks off in the middle asks again.
                        Ok((peer, _)) => drop(answer(peer, &hub, &seen)),
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            }
        });
        Page { address, seen, stop, thread: Some(thread) }
    }

    fn number(&self, key: &str) -> u64 {
        self.seen.lock().unwrap()[key].as_u64().unwrap_or(0)
    }

    /// Type, id and data of what the page has seen.
    fn events(&self) -> Vec<[String; 3]> {
        let seen = self.seen.lock().unwrap();
        let events = seen["events"].as_array().cloned().unwrap_or_default();
        events.into_iter().map(|event| serde_json::from_value(event).unwrap()).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("--- the page saw: {:.2000}", self.seen.lock().unwrap().to_string());
        }
    }
}

fn answer(mut peer: TcpStream, hub: &str, seen: &Mutex<Value>) -> std::io::Result<()> {
    peer.set_nonblocking(false)?;
    peer.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = Vec::new();
    let (head, mut body) = loop {
        let mut some = [0; 4096];
        let count = peer.read(&mut some)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&some[..count]);
        if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = request.split_off(at + 4);
            break (String::from_utf8_lossy(&request).to_ascii_lowercase(), body);
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |text| text.trim().parse().unwrap_or(0));
    while body.len() < length {
        let mut some = [0; 4096];
        let count = peer.read(&mut some)?;
        body.extend_from_slice(&some[..count]);
    }
    if head.starts_with("post /seen") {
        *seen.lock().unwrap() = serde_json::from_slice(&body)?;
    }
    let page = format!("<!doctype html><title>test</title><script>const HUB = '{hub}';{SCRIPT}</script>");
    let page = if head.starts_with("get / ") { page } else { String::new() };
    let length = page.len();
    write!(
        peer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}

#[test]
fn a_browser_that_is_cut_off_sees_every_event_once_in_order() {
    let listener = Page::bind();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", &origin).flag("--retry", "0.2").start();
    let proxy = FaultProxy::start(hub.address());
    let page = Page::serve(listener, proxy.url(""));
    let publish = |range: std::ops::Range<usize>| {
        for n in range {
            let event_type = if n % 2 == 0 { "message" } else { "tick" };
            hub.publish_json("demo", &serde_json::json!({"type": event_type, "data": n}));
        }
    };
    publish(0..10);
    let browser = chromium(&format!("http://{}/", page.address), &hub.dir().join("profile"));
    eventually!(page.events().len() == 10, BROWSER_PATIENCE);
    assert_eq!(page.number("opens"), 1);

    // Cut gently; nobody can connect while more is published.
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Fin);
    publish(10..40);
    proxy.set(Mode::Pass);
    eventually!(page.events().len() == 40, BROWSER_PATIENCE);

    // Reset in the middle of a burst.
    publish(40..60);
    proxy.cut(Cut::Rst);
    publish(60..100);
    eventually!(page.events().len() == 100, BROWSER_PATIENCE);

    // Ended by the hub, with a closing event: the browser comes back by itself as well.
    let connection = hub.get("/connections").expect(200).json()["connections"][0]["id"].clone();
    hub.client().delete(format!("/connections/{}", connection.as_str().unwrap())).expect(204);
    publish(100..110);
    eventually!(page.events().len() == 111, BROWSER_PATIENCE);

    let (closing_events, events): (Vec<_>, Vec<_>) =
        page.events().into_iter().partition(|[kind, ..]| kind == "error");
    assert_eq!(closing_events.len(), 1);
    assert!(closing_events[0][2].contains("DISCONNECTED"), "{closing_events:?}");
    for (n, [event_type, id, data]) in events.iter().enumerate() {
        let expected = if n % 2 == 0 { "message" } else { "tick" };
        assert_eq!((event_type.as_str(), data), (expected, &n.to_string()));
        assert!(id.ends_with(&format!("-{}", n + 1)), "{id} for event {n}");
    }
    assert!(page.number("opens") >= 4, "{}", page.number("opens"));
    assert_eq!(page.number("closed"), 0, "the browser never gave up");
    drop(browser);
}

#[test]
fn a_page_that_is_not_on_the_list_sees_nothing() {
    let listener = Page::bind();
    let hub = HubProcess::builder(WATERTIGHT).flag("--cors-origins", "http://elsewhere.example").start();
    let page = Page::serve(listener, hub.url(""));
    hub.publish_text("demo", "secret");
    let browser = chromium(&format!("http://{}/", page.address), &hub.dir().join("profile"));
    eventually!(page.number("closed") == 1, BROWSER_PATIENCE);
    assert_eq!((page.events().len(), page.number("opens")), (0, 0));
    drop(browser);
}
