use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

use watertight_core::{Budget, Owner};

use super::{LINK_BYTES, TlsLink};
use crate::shard::conn::Wrote;
use crate::shard::seal::Seal;
use crate::tls::pair::{Pair, VERSIONS, records};
use crate::tls::{RECORD_BYTES, TlsSession};

/// A socket that takes so many bytes, one after the other; when no figure is left it is full.
#[derive(Default)]
struct Socket {
    takes: VecDeque<usize>,
    taken: Vec<u8>,
    /// Of each write: whether more was to follow.
    more: Vec<bool>,
}

impl super::Socket for Socket {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.more.push(more);
        let takes = self.takes.pop_front().unwrap_or(0).min(bytes.len());
        if takes == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.taken.extend_from_slice(&bytes[..takes]);
        Ok(takes)
    }
}

struct Bench {
    budget: Arc<Budget>,
    pair: Pair,
    link: TlsLink,
    seal: Seal,
}

fn bench() -> Bench {
    let budget = Budget::new(1 << 20, 1 << 20);
    let mut pair = Pair::connected(VERSIONS[0]);
    let session = std::mem::replace(&mut pair.server, TlsSession::new(crate::tls::pair::config()).unwrap());
    let link = TlsLink::new(session, Vec::new(), &budget);
    Bench { seal: Seal::new(&budget), link, pair, budget }
}

fn charged(budget: &Budget) -> usize {
    budget.used_by(Owner::Subscribers)
}

#[test]
fn a_record_that_was_cut_anywhere_is_finished_before_anything_else_and_its_rest_is_charged() {
    let mut bench = bench();
    let event = b"id: 1\ndata: hello\n\n";
    let mut length = usize::MAX;
    let mut cut = 0;
    while cut < length {
        let mut socket = Socket { takes: [cut].into(), ..Socket::default() };
        let wrote = bench.link.write(&mut socket, event, false, &mut bench.seal).unwrap();
        assert!(
            matches!(wrote, Wrote::Part(sealed) if sealed == event.len()),
            "sealed is written: {wrote:?}"
        );
        let left = charged(&bench.budget) - LINK_BYTES;
        length = cut + left;
        // Byte by byte; a full socket in between changes nothing.
        while bench.link.has_unsent() {
            assert_eq!(bench.link.write_unsent(&mut socket).unwrap(), 0);
            socket.takes = [1].into();
            assert_eq!(bench.link.write_unsent(&mut socket).unwrap(), 1);
        }
        assert_eq!(charged(&bench.budget), LINK_BYTES, "given back");
        assert_eq!(records(&socket.taken).len(), 1);
        assert_eq!(bench.pair.give_client(&socket.taken), event, "cut after {cut} bytes");
        cut += 1;
    }
    let mut socket = Socket { takes: [length].into(), ..Socket::default() };
    assert!(matches!(bench.link.write(&mut socket, event, false, &mut bench.seal), Ok(Wrote::All)));
    assert_eq!(bench.pair.give_client(&socket.taken), event);
    drop(bench.link);
    assert_eq!(charged(&bench.budget), 0);
}

#[test]
fn of_many_waiting_events_as_many_as_fit_go_into_one_record() {
    let mut bench = bench();
    let event = [b'e'; 1000];
    let runs: Vec<IoSlice<'_>> = (0..50).map(|_| IoSlice::new(&event)).collect();
    let mut socket = Socket { takes: vec![usize::MAX; 8].into(), ..Socket::default() };
    assert!(matches!(bench.link.write_vectored(&mut socket, &runs, &mut bench.seal), Ok(Wrote::All)));
    let found = records(&socket.taken);
    assert_eq!(found.len(), 50_000usize.div_ceil(RECORD_BYTES));
    assert_eq!(socket.more, [true, true, true, false], "the kernel may put them together");
    assert!(found.iter().all(|(kind, bytes)| *kind == 23 && *bytes <= 5 + RECORD_BYTES + 32), "{found:?}");
    assert_eq!(bench.pair.give_client(&socket.taken), event.repeat(50));
}

#[test]
fn no_more_is_sealed_once_the_socket_is_full() {
    let mut bench = bench();
    let event = vec![b'e'; 5 * RECORD_BYTES];
    for vectored in [false, true] {
        let mut socket = Socket { takes: [usize::MAX, 10].into(), ..Socket::default() };
        let wrote = if vectored {
            bench.link.write_vectored(&mut socket, &[IoSlice::new(&event)], &mut bench.seal).unwrap()
        } else {
            bench.link.write(&mut socket, &event, false, &mut bench.seal).unwrap()
        };
        assert!(matches!(wrote, Wrote::Part(sealed) if sealed == 2 * RECORD_BYTES), "{wrote:?}");
        assert!(charged(&bench.budget) - LINK_BYTES <= RECORD_BYTES + 32, "one record is kept at most");
        socket.takes = [usize::MAX].into();
        bench.link.write_unsent(&mut socket).unwrap();
        assert_eq!(bench.pair.give_client(&socket.taken), event[..2 * RECORD_BYTES]);
    }
}

#[test]
fn close_notify_goes_behind_the_last_bytes_in_the_same_write_and_is_not_said_again() {
    let mut bench = bench();
    let mut socket = Socket { takes: [usize::MAX].into(), ..Socket::default() };
    assert!(matches!(bench.link.write(&mut socket, b"the end", true, &mut bench.seal), Ok(Wrote::All)));
    socket.takes = [usize::MAX].into();
    let before = socket.taken.len();
    bench.link.say_close(&mut socket, &mut bench.seal);
    assert_eq!(socket.taken.len(), before);
    assert_eq!(bench.pair.give_client(&socket.taken), b"the end");
    assert!(bench.pair.client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn close_notify_is_left_away_where_a_record_is_half_written() {
    let mut bench = bench();
    let mut socket = Socket { takes: [7].into(), ..Socket::default() };
    bench.link.write(&mut socket, b"event", false, &mut bench.seal).unwrap();
    socket.takes = [usize::MAX].into();
    bench.link.say_close(&mut socket, &mut bench.seal);
    assert_eq!(socket.taken.len(), 7);
}

#[test]
fn what_was_sealed_before_the_socket_came_is_sent_first_and_charged_until_then() {
    let mut bench = bench();
    let session =
        std::mem::replace(&mut bench.link.session, TlsSession::new(crate::tls::pair::config()).unwrap());
    let (mut session, mut unsent) = (session, Vec::new());
    session.seal(b"first ", &mut unsent).unwrap();
    let mut link = TlsLink::new(session, unsent.clone(), &bench.budget);
    assert_eq!(charged(&bench.budget), 2 * LINK_BYTES + unsent.len());
    let mut socket = Socket { takes: [usize::MAX, usize::MAX].into(), ..Socket::default() };
    link.write_unsent(&mut socket).unwrap();
    link.write(&mut socket, b"second", false, &mut bench.seal).unwrap();
    assert_eq!(bench.pair.give_client(&socket.taken), b"first second");
}

#[test]
fn a_record_that_is_half_there_is_charged_until_it_is_whole() {
    let mut bench = bench();
    bench.pair.client.writer().write_all(&[b'x'; 5000]).unwrap();
    let mut bytes = bench.pair.take_from_client();
    let (first, second) = bytes.split_at_mut(4000);
    let mut socket = Socket::default();
    assert!(!bench.link.receive(&mut socket, first, &mut bench.seal).unwrap());
    assert_eq!(charged(&bench.budget), LINK_BYTES + 4000);
    assert!(!bench.link.receive(&mut socket, second, &mut bench.seal).unwrap());
    assert_eq!(charged(&bench.budget), LINK_BYTES);
}

#[test]
fn a_record_that_is_half_there_is_refused_where_the_budget_is_full() {
    let mut bench = bench();
    let _all = bench.budget.charge(Owner::Frames, 1 << 20);
    bench.pair.client.writer().write_all(&[b'x'; 5000]).unwrap();
    let mut bytes = bench.pair.take_from_client();
    assert!(bench.link.receive(&mut Socket::default(), &mut bytes[..4000], &mut bench.seal).is_err());
}
