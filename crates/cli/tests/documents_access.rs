//! What documents say of a hub with tokens: their commands are run as they stand there, in order, against the real
//! binary, and their tables are compared with the code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use documents::{Reader, blocks, section};
use serde_json::Value;
use tempfile::TempDir;
use watertight_testkit::{HubProcess, PATIENCE, Program, RawConnection, eventually};

const WATERTIGHT: &str = env!("CARGO_BIN_EXE_watertight");

const ACCESS: &str = include_str!("../../../docs/access.md");
const GUIDE: &str = include_str!("../../../docs/guide.md");
const LIFECYCLE: &str = include_str!("../../../docs/connection-lifecycle.md");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const README: &str = include_str!("../../../README.md");

const PROTECTED: &str = "## A protected hub in two commands";
const REVOKING: &str = "## Revoking";

/// The hub of the first section, with a stream that Ada has open.
fn protected() -> Reader {
    let mut reader = Reader::new();
    for block in blocks(ACCESS, PROTECTED, "sh") {
        reader.types(block);
    }
    reader
}

#[test]
fn two_commands_protect_a_hub_and_a_token_opens_it() {
    let reader = protected();
    reader.sees("\ndata: hello\n");
    assert_eq!((reader.status(None), reader.status(Some("token"))), ("401".to_owned(), "200".to_owned()));
    reader.finish();
}

#[test]
fn the_commands_that_revoke_close_the_stream_and_refuse_the_token() {
    let mut reader = protected();
    let [revoke, _] = blocks(ACCESS, REVOKING, "sh")[..] else { panic!("two blocks") };
    assert_eq!(reader.types(revoke), r#"{"closed":1}"#);
    reader.sees("\"code\":\"TOKEN_REVOKED\"");
    assert_eq!(reader.status(Some("token")), "401");
    reader.finish();
}

#[test]
fn the_command_that_closes_a_users_streams_leaves_the_token() {
    let mut reader = protected();
    let [revoke, close] = blocks(ACCESS, REVOKING, "sh")[..] else { panic!("two blocks") };
    reader.types(revoke.lines().next().unwrap());
    assert_eq!(reader.types(close), r#"{"closed":1}"#);
    reader.sees("\"code\":\"DISCONNECTED\"");
    assert_eq!(reader.status(Some("token")), "200");
    reader.finish();
}

#[test]
fn a_program_without_a_user_feeds_a_log_by_what_it_grants() {
    let mut reader = protected();
    let [feed] = blocks(ACCESS, "## Programs without a user", "sh")[..] else { panic!("one block") };
    assert!(reader.types(feed).starts_with(r#"{"ids":[""#));
    assert_eq!(reader.status(Some("feeder-token")), "403");
    reader.finish();
}

#[test]
fn a_key_pair_is_replaced_without_refusing_anybody() {
    let mut reader = Reader::new();
    let [start, both, last] = blocks(ACCESS, "## Reading keys again", "sh")[..] else {
        panic!("three blocks")
    };
    reader.types(start);
    reader.types(both);
    eventually!((reader.status(Some("token")), reader.status(Some("next-token"))), |(old, next)| {
        old == "200" && next == "200"
    });
    reader.types(last);
    eventually!(reader.status(Some("token")), |old| old == "401");
    assert_eq!(reader.status(Some("next-token")), "200");
    assert_eq!(reader.log().matches("the set of token keys was read again").count(), 2);
    fs::write(reader.dir.path().join("public.pem"), "no key").unwrap();
    eventually!(reader.log(), |log| log.contains("the set of token keys stays as it was"));
    assert_eq!(reader.status(Some("next-token")), "200");
    reader.finish();
}

#[test]
fn the_commands_of_the_readme_show_a_protected_stream() {
    let mut reader = Reader::new();
    for block in blocks(README, "## Protect it", "sh") {
        reader.types(block);
    }
    assert_eq!((reader.watching.len(), reader.status(None)), (1, "401".to_owned()));
    reader.finish();
}

#[test]
fn the_guide_leads_from_open_to_protected() {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    for block in blocks(GUIDE, "## From open to protected", "sh") {
        said.push(reader.types(block));
        for (command, data) in [("-d 'compiled'", "compiled"), ("echo linked", "linked")] {
            if block.contains(command) {
                reader.sees(&format!("\ndata: {data}\n"));
            }
        }
    }
    reader.sees("\"code\":\"TOKEN_REVOKED\"");
    assert!(said[1].contains("the hub would accept it"), "{said:?}");
    assert!(said[3].contains(r#""user":"ada""#), "{said:?}");
    assert_eq!(said.last().unwrap(), r#"{"closed":1}"#);
    assert_eq!(reader.status(Some("reader-token")), "401");
    reader.finish();
}

const LOG: &str = "### What the log says of each stream";

/// The lines of streams that ended, in order.
fn ended(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "connection closed").collect()
}

#[test]
fn the_questions_to_the_log_have_the_answers_that_its_lines_give() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--log-format", "json").start();
    let mut readers = [hub.subscribe("a"), hub.subscribe("a"), hub.subscribe("b")];
    for (session, text) in [("a", "one"), ("a", "two"), ("b", "three")] {
        hub.publish_text(session, text);
    }
    readers.iter_mut().zip([2, 2, 1]).for_each(|(reader, count)| drop(reader.next_data(count)));
    drop(readers);
    // A peer that sends on and on behind its request is a fault.
    let mut talking = RawConnection::connect(hub.address());
    talking.send_get("/sessions/a/events", &[]);
    talking.read_until("\r\n\r\n", PATIENCE);
    // The hub may reset it before all of it was sent.
    let _ = talking.try_send(vec![b'x'; 256 * 1024]);
    hub.client()
        .request("GET", "/sessions/a/events?wait=0")
        .header("accept", "application/json")
        .send()
        .expect(200);
    let lines = eventually!(ended(&hub.log()), |lines| lines.len() == 5);
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("hub.log"), hub.log()).unwrap();
    let answers: Vec<Value> = blocks(OPERATIONS, LOG, "sh")
        .into_iter()
        .map(|question| {
            let mut command = Command::new("sh");
            command.args(["-ec", question]).current_dir(&dir);
            serde_json::from_slice(&Program::spawn(command).finish(PATIENCE)).unwrap()
        })
        .collect();
    let streams: Vec<&Value> = lines.iter().filter(|line| line["delivery"] != "poll").collect();
    let sum = |field: &str| streams.iter().map(|line| line[field].as_f64().unwrap()).sum::<f64>();
    let is = |answer: &Value, expected: f64| {
        let difference = (answer.as_f64().unwrap() - expected).abs();
        assert!(difference <= 1e-9 * expected.abs(), "{answer} is not {expected}");
    };
    assert_eq!((&answers[0]["kind"], &answers[0]["streams"]), (&"session".into(), &4.into()));
    is(&answers[0]["seconds"], sum("duration_ms") / 4.0 / 1000.0);
    assert_eq!(sum("sent"), 5.0);
    is(&answers[1], 5.0 / (sum("duration_ms") / 1000.0));
    is(&answers[2], 0.2);
    let counts = answers[3].as_object().unwrap();
    assert_eq!((&counts["UNEXPECTED_INPUT"], &counts["ANSWERED"]), (&1.into(), &1.into()));
    assert_eq!(counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 5);
    drop(talking);
}

/// The words in capitals between quotation marks or bars.
fn reasons(text: &str) -> BTreeSet<&str> {
    let words = text.split(['"', '|', '`']);
    words.filter(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect()
}

#[test]
fn the_log_and_the_figures_are_asked_for_the_same_faults_and_there_are_no_others_of_such_names() {
    let hub = HubProcess::start(WATERTIGHT);
    let figures = hub.get("/metrics").expect(200).text();
    let faults = reasons(blocks(OPERATIONS, LOG, "sh")[2]);
    assert_eq!(faults.len(), 7);
    assert_eq!(faults, reasons(blocks(OPERATIONS, LOG, "promql")[2]));
    for fault in faults {
        assert!(
            figures.contains(&format!("watertight_streams_ended_total{{reason=\"{fault}\"}}")),
            "{fault}"
        );
    }
}

#[test]
fn the_log_line_has_the_fields_that_the_document_shows() {
    let hub = HubProcess::builder(WATERTIGHT).flag("--log-format", "json").start();
    drop(hub.subscribe("demo"));
    let line = eventually!(ended(&hub.log()), |lines| lines.len() == 1).remove(0);
    let [example] = blocks(LIFECYCLE, "## The log line", "json")[..] else { panic!("one example") };
    let example: Value = serde_json::from_str(example).unwrap();
    let names = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&line), names(&example));
    let table = section(LIFECYCLE, "## The log line");
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned());
    let of_subscriber = ["timestamp", "level", "message", "target"].map(str::to_owned);
    assert_eq!(rows.chain(of_subscriber).collect::<BTreeSet<_>>(), names(&line));
}

/// The texts of an `enum` in the description of the API.
fn listed(pointer: &str) -> BTreeSet<String> {
    let description: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    let list = description.pointer(pointer).and_then(Value::as_array).expect("there is such a list");
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_code_of_a_refusal_stands_in_the_protocol_and_those_about_access_with_the_same_status() {
    let rows = |document: &'static str, heading| {
        let lines = section(document, heading).lines();
        let cells = lines
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | `"))
            .filter(|(status, _)| status.len() == 3);
        cells.map(|(status, rest)| (rest.split('`').next().unwrap(), status)).collect::<BTreeSet<_>>()
    };
    let all = rows(PROTOCOL, "## Refusals");
    let codes: BTreeSet<String> = all.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(codes, listed("/components/schemas/Problem/properties/code/enum"));
    let of_access = rows(ACCESS, "## Answers");
    assert!(of_access.len() >= 14, "{of_access:?}");
    assert_eq!(of_access.difference(&all).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

#[test]
fn every_closing_code_stands_in_the_protocol_and_in_the_life_of_a_connection() {
    let codes = listed("/components/schemas/ClosingEvent/properties/code/enum");
    for (document, heading) in [(PROTOCOL, "### A closing event"), (LIFECYCLE, "## What ends it")] {
        let text = section(document, heading);
        let missing: Vec<_> =
            codes.iter().filter(|code| !text.contains(&format!("\n| `{code}` |"))).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{heading}");
    }
}

#[test]
fn every_call_of_the_api_stands_in_the_table_of_what_it_needs() {
    let description: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    let table = section(ACCESS, "## What each call needs");
    let mut count = 0;
    for path in description["paths"].as_object().unwrap().keys() {
        let written = path.replace("{session}", "NAME").replace("{id}", "ID");
        // The page has files of its own.
        let is_other = written.starts_with("/page.");
        let stands = table
            .lines()
            .filter(|line| line.starts_with("| "))
            .any(|line| line.split(['`', ' ', ',']).any(|word| word == written));
        assert!(is_other || stands, "{written}");
        count += usize::from(stands);
    }
    assert!(count >= 14, "{count}");
}
