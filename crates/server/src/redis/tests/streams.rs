//! Streams, against real servers: every entry once, and a number for those that are gone.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use watertight_core::{Kind, Owner};
use watertight_testkit::{Cut, FaultProxy, Mode, Redis as Server};

use super::support::{Fixture, KEEP_BYTES, entry, eventually, read, read_until, shown};
use super::*;

fn is_waiting(item: &StreamItem) -> bool {
    matches!(item, StreamItem::Waiting(_))
}

fn add(server: &Server, key: &str, id: &str, value: &str) {
    let said = server.command(&["XADD", key, id, "f", value]);
    assert!(!said.starts_with('-'), "{said}");
}

/// How many commands it has carried out.
fn commands(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "stats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_begins_with_the_last_entries_after_an_entry_or_at_the_tail() {
    let server = Server::start();
    for n in 1..=5 {
        add(&server, "s", &format!("{n}-0"), &format!("v{n}"));
    }
    let fixture = Fixture::open(&[&server.url()]);
    let mut last = fixture.reading("s", StreamStart::Last(2)).await;
    let mut more = fixture.reading("s", StreamStart::Last(99)).await;
    let mut after = fixture.reading("s", StreamStart::After("3-0".parse().unwrap())).await;
    let mut tail = fixture.reading("s", StreamStart::Tail).await;
    let mut none = fixture.reading("s", StreamStart::Last(0)).await;
    add(&server, "s", "6-0", "v6");
    for (feed, first) in [(&mut last, 4), (&mut more, 1), (&mut after, 4), (&mut tail, 6), (&mut none, 6)] {
        for n in first..=6 {
            assert_eq!(entry(feed).await, format!("{n}-0 v{n}"));
        }
    }
    drop((last, more, after, tail, none));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_between_two_reads_or_after_a_time_out_is_never_lost() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    for n in 0..200 {
        // At any moment of a read that waits, and between two.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..20))).await;
        let id = server.command(&["XADD", "s", "*", "f", &n.to_string()]);
        assert_eq!(entry(&mut feed).await, format!("{id} {n}"));
    }
    // Longer than any read waits, and nothing comes meanwhile.
    let nothing = timeout(Duration::from_secs(3), feed.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let id = server.command(&["XADD", "s", "*", "f", "late"]);
    assert_eq!(entry(&mut feed).await, format!("{id} late"));
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_one_millisecond_all_come() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    for n in 0..250 {
        add(&server, "s", &format!("7-{n}"), "x");
    }
    for n in 0..250 {
        assert_eq!(entry(&mut feed).await, format!("7-{n} x"));
    }
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_with_odd_fields_are_given_as_they_are() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    server.command(&["XADD", "s", "1-0", "", "", "a", "1", "a", "2", "\r\n", "\0é"]);
    let StreamItem::Entry(odd) = read(&mut feed).await else { panic!("an entry") };
    let text = |payload: &Payload| String::from_utf8(payload.bytes.to_vec()).unwrap();
    let fields: Vec<_> = odd.fields.iter().map(|(name, value)| (text(name), text(value))).collect();
    let expected = [("", ""), ("a", "1"), ("a", "2"), ("\r\n", "\0é")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // More fields than are kept, and more bytes.
    let mut many = vec!["XADD".to_owned(), "s".into(), "2-0".into()];
    (0..3_000).for_each(|n| many.extend([format!("n{n}"), "v".into()]));
    server.commands(&[many]);
    let StreamItem::Entry(many) = read(&mut feed).await else { panic!("an entry") };
    assert_eq!((many.fields.len(), many.fields_left_out), (1_024, 3_000 - 1_024));
    let large = "y".repeat(10 << 20);
    server.command(&["XADD", "s", "3-0", "a", &large, "b", "left out"]);
    let StreamItem::Entry(cut) = read(&mut feed).await else { panic!("an entry") };
    let (name, value) = &cut.fields[0];
    assert_eq!((value.whole_bytes, value.is_cut()), (10 << 20, true));
    assert_eq!(name.bytes.len() + value.bytes.len(), KEEP_BYTES);
    assert_eq!((cut.fields.len(), cut.fields_left_out), (1, 1));
    add(&server, "s", "4-0", "after");
    assert_eq!(entry(&mut feed).await, "4-0 after");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_trimmed_past_its_reader_says_how_many_went_and_then_gives_the_rest() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address());
    let fixture = Fixture::open(&[&format!("redis://{}", proxy.address())]);
    add(&server, "s", "1-0", "v1");
    let mut feed = fixture.reading("s", StreamStart::Last(1)).await;
    assert_eq!(entry(&mut feed).await, "1-0 v1");
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Rst);
    read_until(&mut feed, is_waiting).await;
    for n in 2..=100 {
        add(&server, "s", &format!("{n}-0"), &format!("v{n}"));
    }
    server.command(&["XTRIM", "s", "MAXLEN", "10"]);
    proxy.set(Mode::Pass);
    // 2 to 90 are gone.
    let before = read_until(&mut feed, |item| *item == StreamItem::Missing(Some(89))).await;
    assert!(before.iter().all(is_waiting), "{before:?}");
    assert_eq!(read(&mut feed).await, StreamItem::Reading);
    for n in 91..=100 {
        assert_eq!(entry(&mut feed).await, format!("{n}-0 v{n}"));
    }
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_trimmed_entries_is_exact_where_redis_knows_it() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    (1..=20).for_each(|n| add(&server, "s", &format!("{n}-0"), "x"));
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    // While Redis carries out one transaction, nobody can read in between.
    let script = "for n = 21, 60 do redis.call('XADD', KEYS[1], n .. '-0', 'f', n) end redis.call('XTRIM', KEYS[1], \
                  'MAXLEN', 5)";
    server.command(&["EVAL", script, "1", "s"]);
    assert_eq!(read(&mut feed).await, StreamItem::Missing(Some(35)));
    for n in 56..=60 {
        assert_eq!(entry(&mut feed).await, format!("{n}-0 {n}"));
    }
    // All of it, and one more.
    let script = "for n = 61, 70 do redis.call('XADD', KEYS[1], n .. '-0', 'f', n) end redis.call('XTRIM', KEYS[1], \
                  'MAXLEN', 0)";
    server.command(&["EVAL", script, "1", "s"]);
    assert_eq!(read(&mut feed).await, StreamItem::Missing(Some(10)));
    add(&server, "s", "71-0", "71");
    assert_eq!(entry(&mut feed).await, "71-0 71");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_anew_with_lower_ids_is_a_gap_and_then_all_of_it() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    (1..=9).for_each(|n| add(&server, "s", &format!("{n}-0"), "old"));
    let mut feed = fixture.reading("s", StreamStart::Last(1)).await;
    assert_eq!(entry(&mut feed).await, "9-0 old");
    for (round, first) in [(0, 1), (1, 1), (2, 50)] {
        server.command(&["DEL", "s"]);
        (first..first + 3).for_each(|n| add(&server, "s", &format!("{n}-0"), &format!("new{round}")));
        assert_eq!(read(&mut feed).await, StreamItem::Missing(None), "round {round}");
        for n in first..first + 3 {
            assert_eq!(entry(&mut feed).await, format!("{n}-0 new{round}"));
        }
        if round == 0 {
            // So that the next one has fewer again.
            add(&server, "s", "8-0", "more");
            assert_eq!(entry(&mut feed).await, "8-0 more");
        }
    }
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarted_empty_is_a_gap_and_then_all_that_is_new() {
    let mut server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    server.command(&["XADD", "s", "*", "f", "old"]);
    let mut feed = fixture.reading("s", StreamStart::Last(5)).await;
    assert!(entry(&mut feed).await.ends_with(" old"));
    server.restart();
    let again = |item: &StreamItem| *item == StreamItem::Reading;
    read_until(&mut feed, again).await;
    let id = server.command(&["XADD", "s", "*", "f", "new"]);
    assert_eq!(read(&mut feed).await, StreamItem::Missing(None));
    assert_eq!(entry(&mut feed).await, format!("{id} new"));
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_every_entry_comes_once_however_the_network_fails() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.address());
    let fixture = Fixture::open(&[&format!("redis://{}", proxy.address())]);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    const ENTRIES: usize = 3_000;
    let adding = async {
        for n in 0..ENTRIES {
            if n % 500 == 250 {
                match n / 500 % 3 {
                    0 => proxy.cut(Cut::Rst),
                    1 => proxy.cut(Cut::Fin),
                    _ => {
                        proxy.set(Mode::Stall);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        proxy.set(Mode::Pass);
                    }
                }
            }
            server.command(&["XADD", "s", "*", "f", &n.to_string()]);
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        let mut seen = 0;
        while seen < ENTRIES {
            match read(&mut feed).await {
                StreamItem::Entry(entry) => {
                    assert!(shown(&entry).ends_with(&format!(" {seen}")), "{entry:?} instead of {seen}");
                    seen += 1;
                }
                StreamItem::Missing(count) => panic!("{count:?} missing"),
                StreamItem::Waiting(_) | StreamItem::Reading => {}
            }
        }
    };
    tokio::join!(adding, reading);
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stops_running_is_noticed_and_read_from_the_last_entry() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feed = fixture.reading("s", StreamStart::Tail).await;
    server.pause();
    let begun = Instant::now();
    read_until(&mut feed, is_waiting).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    server.resume();
    read_until(&mut feed, |item| *item == StreamItem::Reading).await;
    add(&server, "s", "1-0", "v");
    assert_eq!(entry(&mut feed).await, "1-0 v");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_loses_nothing_and_holds_up_nobody() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut slow = fixture.reading("a", StreamStart::Tail).await;
    let mut same = fixture.reading("a", StreamStart::Tail).await;
    let mut other = fixture.reading("b", StreamStart::Tail).await;
    const ENTRIES: usize = 20_000;
    let commands: Vec<Vec<String>> = (0..ENTRIES)
        .flat_map(|n| {
            ["a", "b"].map(|key| ["XADD", key, "*", "f", &n.to_string()].map(str::to_owned).to_vec())
        })
        .collect();
    server.commands(&commands);
    for feed in [&mut other, &mut same] {
        for n in 0..ENTRIES {
            assert!(entry(feed).await.ends_with(&format!(" {n}")));
        }
    }
    assert!(fixture.budget.used() < 6 << 20, "{}", fixture.budget.used());
    for n in 0..ENTRIES {
        assert!(entry(&mut slow).await.ends_with(&format!(" {n}")));
    }
    drop((slow, same, other));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_memory_for_entries_gives_them_all_the_same() {
    let server = Server::start();
    let fixture = Fixture::with_budget(&[&server.url()], 512 << 10);
    let mut feeds =
        vec![fixture.reading("s", StreamStart::Tail).await, fixture.reading("s", StreamStart::Tail).await];
    let value = "x".repeat(10_000);
    (1..=300).for_each(|n| add(&server, "s", &format!("{n}-0"), &value));
    server.command(&["CONFIG", "RESETSTAT"]);
    eventually("it was full", || fixture.budget.used() > 440 << 10).await;
    // While it is full, Redis is not asked again and again.
    let nothing = timeout(Duration::from_secs(2), std::future::pending::<()>()).await;
    assert!(nothing.is_err());
    assert!(commands(&server) < 200);
    for n in 1..=300 {
        for feed in &mut feeds {
            assert!(entry(feed).await.starts_with(&format!("{n}-0 ")));
            assert!(fixture.budget.used() <= 512 << 10);
        }
    }
    // Nor while others hold all of it.
    let all = fixture.budget.charge(Owner::Sessions, 512 << 10);
    add(&server, "s", "301-0", &value);
    server.command(&["CONFIG", "RESETSTAT"]);
    let nothing = timeout(Duration::from_secs(2), feeds[0].next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert!(commands(&server) < 200);
    drop(all);
    for feed in &mut feeds {
        assert!(entry(feed).await.starts_with("301-0 "));
    }
    drop(feeds);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_read_says_why_and_others_go_on() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "hub", "on", ">pw", "+@all", "~good", "~text", "&*"]);
    server.command(&["SET", "text", "no stream"]);
    let fixture = Fixture::open(&[&server.url_for("hub", "pw")]);
    let mut good = fixture.reading("good", StreamStart::Tail).await;
    let mut forbidden = fixture.open_stream("deployment:42:logs", StreamStart::Last(5));
    let mut text = fixture.open_stream("text", StreamStart::After(EntryId::START));
    let says = |says: &'static [&'static str]| move |item: &StreamItem| matches!(item, StreamItem::Waiting(why) if says.iter().all(|word| why.contains(word)));
    read_until(&mut forbidden, says(&["NOPERM", "+xread", "~deployment:42:logs"])).await;
    read_until(&mut text, says(&["no stream", "WRONGTYPE"])).await;
    // One that becomes unreadable while it is waited for.
    let mut becomes = fixture.reading("good", StreamStart::Tail).await;
    add(&server, "good", "1-0", "v");
    assert_eq!(entry(&mut good).await, "1-0 v");
    assert_eq!(entry(&mut becomes).await, "1-0 v");
    server.command(&["SET", "good", "now a text"]);
    read_until(&mut becomes, says(&["WRONGTYPE"])).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    let begun = Instant::now();
    eventually("it is asked again", || begun.elapsed() > Duration::from_secs(3)).await;
    let stats = server.command(&["INFO", "commandstats"]);
    let calls = |name: &str| -> u32 {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    };
    assert!(calls("multi") < 20, "no storm: {stats}");
    server.command(&["DEL", "good", "text"]);
    server.command(&["ACL", "SETUSER", "hub", "~deployment:*"]);
    let again = |item: &StreamItem| *item == StreamItem::Reading;
    for feed in [&mut forbidden, &mut text, &mut becomes] {
        read_until(feed, again).await;
    }
    add(&server, "deployment:42:logs", "1-0", "now");
    assert_eq!(entry(&mut forbidden).await, "1-0 now");
    drop((good, forbidden, text, becomes));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leak_class_g_any_number_of_streams_is_read_over_one_connection_which_ends_with_them() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let tasks = fixture.ledger.live(Kind::Task);
    let mut feeds = Vec::new();
    for n in 0..1_200 {
        feeds.push(fixture.open_stream(&format!("s{n}"), StreamStart::Tail));
    }
    for feed in &mut feeds {
        read_until(feed, |item| *item == StreamItem::Reading).await;
    }
    let clients = server.command(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:3\r\n"), "this one, commands, streams: {clients}");
    for n in [0, 700, 1_199] {
        add(&server, &format!("s{n}"), "1-0", "x");
        assert_eq!(entry(&mut feeds[n]).await, "1-0 x");
    }
    assert_eq!(fixture.ledger.live(Kind::Task), tasks + 1);
    drop(feeds);
    eventually("the reader ends", || fixture.ledger.live(Kind::Task) == tasks).await;
    eventually("its connection is closed", || {
        server.command(&["INFO", "clients"]).contains("connected_clients:2\r\n")
    })
    .await;
    // And it begins again.
    let mut feed = fixture.reading("s0", StreamStart::Last(1)).await;
    assert_eq!(entry(&mut feed).await, "1-0 x");
    drop(feed);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_streams_costs_redis_little_and_commands_are_not_held_up() {
    let server = Server::start();
    let fixture = Fixture::open(&[&server.url()]);
    let mut feeds = Vec::new();
    for n in 0..100 {
        feeds.push(fixture.reading(&format!("s{n}"), StreamStart::Tail).await);
    }
    let (before, begun) = (commands(&server), Instant::now());
    let mut late = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        assert!(fixture.redis.command(&redis::cmd("DBSIZE")).await.is_ok());
        late.extend(Some(asked.elapsed()).filter(|took| *took >= Duration::from_millis(900)));
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // One may be: the machine may have stood still for a moment.
    assert!(late.len() <= 1, "{late:?}");
    let per_second = (commands(&server) - before) as f64 / begun.elapsed().as_secs_f64();
    println!("{per_second:.0} commands a second for 100 quiet streams");
    // A read every 100 ms, and a look at each stream every 2 s: three commands in a transaction.
    assert!(per_second < 300.0, "{per_second}");
    drop(feeds);
    fixture.finish().await;
}
