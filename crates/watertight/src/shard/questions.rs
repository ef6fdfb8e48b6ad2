//! Walks over all sockets of a shard: listings, closing one by its number, closing the laggards, stopping. Each goes
//! on for a bounded number of sockets per turn, one walk after the other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use tokio::sync::oneshot;
use watertight_core::{CloseReason, End, Finish};

use super::list::ConnectionInfo;
use super::run::Shard;

/// Sockets furthest behind that are closed at once.
const A_FEW: usize = 16;

/// What is asked of all sockets.
#[derive(Debug)]
pub(super) enum Question {
    /// A page of a listing.
    List { limit: usize, page: Vec<(u32, ConnectionInfo)>, tell: oneshot::Sender<Vec<(u32, ConnectionInfo)>> },
    /// Close the connection of that number.
    Close { number: u64, reason: CloseReason, found: bool, tell: oneshot::Sender<bool> },
    /// Close those furthest behind (lag, slot, number) that take nothing: the last rung of the memory ladder.
    Laggards { furthest: BinaryHeap<Reverse<(u64, u32, u64)>> },
    /// Look at those under rights: some were withdrawn, or expire earlier than was known.
    Access,
    /// Let all read to the end, then close them.
    Finish(Finish),
}

#[derive(Debug)]
struct Walk {
    question: Question,
    /// The next slot it looks at.
    at: u32,
}

/// Questions in turn. Bounded by the requests in flight.
#[derive(Debug, Default)]
pub(super) struct Questions {
    walks: VecDeque<Walk>,
}

impl Questions {
    pub(super) fn ask(&mut self, question: Question, from: u32) {
        // Pressure that lasts asks again before the last walk is done.
        let is_laggards = |question: &Question| matches!(question, Question::Laggards { .. });
        if is_laggards(&question) && self.walks.iter().any(|walk| is_laggards(&walk.question)) {
            return;
        }
        // One that has not begun looks at everything that this one would.
        let is_access = |question: &Question| matches!(question, Question::Access);
        if is_access(&question) && self.walks.iter().any(|walk| walk.at == 0 && is_access(&walk.question)) {
            return;
        }
        self.walks.push_back(Walk { question, at: from });
    }

    /// Whether a walk is under way that must not miss a socket.
    pub(super) fn looks_at_access(&self) -> bool {
        self.walks.iter().any(|walk| matches!(walk.question, Question::Access))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }
}

/// How a hub that stops ends a shard's sockets.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    finish: Option<Finish>,
    /// Told when no socket is left.
    tell: Vec<oneshot::Sender<()>>,
}

impl Stopping {
    /// How a socket that comes now is ended.
    pub(super) fn finish(&self) -> Option<Finish> {
        self.finish
    }
}

impl Shard {
    /// Answers questions, looking at up to `budget` sockets.
    pub(super) fn answer_questions(&mut self, mut budget: usize) {
        while budget > 0
            && let Some(mut walk) = self.questions.walks.pop_front()
        {
            let end = self.sockets.end();
            let stop = end.min(walk.at.saturating_add(u32::try_from(budget).unwrap_or(u32::MAX)));
            budget = budget.saturating_sub(1 + (stop.saturating_sub(walk.at)) as usize);
            let is_done = self.walk(&mut walk, stop) || walk.at >= end;
            if is_done {
                self.answered(walk.question);
            } else {
                self.questions.walks.push_front(walk);
            }
        }
        super::sockets::give_back(&mut self.questions.walks);
    }

    /// Goes on to slot `stop`. `true`: it need not go further.
    fn walk(&mut self, walk: &mut Walk, stop: u32) -> bool {
        let from = walk.at;
        walk.at = stop.max(from);
        match &mut walk.question {
            Question::List { limit, page, .. } => {
                for (slot, conn) in self.sockets.iter_from(from).take_while(|(slot, _)| *slot < stop) {
                    if page.len() >= *limit {
                        return true;
                    }
                    let lag = conn.session().head().saturating_sub(conn.cursor.next);
                    let id = self.id_of(conn.cold.number);
                    let mut info = ConnectionInfo::of(id, conn.session(), conn.life(), lag, self.now);
                    info.sent += conn.sent;
                    info.stalled = conn.blocked;
                    info.address = conn.address();
                    page.push((slot, info));
                }
                page.len() >= *limit
            }
            Question::Close { number, reason, found, .. } => {
                let (number, reason) = (*number, *reason);
                let is_it = |slot: &u32| self.sockets.get(*slot).map(|conn| conn.cold.number) == Some(number);
                let Some(slot) = (from..stop).find(is_it) else { return false };
                *found = true;
                self.begin_close(slot, reason);
                true
            }
            Question::Laggards { furthest } => {
                for (slot, conn) in self.sockets.iter_from(from).take_while(|(slot, _)| *slot < stop) {
                    // What was sealed for a socket is its own, although its cursor is behind it.
                    let sealed = u64::from(conn.has_unsent());
                    let lag = conn.session().head().saturating_sub(conn.cursor.next).max(sealed);
                    // A socket that is behind but not full will be written to: it does not hold memory up.
                    if lag > 0 && conn.blocked && conn.life().closing().is_none() {
                        furthest.push(Reverse((lag, slot, conn.cold.number)));
                        if furthest.len() > A_FEW {
                            furthest.pop();
                        }
                    }
                }
                false
            }
            Question::Access => {
                for slot in from..stop {
                    if self.sockets.get(slot).is_some_and(|conn| conn.life().access().is_some()) {
                        self.look_at(slot);
                    }
                }
                false
            }
            Question::Finish(finish) => {
                let finish = *finish;
                for slot in from..stop {
                    if let Some(conn) = self.sockets.get_mut(slot) {
                        conn.with_life(|life| life.finish(finish));
                        self.arm(slot);
                        self.sockets.make_ready(slot);
                    }
                }
                false
            }
        }
    }

    fn answered(&mut self, question: Question) {
        // Whoever asked may have stopped waiting.
        match question {
            Question::List { page, tell, .. } => drop(tell.send(page)),
            Question::Close { found, tell, .. } => drop(tell.send(found)),
            Question::Laggards { furthest } => {
                for Reverse((_, slot, number)) in furthest {
                    // One whose slot changed meanwhile is found again at the ladder's next step.
                    if self.sockets.get(slot).map(|conn| conn.cold.number) == Some(number) {
                        self.begin_close(slot, CloseReason::SlowConsumer);
                    }
                }
            }
            Question::Access | Question::Finish(_) => {}
        }
    }

    pub(super) fn begin_shutdown(&mut self, finish: Finish, tell: oneshot::Sender<()>) {
        self.stopping.tell.push(tell);
        if self.stopping.finish.is_none() {
            self.stopping.finish = Some(finish);
            self.questions.ask(Question::Finish(finish), 0);
        }
    }

    /// Cuts off the sockets that are left when the grace is over, a few at a time, and answers when none is
    /// left.
    pub(super) fn look_at_the_end(&mut self, budget: usize) {
        let Some(finish) = self.stopping.finish else { return };
        if self.now >= finish.cut_off_at {
            for _ in 0..budget {
                let Some((slot, _)) = self.sockets.iter_from(0).next() else { break };
                self.finish(slot, End::CutOff(CloseReason::ShuttingDown));
            }
        }
        if self.sockets.is_empty() {
            for tell in self.stopping.tell.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = tell.send(());
            }
        }
    }
}
