//! A master with a replica, watched by a sentinel: found, and followed when another one takes over.

use std::time::Duration;

use tokio::time::Instant;

use watertight_testkit::{PATIENCE, Redis as Server, Sentinel};

use super::support::{Fixture, eventually, message, numsub, read, read_until, until};
use super::*;

/// Sends a command until it is carried out.
async fn done(fixture: &Fixture, words: &[&str]) {
    let begun = Instant::now();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    loop {
        match fixture.redis.command(&command).await {
            Ok(_) => return,
            Err(error) => assert!(begun.elapsed() < 2 * PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that commands, a channel and a stream are those of this server.
async fn all_at(
    fixture: &Fixture,
    server: &Server,
    channel: &mut ChannelFeed,
    stream: &mut StreamFeed,
    word: &str,
) {
    done(fixture, &["SET", "k", word]).await;
    eventually("the command came to it", || server.command(&["GET", "k"]) == word).await;
    eventually("the channel is held there", || numsub(server, "a") == "1").await;
    server.command(&["PUBLISH", "a", word]);
    until(channel, |item| matches!(item, FeedItem::Message(message) if message.bytes == word)).await;
    server.command(&["XADD", "s", "*", "f", word]);
    let is_it =
        |item: &StreamItem| matches!(item, StreamItem::Entry(entry) if entry.fields[0].1.bytes == word);
    let before = read_until(stream, is_it).await;
    assert!(!before.iter().any(|item| matches!(item, StreamItem::Entry(_))), "no entry twice: {before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_sentinels_name_is_used_and_followed_when_another_takes_over() {
    let group = Sentinel::start();
    let fixture = Fixture::open(&["redis+sentinel://127.0.0.1:1/main", &group.url()]);
    let mut channel = fixture.subscribed("a").await;
    let mut stream = fixture.reading("s", StreamStart::Tail).await;
    let first = group.master();
    all_at(&fixture, &group.servers[first], &mut channel, &mut stream, "one").await;
    // The old master goes on as a replica: its connections stay, and it would refuse to write.
    group.fail_over();
    let second = group.master();
    until(&mut channel, |item| *item == FeedItem::Subscribed { interrupted: true }).await;
    assert_eq!(numsub(&group.servers[first], "a"), "0", "nothing is left at the old one");
    all_at(&fixture, &group.servers[second], &mut channel, &mut stream, "two").await;
    drop((channel, stream));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_master_that_dies_is_replaced_by_its_replica() {
    let mut group = Sentinel::start();
    let fixture = Fixture::open(&[&group.url()]);
    let mut channel = fixture.subscribed("a").await;
    let mut stream = fixture.reading("s", StreamStart::Tail).await;
    let first = group.master();
    all_at(&fixture, &group.servers[first], &mut channel, &mut stream, "one").await;
    eventually("the replica has it", || group.servers[1 - first].command(&["XLEN", "s"]) == "1").await;
    group.servers[first].stop();
    eventually("the replica is promoted", || group.master() != first).await;
    until(&mut channel, |item| *item == FeedItem::Subscribed { interrupted: true }).await;
    all_at(&fixture, &group.servers[1 - first], &mut channel, &mut stream, "two").await;
    // The old one comes back, and is only a replica.
    group.servers[first].restart();
    eventually("it is a replica", || {
        let said = group.servers[first].try_command(&["INFO", "replication"]);
        said.is_ok_and(|info| info.contains("role:slave"))
    })
    .await;
    all_at(&fixture, &group.servers[1 - first], &mut channel, &mut stream, "three").await;
    drop((channel, stream));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_does_not_know_the_master_or_is_not_there_says_so() {
    let group = Sentinel::start();
    let unknown = group.url().replace("/main", "/other");
    for (url, says) in [
        (&*unknown, "the sentinels know no master \"other\""),
        ("redis+sentinel://127.0.0.1:1/main", "a sentinel: "),
    ] {
        let fixture = Fixture::open(&[url]);
        let mut channel = fixture.subscribe("a");
        until(&mut channel, |item| matches!(item, FeedItem::Waiting(why) if why.starts_with(says))).await;
        let mut stream = fixture.open_stream("s", StreamStart::Tail);
        read_until(&mut stream, |item| matches!(item, StreamItem::Waiting(why) if why.starts_with(says)))
            .await;
        let error = fixture.redis.command(&redis::cmd("PING")).await.unwrap_err();
        let CommandError::Unavailable(why) = error else { panic!("{error:?}") };
        assert!(why.starts_with(says), "{why}");
        drop((channel, stream));
        fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_sentinel_is_not_taken_for_one() {
    let server = Server::start();
    let fixture = Fixture::open(&[&format!("redis+sentinel://{}/main", server.address())]);
    let mut channel = fixture.subscribe("a");
    let says = "a sentinel does not say where the master is (ERR)";
    until(&mut channel, |item| matches!(item, FeedItem::Waiting(why) if &**why == says)).await;
    drop(channel);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_replica_is_read_and_says_why_it_does_not_write() {
    let master = Server::start();
    let replica = Server::replica_of(&master);
    let fixture = Fixture::open(&[&replica.url()]);
    let mut set = redis::cmd("SET");
    set.arg("k").arg("v");
    assert_eq!(fixture.redis.command(&set).await, Err(CommandError::Refused("READONLY".to_owned())));
    let mut stream = fixture.reading("s", StreamStart::Tail).await;
    master.command(&["XADD", "s", "1-0", "f", "v"]);
    assert!(matches!(read(&mut stream).await, StreamItem::Entry(_)));
    let mut channel = fixture.subscribed("a").await;
    master.command(&["PUBLISH", "a", "hello"]);
    assert_eq!(message(&mut channel).await, "hello");
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(fixture.redis.command(&set).await.is_ok());
    drop((stream, channel));
    fixture.finish().await;
}

/// A sentinel that says what the test wants, as one that is slow to see that the master was demoted by hand.
struct Saying {
    address: std::net::SocketAddr,
    master: Arc<std::sync::Mutex<std::net::SocketAddr>>,
}

impl Saying {
    fn start(master: std::net::SocketAddr) -> Saying {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let saying = Saying { address, master: Arc::new(std::sync::Mutex::new(master)) };
        let master = Arc::clone(&saying.master);
        // It ends with the process.
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, mut asked) = (socket.unwrap(), [0; 1024]);
                if std::io::Read::read(&mut socket, &mut asked).is_ok() {
                    let now = *master.lock().unwrap();
                    let (ip, port) = (now.ip().to_string(), now.port().to_string());
                    let said = format!("*2\r\n${}\r\n{ip}\r\n${}\r\n{port}\r\n", ip.len(), port.len());
                    let _ = std::io::Write::write_all(&mut socket, said.as_bytes());
                }
            }
        });
        saying
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_demoted_is_left_although_it_keeps_its_connections() {
    let (first, second) = (Server::start(), Server::start());
    let sentinel = Saying::start(first.address());
    let fixture = Fixture::open(&[&format!("redis+sentinel://{}/main", sentinel.address)]);
    let mut channel = fixture.subscribed("a").await;
    let mut stream = fixture.reading("s", StreamStart::Tail).await;
    all_at(&fixture, &first, &mut channel, &mut stream, "one").await;
    *sentinel.master.lock().unwrap() = second.address();
    let port = second.address().port().to_string();
    first.command(&["REPLICAOF", "127.0.0.1", &port]);
    until(&mut channel, |item| *item == FeedItem::Subscribed { interrupted: true }).await;
    all_at(&fixture, &second, &mut channel, &mut stream, "two").await;
    eventually("nothing is left at the old one", || {
        let names = first.command(&["CLIENT", "LIST"]);
        !names.contains("name=watertight") && !names.contains("lib-name=watertight")
    })
    .await;
    drop((channel, stream));
    fixture.finish().await;
}
