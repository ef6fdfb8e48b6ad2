//! `watertight run` and hubs that are slow, gone, empty, strict: the command is not kept, and no line is lost in silence.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tokens have wall times")]

mod running;
mod tokens;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use running::{WATERTIGHT, builder, command_of, hub, log, next, rest, run, script, texts, viewer};
use serde_json::{Value, json};
use watertight_testkit::{
    Cut, FaultProxy, HubProcess, Mode, PATIENCE, Program, Signal, eventually, free_address,
};

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Kills a hub at once, with all that it holds.
fn kill(mut hub: HubProcess) -> SocketAddr {
    let address = hub.address();
    hub.signal(Signal::KILL);
    assert_eq!(hub.wait(PATIENCE).code(), None);
    address
}

/// A hub where another one was, or will be. Who was cut off may be back before its first figures are taken: they are no measure.
fn hub_at(address: SocketAddr) -> HubProcess {
    builder().flag("--listen", address).unbalanced().start()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Sends what was left, to the hub that it was meant for.
fn resend(file: &Path, flags: &[&str]) -> Program {
    let mut command = Command::new(WATERTIGHT);
    command
        .env_remove("WATERTIGHT_URL")
        .env_remove("WATERTIGHT_TOKEN")
        .args(["run", "--resend"])
        .arg(file)
        .args(flags);
    Program::spawn(command)
}

/// Follows the lines of a log up to the last one, each there in its order or counted by a mark where it is missing. Returns
/// how many are missing.
fn missing_up_to(last: u64, records: &[Value]) -> u64 {
    let (mut expected, mut total) = (1, 0);
    for record in records {
        if let Some(missing) = record["missing"].as_u64() {
            (expected, total) = (expected + missing, total + missing);
            assert!(record["text"].as_str().unwrap().contains(&format!("{missing} line")), "{record}");
            assert_eq!(record["stream"], "watertight");
        } else {
            assert_eq!(record["line"], expected, "every line is there, or counted where it is missing");
            expected += 1;
        }
    }
    assert_eq!(expected, last + 1);
    total
}

#[test]
fn a_hub_killed_in_the_middle_and_started_again_has_every_line_once() {
    let first = hub_at(free_address());
    let mut viewer_before = viewer(&first);
    let mut run =
        script(&first.url(""), &[], "seq 1000; read x; seq 1001 2000; read x; seq 2001 3000; exit 5");
    assert_eq!(next(&mut viewer_before)["line"], 1);
    eventually!(run.program.text().ends_with("\n1000\n"));
    eventually!(run.is_sent());
    let address = kill(first);
    // The rest of the second part comes while there is no hub.
    run.program.input("\n");
    eventually!(run.program.text().ends_with("\n2000\n"));
    let second = hub_at(address);
    run.program.input("\n");
    assert_eq!(run.code(), Some(5));
    let (records, end) = log(&second);
    let lines: Vec<u64> = records.iter().map(|record| record["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=3000).collect::<Vec<_>>(), "each once, in order, with the same numbers");
    assert_eq!((texts(&records, "stdout"), end), (numbers(1..=3000), json!(5)));
    assert!(run.program.errors().contains("lost the log"), "{}", run.program.errors());
}

#[test]
fn a_hub_that_is_restarted_again_and_again_has_every_line_once_at_last() {
    let mut hub = hub_at(free_address());
    let mut run = script(&hub.url(""), &[], "for i in 1 2 3 4; do seq $i 4 4000; read x; done");
    for round in 0..4 {
        eventually!(hub.stats().number("metrics.eventsPublished"), |published| *published > 100 * round);
        if round < 3 {
            hub = hub_at(kill(hub));
        }
        run.program.input("\n");
    }
    assert_eq!(run.code(), Some(0));
    let (records, end) = log(&hub);
    let lines: Vec<u64> = records.iter().map(|record| record["line"].as_u64().unwrap()).collect();
    assert_eq!((lines, end), ((1..=4000).collect::<Vec<_>>(), json!(0)));
}

#[test]
fn a_restart_while_the_command_is_silent_is_noticed_without_a_new_line() {
    let first = hub_at(free_address());
    let mut run = script(&first.url(""), &[], "seq 10; read x");
    eventually!(run.program.text().ends_with("10\n") && run.is_sent());
    let second = hub_at(kill(first));
    let mut viewer = viewer(&second);
    // Asked every 15 s; the time that a test waits is enough.
    for line in 1..=10 {
        assert_eq!(next(&mut viewer)["line"], line);
    }
    run.program.input("\n");
    assert_eq!((run.code(), rest(viewer)), (Some(0), (Vec::new(), json!(0))));
}

#[test]
fn a_hub_that_comes_late_gets_all_lines() {
    let address = free_address();
    let mut run = script(&url(address), &[], "seq 5000; read x; echo last");
    eventually!(run.program.text().ends_with("\n5000\n"));
    eventually!(run.program.errors().contains("lines are kept in"));
    let hub = hub_at(address);
    let mut viewer = viewer(&hub);
    assert_eq!(next(&mut viewer)["line"], 1);
    run.program.input("\n");
    assert_eq!(run.code(), Some(0));
    assert_eq!(texts(&log(&hub).0, "stdout").len(), 5001);
    let said = run.program.errors();
    assert_eq!(said.matches("lines are kept in").count(), 1, "told once: {said}");
    assert!(said.contains("the hub answers again"), "{said}");
}

#[test]
fn without_a_hub_the_exit_code_is_the_commands_and_what_is_left_can_be_sent_later() {
    let address = free_address();
    let mut run = script(&url(address), &["--drain-timeout", "0.5"], "seq 1000; echo end >&2; exit 9");
    assert_eq!(run.program.wait(PATIENCE).code(), Some(9));
    let (said, file) = (run.program.errors(), run.spool());
    assert!(said.contains("1001 lines and the end of the log were not sent"), "{said}");
    assert!(said.contains(&format!("watertight run --resend {}", file.display())), "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "only its user may read it");

    let mut in_vain = resend(&file, &["--drain-timeout", "3"]);
    assert_eq!(in_vain.wait(PATIENCE).code(), Some(1));
    for told in
        ["waiting for the hub: 1001 lines are left", "1001 lines and the end of the log were not sent"]
    {
        assert!(in_vain.errors().contains(told), "{}", in_vain.errors());
    }
    let hub = hub_at(address);
    assert!(resend(&file, &[]).wait(PATIENCE).success());
    assert!(!file.exists());
    let (records, end) = log(&hub);
    assert_eq!(
        (texts(&records, "stdout"), texts(&records, "stderr")),
        (numbers(1..=1000), vec!["end".into()])
    );
    assert_eq!(end, 9);
}

#[test]
fn what_is_resent_goes_on_where_the_log_had_come_to_or_begins_anew() {
    for is_restarted in [false, true] {
        let mut hub = hub_at(free_address());
        let proxy = FaultProxy::start(hub.address());
        let mut run =
            script(&proxy.url(""), &["--drain-timeout", "0.5"], "seq 100; read x; seq 101 200; exit 2");
        eventually!(run.program.text().ends_with("\n100\n") && run.is_sent());
        proxy.set(Mode::Refuse);
        proxy.cut(Cut::Rst);
        run.program.input("\n");
        assert_eq!(run.program.wait(PATIENCE).code(), Some(2));
        assert!(run.program.errors().contains("100 lines and the end"), "{}", run.program.errors());
        if is_restarted {
            hub = hub_at(kill(hub));
        }
        let mut sending = resend(&run.spool(), &["--hub", &hub.url("")]);
        assert!(sending.wait(PATIENCE).success(), "{}", sending.errors());
        let (records, end) = log(&hub);
        let lines: Vec<u64> = records.iter().map(|record| record["line"].as_u64().unwrap()).collect();
        assert_eq!((lines, end), ((1..=200).collect::<Vec<_>>(), json!(2)), "{is_restarted}");
    }
}

#[test]
fn a_run_that_was_killed_leaves_what_can_be_sent_but_not_before() {
    let hub = hub();
    let address = free_address();
    let mut run = script(&url(address), &[], "echo $$; seq 100; read x");
    eventually!(run.program.text().ends_with("\n100\n"));
    let file = run.spool();
    let mut early = resend(&file, &["--hub", &hub.url("")]);
    assert_eq!(early.wait(PATIENCE).code(), Some(64));
    assert!(early.errors().contains("has not ended"), "{}", early.errors());
    eventually!(run.spool_says("\"text\":\"100\""));
    run.program.signal(Signal::KILL);
    assert_eq!(run.program.wait(PATIENCE).code(), None);
    assert!(resend(&file, &["--hub", &hub.url("")]).wait(PATIENCE).success());
    let (records, end) = log(&hub);
    assert_eq!((records.len(), end), (101, Value::Null), "nobody knows how it would have ended");
    // As without us, it runs on until its input ends.
    run.program.close_input();
    running::expect_gone(run.program.text().lines().next().unwrap());
}

#[test]
fn beyond_its_bound_the_oldest_lines_go_and_a_marked_line_says_how_many() {
    const BOUND: u64 = 64 * 1024;
    let address = free_address();
    let mut run = script(&url(address), &["--spool-max", "64KiB"], "seq 100000; read x; echo end");
    eventually!(run.program.text().ends_with("\n100000\n"));
    assert!(run.spool().metadata().unwrap().len() <= BOUND + 4096);
    let hub = hub_at(address);
    run.program.input("\n");
    assert_eq!(run.code(), Some(0));
    let (records, end) = log(&hub);
    assert_eq!(end, 0);
    let total = missing_up_to(100_001, &records);
    assert!(records.len() > 500 && total > 90_000, "as many as the spool holds are there: {}", records.len());
    assert!(
        run.program.errors().contains(&format!("{total} lines were dropped")),
        "{}",
        run.program.errors()
    );
}

#[test]
fn what_the_spool_has_no_room_for_is_marked_in_the_log_of_a_restarted_hub_also_if_it_was_sent_before() {
    let first = hub_at(free_address());
    let work = "for i in 1 2 3 4 5 6 7 8 9 10; do seq $i 10 4000; read x; done; echo end";
    let mut run = script(&first.url(""), &["--spool-max", "64KiB"], work);
    for round in 1..10 {
        eventually!(first.stats().number("metrics.eventsPublished") == 400 * round);
        run.program.input("\n");
    }
    eventually!(first.stats().number("metrics.eventsPublished") == 4000 && run.is_sent());
    let second = hub_at(kill(first));
    run.program.input("\n");
    assert_eq!(run.code(), Some(0));
    let total = missing_up_to(4001, &log(&second).0);
    assert!(total > 2000, "the file holds less than half of them: {total}");
    assert!(run.program.errors().contains("no room for"), "{}", run.program.errors());
}

#[test]
fn a_hub_that_stands_still_does_not_keep_the_command_nor_its_memory_grow() {
    let hub = hub();
    let mut run = script(
        &hub.url(""),
        &["--spool-max", "1MiB"],
        "read x; head -c 300000000 /dev/zero | tr '\\0' x | fold -w 999; echo done >&2; read x",
    );
    eventually!(run.spool_files().len() == 1);
    hub.signal(Signal::STOP);
    run.program.input("\n");
    eventually!(run.program.errors().contains("done\n"), Duration::from_secs(120));
    let rss = run.program.process().rss();
    assert!(rss < 48 << 20, "{rss} bytes");
    hub.signal(Signal::CONT);
    run.program.input("\n");
    assert_eq!(run.code(), Some(0));
    let (records, _) = log(&hub);
    let missing: u64 = records.iter().filter_map(|record| record["missing"].as_u64()).sum();
    let marks = records.iter().filter(|record| record.get("missing").is_some()).count();
    assert_eq!(missing + (records.len() - marks) as u64, 300_302, "every line is there or counted");
}

#[test]
fn answers_that_get_lost_make_no_doubles_and_no_second_log() {
    let hub = hub();
    // A log that has ended: its first batch begins it anew, and a second try of that must not do so again.
    run(&hub.url(""), &[], &["echo", "old"]).finish();
    let proxy = FaultProxy::start(hub.address());
    proxy.limit_bytes(Some(50));
    let mut run = script(&proxy.url(""), &[], "echo one; read x; echo two; exit 4");
    let published = || hub.stats().number("metrics.eventsPublished");
    // The old line, its end, and the new one, whose answer is lost.
    eventually!(published() == 3);
    let epoch = viewer(&hub).next_event().id[..12].to_owned();
    eventually!(proxy.accepted() >= 3);
    proxy.limit_bytes(None);
    run.program.input("\n");
    eventually!(published() >= 4);
    assert_eq!(run.code(), Some(4));
    assert_eq!(texts(&log(&hub).0, "stdout"), ["one", "two"]);
    assert_eq!(viewer(&hub).next_event().id[..12], epoch);
}

#[test]
fn a_network_that_fails_all_the_time_loses_and_doubles_nothing() {
    let hub = hub();
    let proxy = FaultProxy::start(hub.address());
    let mut run = script(
        &proxy.url(""),
        &["--flush", "0.01"],
        "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; read x; done",
    );
    for round in 0..300 {
        run.program.input("\n");
        if round % 50 == 0 {
            proxy.cut(if round % 100 == 0 { Cut::Rst } else { Cut::Fin });
        }
    }
    assert_eq!(run.code(), Some(0));
    let (records, end) = log(&hub);
    assert_eq!((texts(&records, "stdout"), records.len(), end), (numbers(1..=300), 300, json!(0)));
}

#[test]
fn what_the_hub_refuses_for_good_is_told_once_and_the_command_goes_on() {
    let hub = tokens::protected().start();
    let other = tokens::of("ada").publish(&["deployments/2/logs"]).text();
    for (token, code) in [(other.as_str(), "FORBIDDEN"), ("nonsense", "INVALID_TOKEN")] {
        let mut command = command_of(&hub.url(""), &["--token", token, "--quiet"]);
        let spools = tempfile::tempdir().unwrap();
        command.arg("--spool-dir").arg(spools.path()).args([
            "--",
            "sh",
            "-c",
            "echo 1; read x; echo 2; exit 6",
        ]);
        let mut program = Program::spawn(command);
        eventually!(program.errors().contains(code));
        program.input("\n");
        assert_eq!(program.wait(PATIENCE).code(), Some(6));
        let said = program.errors();
        assert_eq!(said.matches(code).count(), 1, "{said}");
        assert!(said.contains("2 lines and the end of the log were not sent"), "{said}");
        assert_eq!(program.text(), "1\n2\n");
        assert_eq!(spools.path().read_dir().unwrap().count(), 1);
    }
}

#[test]
fn a_token_file_is_read_again_when_the_hub_refuses_its_token() {
    let hub = tokens::protected().start();
    let file = hub.dir().join("token");
    std::fs::write(&file, "a token that has expired\n").unwrap();
    let mut run = script(&hub.url(""), &["--token-file", file.to_str().unwrap()], "echo 1; read x; echo 2");
    eventually!(run.program.errors().contains("INVALID_TOKEN"));
    let content = tokens::of("ada").publish(&["deployments/*/logs"]);
    let tokens::Token(content) = content;
    let program = tokens::Token(watertight_access::mint::Content { subject: None, ..content });
    std::fs::write(&file, program.text() + "\n").unwrap();
    run.program.input("\n");
    assert_eq!(run.code(), Some(0), "{}", run.program.errors());
    assert!(!run.program.errors().contains(&program.text()), "no token is ever printed");
    let headers = [("Authorization", format!("Bearer {}", tokens::admin()))];
    let path = "/sessions/deployments%2F1%2Flogs";
    let shown =
        hub.client().request("GET", path).header(headers[0].0, &headers[0].1).send().expect(200).json();
    assert_eq!((&shown["state"], &shown["events"]), (&json!("ended"), &json!(3)));
}

#[test]
fn an_end_that_is_waited_for_can_be_given_up_with_a_signal() {
    let mut run = script(&url(free_address()), &["--drain-timeout", "600"], "echo 1; exit 3");
    eventually!(run.spool_state()["end"]["exitCode"] == 3);
    run.program.signal(Signal::INT);
    assert_eq!(run.program.wait(PATIENCE).code(), Some(3));
    assert!(run.program.errors().contains("1 line and the end"), "{}", run.program.errors());
}

#[test]
fn lines_for_another_life_of_a_log_are_refused_and_nothing_of_them_is_kept() {
    let hub = hub();
    let feed = |query: &str, body: &str| {
        hub.client().post(format!("/deployments/1/logs?{query}"), "text/plain", body)
    };
    let unknown = feed("epoch=000000000000", "x").expect_problem(409, "EPOCH_CHANGED");
    assert_eq!(unknown.get("epoch"), Some(&Value::Null), "there is no log, and none is made: {unknown}");
    assert_eq!(hub.get("/sessions/deployments%2F1%2Flogs").status, 404);
    let id = feed("", "1").expect(202).json()["ids"][0].as_str().unwrap().to_owned();
    let epoch = &id[..12];
    feed(&format!("epoch={epoch}"), "2\n3").expect(202);
    assert_eq!(
        feed(&format!("epoch={epoch}"), "").expect(202).json()["ids"],
        json!([]),
        "a question, no line"
    );
    for query in ["epoch=000000000000", "epoch=000000000000&end=true"] {
        for body in ["4", "4\n5", ""] {
            let other = feed(query, body).expect_problem(409, "EPOCH_CHANGED");
            assert_eq!(other["epoch"], epoch);
        }
    }
    for wrong in
        ["epoch=x", "epoch=00000000000", &format!("epoch={id}"), &format!("epoch={epoch}&reopen=true")]
    {
        feed(wrong, "x").expect_problem(400, "INVALID_PARAMETER");
    }
    feed(&format!("epoch={epoch}&end=true&exit_code=1"), "").expect(202);
    feed(&format!("epoch={epoch}"), "late").expect_problem(409, "SESSION_ENDED");
    let (events, _) = viewer(&hub).rest();
    let lines: Vec<&str> = events[..3].iter().map(|event| event.data.as_str()).collect();
    assert_eq!((lines, events[3].event_type.as_str()), (vec!["1", "2", "3"], "end"));
}
