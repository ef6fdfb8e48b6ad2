//! Channels, against real servers that are killed, paused, flooded, cut off and forbid things.

use std::time::Duration;

use tokio::time::Instant;

use watertight_core::Kind;
use watertight_testkit::{Cut, FaultProxy, Mode, Redis as Server};

use super::support::{Fixture, KEEP_BYTES, eventually, message, next, numsub, until};
use super::*;

const SUBSCRIBED: FeedItem = FeedItem::Subscribed { interrupted: false };
const AGAIN: FeedItem = FeedItem::Subscribed { interrupted: true };

fn is_waiting(item: &FeedItem) -> bool {
    matches!(item, FeedItem::Waiting(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_comes_in_order_to_every_feed_of_the_channel() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feeds = Vec::new();
    for _ in 0..3 {
        feeds.push(fixture.subscribed("deployment:42:logs").await);
    }
    let mut other = fixture.subscribed("deployment:43:logs").await;
    for n in 0..100 {
        assert_eq!(server.command(&["PUBLISH", "deployment:42:logs", &format!("line {n}")]), "1");
    }
    for feed in &mut feeds {
        for n in 0..100 {
            assert_eq!(message(feed).await, format!("line {n}"));
        }
    }
    server.command(&["PUBLISH", "deployment:43:logs", "\0 and\r\nmore"]);
    assert_eq!(message(&mut other).await, "\0 and\r\nmore", "any bytes, and nothing of the other channel");
    drop((feeds, other));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_class_g_redis_has_one_subscription_per_channel_while_it_is_read_and_none_after() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let feeds: Vec<_> = (0..50).map(|_| fixture.subscribe("a")).collect();
    let other = fixture.subscribed("b").await;
    eventually("one subscription each", || {
        (numsub(&server, "a"), numsub(&server, "b")) == ("1".into(), "1".into())
    })
    .await;
    assert_eq!(fixture.held(), 2);
    let clients = server.command(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:3\r\n"), "this one, commands, channels: {clients}");
    let mut feeds = feeds.into_iter();
    let last = feeds.next_back();
    drop(feeds);
    drop(other);
    eventually("b is let go", || numsub(&server, "b") == "0").await;
    assert_eq!(numsub(&server, "a"), "1", "one feed is left");
    drop(last);
    eventually("a is let go", || numsub(&server, "a") == "0").await;
    eventually("the ledger says so", || fixture.held() == 0).await;
    eventually("the connection is closed", || {
        server.command(&["INFO", "clients"]).contains("connected_clients:2\r\n")
    })
    .await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_class_g_feeds_that_come_and_go_at_any_moment_leave_exactly_the_right_subscriptions() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let channels: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    for round in 0..100 {
        let mut feeds: Vec<Option<ChannelFeed>> = (0..8).map(|_| None).collect();
        for _ in 0..40 {
            let at = fastrand::usize(..8);
            feeds[at] = match feeds[at].take() {
                None => Some(fixture.subscribe(&channels[at])),
                Some(_) => None,
            };
            if fastrand::u8(..4) == 0 {
                tokio::time::sleep(Duration::from_micros(fastrand::u64(..500))).await;
            }
        }
        let is_exact = |channel: &String, feed: &Option<ChannelFeed>| {
            numsub(&server, channel) == if feed.is_some() { "1" } else { "0" }
        };
        // Those that were dropped and come back work as the first time.
        for (channel, feed) in channels.iter().zip(&mut feeds).filter(|_| round % 20 == 0) {
            eventually("the subscription is right", || is_exact(channel, feed)).await;
            let Some(feed) = feed else { continue };
            until(feed, |item| *item == SUBSCRIBED).await;
            server.command(&["PUBLISH", channel, "hello"]);
            assert_eq!(message(feed).await, "hello");
        }
        let wanted = feeds.iter().flatten().count() as u64;
        eventually("the ledger is right", || fixture.held() == wanted).await;
    }
    fixture.finish().await;
}

/// Polls a future so many times and drops it.
async fn polled(times: u32, future: impl Future<Output = ()>) -> bool {
    let mut future = Box::pin(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        match (future.as_mut().poll(context), left) {
            (std::task::Poll::Ready(()), _) => std::task::Poll::Ready(true),
            (_, 0) => std::task::Poll::Ready(false),
            _ => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_class_g_a_reader_dropped_at_every_await_leaves_no_subscription() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let kept = fixture.subscribed("kept").await;
    for times in 1.. {
        // Each await of a reader, from its first question to the message.
        let has_ended = polled(times, async {
            let mut feed = fixture.subscribe("c");
            while feed.next().await != SUBSCRIBED {}
            let publishing = tokio::task::block_in_place(|| server.command(&["PUBLISH", "c", "x"]));
            assert_eq!(publishing, "1");
            assert_eq!(message(&mut feed).await, "x");
        })
        .await;
        eventually("it is let go", || numsub(&server, "c") == "0" && fixture.held() == 1).await;
        if has_ended {
            break;
        }
    }
    assert_eq!(numsub(&server, "kept"), "1");
    drop(kept);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_wait_takes_no_message() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.subscribed("a").await;
    for n in 0..50 {
        assert!(!polled(1, async { drop(feed.next().await) }).await, "nothing is there yet");
        server.command(&["PUBLISH", "a", &n.to_string()]);
        assert_eq!(message(&mut feed).await, n.to_string());
    }
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_class_g_redis_killed_and_started_again_is_subscribed_again_and_readers_are_told() {
    let mut server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feeds = vec![fixture.subscribed("a").await, fixture.subscribed("b").await];
    for round in 0..3 {
        server.stop();
        for feed in &mut feeds {
            assert_eq!(until(feed, is_waiting).await, [], "nothing before they are told");
        }
        eventually("nothing is held", || fixture.held() == 0).await;
        server.restart();
        for (feed, channel) in feeds.iter_mut().zip(["a", "b"]) {
            let before = until(feed, |item| *item == AGAIN).await;
            assert!(before.iter().all(is_waiting), "{before:?}");
            server.command(&["PUBLISH", channel, &format!("round {round}")]);
            assert_eq!(message(feed).await, format!("round {round}"));
            assert_eq!(numsub(&server, channel), "1");
        }
        assert_eq!(fixture.held(), 2);
    }
    drop(feeds);
    eventually("a is let go", || numsub(&server, "a") == "0").await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_without_redis_subscribes_once_it_is_there() {
    let mut server = Server::start();
    server.stop();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.subscribe("a");
    assert!(is_waiting(&next(&mut feed).await));
    let dropped = fixture.subscribe("dropped meanwhile");
    drop(dropped);
    server.restart();
    until(&mut feed, |item| *item == SUBSCRIBED).await;
    server.command(&["PUBLISH", "a", "hello"]);
    assert_eq!(message(&mut feed).await, "hello");
    assert_eq!(numsub(&server, "dropped meanwhile"), "0");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_redis_that_stops_running_is_noticed_without_a_message() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.subscribed("a").await;
    server.pause();
    let begun = Instant::now();
    until(&mut feed, is_waiting).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(fixture.held(), 0);
    server.resume();
    until(&mut feed, |item| *item == AGAIN).await;
    server.command(&["PUBLISH", "a", "hello"]);
    assert_eq!(message(&mut feed).await, "hello");
    eventually("the old connection is gone", || numsub(&server, "a") == "1").await;
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_network_that_fails_in_any_way_costs_no_reader() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address());
    let fixture = Fixture::open(&[&format!("redis://{}", proxy.address())]);
    let mut feed = fixture.subscribed("a").await;
    for cut in [Cut::Fin, Cut::Rst] {
        proxy.cut(cut);
        until(&mut feed, |item| *item == AGAIN).await;
    }
    for mode in [Mode::BlackHole, Mode::Stall] {
        proxy.set(mode);
        until(&mut feed, is_waiting).await;
        proxy.set(Mode::Pass);
        until(&mut feed, |item| *item == AGAIN).await;
    }
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Rst);
    until(&mut feed, is_waiting).await;
    proxy.set(Mode::Pass);
    until(&mut feed, |item| *item == AGAIN).await;
    server.command(&["PUBLISH", "a", "hello"]);
    assert_eq!(message(&mut feed).await, "hello");
    proxy.cut(Cut::Fin);
    eventually("what was cut off is gone at Redis", || numsub(&server, "a") == "1").await;
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_reader_is_told_how_many_went_and_gets_the_newest_in_order() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut slow = fixture.subscribed("a").await;
    let mut quick = fixture.subscribed("a").await;
    const LINES: usize = 30_000;
    let publishing = async {
        let commands: Vec<Vec<String>> =
            (0..LINES).map(|n| vec!["PUBLISH".into(), "a".into(), n.to_string()]).collect();
        tokio::task::block_in_place(|| server.commands(&commands));
    };
    let reading = async {
        let mut seen = 0;
        while seen < LINES {
            match next(&mut quick).await {
                FeedItem::Message(message) => {
                    assert_eq!(message.bytes, seen.to_string(), "in order");
                    seen += 1;
                }
                FeedItem::Overflow(count) => seen += usize::try_from(count).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(publishing, reading);
    let FeedItem::Overflow(count) = next(&mut slow).await else { panic!("told first") };
    let count = usize::try_from(count).unwrap();
    assert!(count > LINES / 2 && count < LINES, "{count}");
    for n in count..LINES {
        assert_eq!(message(&mut slow).await, n.to_string(), "all of the newest");
    }
    drop((slow, quick));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_reader_is_charged_and_never_more_than_the_budget_has() {
    let server = Server::start();
    let fixture = Fixture::with_budget(&[&server.url()], 1 << 20);
    let mut feed = fixture.subscribed("a").await;
    let line = "x".repeat(10_000);
    let commands: Vec<Vec<String>> =
        (0..1_000).map(|_| vec!["PUBLISH".into(), "a".into(), line.clone()]).collect();
    server.commands(&commands);
    server.command(&["PUBLISH", "a", "last"]);
    let mut seen = 0;
    eventually("it was full", || fixture.budget.used() > 900_000).await;
    while seen < 1_001 {
        assert!(fixture.budget.used() <= 1 << 20);
        match next(&mut feed).await {
            FeedItem::Message(_) => seen += 1,
            FeedItem::Overflow(count) => seen += count,
            other => panic!("{other:?}"),
        }
    }
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_cut_and_says_its_length() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.subscribed("a").await;
    for length in [KEEP_BYTES - 1, KEEP_BYTES, KEEP_BYTES + 1, 20 << 20, 0] {
        let before = fixture.budget.used();
        server.command(&["PUBLISH", "a", &"y".repeat(length)]);
        let FeedItem::Message(message) = next(&mut feed).await else { panic!("a message") };
        assert_eq!(message.whole_bytes, length as u64);
        assert_eq!(message.bytes.len(), length.min(KEEP_BYTES));
        assert_eq!(message.is_cut(), length > KEEP_BYTES);
        assert!(fixture.budget.used() <= before + 2 * KEEP_BYTES);
    }
    server.command(&["PUBLISH", "a", "after"]);
    assert_eq!(message(&mut feed).await, "after", "the connection goes on");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_buffer_that_is_full_costs_the_connection_and_readers_are_told() {
    let server = Server::start_with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]);
    let proxy = FaultProxy::start(server.address());
    let fixture = Fixture::open(&[&format!("redis://{}", proxy.address())]);
    let mut feed = fixture.subscribed("a").await;
    // Nothing is taken, so that what is published stays at Redis until that gives up.
    proxy.set(Mode::Stall);
    let line = "z".repeat(1 << 20);
    eventually("Redis drops the subscriber", || {
        server.command(&["PUBLISH", "a", &line]);
        numsub(&server, "a") == "0"
    })
    .await;
    proxy.set(Mode::Pass);
    until(&mut feed, |item| *item == AGAIN).await;
    server.command(&["PUBLISH", "a", "hello"]);
    until(&mut feed, |item| matches!(item, FeedItem::Message(message) if message.bytes == "hello")).await;
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_channel_says_which_right_is_missing_and_does_not_storm() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "hub", "on", ">pw", "+@all", "~*", "resetchannels", "&allowed"]);
    let fixture = Fixture::open(&[&server.url_for("hub", "pw")]);
    let mut allowed = fixture.subscribed("allowed").await;
    let mut feed = fixture.subscribe("deployment:42:logs");
    let is_refused = |item: &FeedItem| {
        matches!(item, FeedItem::Waiting(why) if why.contains("NOPERM")
            && why.contains("+subscribe") && why.contains("&deployment:42:logs"))
    };
    until(&mut feed, is_refused).await;
    assert_eq!(fixture.held(), 1, "that which is refused is not held");
    // One that comes later is told at once.
    let mut later = fixture.subscribe("deployment:42:logs");
    assert!(is_refused(&next(&mut later).await));
    server.command(&["CONFIG", "RESETSTAT"]);
    let begun = Instant::now();
    eventually("it is tried again", || {
        begun.elapsed() > Duration::from_secs(3)
            && server.command(&["INFO", "commandstats"]).contains("cmdstat_subscribe")
    })
    .await;
    let stats = server.command(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_subscribe:")).unwrap().to_owned();
    let rejected = line.split("rejected_calls=").nth(1).unwrap();
    let tries: u32 = rejected.split(',').next().unwrap().trim().parse().unwrap();
    assert!((1..=6).contains(&tries), "{line}");
    server.command(&["PUBLISH", "allowed", "others go on"]);
    assert_eq!(message(&mut allowed).await, "others go on");
    server.command(&["ACL", "SETUSER", "hub", "&deployment:42:logs"]);
    until(&mut feed, |item| *item == SUBSCRIBED).await;
    server.command(&["PUBLISH", "deployment:42:logs", "hello"]);
    assert_eq!(message(&mut feed).await, "hello");
    drop((feed, later, allowed));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_or_a_password_that_changes_is_told_and_recovers() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "hub", "on", ">pw", "+@all", "~*", "&*"]);
    let fixture = Fixture::open(&[&server.url_for("hub", "pw")]);
    let mut feed = fixture.subscribed("a").await;
    server.command(&["ACL", "SETUSER", "hub", "resetchannels"]);
    until(&mut feed, |item| matches!(item, FeedItem::Waiting(why) if why.contains("+subscribe"))).await;
    server.command(&["ACL", "SETUSER", "hub", "&*"]);
    until(&mut feed, |item| *item == AGAIN).await;
    server.command(&["ACL", "SETUSER", "hub", "resetpass", ">other"]);
    server.command(&["CLIENT", "KILL", "USER", "hub"]);
    let is_locked_out = |item: &FeedItem| matches!(item, FeedItem::Waiting(why) if &**why == "it refuses the user or the password of redis_url");
    until(&mut feed, is_locked_out).await;
    server.command(&["ACL", "SETUSER", "hub", ">pw"]);
    until(&mut feed, |item| *item == AGAIN).await;
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_read_from_a_replica_and_go_on_when_it_is_promoted() {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let fixture = Fixture::open(&[&replica.url()]);
    let mut feed = fixture.subscribed("a").await;
    master.command(&["PUBLISH", "a", "from the master"]);
    assert_eq!(message(&mut feed).await, "from the master");
    assert_eq!(replica.command(&["SET", "k", "v"]).split(' ').next(), Some("-READONLY"));
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    replica.command(&["PUBLISH", "a", "from itself"]);
    assert_eq!(message(&mut feed).await, "from itself");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_server_that_speaks_something_else_is_left_alone() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        for socket in other.incoming().take(3) {
            let mut socket = socket.unwrap();
            // An endless line, and a reply with more parts than anybody sends.
            let _ = std::io::Write::write_all(&mut socket, &vec![b'x'; 100_000]);
            drop(socket);
        }
    });
    let fixture = Fixture::open(&[&format!("redis://{address}")]);
    let mut feed = fixture.subscribe("a");
    until(&mut feed, |item| matches!(item, FeedItem::Waiting(why) if &**why != CONNECTING)).await;
    drop(feed);
    fixture.finish().await;
    // The last of its connections.
    while !answering.is_finished() {
        let _ = std::net::TcpStream::connect(address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_numbers_of_feeds_have_limits() {
    let server = Server::start();
    let fixture = Fixture::with_budget(&[&server.url()], 1 << 20);
    let channels = fixture.redis.channels();
    assert_eq!(channels.subscribe("").err(), Some(SubscribeError::Name));
    assert_eq!(channels.subscribe(&"x".repeat(CHANNEL_BYTES_MAX + 1)).err(), Some(SubscribeError::Name));
    let mut feeds = Vec::new();
    let refused = loop {
        match channels.subscribe(&format!("c{}", feeds.len())) {
            Ok(feed) => feeds.push(feed),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SubscribeError::Exhausted(_)), "{refused:?}");
    assert!(feeds.len() > 500, "{}", feeds.len());
    let wanted = feeds.len() as u64;
    eventually("all are subscribed, however many at once", || {
        fixture.ledger.live(Kind::RedisSubscription) == wanted
    })
    .await;
    drop(feeds);
    fixture.finish().await;
}
