//! The test kit for sources: a good one passes, and for each promise one that breaks it is caught by name.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast::{Receiver, Sender};
use tokio::sync::watch;
use watertight::testing::{BrokenPromise, Promise, SourceCheck};
use watertight::{Event, Feed, FeedError, Source, SourceError};

/// What a source feeds from, and what it has open there.
#[derive(Clone)]
struct Spring {
    lines: Sender<String>,
    is_up: watch::Sender<bool>,
    open: Arc<AtomicUsize>,
    runs: Arc<AtomicUsize>,
    /// Ends a source that holds up its thread, once the test is over.
    is_over: Arc<AtomicBool>,
}

/// Something open at the spring.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Spring {
    fn new() -> Spring {
        Spring {
            lines: Sender::new(64),
            is_up: watch::Sender::new(true),
            open: Arc::default(),
            runs: Arc::default(),
            is_over: Arc::default(),
        }
    }

    fn open(&self) -> Open {
        self.open.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(&self.open))
    }

    /// What a connection does: it is counted open before it is there.
    async fn connect(&self) -> Open {
        let open = self.open();
        tokio::task::yield_now().await;
        open
    }

    fn check(&self, how: How) -> SourceCheck<Drawn> {
        let [made, stirred, left, broken] = [0; 4].map(|_| self.clone());
        let mut count = 0;
        SourceCheck::of(move || Drawn::new(how, made.clone()))
            .stirred_by(move || {
                count += 1;
                drop(stirred.lines.send(format!("line {count}")));
            })
            .leaves(move || left.open.load(Ordering::SeqCst) == 0)
            .broken_by(move |is_broken| broken.is_up.send_modify(|is_up| *is_up = !is_broken))
            .says_everything_once()
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.spring.is_over.store(true, Ordering::SeqCst);
    }
}

/// What is wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Good,
    /// Fails when it is broken, instead of waiting.
    GoodAndFails,
    OpensWhenMade,
    SpawnsWhenMade,
    SaysNothing,
    FeedsFromTwo,
    /// Publishes a line, waits, and only then notes that it has done so.
    ForgetsHowFarItCame,
    HoldsUpItsThread,
    ForgetsWhatItOpened,
    LeavesATask,
    LeaksWhileConnecting,
    WorksOnce,
    SwallowsTheError,
    StaysBroken,
    Finishes,
}

/// A source that draws from a spring, good or bad.
struct Drawn {
    how: How,
    spring: Spring,
    _early: Option<Open>,
    /// A line that is not done with.
    under_way: Mutex<Option<String>>,
}

impl Drawn {
    fn new(how: How, spring: Spring) -> Drawn {
        let _early = (how == How::OpensWhenMade).then(|| spring.open());
        if how == How::SpawnsWhenMade {
            detach(&spring);
        }
        Drawn { how, spring, _early, under_way: Mutex::default() }
    }

    async fn pass_on(&self, feed: &Feed, lines: &mut Receiver<String>) -> Result<(), SourceError> {
        let line = lines.recv().await.map_err(SourceError::new)?;
        if self.how == How::ForgetsHowFarItCame {
            *self.under_way.lock().unwrap() = Some(line.clone());
        }
        feed.publish(Event::new(line)).await?;
        tokio::task::yield_now().await;
        *self.under_way.lock().unwrap() = None;
        Ok(())
    }
}

/// A task that nobody owns.
#[expect(clippy::disallowed_methods, reason = "this is what the kit is to catch")]
fn detach(spring: &Spring) {
    let is_up = spring.is_up.clone();
    drop(tokio::spawn(async move {
        is_up.closed().await;
        pending::<()>().await;
    }));
}

/// Publishes from the thread that polls it, and never waits.
fn hold_up(spring: &Spring, feed: &Feed, lines: &mut Receiver<String>) -> Result<(), FeedError> {
    use futures_util::FutureExt as _;
    while !spring.is_over.load(Ordering::SeqCst) {
        if let Ok(line) = lines.try_recv() {
            feed.publish(Event::new(line)).now_or_never().transpose()?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Source for Drawn {
    async fn run(&self, feed: Feed) -> Result<(), SourceError> {
        let is_first = self.spring.runs.fetch_add(1, Ordering::SeqCst) == 0;
        let mut lines = self.spring.lines.subscribe();
        let mut is_up = self.spring.is_up.subscribe();
        let _open = match self.how {
            How::LeaksWhileConnecting => {
                // Open before there is anything whose drop closes it.
                self.spring.open.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Open(Arc::clone(&self.spring.open))
            }
            _ => self.spring.connect().await,
        };
        match self.how {
            How::SaysNothing => return pending().await,
            How::HoldsUpItsThread => return Ok(hold_up(&self.spring, &feed, &mut lines)?),
            How::ForgetsWhatItOpened => drop(self.spring.open.fetch_add(1, Ordering::SeqCst)),
            How::LeavesATask => detach(&self.spring),
            How::WorksOnce if !is_first => return pending().await,
            How::Finishes => return self.pass_on(&feed, &mut lines).await,
            _ => {}
        }
        let under_way = self.under_way.lock().unwrap().take();
        if let Some(line) = under_way {
            feed.publish(Event::new(line)).await?;
        }
        let mut others = self.spring.lines.subscribe();
        let mut was_down = false;
        loop {
            tokio::select! {
                passed = self.pass_on(&feed, &mut lines), if !was_down => passed?,
                passed = self.pass_on(&feed, &mut others), if self.how == How::FeedsFromTwo => passed?,
                changed = is_up.changed() => changed.map_err(SourceError::new)?,
            }
            match (*is_up.borrow_and_update(), self.how) {
                (false, How::GoodAndFails) => return Err(SourceError::new("the spring is down")),
                (false, How::SwallowsTheError) => was_down = true,
                (false, how) => {
                    was_down = how == How::StaysBroken;
                    feed.waiting("the spring is down");
                }
                (true, How::SwallowsTheError | How::StaysBroken) => {}
                (true, _) => feed.succeeded(),
            }
        }
    }
}

async fn caught(how: How) -> BrokenPromise {
    let spring = Spring::new();
    let outcome = spring.check(how).patience(Duration::from_millis(700)).verdict().await;
    spring.is_over.store(true, Ordering::SeqCst);
    outcome.unwrap_err()
}

#[tokio::test]
async fn a_good_source_passes() {
    let spring = Spring::new();
    spring.check(How::Good).run().await;
    assert!(spring.runs.load(Ordering::SeqCst) > 8, "it was run for each check");
    assert_eq!(spring.open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_source_that_fails_while_it_is_broken_passes() {
    Spring::new().check(How::GoodAndFails).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_promise_is_caught_by_name() {
    use Promise::*;
    let expected = [
        (How::OpensWhenMade, StartsWithItsFirstSubscriber, "nobody has subscribed yet"),
        (How::SpawnsWhenMade, StartsWithItsFirstSubscriber, "spawned a task"),
        (How::SaysNothing, Feeds, "the source is running, 0 errors"),
        (How::FeedsFromTwo, SaysEverythingOnce, "an event has come twice: \"line"),
        (How::ForgetsHowFarItCame, SaysEverythingOnce, "after it was dropped when it had been polled"),
        (How::HoldsUpItsThread, Stops, "does it hold up its thread"),
        (How::ForgetsWhatItOpened, LeavesNothing, "after its last subscriber has left"),
        (How::LeavesATask, LeavesNothing, "1 tasks that it spawned"),
        (How::LeaksWhileConnecting, LeavesNothing, "dropped when it had been polled 1 times"),
        (How::SwallowsTheError, TellsWhenBroken, "readers are told nothing"),
        (How::StaysBroken, ComesBack, "the source is waiting, 0 errors: the spring is down"),
        (How::Finishes, IsShared, "the source is finished"),
    ];
    for (how, promise, seen) in expected {
        let broken = caught(how).await;
        assert_eq!(broken.promise, promise, "{how:?}: {broken}");
        assert!(broken.seen.contains(seen), "{how:?}: {broken}");
        assert!(broken.to_string().contains(promise.text()), "{broken}");
    }
}

#[tokio::test]
async fn a_source_that_works_once_is_caught_when_it_is_run_again() {
    // One that works each time it is made, but only once.
    struct Once(Drawn);
    impl Source for Once {
        async fn run(&self, feed: Feed) -> Result<(), SourceError> {
            self.0.run(feed).await
        }
    }
    let spring = Spring::new();
    let (lines, left) = (spring.lines.clone(), Arc::clone(&spring.open));
    let check = SourceCheck::of(move || {
        let own = Spring { runs: Arc::default(), ..spring.clone() };
        Once(Drawn::new(How::WorksOnce, own))
    });
    let check = check.stirred_by(move || drop(lines.send("line".to_owned())));
    let check = check.leaves(move || left.load(Ordering::SeqCst) == 0).patience(Duration::from_millis(700));
    let broken = check.verdict().await.unwrap_err();
    assert_eq!(broken.promise, Promise::RunsAgain, "{broken}");
}

#[tokio::test]
#[should_panic(
    expected = "the source does not keep its promise: it publishes an event when it has something to say"
)]
async fn a_check_fails_its_test_with_the_promise_that_is_broken() {
    Spring::new().check(How::SaysNothing).patience(Duration::from_millis(200)).run().await;
}

#[tokio::test]
#[should_panic(expected = "the test's own fixture")]
async fn a_panic_of_a_closure_reaches_the_test() {
    let spring = Spring::new();
    spring.check(How::Good).stirred_by(|| panic!("the test's own fixture")).run().await;
}

#[tokio::test]
async fn a_check_that_is_dropped_ends_at_once() {
    let spring = Spring::new();
    let check = spring.check(How::SaysNothing).patience(Duration::from_secs(3600)).verdict();
    let open = Arc::clone(&spring.open);
    let is_open = async {
        while open.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        verdict = check => panic!("{verdict:?}"),
        () = is_open => {}
    }
    // The source goes with the runtime that it was checked on.
    while open.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}
