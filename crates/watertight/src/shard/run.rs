//! The shard's loop: wait, take work, pass, drain, fire timers.
//!
//! Every sort of work gets a bounded turn, so that none starves another. A panic ends the turn, not the hub:
//! the sockets of the shard are dropped, their guards run, and the loop starts anew.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use mio::{Events, Poll, Registry};
use slab::Slab;
use tokio::sync::oneshot;
use tracing::error;
use watertight_core::registry::ScanPoint;
use watertight_core::{CloseReason, Entry, Piece, Session, TaskSubscriber, Tick, Wheel};
use watertight_wire::Encoder;

use super::batch::Batch;
use super::conn::Conn;
use super::ending::End;
use super::pass::Group;
use super::{ShardHandle, WAKE, Work};
use crate::hub::HubState;

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// Sockets that passes look at per turn.
const PASS_TURN: usize = 1024;
/// Ready sockets that are written to per turn.
const DRAIN_TURN: usize = 64;
/// Timers that are fired per turn.
const TIMER_TURN: usize = 1024;
/// How often waiting publishers are looked after.
const PACED_EVERY: Duration = Duration::from_millis(10);
/// Bytes a subscriber may send after its request before it is cut off. They are read and thrown away.
const RECEIVED_MAX: u32 = 64 * 1024;
/// Scratch space for what is thrown away.
const DISCARD_BYTES: usize = 4096;

/// A shard's state. Everything in it is given back when it is dropped.
pub(super) struct Shard<'a> {
    handle: &'a Arc<ShardHandle>,
    pub(super) inner: &'a Arc<HubState>,
    pub(super) registry: &'a Registry,
    pub(super) now: Tick,
    /// Adopted sockets. Bounded by the gate's permits.
    pub(super) conns: Slab<Conn>,
    pub(super) groups: Slab<Group>,
    pub(super) wheel: Wheel,
    /// Sockets that may be written to, in turn; each stands here once.
    pub(super) ready: VecDeque<u32>,
    /// Groups that wait for a pass, in turn; each stands here once.
    pub(super) passes: VecDeque<u32>,
    /// Sockets that failed during a walk.
    pub(super) failed: Vec<(u32, End)>,
    /// Sessions whose publishers wait.
    paced: Vec<Arc<Session>>,
    next_paced: Tick,
    /// Set once the hub stops: when whoever is left is cut off, and who waits for the end.
    stopping: Option<Tick>,
    waiting_for_end: Vec<oneshot::Sender<()>>,
    ended: bool,
    pub(super) encoder: Encoder,
    // Scratch space, kept between turns.
    pub(super) batch: Batch,
    pub(super) pieces: Vec<Piece>,
    /// Connections whose timer fired, in turn.
    pub(super) due: VecDeque<u32>,
    pub(super) tasks: Vec<Arc<TaskSubscriber>>,
    pub(super) publishers: Vec<Arc<AtomicWaker>>,
    work: Vec<Work>,
}

/// Runs a shard until it is told to stop, through panics.
pub(super) fn supervise(mut poll: Poll, handle: &Arc<ShardHandle>, inner: &Arc<HubState>, _entry: Entry) {
    loop {
        let registry = match poll.registry().try_clone() {
            Ok(registry) => registry,
            Err(error) => {
                error!(%error, shard = handle.index(), "a pump cannot watch sockets and ends");
                return;
            }
        };
        let run = AssertUnwindSafe(|| Shard::new(handle, inner, &registry).run(&mut poll));
        match catch_unwind(run) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!(%error, shard = handle.index(), "a pump failed and starts anew"),
            Err(_) => error!(shard = handle.index(), "a pump panicked and starts anew"),
        }
        inner.counters.pump_restarts.fetch_add(1, Ordering::Relaxed);
        announce_all(handle, inner);
    }
}

/// After a restart: whatever the old loop had taken and not done is asked for again.
fn announce_all(handle: &ShardHandle, inner: &HubState) {
    let mut place = Some(ScanPoint::default());
    while let Some(at) = place {
        let swept = inner.registry.slice(
            at,
            |_| false,
            |session| {
                session.slot(handle.index()).clear();
                inner.announce(session);
                if session.has_paced() {
                    handle.send(Work::Paced(Arc::clone(session)));
                }
            },
        );
        place = swept.next;
    }
}

impl<'a> Shard<'a> {
    fn new(handle: &'a Arc<ShardHandle>, inner: &'a Arc<HubState>, registry: &'a Registry) -> Shard<'a> {
        let now = inner.clock.now();
        Shard {
            handle,
            inner,
            registry,
            now,
            conns: Slab::new(),
            groups: Slab::new(),
            wheel: Wheel::new(now),
            ready: VecDeque::new(),
            passes: VecDeque::new(),
            failed: Vec::new(),
            paced: Vec::new(),
            next_paced: now,
            stopping: None,
            waiting_for_end: Vec::new(),
            ended: false,
            encoder: Encoder::new(),
            batch: Batch::default(),
            pieces: Vec::new(),
            due: VecDeque::new(),
            tasks: Vec::new(),
            publishers: Vec::new(),
            work: Vec::new(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.handle.index()
    }

    fn run(&mut self, poll: &mut Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.ended {
            let timeout = self.sleep_for();
            match poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            self.handle.queue.unpark();
            self.now = self.inner.clock.now();
            for event in &events {
                if event.token() != WAKE {
                    self.socket_event(event);
                }
            }
            self.take_work();
            self.run_passes(PASS_TURN);
            self.drain_ready(DRAIN_TURN);
            self.fire_timers(TIMER_TURN);
            self.look_after_publishers();
            self.look_at_the_end();
        }
        Ok(())
    }

    /// How long to wait for the kernel: not at all while there is something to do.
    fn sleep_for(&self) -> Option<Duration> {
        let busy = !self.ready.is_empty() || !self.passes.is_empty() || !self.due.is_empty();
        if busy || !self.handle.queue.park() {
            return Some(Duration::ZERO);
        }
        if !self.inner.clock.runs() {
            return (!self.paced.is_empty()).then_some(PACED_EVERY);
        }
        let paced = (!self.paced.is_empty()).then_some(self.next_paced);
        let next = [self.wheel.next(), paced, self.stopping].into_iter().flatten().min()?;
        Some(next.since(self.inner.clock.now()))
    }

    fn socket_event(&mut self, event: &mio::event::Event) {
        let Ok(slot) = u32::try_from(event.token().0) else { return };
        if (event.is_readable() || event.is_read_closed() || event.is_error())
            && let Some(end) = self.read_and_discard(slot)
        {
            self.finish(slot, end);
            return;
        }
        if event.is_writable()
            && let Some(conn) = self.conns.get_mut(slot as usize)
            && conn.blocked
        {
            conn.blocked = false;
            conn.set_kernel_patience();
            self.make_ready(slot);
        }
    }

    /// Reads what a subscriber sends, throws it away, and notices when it leaves: also behind bytes that it
    /// had pipelined.
    fn read_and_discard(&mut self, slot: u32) -> Option<End> {
        let conn = self.conns.get_mut(slot as usize)?;
        let mut scratch = [0; DISCARD_BYTES];
        loop {
            match (&conn.socket).read(&mut scratch) {
                Ok(0) => return Some(End::PeerClosed),
                Ok(read) => {
                    let read = u32::try_from(read).unwrap_or(u32::MAX);
                    conn.cold.state.received = conn.cold.state.received.saturating_add(read);
                    if conn.cold.state.received > RECEIVED_MAX {
                        return Some(End::PeerTalked);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(End::from_error(&error)),
            }
        }
    }

    fn take_work(&mut self) {
        let mut work = std::mem::take(&mut self.work);
        self.handle.queue.drain(&mut work);
        for item in work.drain(..) {
            self.do_work(item);
        }
        if work.capacity() > 4 * EVENTS {
            work.shrink_to(EVENTS);
        }
        self.work = work;
    }

    fn do_work(&mut self, item: Work) {
        match item {
            Work::Dirty(session) => self.session_has_news(&session),
            Work::Paced(session) => {
                if let Some(key) = session.slot(self.index()).group() {
                    self.look_at_group(key, 0);
                }
                self.wake_paced(&session);
                if !self.paced.iter().any(|known| Arc::ptr_eq(known, &session)) {
                    self.paced.push(session);
                }
            }
            Work::Adopt(adoption) => self.adopt(*adoption),
            Work::Close { slot, generation, reason, tell } => {
                let there =
                    self.conns.get(slot as usize).is_some_and(|conn| conn.cold.generation == generation);
                if there {
                    self.begin_close(slot, reason);
                }
                let _ = tell.send(there);
            }
            Work::CloseLaggard => self.close_laggards(),
            Work::List { from, limit, tell } => drop(tell.send(self.list(from, limit))),
            Work::Shutdown { deadline, tell } => self.begin_shutdown(deadline, tell),
            Work::Stop => self.ended = true,
            #[cfg(feature = "testing")]
            #[expect(clippy::panic, reason = "asked for by a test")]
            Work::Panic => panic!("injected"),
        }
    }

    /// Publishers that wait are woken from time to time: readers may have drawn level, or stalled for good.
    fn look_after_publishers(&mut self) {
        if self.paced.is_empty() || (self.inner.clock.runs() && self.now < self.next_paced) {
            return;
        }
        // Since they were last looked after; not since long ago, when nobody waited.
        let every_ms = u64::try_from(PACED_EVERY.as_millis()).unwrap_or(1);
        let late_ms = self.now.0.saturating_sub(self.next_paced.0);
        let waited_ms = every_ms + late_ms.min(10 * every_ms);
        self.next_paced = self.now.after(PACED_EVERY);
        let mut paced = std::mem::take(&mut self.paced);
        paced.retain(|session| {
            if let Some(key) = session.slot(self.index()).group() {
                self.look_at_group(key, waited_ms);
            }
            self.wake_paced(session);
            session.has_paced()
        });
        self.paced = paced;
    }

    fn begin_shutdown(&mut self, deadline: Tick, tell: oneshot::Sender<()>) {
        self.stopping = Some(self.stopping.map_or(deadline, |earlier| earlier.min(deadline)));
        self.waiting_for_end.push(tell);
        let slots: Vec<usize> = self.conns.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.begin_close(u32::try_from(slot).unwrap_or(u32::MAX), CloseReason::ShuttingDown);
        }
    }

    fn look_at_the_end(&mut self) {
        let Some(deadline) = self.stopping else { return };
        if self.now >= deadline {
            let slots: Vec<usize> = self.conns.iter().map(|(slot, _)| slot).collect();
            for slot in slots {
                let slot = u32::try_from(slot).unwrap_or(u32::MAX);
                self.finish(slot, End::CutOff(CloseReason::ShuttingDown));
            }
            self.stopping = None;
        }
        if self.conns.is_empty() {
            self.stopping = None;
            for tell in self.waiting_for_end.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = tell.send(());
            }
        }
    }
}
