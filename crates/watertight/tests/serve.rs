//! Sockets in a pump's hands, on a clock that the test moves: heartbeats, deadlines, stalls, panics.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::eventually;
use crate::support::served::{Served, read_until};
use futures_util::FutureExt;
use watertight::{Event, Hub, HubConfig};
use watertight_core::Kind;

fn publish(hub: &Hub, session: &str, data: &str) {
    hub.publish_now(session, &Event::new(data)).expect("published");
}

#[test]
fn silence_is_broken_by_a_heartbeat_every_interval() {
    let served = Served::new(HubConfig::default());
    let mut stream = served.open("s");
    for _ in 0..3 {
        served.hub.advance(Duration::from_millis(15_100));
        assert_eq!(read_until(&mut stream, ":\n\n\r\n"), "3\r\n:\n\n\r\n");
    }
    // An event resets the silence.
    served.hub.advance(Duration::from_secs(10));
    publish(&served.hub, "s", "x");
    read_until(&mut stream, "data: x\n\n\r\n");
    served.hub.advance(Duration::from_secs(10));
    publish(&served.hub, "s", "y");
    assert!(!read_until(&mut stream, "data: y\n\n\r\n").contains("3\r\n:\n\n"));
}

#[test]
fn a_connection_of_age_is_told_why_it_ends_and_when_to_come_back() {
    let max_age = Some(Duration::from_secs(60));
    let served = Served::new(HubConfig { max_age, max_age_jitter_percent: 0, ..HubConfig::default() });
    let mut stream = served.open("s");
    served.hub.advance(Duration::from_millis(60_100));
    let closing_event = read_until(&mut stream, "0\r\n\r\n");
    assert!(
        closing_event
            .contains("event: error\ndata: {\"error\":\"Connection timeout\",\"code\":\"TIMEOUT\"}\n")
    );
    assert!(closing_event.contains("retry: "));
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn leak_class_a_a_reader_that_stalls_is_ended_by_the_write_deadline_and_the_others_read_on() {
    let served = Served::new(HubConfig { send_buffer_bytes: Some(8 * 1024), ..HubConfig::default() });
    let stalled = served.open("s");
    let mut reader = served.open("s");
    let data = "x".repeat(16 * 1024);
    for number in 0..100 {
        publish(&served.hub, "s", &format!("{number} {data}"));
        read_until(&mut reader, &format!("{data}\n\n\r\n"));
    }
    assert_eq!(served.hub.live(Kind::Connection), 2);
    served.hub.advance(Duration::from_millis(30_100));
    // Tried once more first, and given a grace: it might have been the process that stood still.
    eventually("the stalled reader is gone", || {
        served.hub.advance(Duration::from_millis(100));
        served.hub.live(Kind::Connection) == 1
    });
    eventually("and counted", || {
        served.hub.counters().slow_consumers.load(std::sync::atomic::Ordering::Relaxed) == 1
    });
    publish(&served.hub, "s", "still there");
    read_until(&mut reader, "data: still there\n\n\r\n");
    drop(stalled);
}

#[test]
fn leak_class_b_a_peer_that_leaves_is_noticed_at_once_although_nothing_is_written() {
    let served = Served::new(HubConfig::default());
    let streams: Vec<TcpStream> = (0..50).map(|number| served.open(&format!("s{number}"))).collect();
    assert_eq!(served.hub.live(Kind::Connection), 50);
    drop(streams);
    // Time stands still: no heartbeat helps.
    eventually("all are gone", || served.hub.live(Kind::Connection) == 0);
}

#[test]
fn threat_5_pipelined_junk_does_not_hide_that_the_peer_left() {
    let served = Served::new(HubConfig::default());
    for junk in [&b"x"[..], b"GET /s HTTP/1.1\r\nHost: hub\r\n\r\n", &[0; 8000]] {
        let mut stream = TcpStream::connect(served.address).expect("a connection");
        let request = [b"GET /s HTTP/1.1\r\nHost: hub\r\n\r\n", junk].concat();
        stream.write_all(&request).expect("a request");
        read_until(&mut stream, "\n\n\r\n");
        stream.write_all(junk).expect("more junk");
        drop(stream);
    }
    eventually("all are gone", || served.hub.live(Kind::Connection) == 0);
}

#[test]
fn a_peer_that_never_stops_sending_is_cut_off() {
    let served = Served::new(HubConfig::default());
    let mut stream = served.open("s");
    let sent = (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 4096]));
    eventually("it is gone", || served.hub.live(Kind::Connection) == 0);
    drop(sent);
}

#[test]
fn threat_36_a_pump_that_panics_drops_its_sockets_and_starts_anew() {
    let served = Served::new(HubConfig::default());
    let before: Vec<TcpStream> = (0..10).map(|_| served.open("s")).collect();
    for shard in 0..2 {
        served.hub.inject_panic(shard);
    }
    eventually("the guards ran", || served.hub.live(Kind::Connection) == 0);
    assert_eq!(served.hub.live(Kind::Subscription), 0);
    for mut stream in before {
        let mut rest = Vec::new();
        // An end or a reset; never a hang.
        let _ = stream.read_to_end(&mut rest);
    }
    let mut after = served.open("s");
    publish(&served.hub, "s", "alive");
    read_until(&mut after, "data: alive\n\n\r\n");
}

#[test]
fn news_is_written_together_and_each_event_once() {
    let served = Served::new(HubConfig::default());
    let mut streams: Vec<TcpStream> = (0..300).map(|_| served.open("s")).collect();
    for number in 0..400 {
        publish(&served.hub, "s", &format!("n{number}."));
    }
    for stream in &mut streams {
        let seen = read_until(stream, "data: n399.\n\n\r\n");
        let numbers: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let expected: Vec<String> = (0..400).map(|number| format!("n{number}.")).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn members_that_leave_in_the_middle_of_a_pass_take_nobody_with_them() {
    let served = Served::new(HubConfig::default());
    let mut staying = Vec::new();
    let mut leaving = Vec::new();
    for number in 0..600 {
        let stream = served.open("s");
        if number % 3 == 0 { staying.push(stream) } else { leaving.push(stream) }
    }
    for number in 0..50 {
        publish(&served.hub, "s", &format!("n{number}."));
        leaving.truncate(leaving.len().saturating_sub(8));
    }
    for stream in &mut staying {
        let seen = read_until(stream, "data: n49.\n\n\r\n");
        assert_eq!(seen.matches("data: n").count(), 50);
    }
}

#[test]
fn stopping_tells_every_reader() {
    let mut served = Served::new(HubConfig::default());
    let mut streams: Vec<TcpStream> = (0..20).map(|_| served.open("s")).collect();
    served.stop();
    for stream in &mut streams {
        let closing_event = read_until(stream, "0\r\n\r\n");
        assert!(closing_event.contains("\"code\":\"SHUTTING_DOWN\""));
    }
}

#[test]
fn questions_about_many_connections_never_hold_up_their_events() {
    const SOCKETS: usize = 700;
    const QUESTIONS: usize = 500;
    let served = Served::new(HubConfig::default());
    // The first that each question meets.
    let mut readers: Vec<TcpStream> = (0..8).map(|_| served.open("s")).collect();
    let crowd: Vec<TcpStream> = (0..SOCKETS).map(|_| served.open("crowd")).collect();
    // A pump that stands still is asked everything, and to stand still twice behind that.
    let asking = served.hub.hold_pump(0);
    let mut questions: Vec<_> = (0..QUESTIONS)
        .map(|_| {
            let hub = served.hub.hub.clone();
            Box::pin(async move {
                let (page, _) = hub.connections(Default::default(), 1000).await;
                assert_eq!(page.len(), 8 + SOCKETS);
                page.iter().any(|info| info.session == "s" && info.sent == 0)
            })
        })
        .collect();
    assert!(questions.iter_mut().all(|question| question.now_or_never().is_none()));
    let [asked, news] = [0, 0].map(|shard| served.hub.hold_pump(shard));
    drop(asking);
    // It has taken all questions and answered hardly any: there is news.
    asked.send(()).expect("a pump");
    publish(&served.hub, "s", "news");
    drop(news);
    readers.iter_mut().for_each(|reader| drop(read_until(reader, "data: news\n\n\r\n")));
    // Each answer says whether its pump had written the news to all by then.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let questions: Vec<_> = questions.into_iter().map(|question| runtime.spawn(question)).collect();
    let answers = runtime.block_on(futures_util::future::try_join_all(questions)).expect("no panic");
    let before = answers.into_iter().filter(|is_before| *is_before).count();
    // Those of a turn or two.
    assert!(before < 10, "{before} questions were answered before the event was delivered");
    drop((runtime, crowd));
}
