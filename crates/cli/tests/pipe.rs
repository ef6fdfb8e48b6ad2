//! `watertight publish` and `watertight tail` between real programs, byte for byte, with the network failing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use watertight_testkit::{
    Cut, FaultProxy, HubProcess, Mode, PATIENCE, Program, Signal, StreamDecoder, eventually, free_address,
};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

/// A hub that remembers enough for whoever was cut off, and asks it back soon.
fn hub() -> HubProcess {
    HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 100_000).flag("--retry", "0.1").start()
}

fn watertight(arguments: &[&str]) -> Program {
    let mut command = Command::new(WATERTIGHT);
    // The user's own settings have no say here.
    command.env_remove("WATERTIGHT_URL").env_remove("WATERTIGHT_TOKEN").args(arguments);
    Program::spawn(command)
}

fn tail(url: &str, more: &[&str]) -> Program {
    watertight(&[&["tail", "demo", "--url", url, "--exit-on-end"], more].concat())
}

fn lines(program: &Program) -> usize {
    program.output().iter().filter(|byte| **byte == b'\n').count()
}

/// The data of the events in what `curl -i` printed, a line feed after each.
fn data_of(curl: &Program) -> Vec<u8> {
    let (mut decoder, mut data) = (StreamDecoder::default(), Vec::new());
    decoder.feed(&curl.output(), &mut |item| {
        if let watertight_wire::Item::Event { data: text, event_type: "message", .. } = item {
            data.extend_from_slice(text.as_bytes());
            data.push(b'\n');
        }
    });
    data
}

#[test]
fn a_real_programs_output_reaches_two_tails_and_a_curl_byte_for_byte_although_one_is_cut_off() {
    let hub = hub();
    let proxy = FaultProxy::start(hub.address());
    let steady = tail(&hub.url(""), &[]);
    let cut = tail(&proxy.url(""), &[]);
    // `--raw` leaves the chunks in, so the decoder sees the stream as it was sent.
    let curl = Program::start("curl", ["-isN", "--raw", &hub.url("/sessions/demo/events")]);
    eventually!(hub.stats().live("subscription"), |live| *live == 3);

    // Fast and slow in turns: a listing, a program that takes its time, a burst, and again.
    let input = hub.dir().join("input");
    let script = "exec 2>&1; ls -l /usr/bin | head -300; vmstat 1 3; seq 1 1500; vmstat 1 2; \
                  cat /proc/cpuinfo; seq 1501 3000; printf 'a\\tb  c\\n\\n\\n  \\xc3\\xbc\\n'";
    let pipe =
        format!("({script}) | tee '{}' | '{WATERTIGHT}' publish demo --url {}", input.display(), hub.url(""));
    let mut publishing = Program::start("bash", ["-o", "pipefail", "-c", &pipe]);

    // Cut while it goes on: in the slow part, and then twice in the middle of what it has to catch up with.
    eventually!(lines(&cut) > 290);
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Rst);
    proxy.limit_bytes(Some(20_000));
    eventually!(lines(&steady) > 1000);
    proxy.set(Mode::Pass);
    eventually!(proxy.accepted() >= 4);
    proxy.limit_bytes(None);
    proxy.cut(Cut::Fin);

    publishing.finish(Duration::from_secs(60));
    let input = std::fs::read(&input).unwrap();
    let printed = input.iter().filter(|byte| **byte == b'\n').count();
    assert!(printed > 3300, "the programs printed too little: {printed} lines");
    eventually!(lines(&cut), |lines| *lines == printed);
    eventually!(hub.stats().live("subscription"), |live| *live == 3);
    hub.client().delete("/sessions/demo").expect(204);
    for (name, mut program) in [("steady", steady), ("cut off", cut)] {
        let output = program.finish(PATIENCE);
        assert_same(name, &output, &input);
        assert!(!program.errors().contains("gap"), "{}", program.errors());
    }
    eventually!(data_of(&curl).len() >= input.len());
    assert_same("curl", &data_of(&curl), &input);
    assert!(proxy.accepted() >= 5, "it was cut and came back: {}", proxy.accepted());
}

/// Where the first difference is, rather than pages of text.
fn assert_same(name: &str, seen: &[u8], expected: &[u8]) {
    let at = seen.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[at.min(bytes.len())..(at + 80).min(bytes.len())]).into_owned()
    };
    assert!(
        seen == expected,
        "{name}: {} bytes instead of {}, different from byte {at} on: {:?} instead of {:?}",
        seen.len(),
        expected.len(),
        around(seen),
        around(expected)
    );
}

#[test]
fn a_publisher_whose_network_fails_publishes_every_line_once_in_order() {
    let hub = hub();
    let proxy = FaultProxy::start(hub.address());
    let tail = tail(&hub.url(""), &[]);
    eventually!(hub.stats().live("subscription") == 1);
    let pipe = format!("seq 1 3000 | '{WATERTIGHT}' publish demo --url {}", proxy.url(""));
    let mut publishing = Program::start("bash", ["-o", "pipefail", "-c", &pipe]);
    for (at, how) in [(200, Cut::Fin), (700, Cut::Rst), (1200, Cut::Fin), (1700, Cut::Rst)] {
        eventually!(lines(&tail) > at);
        proxy.cut(how);
    }
    eventually!(lines(&tail) > 2000);
    proxy.set(Mode::Stall);
    proxy.cut(Cut::Rst);
    proxy.set(Mode::Pass);
    publishing.finish(Duration::from_secs(60));
    let expected: Vec<u8> = (1..=3000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    eventually!(tail.output().len() >= expected.len());
    assert_same("tail", &tail.output(), &expected);
}

#[test]
fn answers_that_get_lost_make_no_doubles() {
    // The hub takes the event, the answer dies on the way: only the key tells the retry from a new one.
    let hub = hub();
    let proxy = FaultProxy::start(hub.address());
    proxy.limit_bytes(Some(50));
    let mut publishing = watertight(&["publish", "demo", "--url", &proxy.url("")]);
    publishing.input("once\nand once\n");
    publishing.close_input();
    eventually!(hub.stats().number("metrics.eventsPublished") == 1);
    eventually!(proxy.accepted() >= 3);
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 1, "tried again, published once");
    proxy.limit_bytes(None);
    publishing.finish(PATIENCE);
    assert_eq!(hub.stats().number("metrics.eventsPublished"), 2);
    assert_eq!(hub.subscribe_with("demo", "replay=all", &[]).next_data(2), ["once", "and once"]);
}

#[test]
fn lines_without_end_with_nothing_in_them_and_with_anything_in_them_are_events() {
    let hub = hub();
    let mut stream = hub.subscribe("demo");
    let mut publishing =
        watertight(&["publish", "demo", "--url", &hub.url(""), "--type", "note", "--ttl", "60"]);
    publishing.input("one\n\n  two  \nbell \x07 and nul \0\nthree without an end");
    publishing.close_input();
    publishing.finish(PATIENCE);
    for data in ["one", "", "  two  ", "bell \x07 and nul \0", "three without an end"] {
        let event = stream.next_event();
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("note", data));
    }
}

#[test]
fn raw_input_is_one_event_and_ndjson_is_as_it_stands() {
    let hub = hub();
    let mut stream = hub.subscribe("demo");
    let mut raw = watertight(&["publish", "demo", "--url", &hub.url(""), "--raw"]);
    raw.input("one\ntwo\n");
    raw.close_input();
    raw.finish(PATIENCE);
    assert_eq!(stream.next_event().data, "one\ntwo\n");

    let mut ndjson = watertight(&["publish", "demo", "--url", &hub.url(""), "--ndjson"]);
    ndjson.input("{\"data\":{\"n\":1}}\n\n{\"type\":\"b\",\"data\":\"two\"}\n");
    ndjson.close_input();
    ndjson.finish(PATIENCE);
    assert_eq!(stream.next_event().data, "{\"n\":1}");
    let two = stream.next_event();
    assert_eq!((two.event_type.as_str(), two.data.as_str()), ("b", "\"two\""));

    let mut wrong = watertight(&["publish", "demo", "--url", &hub.url(""), "--ndjson"]);
    wrong.input("{\"data\":3}\nnonsense\n{\"data\":5}\n");
    wrong.close_input();
    assert_eq!(wrong.wait(PATIENCE).code(), Some(1));
    assert!(wrong.errors().contains("line 2"), "{}", wrong.errors());
    assert_eq!(stream.next_event().data, "3", "what stood before it is published");
    hub.publish_text("demo", "and nothing behind it");
    assert_eq!(stream.next_event().data, "and nothing behind it");
}

#[test]
fn a_line_too_long_for_one_event_is_cut_and_marked_and_what_follows_is_published() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let pipe = format!(
        "(echo a; head -c 300000 /dev/zero | tr '\\0' x; echo; echo b) | '{WATERTIGHT}' publish demo --url {}",
        hub.url("")
    );
    let mut publishing = Program::start("bash", ["-o", "pipefail", "-c", &pipe]);
    publishing.finish(PATIENCE);
    let [a, long, b] = [(); 3].map(|()| stream.next_event().data);
    assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
    assert_eq!(long.len(), 262_144, "as much as one event may have");
    assert!(long.starts_with("xxx") && long.ends_with("x… [cut: 300000 bytes]"), "{}", &long[262_000..]);
    let said = publishing.errors();
    assert!(said.contains("line 2 is longer than the 262144 bytes") && said.contains("--split"), "{said}");
}

#[test]
fn a_line_too_long_for_one_event_is_split_if_asked_and_none_of_it_is_lost() {
    let hub = HubProcess::start(WATERTIGHT);
    let mut stream = hub.subscribe("demo");
    let long = "ü€".repeat(130_000);
    let mut publishing = watertight(&["publish", "demo", "--url", &hub.url(""), "--split"]);
    publishing.input(format!("a\n{long}\nb\n"));
    publishing.close_input();
    publishing.finish(PATIENCE);
    assert_eq!(stream.next_event().data, "a");
    let pieces = [(); 3].map(|()| stream.next_event().data);
    assert_eq!(pieces.concat(), long);
    assert_eq!(stream.next_event().data, "b");
    assert!(publishing.errors().contains("split into several events"), "{}", publishing.errors());
}

#[test]
fn a_hub_that_takes_less_than_usual_is_given_less() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-event-bytes", 1000).start();
    for (session, option) in [("cut", None), ("split", Some("--split"))] {
        let mut stream = hub.subscribe(session);
        let long = "x".repeat(3000);
        let url = hub.url("");
        let mut arguments = vec!["publish", session, "--url", &url];
        arguments.extend(option);
        let mut publishing = watertight(&arguments);
        publishing.input(format!("a\n{long}\nb\n"));
        publishing.close_input();
        publishing.finish(PATIENCE);
        assert_eq!(stream.next_event().data, "a");
        let mut pieces = vec![stream.next_event().data];
        while option.is_some() && pieces.concat().len() < long.len() {
            pieces.push(stream.next_event().data);
        }
        if option.is_some() {
            assert_eq!(pieces.concat(), long);
        } else {
            assert!(pieces[0].ends_with("… [cut: 3000 bytes]") && pieces[0].len() > 500, "{}", pieces[0]);
        }
        assert_eq!(stream.next_event().data, "b");
    }
}

#[test]
fn lines_go_out_as_they_come() {
    let hub = hub();
    let mut stream = hub.subscribe("demo");
    let mut publishing = watertight(&["publish", "demo", "--url", &hub.url("")]);
    for line in ["first", "second", "third"] {
        publishing.input(format!("{line}\n"));
        assert_eq!(stream.next_event().data, line, "although the pipe is still open");
    }
}

#[test]
fn tail_as_json_tells_everything_and_counts() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--max-history-per-session", 10).start();
    let ids: Vec<String> = (0..30).map(|n| hub.publish_text("demo", &n.to_string())).collect();
    let url = hub.url("");
    let mut all = watertight(&["tail", "demo", "--url", &url, "--json", "--replay", "all", "--count", "10"]);
    let text = String::from_utf8(all.finish(PATIENCE)).unwrap();
    let gap: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(gap["gap"]["missed"], 20, "what is gone of all comes first");
    for (n, line) in text.lines().skip(1).enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        let expected =
            serde_json::json!({"id": ids[20 + n], "type": "message", "data": (20 + n).to_string()});
        assert_eq!(event, expected);
    }
    assert_eq!(text.lines().count(), 11);

    let mut from = watertight(&["tail", "demo", "--url", &url, "--json", "--from", &ids[4], "--count", "1"]);
    let text = String::from_utf8(from.finish(PATIENCE)).unwrap();
    let gap: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((gap["gap"]["missed"].as_u64(), gap["gap"]["reason"].as_str()), (Some(15), Some("evicted")));

    let mut plain = watertight(&["tail", "demo", "--url", &url, "--from", &ids[4], "--count", "2"]);
    assert_eq!(plain.finish(PATIENCE), b"20\n21\n", "a gap is no event");
    assert!(plain.errors().contains("gap: 15 events missed (evicted)"), "{}", plain.errors());
}

#[test]
fn tail_outlives_the_hub_and_tells_of_what_is_lost_with_it() {
    let address = free_address();
    let first = HubProcess::builder(WATERTIGHT).flag("--retry", "0.1").flag("--listen", address).start();
    let tail = watertight(&["tail", "demo", "--url", &first.url("")]);
    eventually!(first.stats().live("subscription") == 1);
    first.publish_text("demo", "before");
    eventually!(lines(&tail) == 1);
    // Stopped with a subscriber: that is not where it began, and as it should be.
    let mut first = first;
    first.signal(Signal::TERM);
    assert!(first.wait(PATIENCE).success());
    // The tail may be back before the hub's first figures are taken: they are no measure here.
    let second = HubProcess::builder(WATERTIGHT).flag("--listen", address).unbalanced().start();
    eventually!(second.stats().live("subscription") == 1);
    second.publish_text("demo", "after");
    eventually!(tail.text(), |text| text == "before\nafter\n");
    let errors = tail.errors();
    drop(tail);
    assert!(errors.contains("SHUTTING_DOWN") && errors.contains("(epoch)"), "{errors}");
}

#[test]
fn publish_ends_although_another_process_reads_the_same_input() {
    let hub = hub();
    let (mut input, mut writer) = std::io::pipe().unwrap();
    let mut command = Command::new(WATERTIGHT);
    command.args(["publish", "demo", "--quiet", "--url", &hub.url("")]).stdin(input.try_clone().unwrap());
    let mut publishing = command.spawn().unwrap();
    // One that has not begun yet would be ended by the signal without a word.
    writer.write_all(b"x\n").unwrap();
    eventually!(hub.stats().number("totalEvents") == 1);
    // Each line is taken by the one or the other; to whoever was slower there was nothing left.
    let stop = Arc::new(AtomicBool::new(false));
    let another = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut taken = [0; 2];
            while !stop.load(Ordering::SeqCst) {
                input.read_exact(&mut taken).unwrap();
            }
        }
    });
    for _ in 0..1000 {
        writer.write_all(b"x\n").unwrap();
        // Whoever was slower goes back to waiting for input or for the wish to stop, and not for input alone.
        eventually!(!waits_in_a_read(publishing.id()));
    }
    // The pipe is empty, and stays open: only what was taken by the other would let a blocking read go on.
    stop.store(true, Ordering::SeqCst);
    let pid = rustix::process::Pid::from_child(&publishing);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    eventually!(publishing.try_wait().unwrap().is_some());
    writer.write_all(b"x\n").unwrap();
    another.join().unwrap();
    assert!(publishing.wait().unwrap().success());
}

/// Whether the thread that reads standard input does not come back before there is some.
fn waits_in_a_read(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    let mut waiting = tasks
        .filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "stdin"))
        .filter_map(|task| std::fs::read_to_string(task.join("wchan")).ok());
    waiting.any(|place| place.contains("pipe_read"))
}
