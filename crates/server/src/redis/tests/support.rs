//! A hub's connections to real servers, and the assertion that everything came back.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use watertight_core::{Kind, Owner};
use watertight_testkit::PATIENCE;

use super::*;

/// How much of a message is kept in these tests.
pub(super) const KEEP_BYTES: usize = 64 * 1024;

/// What a hub has of Redis.
pub(super) struct Fixture {
    pub(super) redis: Redis,
    pub(super) ledger: Arc<Ledger>,
    pub(super) budget: Arc<Budget>,
}

impl Fixture {
    pub(super) fn open(urls: &[&str]) -> Fixture {
        Fixture::with_budget(urls, 256 << 20)
    }

    pub(super) fn with_budget(urls: &[&str], bytes: usize) -> Fixture {
        let schemes = ["redis", "rediss", "redis+sentinel", "rediss+sentinel"];
        let urls: Vec<ServerUrl> = urls.iter().map(|url| ServerUrl::new(url, &schemes).unwrap()).collect();
        let (ledger, budget) = (Ledger::new(), Budget::new(bytes / 2, bytes));
        let redis = Redis::open(&urls, &ledger, &budget, KEEP_BYTES).unwrap();
        Fixture { redis, ledger, budget }
    }

    pub(super) fn subscribe(&self, channel: &str) -> ChannelFeed {
        self.redis.channels().subscribe(channel).unwrap()
    }

    pub(super) async fn subscribed(&self, channel: &str) -> ChannelFeed {
        let mut feed = self.subscribe(channel);
        until(&mut feed, |item| *item == FeedItem::Subscribed { interrupted: false }).await;
        feed
    }

    pub(super) fn open_stream(&self, key: &str, from: StreamStart) -> StreamFeed {
        self.redis.streams().open(key, from).unwrap()
    }

    /// One that is being read.
    pub(super) async fn reading(&self, key: &str, from: StreamStart) -> StreamFeed {
        let mut feed = self.open_stream(key, from);
        read_until(&mut feed, |item| *item == StreamItem::Reading).await;
        feed
    }

    pub(super) fn held(&self) -> u64 {
        self.ledger.live(Kind::RedisSubscription)
    }

    /// Lets everything go, and asserts that it came back.
    pub(super) async fn finish(self) {
        let Fixture { redis, ledger, budget } = self;
        drop(redis);
        for kind in [Kind::Task, Kind::RedisSubscription] {
            eventually("everything comes back", || ledger.live(kind) == 0).await;
            assert!(ledger.counts(kind).adds_up(), "{kind:?}");
        }
        eventually("every byte comes back", || budget.used() == 0).await;
        assert_eq!(budget.used_by(Owner::Sources), 0);
    }
}

/// What feeds share, of a hub that never connects.
pub(super) fn shared() -> Arc<Shared> {
    let url = ServerUrl::new("redis://127.0.0.1:1", &["redis"]).unwrap();
    let servers = Servers::new(Target::of(&[url]).unwrap());
    let (ledger, budget) = (Ledger::new(), Budget::new(1 << 20, 2 << 20));
    Arc::new(Shared { servers, ledger, budget, keep_bytes: KEEP_BYTES })
}

/// The next item of a stream, which must come.
pub(super) async fn read(feed: &mut StreamFeed) -> StreamItem {
    timeout(PATIENCE, feed.next()).await.expect("something comes")
}

/// Takes items of a stream until this holds of one; returns those before it.
pub(super) async fn read_until(
    feed: &mut StreamFeed,
    holds: impl Fn(&StreamItem) -> bool,
) -> Vec<StreamItem> {
    let mut before = Vec::new();
    loop {
        let item = timeout(PATIENCE, feed.next()).await;
        let Ok(item) = item else { panic!("it does not come; before: {before:?}") };
        if holds(&item) {
            return before;
        }
        before.push(item);
    }
}

/// The next entry, as its id and the values of its fields; nothing else may come before it.
pub(super) async fn entry(feed: &mut StreamFeed) -> String {
    match read(feed).await {
        StreamItem::Entry(entry) => shown(&entry),
        other => panic!("{other:?} instead of an entry"),
    }
}

/// An entry as `ID value value`.
pub(super) fn shown(entry: &StreamEntry) -> String {
    let values = entry.fields.iter().map(|(_, value)| String::from_utf8_lossy(&value.bytes).into_owned());
    std::iter::once(entry.id.to_string()).chain(values).collect::<Vec<_>>().join(" ")
}

/// The next item, which must come.
pub(super) async fn next(feed: &mut ChannelFeed) -> FeedItem {
    timeout(PATIENCE, feed.next()).await.expect("something comes")
}

/// The next message; nothing else may come before it.
pub(super) async fn message(feed: &mut ChannelFeed) -> String {
    match next(feed).await {
        FeedItem::Message(message) => String::from_utf8_lossy(&message.bytes).into_owned(),
        other => panic!("{other:?} instead of a message"),
    }
}

/// Takes items until this holds of one; returns those before it.
pub(super) async fn until(feed: &mut ChannelFeed, holds: impl Fn(&FeedItem) -> bool) -> Vec<FeedItem> {
    let begun = Instant::now();
    let mut before = Vec::new();
    loop {
        let item = timeout(PATIENCE, feed.next()).await;
        let Ok(item) = item else { panic!("it does not come; before: {before:?}") };
        if holds(&item) {
            return before;
        }
        before.push(item);
        assert!(begun.elapsed() < 3 * PATIENCE, "it does not come; before: {before:?}");
    }
}

/// Waits for a condition, and lets the runtime work meanwhile.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// How many subscribers Redis says a channel has.
pub(super) fn numsub(redis: &watertight_testkit::Redis, channel: &str) -> String {
    redis.all(&["PUBSUB", "NUMSUB", channel]).remove(1)
}
