//! No silent loss: what a subscriber that comes back is promised.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use watertight_testkit::{Cut, FaultProxy, Gap, HubProcess, RawConnection, SseReader, eventually, seeded};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// Publishes the numbers of a range, one event each.
fn publish_numbers(hub: &HubProcess, session: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| hub.publish_text(session, &n.to_string())).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn nothing_is_lost_or_doubled_between_replay_and_live_wherever_a_reader_comes_back() {
    const EVENTS: usize = 3000;
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 100_000).start();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|reader| {
                let hub = &hub;
                scope.spawn(move || read_with_resumes(hub, reader, EVENTS))
            })
            .collect();
        // One connection, and some events in batches, so that reads meet logs in every state.
        let mut n = 0;
        let mut random = seeded("the publisher");
        while n < EVENTS {
            let some = random.usize(1..=7).min(EVENTS - n);
            let events: Vec<_> = (n..n + some).map(|n| serde_json::json!({ "data": n })).collect();
            hub.publish_json("demo", &events.into());
            n += some;
        }
        let resumes: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        println!("{resumes} resumes");
        assert!(resumes >= 40, "too few to mean much: {resumes}");
    });
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

/// Reads all events, leaving and coming back at random; returns how often.
fn read_with_resumes(hub: &HubProcess, reader: usize, events: usize) -> usize {
    let mut random = seeded(&format!("reader {reader}"));
    let mut stream = hub.subscribe_with("demo", "replay=all", &[]);
    let (mut next, mut resumes) = (0, 0);
    while next < events {
        for _ in 0..random.usize(0..200) {
            if next == events {
                break;
            }
            let event = stream.next_event();
            assert_eq!(event.data, next.to_string(), "reader {reader} after {resumes} resumes");
            next += 1;
        }
        let id = stream.last_event_id().to_owned();
        match random.u8(0..3) {
            0 => stream.reset(),
            1 => stream.connection().half_close(),
            _ => drop(stream),
        }
        stream = hub.resume("demo", &id);
        resumes += 1;
    }
    resumes
}

#[test]
fn what_was_published_while_the_network_was_cut_arrives_once_in_order() {
    let hub = HubProcess::start(WATERTIGHT);
    let proxy = FaultProxy::start(hub.address());
    let mut random = seeded("the network");
    let path = "/sessions/demo/events";
    let mut stream = SseReader::open(proxy.address(), path, &[]);
    let (mut published, mut read) = (0, 0);
    for _ in 0..20 {
        let live = random.usize(0..20);
        publish_numbers(&hub, "demo", published..published + live);
        published += live;
        let some = random.usize(0..=published - read);
        assert_eq!(stream.next_data(some), numbers(read..read + some));
        read += some;
        proxy.cut(if random.bool() { Cut::Fin } else { Cut::Rst });
        publish_numbers(&hub, "demo", published..published + 10);
        published += 10;
        let id = stream.last_event_id().to_owned();
        stream = SseReader::open(proxy.address(), path, &[("Last-Event-ID", &id)]);
    }
    assert_eq!(stream.next_data(published - read), numbers(read..published));
    assert_eq!(hub.stats().number("metrics.gaps"), 0);
}

#[test]
fn a_reader_that_has_seen_nothing_yet_resumes_from_the_opening_id() {
    let hub = HubProcess::start(WATERTIGHT);
    publish_numbers(&hub, "demo", 0..5);
    let stream = hub.subscribe("demo");
    let opening = stream.last_event_id().to_owned();
    drop(stream);
    publish_numbers(&hub, "demo", 5..8);
    let mut back = hub.resume("demo", &opening);
    assert_eq!(back.next_data(3), numbers(5..8));
}

#[test]
fn every_spelling_of_the_id_resumes_and_the_header_wins() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids = publish_numbers(&hub, "demo", 0..5);
    for spelling in ["last_event_id", "lastEventId", "lastEventID", "after"] {
        let query = format!("{spelling}={}", ids[2]);
        assert_eq!(hub.subscribe_with("demo", &query, &[]).next_data(2), numbers(3..5), "{spelling}");
        let header = [("Last-Event-ID", ids[3].as_str())];
        assert_eq!(hub.subscribe_with("demo", &query, &header).next_data(1), numbers(4..5), "{spelling}");
        let with_replay = format!("{query}&replay=all");
        assert_eq!(hub.subscribe_with("demo", &with_replay, &[]).next_data(2), numbers(3..5), "{spelling}");
    }
    let lower = [("last-event-id", ids[3].as_str())];
    assert_eq!(hub.subscribe_with("demo", "", &lower).next_data(1), numbers(4..5));
    let encoded = ids[2].replace('-', "%2D");
    let query = format!("last_event_id={encoded}");
    assert_eq!(hub.subscribe_with("demo", &query, &[]).next_data(2), numbers(3..5));
}

#[test]
fn an_empty_id_asks_for_nothing() {
    let hub = HubProcess::start(WATERTIGHT);
    publish_numbers(&hub, "demo", 0..3);
    for (query, headers) in
        [("", &[("Last-Event-ID", "")][..]), ("last_event_id=", &[]), ("lastEventId", &[])]
    {
        let mut stream = hub.subscribe_with("demo", query, headers);
        let id = hub.publish_text("demo", "live");
        assert_eq!(stream.next_event().id, id, "{query} {headers:?}");
    }
}

#[test]
fn replay_asks_for_all_or_the_last_n_and_goes_on_live() {
    let hub = HubProcess::start(WATERTIGHT);
    publish_numbers(&hub, "demo", 0..20);
    let cases = [("all", 0), ("5", 15), ("1", 19), ("0", 20), ("20", 0), ("100000", 0)];
    let mut streams: Vec<_> = cases
        .iter()
        .map(|(replay, from)| (hub.subscribe_with("demo", &format!("replay={replay}"), &[]), from))
        .collect();
    publish_numbers(&hub, "demo", 20..25);
    for (stream, from) in &mut streams {
        assert_eq!(stream.next_data(25 - **from), numbers(**from..25));
    }
    for wrong in ["some", "-1", "1.5", "%FF", "18446744073709551616"] {
        let path = format!("/sessions/demo/events?replay={wrong}");
        hub.get(&path).expect_problem(400, "INVALID_PARAMETER");
    }
}

#[test]
fn a_history_too_short_names_how_many_were_missed() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 10).start();
    let ids = publish_numbers(&hub, "demo", 0..100);
    let mut stream = hub.resume("demo", &ids[19]);
    let gap = stream.expect_gap();
    let expected = Gap {
        from: Some(ids[20].clone()),
        to: ids[89].clone(),
        missed: Some(70),
        reason: "evicted".into(),
        id: ids[89].clone(),
    };
    assert_eq!(gap, expected);
    assert_eq!(stream.next_data(10), numbers(90..100));
    // Whoever breaks off right behind the gap is not told of it again.
    assert_eq!(hub.resume("demo", &gap.id).next_data(10), numbers(90..100));
    // The oldest event that is kept is given without a gap, the one before it is not.
    assert_eq!(hub.resume("demo", &ids[89]).next_data(10), numbers(90..100));
    assert_eq!(hub.resume("demo", &ids[88]).expect_gap().missed, Some(1));
    let mut all = hub.subscribe_with("demo", "replay=all", &[]);
    assert_eq!(all.expect_gap(), Gap { from: Some(ids[0].clone()), missed: Some(90), ..gap });
    assert_eq!(all.next_data(10), numbers(90..100));
}

#[test]
fn the_bytes_of_a_session_are_bounded_too() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-history-bytes-per-session", "64KiB")
        .flag("--max-event-bytes", "16KiB")
        .start();
    let data = "x".repeat(10 * 1024);
    let ids: Vec<String> = (0..30).map(|_| hub.publish_text("demo", &data)).collect();
    let session = hub.get("/sessions/demo").expect(200).json();
    assert!(session["bytes"].as_u64().unwrap() <= 64 * 1024, "{session}");
    let kept = session["events"].as_u64().unwrap();
    assert!((5..=6).contains(&kept), "{session}");
    let mut stream = hub.resume("demo", &ids[0]);
    assert_eq!(stream.expect_gap().missed, Some(29 - kept));
    assert_eq!(stream.next_event().id, ids[30 - kept as usize]);
}

#[test]
fn an_id_that_is_none_of_this_sessions_is_a_gap_and_never_somebody_elses_events() {
    let hub = HubProcess::start(WATERTIGHT);
    let elsewhere = HubProcess::start(WATERTIGHT);
    let foreign = publish_numbers(&elsewhere, "demo", 0..3);
    let other = hub.publish_text("secret", "not yours");
    let before = publish_numbers(&hub, "demo", 0..3);
    hub.client().post("/sessions/demo/end", "application/json", "").expect(200);
    let reopen =
        hub.client().post("/sessions/demo/events?reopen=true", "text/plain", "10").expect(202).json();
    let mut ids = vec![reopen["id"].as_str().unwrap().to_owned()];
    ids.extend(publish_numbers(&hub, "demo", 11..13));
    let (epoch, _) = ids[0].split_once('-').unwrap();
    let cases = [
        (other, "epoch"),
        (foreign[1].clone(), "epoch"),
        (before[2].clone(), "epoch"),
        (format!("{epoch}-4"), "unknown_id"),
        (format!("{epoch}-9007199254740991"), "unknown_id"),
        (format!("{epoch}-9007199254740992"), "unknown_id"),
        (format!("{epoch}-99999999999999999999"), "unknown_id"),
        (format!("{epoch}--1"), "unknown_id"),
        (format!("{epoch}-01"), "unknown_id"),
        (format!("{epoch}-+1"), "unknown_id"),
        (format!("{epoch}-1 "), "unknown_id"),
        (format!("{epoch}-"), "unknown_id"),
        (epoch.to_owned(), "unknown_id"),
        (ids[0].to_uppercase(), "unknown_id"),
        ("0".into(), "unknown_id"),
        ("-1".into(), "unknown_id"),
        ("$".into(), "unknown_id"),
        ("ünknown".into(), "unknown_id"),
        ("'; drop table events".into(), "unknown_id"),
        ("x".repeat(4000), "unknown_id"),
    ];
    for (id, reason) in &cases {
        let told = |gap: Gap| {
            assert_eq!((gap.reason.as_str(), gap.missed), (*reason, None), "{id}");
            assert_eq!(gap.to, format!("{epoch}-0"), "{id}: what follows is all there is");
        };
        // A header cannot carry a trailing space: it belongs to the line.
        if !id.ends_with(' ') {
            let mut stream = hub.resume("demo", id);
            told(stream.expect_gap());
            assert_eq!(stream.next_data(3), numbers(10..13), "{id}");
        }
        let query: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        if query.len() < 8000 {
            let mut stream = hub.subscribe_with("demo", &format!("last_event_id={query}"), &[]);
            told(stream.expect_gap());
            assert_eq!(stream.next_data(3), numbers(10..13), "{id}");
        }
    }
}

#[test]
fn an_id_that_is_no_text_is_a_gap_too() {
    let hub = HubProcess::start(WATERTIGHT);
    publish_numbers(&hub, "demo", 0..2);
    let mut connection = RawConnection::connect(hub.address());
    connection
        .send(b"GET /sessions/demo/events HTTP/1.1\r\nHost: hub\r\nLast-Event-ID: \xff\xfe\x80\r\n\r\n");
    let mut stream = SseReader::over(connection).unwrap();
    assert_eq!(stream.expect_gap().reason, "unknown_id");
    assert_eq!(stream.next_data(2), numbers(0..2));
}

#[test]
fn an_id_from_before_a_restart_is_a_gap_that_says_so() {
    let hub = HubProcess::start(WATERTIGHT);
    let ids = publish_numbers(&hub, "demo", 0..3);
    drop(hub);
    let hub = HubProcess::start(WATERTIGHT);
    // Also when the session has nothing yet: the reader must learn it before anything newer comes.
    let mut early = hub.resume("demo", &ids[2]);
    let gap = early.expect_gap();
    assert_eq!((gap.reason.as_str(), gap.from.as_ref()), ("epoch", Some(&ids[2])));
    publish_numbers(&hub, "demo", 3..4);
    assert_eq!(early.next_data(1), numbers(3..4));
}

#[test]
fn a_reader_that_falls_behind_gets_a_gap_in_band_and_then_what_is_left() {
    let hub = HubProcess::builder(WATERTIGHT)
        .flag("--max-queue-size", 50)
        .flag("--max-history-per-session", 50)
        .flag("--send-buffer-bytes", "16KiB")
        .start();
    let options = watertight_testkit::ConnectOptions::small_window();
    let mut slow = SseReader::open_with(hub.address(), "/sessions/demo/events", &[], &options).unwrap();
    // Nobody reads: the socket fills, the log goes on.
    let filler = "x".repeat(4000);
    let mut published = 0;
    let lag = || hub.get("/connections").expect(200).json()["connections"][0]["lag"].as_u64().unwrap();
    eventually!(
        {
            for _ in 0..20 {
                hub.publish_text("demo", &format!("{published} {filler}"));
                published += 1;
            }
            lag()
        },
        |lag| *lag > 100
    );
    let (mut next, mut gaps) = (0, 0);
    while next < published {
        let event = slow.next_event();
        if event.event_type == "gap" {
            let gap = Gap::of(&event);
            assert_eq!(gap.reason, "lagged", "{gap:?}");
            let at = |id: &str| id.split_once('-').unwrap().1.parse::<usize>().unwrap();
            assert_eq!(at(gap.from.as_ref().unwrap()), next + 1, "the gap begins where the reader stood");
            assert_eq!(gap.missed, Some((at(&gap.to) - next) as u64));
            next = at(&gap.to);
            gaps += 1;
        } else {
            assert_eq!(event.data, format!("{next} {filler}"));
            next += 1;
        }
    }
    assert_eq!(gaps, 1, "one gap for one fall");
    hub.publish_text("demo", "level again");
    assert_eq!(slow.next_event().data, "level again");
}
