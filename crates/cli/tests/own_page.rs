//! The hub's own page in a real browser: the metrics of its services, live while somebody looks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod chromium;
mod tokens;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use chromium::chromium;
use serde_json::{Value, json};
use tokens::{WATERTIGHT, protected};
use watertight_testkit::{Client, HubProcess, Program, eventually};

const METRICS: &str = "/services/metrics/stream";
/// Starting a browser takes a while on a busy machine.
const BROWSER_PATIENCE: Duration = Duration::from_secs(60);

/// Stands in the page beside its own script, under the same policy: says what the page shows, has it believe that its tab
/// is hidden, and makes its pauses shorter.
const REPORT: &str = r#"
const pause = setTimeout;
window.setTimeout = (action, milliseconds) => pause(action, milliseconds / 10);
const violations = [];
let visibility = "visible";
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
Object.defineProperty(document, "visibilityState", { get: () => visibility });
async function report() {
  const section = document.getElementById("metrics");
  const tags = [...section.querySelectorAll("*")].map((element) => element.tagName);
  const seen = {
    hidden: section.hidden,
    text: [...section.querySelectorAll("h3, p, dt, dd")].map((element) => element.textContent),
    tags: [...new Set(tags)].sort(),
    ran: window.ran ?? null,
    visibility,
    violations,
  };
  const wanted = await (await fetch("seen", { method: "POST", body: JSON.stringify(seen) })).json();
  if (wanted === visibility) return;
  visibility = wanted;
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}
setInterval(() => report().catch(() => {}), 50);
"#;

/// What becomes of requests for metrics.
#[derive(Debug, Clone)]
enum Metrics {
    /// The hub answers them.
    Hub,
    /// They are refused with this status.
    Refused(u16),
    /// They are answered with one event of this data.
    Event(Value),
}

/// Stands before the hub as a reverse proxy does, with [`REPORT`] put into its page.
struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    hub: SocketAddr,
    seen: Mutex<Value>,
    metrics: Mutex<Metrics>,
    /// Requests for metrics.
    asked: AtomicUsize,
    /// Requests for the hub's figures: one every two seconds.
    refreshed: AtomicUsize,
    is_hidden: AtomicBool,
    stop: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Front {
    fn of(hub: &HubProcess) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared {
            hub: hub.address(),
            seen: Mutex::default(),
            metrics: Mutex::new(Metrics::Hub),
            asked: AtomicUsize::new(0),
            refreshed: AtomicUsize::new(0),
            is_hidden: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            threads: Mutex::default(),
        });
        let accepts = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            while !accepts.stop.load(Ordering::SeqCst) {
                let Ok((peer, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let shared = Arc::clone(&accepts);
                // A peer that breaks off in the middle asks again.
                let answers = std::thread::spawn(move || drop(shared.answer(peer)));
                accepts.threads.lock().unwrap().push(answers);
            }
        });
        Front { address, shared, accepting: Some(accepting) }
    }

    fn browser(&self, hub: &HubProcess) -> Program {
        chromium(&format!("http://{}/", self.address), &hub.dir().join("profile"))
    }

    fn set(&self, metrics: Metrics) {
        *self.shared.metrics.lock().unwrap() = metrics;
    }

    fn hide(&self, is_hidden: bool) {
        self.shared.is_hidden.store(is_hidden, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    fn seen(&self) -> Value {
        self.shared.seen.lock().unwrap().clone()
    }

    fn says(&self, text: &str) -> bool {
        self.seen()["text"].as_array().is_some_and(|texts| texts.iter().any(|said| said == text))
    }

    /// The figure behind this name, of the first service.
    fn figure(&self, name: &str) -> String {
        let texts = self.seen()["text"].as_array().cloned().unwrap_or_default();
        let at = texts.iter().position(|text| text == name);
        at.and_then(|at| texts[at + 1].as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.accepting.take().unwrap().join().unwrap();
        // The browser is gone, and its connections with it.
        for thread in std::mem::take(&mut *self.shared.threads.lock().unwrap()) {
            thread.join().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("--- the page showed: {:.2000}", self.seen().to_string());
        }
    }
}

impl Shared {
    fn answer(&self, mut peer: TcpStream) -> io::Result<()> {
        peer.set_nonblocking(false)?;
        let (head, body) = read_request(&mut peer)?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
        match path {
            "/seen" => {
                *self.seen.lock().unwrap() = serde_json::from_slice(&body)?;
                let wanted = if self.is_hidden.load(Ordering::SeqCst) { "hidden" } else { "visible" };
                write!(peer, "{ok}\r\n\"{wanted}\"")
            }
            "/report.js" => write!(peer, "{ok}Content-Type: text/javascript\r\n\r\n{REPORT}"),
            "/" => {
                let page = Client::new(self.hub).get("/");
                let policy = page.header("content-security-policy").unwrap().to_owned();
                let own = "<script src=\"page.js\" defer></script>";
                let text =
                    page.text().replace(own, &format!("<script src=\"report.js\" defer></script>{own}"));
                assert!(text.contains("report.js"), "{text}");
                write!(peer, "{ok}Content-Type: text/html\r\nContent-Security-Policy: {policy}\r\n\r\n{text}")
            }
            METRICS => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let metrics = self.metrics.lock().unwrap().clone();
                match metrics {
                    Metrics::Hub => pass_on(self.hub, peer, &head, &body),
                    Metrics::Refused(status) => {
                        write!(peer, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    }
                    Metrics::Event(data) => {
                        write!(
                            peer,
                            "{ok}Content-Type: text/event-stream\r\n\r\nevent: metrics\ndata: {data}\n\n"
                        )?;
                        // Open until the browser goes.
                        peer.read(&mut [0]).map(drop)
                    }
                }
            }
            "/stats" => {
                self.refreshed.fetch_add(1, Ordering::SeqCst);
                pass_on(self.hub, peer, &head, &body)
            }
            _ => pass_on(self.hub, peer, &head, &body),
        }
    }
}

fn read_request(peer: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut request = Vec::new();
    let mut more = |request: &mut Vec<u8>| {
        let mut some = [0; 4096];
        let count = peer.read(&mut some)?;
        request.extend_from_slice(&some[..count]);
        if count == 0 { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(()) }
    };
    let end = loop {
        more(&mut request)?;
        if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut body = request.split_off(end);
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while body.len() < length.unwrap_or(0) {
        more(&mut body)?;
    }
    Ok((head, body))
}

/// Passes a request on, and its answer back, until either side has closed.
fn pass_on(hub: SocketAddr, peer: TcpStream, head: &str, body: &[u8]) -> io::Result<()> {
    let mut hub = TcpStream::connect(hub)?;
    hub.write_all(head.replace("Connection: keep-alive", "Connection: close").as_bytes())?;
    hub.write_all(body)?;
    let (mut gone, mut to_hub) = (peer.try_clone()?, hub.try_clone()?);
    let watches = std::thread::spawn(move || {
        let _either_way = io::copy(&mut gone, &mut to_hub);
        let _is_closed = to_hub.shutdown(Shutdown::Both);
    });
    let mut back = peer;
    let copied = io::copy(&mut hub, &mut back);
    let _is_closed = back.shutdown(Shutdown::Both);
    watches.join().unwrap();
    copied.map(drop)
}

#[test]
fn the_page_shows_the_hosts_own_figures_live_and_comes_back_by_itself() {
    let hub = HubProcess::builder(WATERTIGHT);
    let hub =
        hub.flag("--metrics-interval", "1").flag("--retry", "0.2").flag("--source-linger", "100ms").start();
    let front = Front::of(&hub);
    let browser = front.browser(&hub);
    eventually!(front.figure("CPU").ends_with(" %"), BROWSER_PATIENCE);
    let percent: f64 = front.figure("CPU").trim_end_matches(" %").parse().unwrap();
    // The kernel counts in ticks: of a busy machine it may be a little more than all.
    assert!((0.0..110.0).contains(&percent), "{percent}");
    let [memory, limit] = ["memory", "memory limit"].map(|name| {
        front.figure(name).strip_suffix(" MB").and_then(|text| text.parse::<u64>().ok()).expect("megabytes")
    });
    assert!(memory > 0 && memory <= limit, "{memory} of {limit}");
    let whose = ["host figures of the whole machine", "host figures of a cgroup (container)"];
    assert!(whose.iter().any(|text| front.says(text)), "{}", front.seen());
    assert!(front.says("live"));
    assert_eq!(front.seen()["violations"], json!([]), "the policy stands as it is");
    let connection = || hub.get("/connections").json()["connections"][0]["id"].as_str().map(str::to_owned);
    let first = connection().unwrap();
    hub.client().delete(format!("/connections/{first}")).expect(204);
    eventually!(connection().is_some_and(|id| id != first), BROWSER_PATIENCE);
    eventually!(front.says("live"), BROWSER_PATIENCE);
    drop(browser);
}

#[test]
fn a_figure_that_is_not_known_yet_says_so_and_names_are_text() {
    let hub = HubProcess::start(WATERTIGHT);
    let front = Front::of(&hub);
    let hostile = "<img src=x onerror=\"window.ran='yes'\">";
    let figures = json!({"cpuPercent": null, "memoryBytes": 1_048_576, "memoryLimitBytes": null});
    let missing = json!({"cpuPercent": "first_sample", "memoryLimitBytes": "not_available"});
    front.set(Metrics::Event(json!({"services": [
        {"id": hostile, "source": "cgroup", "of": "cgroup", "error": null, "figures": figures, "missing": missing},
        {"id": "gone", "source": "process", "error": {"code": "NO_SUCH_PROCESS", "detail": hostile}},
        {"id": "scraped", "source": "prometheus", "error": null, "families": []},
    ]})));
    let browser = front.browser(&hub);
    eventually!(front.says("live"), BROWSER_PATIENCE);
    let figures = ["CPU", "memory", "memory limit"].map(|name| front.figure(name));
    assert_eq!(figures, ["not known yet", "1 MB", "not known"]);
    assert!(front.says(&format!("{hostile} figures of a cgroup (container)")), "{}", front.seen());
    assert!(front.says(&format!("no figures: {hostile}")), "{}", front.seen());
    assert!(front.says("has metrics of its own, and neither CPU nor memory"), "{}", front.seen());
    assert_eq!(front.seen()["tags"], json!(["DD", "DIV", "DL", "DT", "H2", "H3", "P", "SMALL"]));
    assert_eq!(front.seen()["ran"], Value::Null);
    drop(browser);
}

#[test]
fn a_page_in_the_background_has_nothing_sampled() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--source-linger", "100ms").start();
    let front = Front::of(&hub);
    front.hide(true);
    let browser = front.browser(&hub);
    // A page that is opened as a tab in the background believes itself visible until the first report is answered.
    eventually!(front.seen()["visibility"] == "hidden", BROWSER_PATIENCE);
    eventually!(hub.stats().live("source") == 0 && hub.stats().live("subscription") == 0, BROWSER_PATIENCE);
    let asked = front.asked();
    front.hide(false);
    eventually!(front.says("live"), BROWSER_PATIENCE);
    eventually!(hub.stats().live("source") == 1);
    assert_eq!(front.asked(), asked + 1);
    front.hide(true);
    eventually!(hub.stats().live("source") == 0 && hub.stats().live("subscription") == 0);
    drop(browser);
}

#[test]
fn whoever_may_not_see_metrics_sees_nothing_and_asks_no_further() {
    let hub = protected().start();
    let front = Front::of(&hub);
    for metrics in [Metrics::Hub, Metrics::Refused(403), Metrics::Refused(404)] {
        front.set(metrics);
        let before = front.asked();
        let browser = front.browser(&hub);
        // The stream, and then why there is none.
        eventually!(front.asked() == before + 2, BROWSER_PATIENCE);
        // Another attempt would come within 0.75 s.
        let refreshed = || front.shared.refreshed.load(Ordering::SeqCst);
        let later = refreshed() + 2;
        eventually!(refreshed() == later, BROWSER_PATIENCE);
        assert_eq!((&front.seen()["hidden"], front.asked()), (&Value::Bool(true), before + 2));
        drop(browser);
    }
}

#[test]
fn a_refusal_that_may_pass_is_asked_again() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--source-linger", "100ms").start();
    let front = Front::of(&hub);
    front.set(Metrics::Refused(503));
    let browser = front.browser(&hub);
    eventually!(front.asked() >= 2, BROWSER_PATIENCE);
    // Nothing to show so far.
    eventually!(front.seen()["hidden"] == true, BROWSER_PATIENCE);
    front.set(Metrics::Hub);
    eventually!(front.says("live") && front.seen()["hidden"] == false, BROWSER_PATIENCE);
    drop(browser);
}
