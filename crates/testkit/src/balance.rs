//! The assertion that everything was given back. Looks from outside: `/stats` and `/proc` must agree.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::PATIENCE;
use crate::http::{Client, Response};
use crate::hub::HubProcess;
use crate::process::Process;
use crate::raw::RawConnection;
use crate::stats::{Ledger, Stats};

/// Kinds that must be back where they were, the asking connection included. Sessions are not: they stay for
/// their TTL by design.
const KINDS: [&str; 7] =
    ["connection", "subscription", "source", "timer", "redisSubscription", "task", "request"];

/// Owners of bytes that must be back with those kinds, whatever sessions are left.
const OWNERS: [&str; 2] = ["subscribers", "requests"];
/// Owners of bytes that must be back once all sessions are gone. Idempotency keys (`caches`) are not: they stay
/// for their TTL by design.
const SESSION_OWNERS: [&str; 2] = ["frames", "sessions"];

/// What there was when the hub had just started.
#[derive(Debug)]
pub(crate) struct Balance(Look);

/// What there is now, seen through one connection that stays open meanwhile, so that looking changes nothing.
#[derive(Debug)]
struct Look {
    ledger: Ledger,
    /// Bytes charged, by owner.
    owners: BTreeMap<String, u64>,
    fds: usize,
    sockets: usize,
}

impl Balance {
    pub(crate) fn at_start(hub: &HubProcess) -> Balance {
        // Twice the same: what the hub starts has started.
        let mut before = look(hub.process(), hub.address(), hub.client()).ok();
        let settled = crate::eventually::wait_until(
            "the hub settles after its start",
            PATIENCE,
            || {
                let now = look(hub.process(), hub.address(), hub.client()).ok();
                let pair = (before.take(), now);
                before = look(hub.process(), hub.address(), hub.client()).ok();
                pair
            },
            |(before, now)| {
                let live = |look: &Look| KINDS.map(|kind| look.ledger.live(kind));
                before
                    .as_ref()
                    .zip(now.as_ref())
                    .is_some_and(|(before, now)| live(before) == live(now) && before.fds == now.fds)
            },
        );
        Balance(settled.1.unwrap())
    }

    pub(crate) fn assert(&self, hub: &HubProcess) {
        self.assert_process(hub.process(), hub.address(), hub.client());
    }

    pub(crate) fn assert_process(&self, process: Process, address: SocketAddr, client: &Client) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wrong = match look(process, address, client) {
                Ok(now) => self.compare(&now),
                Err(error) => vec![format!("/stats does not answer: {error}")],
            };
            if wrong.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not everything came back within {PATIENCE:?}:\n  {}\n  descriptors: {:?}",
                wrong.join("\n  "),
                process.links()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn compare(&self, now: &Look) -> Vec<String> {
        let start = &self.0;
        // One that still moves may be caught in between; one that never adds up is wrong.
        let mut wrong: Vec<String> = now.ledger.check().err().into_iter().collect();
        let mut check = |what: &str, is: u64, should: u64| {
            if is != should {
                wrong.push(format!("{what}: {is} instead of {should}"));
            }
        };
        for kind in KINDS {
            check(&format!("ledger {kind} live"), now.ledger.live(kind), start.ledger.live(kind));
        }
        check("open descriptors", now.fds as u64, start.fds as u64);
        check(
            "sockets in /proc, by the ledger's connections",
            now.sockets as u64,
            now.ledger.live("connection"),
        );
        let has_sessions = now.ledger.live("session") > start.ledger.live("session");
        let of_sessions = SESSION_OWNERS.iter().filter(|_| !has_sessions);
        for owner in OWNERS.iter().chain(of_sessions) {
            let bytes = |look: &Look| look.owners.get(*owner).copied().unwrap_or_default();
            check(&format!("bytes charged to {owner}"), bytes(now), bytes(start));
        }
        wrong
    }
}

fn look(process: Process, address: SocketAddr, client: &Client) -> std::io::Result<Look> {
    let mut connection = RawConnection::connect_with(address, client.options())?;
    let mut ask = || {
        connection.try_send(format!("GET /stats HTTP/1.1\r\nHost: {address}\r\n\r\n"))?;
        let answer = Response::read_from(&mut connection, "GET", Instant::now() + PATIENCE)?;
        if answer.status != 200 {
            // It may not have noticed yet that those who filled it have left.
            return Err(std::io::Error::other(format!("{}: {}", answer.status, answer.text())));
        }
        Ok::<_, std::io::Error>(Stats::new(answer.json()))
    };
    ask()?;
    let (fds, sockets) = (process.fds(), process.sockets(address));
    // Asked again: a difference that exists only because ledger and kernel were read at different instants is
    // gone by now.
    let stats = ask()?;
    Ok(Look { ledger: stats.ledger(), owners: stats.owners(), fds, sockets })
}
