//! One round: a hub, its readers and publishers, a number of random actions, and then the settling of all
//! accounts. One thread does it all and never waits for any one of them, so what it does follows from the seed;
//! what the hub does meanwhile is its own.

mod settle;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::line::{Answer, Line, Protocol, Request, Target};
use super::loss::Loss;
use super::model::{Model, Order};
use super::publisher::{Begun, Form, Manner, Publication, Tried, Try};
use super::reader::{Delivery, Pace, Reader, World};
use super::sequence::Ask;
use super::setting::{KEY_TTL, RETRY_WITHIN, Setting};
use super::{Options, Trouble};
use crate::tls::trusting_client;
use crate::{HubProcess, Signal};

/// Sessions of a round.
const SESSIONS: usize = 5;
/// Readers of a round.
const READERS: usize = 30;
/// Those of them that seldom leave.
const STEADY: usize = 12;
/// Requests that publish under way at once, and of them in one session.
const TRIES: usize = 16;
const TRIES_PER_SESSION: usize = 5;
/// Events of one request at most.
const BATCH: usize = 12;
/// A body over HTTP/2 that fits the window which a connection begins with, bytes.
const HTTP2_BODY: usize = 30_000;
/// How long it waits for something to come, if nothing is there.
const IDLE: Duration = Duration::from_millis(1);

/// A deletion under way, or an end: either ends a life, and the next publish begins another.
#[derive(Debug)]
struct Deletion {
    session: String,
    answer: Answer,
}

/// One hub and all that is done to it.
pub(super) struct Round {
    hub: HubProcess,
    target: Target,
    setting: Setting,
    random: fastrand::Rng,
    pub(super) model: Model,
    loss: Loss,
    sessions: Vec<String>,
    readers: Vec<Reader>,
    tries: Vec<Try>,
    /// Publications with a key that will be tried again.
    again: Vec<Publication>,
    deletions: Vec<Deletion>,
    keys: u64,
    /// Bytes that were charged before anything was done, but for the request that asked.
    kept_at_start: u64,
    /// Actions so far.
    pub(super) step: u64,
}

impl Round {
    pub(super) fn new(binary: &Path, options: &Options, number: u64) -> Round {
        let seed = options.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut random = fastrand::Rng::with_seed(seed);
        let setting = Setting::draw(number, &mut random);
        let hub = setting.hub(binary).start();
        let kept_at_start = hub.stats().kept_bytes();
        let tls = setting.has_tls.then(|| [trusting_client(&[b"http/1.1"]), trusting_client(&[b"h2"])]);
        let target = Target { address: hub.address(), tls };
        let sessions: Vec<String> = (0..SESSIONS).map(|n| format!("s{n}")).collect();
        let model = Model::new(setting.limits());
        let loss = Loss::new(options.lose_one_in, seed);
        let mut round = Round {
            hub,
            target,
            setting,
            random,
            model,
            loss,
            sessions,
            readers: Vec::new(),
            tries: Vec::new(),
            again: Vec::new(),
            deletions: Vec::new(),
            keys: 0,
            kept_at_start,
            step: 0,
        };
        round.readers = (0..READERS).map(|_| round.newcomer()).collect();
        round
    }

    /// What the round runs against, in a line.
    pub(super) fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Events that readers got.
    pub(super) fn delivered(&self) -> u64 {
        self.loss.delivered
    }

    /// The last lines of the hub's log, and no assertion on the hub any more: the round has failed.
    pub(super) fn fail(&mut self) -> String {
        self.hub.signal(Signal::CONT);
        self.hub.assert_nothing();
        let log = self.hub.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// The history of a reader and what is known of its session.
    pub(super) fn describe(&self, reader: usize) -> String {
        let reader = &self.readers[reader];
        let session = &reader.sequence.session;
        format!(
            "its history, the last of it:\n{}of session {session}: {}",
            reader.history,
            self.model.describe(session)
        )
    }

    /// Random actions, until `steps` are done, `until` has come, or the run is stopped.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn run(
        &mut self,
        steps: u64,
        until: Option<Instant>,
        stop: &AtomicBool,
    ) -> Result<(), Trouble> {
        while self.step < steps && until.is_none_or(|until| now() < until) && !stop.load(Ordering::SeqCst) {
            self.step += 1;
            self.act()?;
            if !self.sweep()? {
                std::thread::sleep(IDLE);
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), Trouble> {
        match self.random.u32(0..1000) {
            0..450 => self.publish(),
            450..650 => self.come_back(),
            650..720 => self.send_away(),
            720..790 => self.change_pace(),
            790..830 => self.replace(),
            830..990 => self.try_again(),
            990..993 => self.delete(),
            993..996 => return self.pause(),
            996..998 => self.end(),
            _ => self.look()?,
        }
        Ok(())
    }

    fn any_session(&mut self) -> String {
        self.random.choice(&self.sessions).cloned().unwrap()
    }

    fn any_protocol(&mut self) -> Protocol {
        [Protocol::Http10, Protocol::Http11, Protocol::Http11, Protocol::Http2][self.random.usize(0..4)]
    }

    fn newcomer(&mut self) -> Reader {
        let protocol = self.any_protocol();
        let is_poll = self.random.u8(0..3) == 0 && protocol != Protocol::Http10;
        let delivery = if is_poll { Delivery::Poll(protocol) } else { Delivery::Stream(protocol) };
        let pace =
            if self.random.u8(0..4) == 0 { Pace::Slow(self.random.usize(1..4000)) } else { Pace::Eager };
        Reader::new(&self.any_session(), delivery, pace)
    }

    fn publish(&mut self) {
        let session = self.any_session();
        let in_session = self.tries.iter().filter(|one| one.publication.session == session).count();
        if self.tries.len() >= TRIES || in_session >= TRIES_PER_SESSION {
            return;
        }
        let random = &mut self.random;
        let form = [Form::Text, Form::One, Form::Batch, Form::Lines][random.usize(0..4)];
        let events = if matches!(form, Form::Text | Form::One) { 1 } else { random.usize(1..=BATCH) };
        let ttls = [0.05, 0.3, 2.0].map(Duration::from_secs_f64);
        let ttl = if random.u8(0..5) == 0 { Some(ttls[random.usize(0..3)]) } else { self.setting.event_ttl };
        let order = Order { session, events, bytes: self.setting.bytes(random), ttl };
        self.keys += 1;
        let key = (random.bool()).then(|| format!("key-{}", self.keys));
        let publication = Publication::new(order, form, key.as_deref(), &mut self.model);
        self.begin(publication);
    }

    fn begin(&mut self, publication: Publication) {
        let random = &mut self.random;
        let manner = match random.u8(0..10) {
            0 => Manner::Leaves(Duration::from_millis(random.u64(0..30))),
            1 => Manner::Breaks(random.f64()),
            _ => Manner::Waits,
        };
        let is_small = publication.body_bytes() <= HTTP2_BODY;
        let protocol = if is_small && random.u8(0..4) == 0 { Protocol::Http2 } else { Protocol::Http11 };
        match Try::begin(publication, manner, protocol, &self.target, &mut self.model, now()) {
            Begun::UnderWay(one) => self.tries.push(one),
            Begun::Over(publication) => self.keep(publication),
        }
    }

    /// Keeps a publication for another try.
    fn keep(&mut self, publication: Publication) {
        if publication.has_key && self.again.len() < 4 * TRIES {
            self.again.push(publication);
        }
    }

    fn try_again(&mut self) {
        self.again.retain(|publication| publication.may_retry(now(), RETRY_WITHIN));
        if self.again.is_empty() || self.tries.len() >= 2 * TRIES {
            return;
        }
        let publication = self.again.swap_remove(self.random.usize(0..self.again.len()));
        self.begin(publication);
    }

    fn come_back(&mut self) {
        let away: Vec<usize> =
            (0..self.readers.len()).filter(|reader| self.readers[*reader].is_away()).collect();
        let Some(reader) = self.random.choice(away) else { return };
        let ask = self.ask_of(reader);
        self.readers[reader].come(&self.target, ask, &self.model);
    }

    /// What a reader that comes asks for: mostly what follows its last event, sometimes with an id that is wrong.
    fn ask_of(&mut self, reader: usize) -> Ask {
        if self.readers[reader].was_ended && self.random.bool() {
            self.readers[reader].sequence.forget();
        }
        let session = self.readers[reader].sequence.session.clone();
        let wrong = self.random.u8(0..40);
        if wrong == 0 {
            return Ask::After("nonsense".to_owned());
        }
        if wrong == 1
            && let Some(head) = self.model.head(&session)
        {
            return Ask::After(format!("{}-{}", head.epoch, head.sequence + 1_000_000));
        }
        if wrong == 2 {
            let others = self.sessions.iter().filter(|other| **other != session);
            let ids: Vec<_> = others.filter_map(|other| self.model.head(other)).collect();
            if let Some(id) = self.random.choice(ids) {
                return Ask::After(id.to_string());
            }
        }
        match self.readers[reader].sequence.last() {
            Some(last) => Ask::After(last.to_string()),
            None => match self.random.u8(0..3) {
                0 => Ask::Live,
                1 => Ask::All,
                _ => Ask::Last(self.random.u64(0..50)),
            },
        }
    }

    fn send_away(&mut self) {
        let reader = self.random.usize(0..self.readers.len());
        // Some stay for long.
        if reader < STEADY && self.random.u8(0..30) > 0 {
            return;
        }
        if !self.readers[reader].is_away() {
            self.readers[reader].leave(self.random.bool());
        }
        if self.random.u8(0..10) == 0 {
            self.readers[reader].history.say("forgets everything");
            self.readers[reader].sequence.forget();
        }
    }

    fn change_pace(&mut self) {
        let pace = match self.random.u8(0..4) {
            0 => Pace::Stopped,
            1 => Pace::Slow(self.random.usize(1..4000)),
            _ => Pace::Eager,
        };
        let reader = self.random.usize(0..self.readers.len());
        self.readers[reader].paces(pace);
    }

    fn replace(&mut self) {
        let reader = self.random.usize(0..self.readers.len());
        if self.readers[reader].is_away() {
            self.readers[reader] = self.newcomer();
        }
    }

    fn delete(&mut self) {
        let session = self.any_session();
        self.begin_deletion(session);
    }

    fn end(&mut self) {
        let session = self.any_session();
        let path = format!("/sessions/{session}/end");
        self.ends_a_life(session, "POST", path);
    }

    fn begin_deletion(&mut self, session: String) {
        let path = format!("/sessions/{session}");
        self.ends_a_life(session, "DELETE", path);
    }

    fn ends_a_life(&mut self, session: String, method: &'static str, path: String) {
        let request = Request { method, path, headers: Vec::new(), body: String::new() };
        self.model.deletes(&session);
        match Line::open(&self.target, Protocol::Http11, &request, false, None) {
            Ok(line) => self.deletions.push(Deletion { session, answer: Answer::over(line, method) }),
            Err(_) => self.model.deleted(&session, false, now()),
        }
    }

    /// The process stands still for a while, and then goes on as if nothing had been.
    fn pause(&mut self) -> Result<(), Trouble> {
        self.hub.signal(Signal::STOP);
        let until = now() + Duration::from_millis(self.random.u64(10..400));
        let mut outcome = Ok(false);
        while now() < until && outcome.is_ok() {
            // Over TLS nothing new can begin meanwhile: nobody would answer.
            if !self.setting.has_tls && self.random.u8(0..20) == 0 {
                self.come_back();
            }
            outcome = self.sweep();
            std::thread::sleep(IDLE);
        }
        self.hub.signal(Signal::CONT);
        outcome.map(drop)
    }

    /// Whether the ledger adds up in the middle of it all.
    fn look(&mut self) -> Result<(), Trouble> {
        let ledger = self.hub.stats().ledger();
        ledger.check().map_err(Trouble::of)
    }

    /// Reads what there is for anybody. Whether there was anything.
    fn sweep(&mut self) -> Result<bool, Trouble> {
        let mut has_read = false;
        let terms = self.setting.terms();
        for number in 0..self.readers.len() {
            let reader = &mut self.readers[number];
            let mut world = World { model: &mut self.model, loss: &mut self.loss, terms, now: now() };
            has_read |= reader.read(&mut world).map_err(|what| Trouble { reader: Some(number), what })?;
        }
        let mut at = 0;
        while at < self.tries.len() {
            match self.tries[at].read(&mut self.model, KEY_TTL, now()).map_err(Trouble::of)? {
                None => at += 1,
                Some(Tried::Answered) => {
                    let publication = self.tries.swap_remove(at).leave();
                    // One that has its answer asks again now and then: it must get the same.
                    if self.random.u8(0..3) == 0 {
                        self.keep(publication);
                    }
                    has_read = true;
                }
                Some(Tried::Leaves) => {
                    let publication = self.tries.swap_remove(at).leave();
                    self.keep(publication);
                }
            }
        }
        self.read_deletions()?;
        Ok(has_read)
    }

    fn read_deletions(&mut self) -> Result<(), Trouble> {
        let mut at = 0;
        while at < self.deletions.len() {
            let Some(answer) = self.deletions[at].answer.read() else {
                at += 1;
                continue;
            };
            let Deletion { session, .. } = self.deletions.swap_remove(at);
            match answer {
                // An end makes the session that it ends.
                Ok((200 | 204, _)) => self.model.deleted(&session, true, now()),
                Ok((404, _)) => self.model.deleted(&session, false, now()),
                Ok((503, _)) if self.setting.is_short() => self.model.deleted(&session, false, now()),
                other => {
                    return Err(Trouble::of(format!(
                        "the deletion of {session} was answered with {other:?}"
                    )));
                }
            }
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "the checker measures real time")]
fn now() -> Instant {
    Instant::now()
}
