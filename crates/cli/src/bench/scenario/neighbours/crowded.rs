//! Calls that look at a session of very many sockets: lists of connections, and publishers that wait for readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::super::Bench;
use super::super::super::background::Background;
use super::super::super::endpoint::Blocking;
use super::super::super::failure::Outcome;
use super::super::super::http::HttpClient;
use super::super::super::hub::{Hub, subscribe_request};
use super::super::super::process::{files_allowed, give_way};
use super::super::readers::Readers;
use super::super::silent;
use super::{FILES, LEAD, Neighbour};

const SESSION: &str = "crowded";

/// Calls of `GET /connections`, at most.
const LISTS: u64 = 10_000;

/// Publishers that wait.
const PUBLISHERS: usize = 1000;

/// Data of their events, in bytes: a few of them fill a socket with the smallest buffers.
const EVENT_BYTES: usize = 8 * 1024;

/// Sockets of one session. Nobody reads what comes.
struct Sockets {
    wanted: u64,
    streams: Vec<Blocking>,
}

impl Sockets {
    fn new(wanted: u64) -> Self {
        Self { wanted, streams: Vec::new() }
    }

    fn open(&mut self, bench: &Bench, hub: &Hub) -> Outcome<()> {
        let count = self.wanted.min(files_allowed().saturating_sub(FILES));
        bench.progress.step(format!("{count} sockets of one session"));
        let request = subscribe_request(SESSION, "", None);
        for _ in 0..count {
            self.streams.push(silent::ask(hub.address, &request)?);
            bench.check()?;
        }
        Ok(())
    }
}

/// `GET /connections`, one after the other.
pub(super) struct Lists {
    sockets: Sockets,
    done: Arc<AtomicU64>,
    calling: Option<Background<Outcome<()>>>,
}

impl Lists {
    pub(super) fn new(sockets: u64) -> Self {
        Self { sockets: Sockets::new(sockets), done: Arc::default(), calling: None }
    }
}

impl Neighbour for Lists {
    fn name(&self) -> String {
        "GET /connections again and again".into()
    }

    fn prepare(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        self.sockets.open(bench, hub)
    }

    fn begin(&mut self, _: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        let mut client = HttpClient::connect(hub.address)?;
        let done = Arc::clone(&self.done);
        self.calling = Some(Background::start("lists", move |stop| {
            give_way()?;
            while !stop.is_asked() && done.load(Ordering::Relaxed) < LISTS {
                client.get("/connections")?.json("GET /connections")?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })?);
        Ok(())
    }

    fn end(&mut self, _: &mut Hub) -> Outcome<Option<String>> {
        if let Some(calling) = self.calling.take() {
            calling.stop()??;
        }
        let (done, sockets) = (self.done.load(Ordering::Relaxed), self.sockets.streams.len());
        Ok(Some(format!("{done} calls with {sockets} sockets")))
    }
}

/// Publishers whose answer waits for readers that take nothing.
pub(super) struct Waiting {
    sockets: Sockets,
    publishers: Vec<Blocking>,
    /// Requests that were live soon after they came.
    live: u64,
}

impl Waiting {
    pub(super) fn new(sockets: u64) -> Self {
        Self { sockets: Sockets::new(sockets), publishers: Vec::new(), live: 0 }
    }
}

impl Neighbour for Waiting {
    fn name(&self) -> String {
        format!("{PUBLISHERS} waiting publishers")
    }

    /// Publishers wait once readers are ten events behind.
    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("max_queue_size", "20"), ("max_requests_in_flight", "2000"), ("send_buffer_bytes", "16KiB")]
    }

    fn prepare(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        self.sockets.open(bench, hub)
    }

    /// They wait for as long as the hub lets them.
    fn begin(&mut self, bench: &Bench, hub: &mut Hub, _: &mut Readers) -> Outcome<()> {
        let data = vec![b'x'; EVENT_BYTES];
        let mut request = Vec::new();
        HttpClient::connect(hub.address)?.write_post(
            &mut request,
            &format!("/sessions/{SESSION}/events"),
            "text/plain",
            &data,
        );
        for _ in 0..PUBLISHERS {
            self.publishers.push(silent::ask(hub.address, &request)?);
        }
        bench.pause(LEAD)?;
        self.live = hub.stats()?.live("request")?;
        Ok(())
    }

    fn end(&mut self, _: &mut Hub) -> Outcome<Option<String>> {
        self.publishers.clear();
        Ok(Some(format!("{} requests were live, with {} sockets", self.live, self.sockets.streams.len())))
    }
}
