//! What becomes of lines that are no ordinary lines: each kind of the table, through the real programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod running;

use running::{builder, hub, log, next, rest, run, script, texts, viewer};
use serde_json::{Value, json};
use watertight_testkit::timed;

/// The log of a script's output.
fn logged(flags: &[&str], work: &str) -> Vec<Value> {
    let hub = hub();
    assert_eq!(script(&hub.url(""), flags, work).code(), Some(0));
    log(&hub).0
}

#[test]
fn a_line_of_300_kb_is_cut_and_marked_and_what_follows_is_whole() {
    let hub = hub();
    let work = "echo a; head -c 300000 /dev/zero | tr '\\0' x; echo; echo b";
    let mut run = script(&hub.url(""), &[], work);
    assert_eq!(run.code(), Some(0));
    assert_eq!(run.program.output().len(), 300_005, "what is printed is whole");
    let (records, _) = log(&hub);
    assert_eq!((&records[0]["text"], &records[2]["text"]), (&json!("a"), &json!("b")));
    assert_eq!((&records[1]["cut"], &records[1]["line"]), (&json!(300_000), &json!(2)));
    let kept = records[1]["text"].as_str().unwrap();
    assert!(kept.len() > 250_000 && kept.bytes().all(|byte| byte == b'x'), "{}", kept.len());
}

#[test]
fn a_line_that_grows_in_json_still_fits() {
    let records =
        logged(&[], "head -c 200000 /dev/zero; echo; head -c 200000 /dev/zero | tr '\\0' '\\377'; echo");
    for record in &records {
        assert_eq!(record["cut"], 200_000);
        assert!(record.to_string().len() <= 255 * 1024);
    }
    assert_eq!(records.len(), 2);
}

#[test]
fn the_longest_line_may_be_chosen_and_a_hub_that_takes_less_is_given_less() {
    let records = logged(&["--max-line", "1000"], "seq -s ' ' 1000");
    assert_eq!(records[0]["cut"], 3892);
    assert!((900..=1000).contains(&records[0].to_string().len()));

    let hub = builder().flag("--max-event-bytes", 2000).start();
    let mut run = script(&hub.url(""), &[], "echo a; seq -s ' ' 10000; echo b; seq -s ' ' 1000");
    assert_eq!(run.code(), Some(0));
    let (records, _) = log(&hub);
    assert_eq!(texts(&records, "stdout").len(), 4);
    assert_eq!((&records[0]["text"], &records[2]["text"]), (&json!("a"), &json!("b")));
    assert_eq!((&records[1]["cut"], &records[3]["cut"]), (&json!(48_893), &json!(3892)));
    assert!(run.program.errors().contains("longer ones are cut"), "{}", run.program.errors());
}

#[test]
fn a_hub_that_takes_few_lines_at_once_gets_few() {
    let hub = builder().flag("--max-batch-events", 10).start();
    assert_eq!(run(&hub.url(""), &[], &["seq", "1000"]).code(), Some(0));
    let expected: Vec<String> = (1..=1000).map(|n| n.to_string()).collect();
    assert_eq!(texts(&log(&hub).0, "stdout"), expected);
}

#[test]
fn of_a_progress_bar_the_last_state_is_shown_at_most_once_a_second() {
    // Some three seconds, five states in each tenth of one.
    let work = "i=0; while [ $i -lt 150 ]; do i=$((i+1)); printf '\\r%d of 150' $i; [ $((i%5)) = 0 ] && sleep 0.1; done; \
                printf '\\rdone      \\n'; echo after";
    let (records, took) = timed(|| logged(&[], work));
    let seconds = took.as_secs() as usize;
    let partial: Vec<_> = records.iter().filter(|record| record["partial"] == true).collect();
    assert!((1..=seconds).contains(&partial.len()), "{} in {seconds} s", partial.len());
    assert!(
        partial
            .iter()
            .all(|record| record["line"] == 1 && record["text"].as_str().unwrap().contains(" of 150"))
    );
    assert_eq!(texts(&records, "stdout"), ["done      ", "after"]);
    assert_eq!(records.last().unwrap()["line"], 2);
}

#[test]
fn a_line_without_an_end_is_shown_after_a_second_and_completed_at_the_end() {
    let hub = hub();
    let mut viewer = viewer(&hub);
    let mut run = script(&hub.url(""), &[], "printf 'Password: '; read x; printf 'ok'");
    let shown = next(&mut viewer);
    assert_eq!(
        (&shown["text"], &shown["partial"], &shown["line"]),
        (&json!("Password: "), &json!(true), &json!(1))
    );
    run.program.input("\n");
    let (records, _) = rest(viewer);
    assert_eq!(texts(&records, "stdout"), ["Password: ok"]);
    assert_eq!(records.last().unwrap()["line"], 1);
    assert_eq!(run.code(), Some(0));
}

#[test]
fn a_character_cut_between_two_writes_is_whole() {
    let hub = hub();
    let mut viewer = viewer(&hub);
    let mut run = script(&hub.url(""), &[], "printf 'a\\342\\202'; read x; printf '\\254b\\n'");
    let shown = next(&mut viewer);
    assert_eq!((&shown["text"], &shown["partial"]), (&json!("a"), &json!(true)), "not half a character");
    run.program.input("\n");
    assert_eq!(texts(&rest(viewer).0, "stdout"), ["a€b"]);
    assert_eq!(run.code(), Some(0));
}

#[test]
fn nul_and_ansi_pass_as_text_and_what_is_no_text_is_replaced() {
    let records =
        logged(&[], "printf 'a\\000b \\033[31mred\\033[0m \\007\\t\\\\\\n'; printf 'caf\\351!\\r\\n\\n'");
    assert_eq!(texts(&records, "stdout"), ["a\0b \u{1b}[31mred\u{1b}[0m \u{7}\t\\", "caf\u{fffd}!", ""]);
}

#[test]
fn utf16_with_a_byte_order_mark_is_decoded() {
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let hub = hub();
        let mut run = run(&hub.url(""), &[], &["cat"]);
        let text = "\u{feff}wörld €\r\n😀\n";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(order).collect();
        run.program.input(&bytes);
        run.program.close_input();
        assert_eq!(run.code(), Some(0));
        assert_eq!(run.program.output(), bytes, "printed as it is");
        assert_eq!(texts(&log(&hub).0, "stdout"), ["wörld €", "😀"]);
    }
}

#[test]
fn a_line_of_40_kb_that_a_container_runtime_had_cut_in_parts_is_one_line_of_its_own_time_and_stream() {
    let (part, time) = ("p".repeat(16_384), "2016-10-06T00:17:09.669794202Z");
    let docker = |log: &str, stream: &str| json!({"log": log, "stream": stream, "time": time}).to_string();
    let cri = [
        format!("{time} stderr P {part}"),
        format!("{time} stdout F between"),
        format!("{time} stderr P {part}"),
        format!("{time} stderr F end"),
        "not of a container".to_owned(),
    ];
    let json = [
        docker(&part, "stderr"),
        docker("between\n", "stdout"),
        docker(&part, "stderr"),
        docker("end\n", "stderr"),
        "not of a container".to_owned(),
    ];
    for (format, input) in [("cri", cri), ("docker", json)] {
        let hub = hub();
        let mut run = run(&hub.url(""), &["--format", format], &["cat"]);
        run.program.input(input.join("\n"));
        run.program.close_input();
        assert_eq!(run.code(), Some(0));
        assert_eq!(run.program.text(), input.join("\n"), "printed as it is");
        let (records, _) = log(&hub);
        assert_eq!(texts(&records, "stderr"), [format!("{part}{part}end")], "{format}");
        assert_eq!(texts(&records, "stdout"), ["between", "not of a container"]);
        assert!(records[..2].iter().all(|record| record["at"] == 1_475_713_029.669), "{format}");
    }
}
