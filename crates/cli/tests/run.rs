//! `watertight run` in front of a command is as if it were not there, and the log tells what the command does while it does
//! it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod running;

use std::process::Command;

use running::{WATERTIGHT, expect_gone, hub, log, next, rest, run, script, texts, viewer};
use serde_json::{Value, json};
use watertight_testkit::{PATIENCE, Program, Signal, eventually};

#[test]
fn outputs_input_and_exit_code_are_the_commands() {
    let hub = hub();
    let work = "cat; printf 'b\\000\\377\\r\\n\\033[1mno end' >&2; exit 3";
    let mut alone = Program::start("sh", ["-c", work]);
    let mut run = script(&hub.url(""), &[], work);
    let input: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for program in [&mut alone, &mut run.program] {
        program.input(&input);
        program.close_input();
    }
    assert_eq!((alone.wait(PATIENCE).code(), run.code()), (Some(3), Some(3)));
    assert!(run.program.output() == input && alone.output() == input, "byte for byte");
    assert_eq!(run.program.errors(), alone.errors());
    assert_eq!(log(&hub).1, 3);
}

#[test]
fn a_build_is_shown_live_to_a_second_reader_with_its_outputs_marked() {
    let hub = hub();
    let mut viewer = viewer(&hub);
    let mut run = script(&hub.url(""), &[], "echo one; read x; echo two >&2; read x; echo three");
    let one = next(&mut viewer);
    assert_eq!((&one["line"], &one["stream"], &one["text"]), (&json!(1), &json!("stdout"), &json!("one")));
    let at = one["at"].as_f64().unwrap();
    run.program.input("\n");
    let two = next(&mut viewer);
    assert_eq!((&two["line"], &two["stream"], &two["text"]), (&json!(2), &json!("stderr"), &json!("two")));
    assert!((0.0..60.0).contains(&(two["at"].as_f64().unwrap() - at)), "{at} and {two}");
    assert!(at > 1.7e9, "seconds since 1970: {at}");
    run.program.input("\n");
    assert_eq!(next(&mut viewer)["text"], "three");
    let end = viewer.next_event();
    let data: Value = serde_json::from_str(&end.data).unwrap();
    assert_eq!((end.event_type.as_str(), &data["exitCode"]), ("end", &json!(0)));
    viewer.expect_closing_event("SESSION_ENDED");
    assert_eq!(run.code(), Some(0));
    assert_eq!(run.program.errors(), "two\n", "and nothing of ours");
}

#[test]
fn whoever_comes_late_gets_all_lines_and_the_end_at_once() {
    let hub = hub();
    assert_eq!(run(&hub.url(""), &[], &["seq", "20000"]).code(), Some(0));
    for _ in 0..2 {
        let (records, end) = log(&hub);
        assert_eq!(end, 0);
        let expected: Vec<String> = (1..=20_000).map(|n| n.to_string()).collect();
        assert!(texts(&records, "stdout") == expected, "{} records", records.len());
        assert!(records.iter().zip(1..).all(|(record, line)| record["line"] == line));
    }
}

#[test]
fn a_command_that_is_killed_or_cannot_be_run_has_a_shells_code_also_in_the_log() {
    let hub = hub();
    let url = hub.url("");
    for (command, code) in [
        (&["sh", "-c", "kill -KILL $$"][..], 137),
        (&["sh", "-c", "kill -SEGV $$"], 139),
        (&["/nonexistent/command"], 127),
        (&["no-such-command-anywhere"], 127),
        (&["/"], 126),
    ] {
        let mut run = run(&url, &[], command);
        assert_eq!(run.code(), Some(code), "{command:?}");
        let (records, end) = log(&hub);
        assert_eq!(end, code, "{command:?}");
        let said = run.program.errors();
        match code {
            127 => {
                assert_eq!(texts(&records, "stderr"), [format!("{}: command not found", command[0])]);
                assert!(said.contains("command not found"), "{said}");
            }
            126 => assert!(said.contains("cannot be run") && texts(&records, "stderr").len() == 1, "{said}"),
            _ => {}
        }
    }
}

#[test]
fn wrong_use_has_a_code_of_its_own_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    let touch = ["--", "touch", made.to_str().unwrap()];
    for (wrong, word) in [
        (&["--deployment", "1"][..], "COMMAND"),
        (&["--nonsense", "--deployment", "1"], "--nonsense"),
        (&["--deployment", "..", "--hub", "http://127.0.0.1:1"], "id"),
        (&["--deployment", "1", "--hub", "nonsense"], "URL"),
        (&["--deployment", "1", "--token-file", "/nonexistent"], "token file"),
        (&["--deployment", "1", "--spool-dir", "/nonexistent"], "/nonexistent"),
        (&["--deployment", "1", "--spool-max", "1"], "spool-max"),
        (&["--deployment", "1", "--max-line", "64MiB"], "max-line"),
        (&["--resend", "/dev/null"], "no spool"),
    ] {
        let mut command = Command::new(WATERTIGHT);
        command.env("TMPDIR", dir.path()).arg("run").args(wrong);
        if word != "COMMAND" && word != "no spool" {
            command.args(touch);
        }
        let mut program = Program::spawn(command);
        assert_eq!(program.wait(PATIENCE).code(), Some(64), "{wrong:?}: {}", program.errors());
        assert!(program.errors().contains(word), "{wrong:?}: {}", program.errors());
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 0, "neither a file of the command nor a spool");
}

#[test]
fn signals_go_to_the_command_and_what_it_says_then_is_in_the_log() {
    let hub = hub();
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
    ] {
        // Not in a `read`: a shell forgets the signal that comes just before that until there is something to read.
        let work =
            format!("trap 'echo caught {name}; exit 7' {name}; echo ready; while :; do sleep 0.02; done");
        let mut run = script(&hub.url(""), &[], &work);
        eventually!(run.program.text() == "ready\n");
        run.program.signal(signal);
        assert_eq!(run.code(), Some(7), "{name}: {}", run.program.errors());
        let (records, end) = log(&hub);
        assert_eq!(
            (texts(&records, "stdout"), end),
            (vec!["ready".to_owned(), format!("caught {name}")], json!(7))
        );
    }
}

#[test]
fn a_signal_reaches_what_the_command_has_started_and_nothing_is_left() {
    let hub = hub();
    let mut run = script(&hub.url(""), &[], "sleep 100 & echo $!; wait");
    eventually!(run.program.text().ends_with('\n'));
    let pid = run.program.text();
    run.program.signal(Signal::TERM);
    assert_eq!(run.code(), Some(143));
    expect_gone(&pid);
    assert_eq!(log(&hub).1, 143);
}

#[test]
fn a_command_that_handles_a_signal_is_waited_for() {
    let hub = hub();
    let mut run = script(
        &hub.url(""),
        &[],
        "trap 'echo still here; told=1' TERM; echo ready; while [ -z \"$told\" ]; do sleep 0.02; done; read x; echo done",
    );
    eventually!(run.program.text() == "ready\n");
    run.program.signal(Signal::TERM);
    eventually!(run.program.text() == "ready\nstill here\n");
    run.program.input("\n");
    assert_eq!(run.code(), Some(0));
    assert_eq!(texts(&log(&hub).0, "stdout"), ["ready", "still here", "done"]);
}

#[test]
fn signals_that_were_switched_off_stay_so() {
    let hub = hub();
    let url = hub.url("");
    let dir = hub.dir().display();
    let work = format!(
        "trap '' HUP; exec {WATERTIGHT} run --hub {url} --deployment 1 --spool-dir {dir} -- sh -c 'grep SigIgn /proc/self/status; read x; echo done'"
    );
    let mut program = Program::start("setsid", ["sh", "-c", &work]);
    eventually!(program.text().ends_with('\n'));
    let mask = program.text().trim().rsplit('\t').next().map(|mask| u64::from_str_radix(mask, 16).unwrap());
    assert_eq!(mask.unwrap() & 1, 1, "the command ignores SIGHUP as well");
    program.signal(Signal::HUP);
    program.input("\n");
    assert!(program.wait(PATIENCE).success());
    assert!(program.text().ends_with("done\n"));
}

#[test]
fn the_same_id_deployed_again_gets_a_new_log_also_if_it_prints_nothing() {
    let hub = hub();
    let url = hub.url("");
    run(&url, &[], &["echo", "first"]).finish();
    let first = viewer(&hub).next_event().id;
    run(&url, &[], &["echo", "second"]).finish();
    let (records, _) = log(&hub);
    assert_eq!(texts(&records, "stdout"), ["second"]);
    assert_ne!(viewer(&hub).next_event().id[..12], first[..12], "with another epoch");
    assert_eq!(run(&url, &[], &["false"]).code(), Some(1));
    let (records, end) = log(&hub);
    assert_eq!((records.len(), &records[0]["stream"], end), (1, &json!("watertight"), json!(1)));
}

#[test]
fn a_log_that_nobody_has_ended_goes_on_and_the_user_is_told() {
    let hub = hub();
    hub.client().post("/deployments/1/logs", "text/plain", "before").expect(202);
    let mut run = run(&hub.url(""), &[], &["echo", "after"]);
    assert_eq!(run.code(), Some(0));
    assert!(run.program.errors().contains("has lines already"), "{}", run.program.errors());
    let (events, _) = viewer(&hub).rest();
    assert_eq!(events[0].data, "before");
}

#[test]
fn a_reader_who_has_enough_ends_the_command_as_without_us() {
    let hub = hub();
    let spools = tempfile::tempdir().unwrap();
    let pipe = format!(
        "setsid {WATERTIGHT} run --hub {} --deployment 1 --spool-dir {} -- sh -c 'ulimit -t 10; exec yes' | head -1; echo ${{PIPESTATUS[0]}}",
        hub.url(""),
        spools.path().display()
    );
    let mut program = Program::start("bash", ["-c", &pipe]);
    assert_eq!(program.finish(PATIENCE), b"y\n141\n", "128 + SIGPIPE");
    assert_eq!(spools.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_a_command_leaves_running_does_not_keep_us() {
    let hub = hub();
    let mut run = script(&hub.url(""), &[], "sleep 100 & echo $!");
    assert_eq!(run.code(), Some(0));
    let pid = run.program.text();
    assert_eq!(texts(&log(&hub).0, "stdout"), [pid.trim()]);
    assert!(Program::start("kill", [pid.trim()]).wait(PATIENCE).success(), "as without us, it runs on");
    expect_gone(&pid);
}

#[test]
fn nothing_is_printed_if_that_is_not_wanted() {
    let hub = hub();
    let mut run = script(&hub.url(""), &["--no-echo"], "echo out; echo err >&2");
    assert_eq!(run.code(), Some(0));
    assert_eq!((run.program.text(), run.program.errors()), (String::new(), String::new()));
    let (records, _) = log(&hub);
    assert_eq!(
        (texts(&records, "stdout"), texts(&records, "stderr")),
        (vec!["out".into()], vec!["err".into()])
    );
}

#[test]
fn the_command_does_not_wait_for_a_slow_viewer_and_the_viewer_gets_every_line() {
    let hub = hub();
    let slow = viewer(&hub);
    // More than the hub lets a reader lag: it slows whoever publishes, who must not slow the command.
    let mut run = script(&hub.url(""), &[], "seq 50000; echo done >&2");
    eventually!(run.program.errors() == "done\n");
    let (records, end) = rest(slow);
    assert_eq!((records.len(), end), (50_001, json!(0)));
    let expected: Vec<String> = (1..=50_000).map(|n| n.to_string()).collect();
    assert!(texts(&records, "stdout") == expected);
    assert_eq!(run.code(), Some(0));
}
