//! The shard's loop: wait, take work, pass, drain, fire timers.
//!
//! Every sort of work gets a bounded share of a turn, so that none starves another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll, Registry};
use watertight_core::{End, Piece, Session, TaskSubscriber, Tick};
use watertight_wire::Encoder;

use super::batch::Batch;
use super::groups::Groups;
use super::look::Looks;
use super::publishers::Publishers;
use super::questions::{Question, Questions, Stopping};
use super::seal::Seal;
use super::sockets::Sockets;
use super::timers::Timers;
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
/// Sockets that questions of operators look at per turn.
const QUESTION_TURN: usize = 256;
/// Sockets that looks at groups meet per turn.
const LOOK_TURN: usize = 512;
/// Sessions with waiting publishers that are looked after per turn.
const PUBLISHER_TURN: usize = 64;
/// Sockets that are cut off per turn when the hub stops.
const CUT_OFF_TURN: usize = 256;
/// A pump with nothing to do makes a turn this often, so that a stuck pump can be told from an idle one.
const TURN_EVERY: Duration = Duration::from_secs(2);

/// A shard's state. Everything in it is given back when it is dropped. The pump works on it, and publishers while the
/// pump does not (`visit.rs`).
pub(super) struct Shard {
    index: usize,
    pub(super) hub: Arc<HubState>,
    pub(super) now: Tick,
    /// Until when the pump sleeps if nobody wakes it.
    pub(super) sleeps_until: Tick,
    /// A publisher panicked at work here: the pump drops this state and begins anew.
    pub(super) is_broken: bool,
    pub(super) sockets: Sockets,
    pub(super) groups: Groups,
    pub(super) timers: Timers,
    pub(super) looks: Looks,
    pub(super) publishers: Publishers,
    pub(super) questions: Questions,
    pub(super) stopping: Stopping,
    /// Sockets that failed during a walk over a group. While there are any, the pump alone works here.
    pub(super) failed: Vec<(u32, End)>,
    pub(super) encoder: Encoder,
    pub(super) seal: Seal,
    // Scratch space, kept between turns.
    pub(super) batch: Batch,
    pub(super) pieces: Vec<Piece>,
    pub(super) tasks: Vec<Arc<TaskSubscriber>>,
    work: Vec<Work>,
}

/// Runs the shard of `handle` until it is told to stop.
pub(super) fn run(handle: &ShardHandle, poll: &mut Poll) -> io::Result<()> {
    let mut events = Events::with_capacity(EVENTS);
    while !handle.is_stopped() {
        let waited = handle.work.wait(Shard::plan_sleep, |sleep_for| {
            poll.poll(&mut events, sleep_for.unwrap_or(Some(Duration::ZERO)))
        });
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        #[cfg(feature = "testing")]
        handle.injected.after_sleep()?;
        handle.own_shard(|shard| shard.turn(handle, &events))?;
    }
    Ok(())
}

impl Shard {
    pub(super) fn new(index: usize, hub: &Arc<HubState>, registry: Registry) -> Shard {
        let now = hub.clock.now();
        Shard {
            index,
            hub: Arc::clone(hub),
            now,
            sleeps_until: now,
            is_broken: false,
            sockets: Sockets::new(registry),
            groups: Groups::default(),
            timers: Timers::new(now),
            looks: Looks::default(),
            publishers: Publishers::default(),
            questions: Questions::default(),
            stopping: Stopping::default(),
            failed: Vec::new(),
            encoder: Encoder::new(),
            seal: Seal::new(&hub.budget),
            batch: Batch::default(),
            pieces: Vec::new(),
            tasks: Vec::new(),
            work: Vec::new(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Whether this shard looks after the session's tasks.
    pub(super) fn is_home_of(&self, session: &Session) -> bool {
        self.hub.home_of(session).is_some_and(|home| home.index() == self.index())
    }

    /// One turn of the pump.
    fn turn(&mut self, handle: &ShardHandle, events: &Events) {
        self.now = self.hub.clock.now();
        handle.last_turn.store(self.now.0, Ordering::Relaxed);
        // What failed while a publisher was at work, before any socket gets another slot.
        self.end_failed();
        for event in events {
            if event.token() != WAKE {
                self.socket_event(event);
            }
        }
        self.take_work(handle);
        self.run_passes(PASS_TURN);
        self.drain_ready(DRAIN_TURN);
        self.fire_timers(TIMER_TURN);
        self.run_looks(LOOK_TURN);
        self.look_after_publishers(PUBLISHER_TURN);
        self.answer_questions(QUESTION_TURN);
        self.look_at_the_end(CUT_OFF_TURN);
    }

    /// How long the pump may sleep (`Some(None)`: until it is woken); `None` while there is work.
    fn plan_sleep(shard: &mut Option<Box<Shard>>) -> Option<Option<Duration>> {
        // Without a state the next turn says why.
        let shard = shard.as_mut().filter(|shard| !shard.is_busy())?;
        let sleep_for = shard.sleep_for();
        shard.sleeps_until =
            sleep_for.map_or(Tick::NEVER, |sleep_for| shard.hub.clock.now().after(sleep_for));
        Some(sleep_for)
    }

    /// Whether something is left to do that the pump does not know of: a publisher was at work while it slept.
    pub(super) fn needs_its_pump(&self) -> bool {
        self.is_busy() || self.timers.next().is_some_and(|next| next < self.sleeps_until)
    }

    /// Whether something is left to do in the next turn.
    fn is_busy(&self) -> bool {
        self.is_broken
            || !self.failed.is_empty()
            || self.sockets.ready_len() > 0
            || self.groups.has_passes()
            || self.timers.has_due()
            || !self.questions.is_empty()
    }

    /// How long to wait for the kernel while there is nothing to do.
    fn sleep_for(&self) -> Option<Duration> {
        let later = [self.publishers.next(), self.looks.next()].into_iter().flatten().min();
        if !self.hub.clock.runs() {
            return later.map(|_| super::look::LOOK_EVERY);
        }
        let stop = self.stopping.finish().filter(|_| !self.sockets.is_empty());
        let stop = stop.map(|finish| finish.cut_off_at);
        let next = [self.timers.next(), later, stop].into_iter().flatten().min();
        let until = next.map_or(TURN_EVERY, |next| next.since(self.hub.clock.now()));
        Some(until.min(TURN_EVERY))
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
            && let Some(conn) = self.sockets.get_mut(slot)
            && conn.blocked
        {
            conn.note_room();
            self.sockets.make_ready(slot);
        }
    }

    fn take_work(&mut self, handle: &ShardHandle) {
        let mut work = std::mem::take(&mut self.work);
        handle.work.queue().drain(&mut work);
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
            Work::Paced(session) => self.publisher_waits(session),
            Work::Adopt(adoption) => self.adopt(*adoption),
            Work::Close { number, reason, tell } => {
                self.questions.ask(Question::Close { number, reason, found: false, tell }, 0);
            }
            Work::CloseLaggards => {
                self.questions.ask(Question::Laggards { furthest: Default::default() }, 0);
            }
            Work::LookAtAccess => self.questions.ask(Question::Access, 0),
            Work::List { from, limit, tell } => {
                self.questions.ask(Question::List { limit, page: Vec::new(), tell }, from);
            }
            Work::Shutdown { finish, tell } => self.begin_shutdown(finish, tell),
            #[cfg(feature = "testing")]
            #[expect(clippy::panic, reason = "asked for by a test")]
            Work::Panic => panic!("injected"),
            #[cfg(feature = "testing")]
            Work::Hold(until) => self.hub.shards[self.index].injected.standstill.until(&until),
        }
    }
}
