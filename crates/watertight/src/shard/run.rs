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

/// A shard's state. Everything in it is given back when it is dropped.
pub(super) struct Shard<'a> {
    handle: &'a Arc<ShardHandle>,
    pub(super) hub: &'a Arc<HubState>,
    pub(super) now: Tick,
    pub(super) sockets: Sockets,
    pub(super) groups: Groups,
    pub(super) timers: Timers,
    pub(super) looks: Looks,
    pub(super) publishers: Publishers,
    pub(super) questions: Questions,
    pub(super) stopping: Stopping,
    /// Sockets that failed during a walk over a group.
    pub(super) failed: Vec<(u32, End)>,
    pub(super) encoder: Encoder,
    pub(super) seal: Seal,
    // Scratch space, kept between turns.
    pub(super) batch: Batch,
    pub(super) pieces: Vec<Piece>,
    pub(super) tasks: Vec<Arc<TaskSubscriber>>,
    work: Vec<Work>,
}

impl<'a> Shard<'a> {
    pub(super) fn new(handle: &'a Arc<ShardHandle>, hub: &'a Arc<HubState>, registry: Registry) -> Shard<'a> {
        let now = hub.clock.now();
        Shard {
            handle,
            hub,
            now,
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
        self.handle.index()
    }

    /// Whether this shard looks after the session's tasks.
    pub(super) fn is_home_of(&self, session: &Session) -> bool {
        self.hub.home_of(session).is_some_and(|home| home.index() == self.index())
    }

    /// Runs until the shard is told to stop.
    pub(super) fn run(&mut self, poll: &mut Poll) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.handle.is_stopped() {
            let waited = self.handle.queue.wait(self.is_busy(), |may_sleep| {
                let timeout = if may_sleep { self.sleep_for() } else { Some(Duration::ZERO) };
                poll.poll(&mut events, timeout)
            });
            match waited {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            self.handle.injected_failure()?;
            self.now = self.hub.clock.now();
            self.handle.last_turn.store(self.now.0, Ordering::Relaxed);
            for event in &events {
                if event.token() != WAKE {
                    self.socket_event(event);
                }
            }
            self.take_work();
            self.run_passes(PASS_TURN);
            self.drain_ready(DRAIN_TURN);
            self.fire_timers(TIMER_TURN);
            self.run_looks(LOOK_TURN);
            self.look_after_publishers(PUBLISHER_TURN);
            self.answer_questions(QUESTION_TURN);
            self.look_at_the_end(CUT_OFF_TURN);
        }
        Ok(())
    }

    /// Whether something is left to do in the next turn.
    fn is_busy(&self) -> bool {
        self.sockets.ready_len() > 0
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
            Work::Hold(until) => drop(until.recv()),
        }
    }
}
