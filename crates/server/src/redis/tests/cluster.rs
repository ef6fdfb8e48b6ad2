//! A cluster: each key at its server, keys that move, servers that go and come back.

use std::time::Duration;

use watertight_core::Kind;
use watertight_testkit::RedisCluster;

use super::support::{Fixture, entry, eventually, numsub, read_until, until};
use super::*;

fn open(cluster: &RedisCluster, urls: usize) -> Fixture {
    let urls = cluster.urls(urls);
    // Two at least: one alone is a server, not a cluster.
    Fixture::open(&urls.iter().map(String::as_str).collect::<Vec<_>>())
}

async fn get(fixture: &Fixture, key: &str) -> Result<Value, CommandError> {
    let mut command = redis::cmd("GET");
    command.arg(key);
    fixture.redis.command(&command).await
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// How many subscriptions the whole cluster holds of a channel.
fn numsub_of_all(cluster: &RedisCluster, channel: &str) -> u32 {
    cluster.servers.iter().map(|server| numsub(server, channel).parse::<u32>().unwrap()).sum()
}

/// Publishes at a server until it comes. Servers tell each other once, and not at all while their connection is made anew,
/// as they do when one was busy for a second.
async fn told_by(server: &watertight_testkit::Redis, feed: &mut ChannelFeed, text: &str) {
    let publishing = async {
        loop {
            server.command(&["PUBLISH", "a", text]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = until(feed, |item| matches!(item, FeedItem::Message(message) if message.bytes == text)) => {}
        () = publishing => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_to_the_server_that_has_the_key() {
    let cluster = RedisCluster::start();
    let fixture = open(&cluster, 2);
    for n in 0..50 {
        let mut set = redis::cmd("SET");
        set.arg(format!("k{n}")).arg(n);
        fixture.redis.command(&set).await.unwrap();
    }
    for n in 0..50 {
        let key = format!("k{n}");
        assert_eq!(get(&fixture, &key).await, Ok(bulk(&n.to_string())));
        assert_eq!(cluster.command(&key, &["GET", &key]), n.to_string());
    }
    // One connection for each server, and no more: asked by each of them.
    for server in &cluster.servers {
        let names = server.command(&["CLIENT", "LIST"]);
        let ours = names.lines().filter(|line| line.contains("cmd=get") || line.contains("cmd=set")).count();
        assert_eq!(ours, 1, "{names}");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_moved_are_found_during_and_after() {
    let cluster = RedisCluster::start();
    let fixture = open(&cluster, 2);
    for key in ["{m}1", "{m}2"] {
        cluster.command(key, &["SET", key, key]);
        assert_eq!(get(&fixture, key).await, Ok(bulk(key)));
    }
    let to = (cluster.of_key("{m}1") + 1) % 3;
    let slot = cluster.begin_to_move("{m}1", to);
    cluster.move_key(&slot, "{m}1");
    // One there, one here.
    assert_eq!(get(&fixture, "{m}1").await, Ok(bulk("{m}1")));
    assert_eq!(get(&fixture, "{m}2").await, Ok(bulk("{m}2")));
    cluster.move_key(&slot, "{m}2");
    cluster.end_move(&slot);
    for key in ["{m}1", "{m}2"] {
        assert_eq!(get(&fixture, key).await, Ok(bulk(key)));
        assert_eq!(cluster.of_key(key), to);
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_subscribed_once_in_the_whole_cluster_and_brings_what_any_server_is_told() {
    let mut cluster = RedisCluster::start();
    let fixture = open(&cluster, 3);
    let mut feed = fixture.subscribed("a").await;
    for (n, server) in cluster.servers.iter().enumerate() {
        told_by(server, &mut feed, &format!("from {n}")).await;
    }
    // It may have begun at a server that took itself for cut off, and gone to another: here, and after a restart.
    eventually("it is subscribed once", || numsub_of_all(&cluster, "a") == 1).await;
    let at = cluster.servers.iter().position(|server| numsub(server, "a") == "1").unwrap();
    cluster.servers[at].stop();
    until(&mut feed, |item| matches!(item, FeedItem::Waiting(_))).await;
    cluster.servers[at].restart();
    cluster.serves();
    until(&mut feed, |item| *item == FeedItem::Subscribed { interrupted: true }).await;
    eventually("it is subscribed once", || numsub_of_all(&cluster, "a") == 1).await;
    told_by(&cluster.servers[(at + 1) % 3], &mut feed, "again").await;
    drop(feed);
    eventually("nothing is left", || numsub_of_all(&cluster, "a") == 0).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_read_from_the_servers_that_have_them_over_one_connection_each() {
    let cluster = RedisCluster::start();
    let fixture = open(&cluster, 2);
    let tasks = fixture.ledger.live(Kind::Task);
    let keys: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let mut feeds = Vec::new();
    for key in &keys {
        feeds.push(fixture.reading(key, StreamStart::Tail).await);
    }
    for round in 1..=3 {
        for (key, feed) in keys.iter().zip(&mut feeds) {
            let id = format!("{round}-0");
            cluster.command(key, &["XADD", key, &id, "f", key]);
            assert_eq!(entry(feed).await, format!("{id} {key}"));
        }
    }
    assert_eq!(fixture.ledger.live(Kind::Task), tasks + 3, "a reader for each server");
    drop(feeds);
    eventually("the readers end", || fixture.ledger.live(Kind::Task) == tasks).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_moves_to_another_server_is_followed_and_every_entry_comes_once() {
    let cluster = RedisCluster::start();
    let fixture = open(&cluster, 2);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    let mut other = fixture.reading("{other}", StreamStart::Tail).await;
    let mut next = 1;
    let first = cluster.of_key("s");
    for _ in 0..2 {
        for _ in 0..5 {
            cluster.command("s", &["XADD", "s", &format!("{next}-0"), "f", "x"]);
            next += 1;
        }
        let to = (cluster.of_key("s") + 1) % 3;
        let slot = cluster.begin_to_move("s", to);
        cluster.move_key(&slot, "s");
        cluster.end_move(&slot);
        assert_eq!(cluster.of_key("s"), to);
    }
    assert_ne!(cluster.of_key("s"), first);
    cluster.command("s", &["XADD", "s", &format!("{next}-0"), "f", "x"]);
    for n in 1..=next {
        let is_it = |item: &StreamItem| matches!(item, StreamItem::Entry(_));
        let mut before = Vec::new();
        let item = loop {
            match super::support::read(&mut feed).await {
                item if is_it(&item) => break item,
                item => before.push(item),
            }
        };
        let StreamItem::Entry(entry) = item else { panic!("an entry") };
        assert_eq!(entry.id.to_string(), format!("{n}-0"), "{before:?}");
        assert!(!before.iter().any(|item| matches!(item, StreamItem::Missing(Some(_)))), "{before:?}");
    }
    cluster.command("{other}", &["XADD", "{other}", "1-0", "f", "x"]);
    read_until(&mut other, |item| matches!(item, StreamItem::Entry(_))).await;
    drop((feed, other));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_server_of_the_cluster_that_dies_costs_only_its_streams_and_comes_back() {
    let mut cluster = RedisCluster::start();
    // The others have to go on without it.
    for server in &cluster.servers {
        server.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let fixture = open(&cluster, 2);
    let keys: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let mut feeds = Vec::new();
    for key in &keys {
        feeds.push(fixture.reading(key, StreamStart::Tail).await);
    }
    let dead = cluster.of_key(&keys[0]);
    let (its, others): (Vec<usize>, Vec<usize>) = (0..12).partition(|n| cluster.of_key(&keys[*n]) == dead);
    cluster.servers[dead].stop();
    for n in &its {
        read_until(&mut feeds[*n], |item| matches!(item, StreamItem::Waiting(_))).await;
    }
    for n in &others {
        let server = cluster.servers.iter().enumerate().filter(|(at, _)| *at != dead);
        let added = server.map(|(_, server)| server.command(&["XADD", &keys[*n], "1-0", "f", "x"]));
        assert!(added.into_iter().any(|said| said == "1-0"));
        assert_eq!(entry(&mut feeds[*n]).await, "1-0 x", "others go on");
    }
    cluster.servers[dead].restart();
    cluster.serves();
    for n in &its {
        cluster.command(&keys[*n], &["XADD", &keys[*n], "2-0", "f", "y"]);
        let is_it =
            |item: &StreamItem| matches!(item, StreamItem::Entry(entry) if entry.id.milliseconds == 2);
        read_until(&mut feeds[*n], is_it).await;
    }
    drop(feeds);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_no_cluster_say_so_and_a_cluster_of_one_url_too() {
    let (one, two) = (watertight_testkit::Redis::start(), watertight_testkit::Redis::start());
    let fixture = Fixture::open(&[&one.url(), &two.url()]);
    let says = "redis_url names several servers, but they are no cluster";
    assert_eq!(get(&fixture, "k").await, Err(CommandError::Unavailable(says.into())));
    let mut stream = fixture.open_stream("s", StreamStart::Tail);
    read_until(&mut stream, |item| matches!(item, StreamItem::Waiting(why) if &**why == says)).await;
    drop(stream);
    fixture.finish().await;
    let cluster = RedisCluster::start();
    let fixture = open(&cluster, 1);
    let elsewhere = (0..).map(|n| format!("k{n}")).find(|key| cluster.of_key(key) != 0).unwrap();
    assert_eq!(get(&fixture, &elsewhere).await, Err(CommandError::Refused("MOVED".to_owned())));
    fixture.finish().await;
}
