//! The commands of `docs/access.md` that make and inspect tokens, run as they stand there, and what it says of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod documents;

use documents::blocks;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../docs/access.md");

/// The sections whose commands need no hub.
const SECTIONS: [&str; 2] = ["## Keys", "## Minting and inspecting"];

#[test]
fn every_command_does_what_the_document_says() {
    let dir = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_watertight")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut count = 0;
    for heading in SECTIONS {
        // In one folder, in order: a block uses the files of the one before.
        for block in blocks(DOCUMENT, heading, "sh") {
            count += block.matches("watertight token").count();
            // A command that is to fail begins with `!`, which `-e` passes over: it is made a failure by hand.
            let script = block.lines().map(|line| match line.strip_prefix("! ") {
                Some(command) => format!("if {command}; then exit 9; fi\n"),
                None => format!("{line}\n"),
            });
            let script: String = script.collect();
            let output = Command::new("sh")
                .args(["-ec", &script])
                .current_dir(dir.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{heading}: {block}\nsaid {said}");
        }
    }
    assert!(count >= 9, "only {count} commands were found");
}

#[test]
fn the_example_of_an_inspection_is_what_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "quartz vellum sphinx judges boxing wizards quickly daft zebra ju\n").unwrap();
    let watertight = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_watertight")).arg("token").args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let secret = secret.to_str().unwrap();
    let grants = ["--subscribe", "sessions/*", "--publish", "sessions/*"];
    let token = watertight(&[&["--secret-file", secret, "--sub", "ada"], &grants[..]].concat());
    let printed = watertight(&["inspect", "--secret-file", secret, token.trim()]);
    let example = blocks(DOCUMENT, "## Minting and inspecting", "text");
    assert_eq!(shape(&printed), shape(example.first().unwrap()));
}

/// The text with each time, distance and id replaced.
fn shape(text: &str) -> Vec<String> {
    let of_line = |line: &str| match line.trim_start().split_once(": ") {
        Some((name @ ("exp" | "iat" | "jti"), _)) => name.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(of_line).collect()
}

#[test]
fn the_tables_of_patterns_are_true() {
    use watertight_access::{Action, Grants};
    let (_, section) = DOCUMENT.split_once("\n## Grants\n").unwrap();
    let (_, table) = section.split_once("| pattern | is about | not about |").unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut rows = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').collect();
        let pattern = names(cells[1]).remove(0);
        let grants = Grants::new(&[pattern.as_str()], &[], false).unwrap();
        for (cell, expected) in [(cells[2], true), (cells[3], false)] {
            for path in names(cell) {
                assert_eq!(grants.allows(Action::Subscribe, &path), expected, "{pattern} on {path}");
            }
        }
        rows += 1;
    }
    assert_eq!(rows, 6);
}

#[test]
fn the_limits_and_the_example_claim_are_those_of_the_code() {
    use watertight_access::{Grants, limits};
    let claim = blocks(DOCUMENT, "## Grants", "json").remove(0);
    let claim: serde_json::Value = serde_json::from_str(claim).unwrap();
    assert!(Grants::from_json(&claim["watertight"].to_string()).is_ok());
    for (text, limit) in [
        ("1 to 8,192 characters", limits::TOKEN_BYTES_MAX == 8192),
        ("a JSON object of at most 2 KiB", limits::HEADER_BYTES_MAX == 2048),
        ("a list of at most 32", limits::AUDIENCES_MAX == 32),
        ("the user: 1 to 256 bytes", limits::SUBJECT_BYTES_MAX == 256),
        ("more than 64 KiB", limits::INTROSPECTION_BYTES_MAX == 64 * 1024),
        ("64 questions", limits::INTROSPECTIONS_MAX == 64),
        ("4,096 answers", limits::INTROSPECTIONS_KEPT_MAX == 4096),
        (
            "an answer has 5 s and 256 KiB",
            limits::KEY_SET_BYTES_MAX == 256 * 1024 && limits::FETCH_TIME_MAX.as_secs() == 5,
        ),
        ("At most 64 are looked at", limits::SET_KEYS_MAX == 64),
        ("the first four keys", limits::UNNAMED_KEYS_TRIED_MAX == 4),
        ("doubles from 0.2 s", limits::RETRY_MIN.as_millis() == 200),
        ("list of at most 64 patterns", limits::PATTERNS_MAX == 64),
        (
            "at most 256 bytes and 16 segments",
            limits::PATTERN_BYTES_MAX == 256 && limits::PATTERN_SEGMENTS_MAX == 16,
        ),
        ("RSA, 2,048 to 8,192 bits", limits::RSA_BITS_MIN == 2048 && limits::RSA_BITS_MAX == 8192),
        ("Up to eight keys", limits::FILE_KEYS_MAX == 8),
    ] {
        assert!(DOCUMENT.replace('\n', " ").contains(text), "the document no longer says {text:?}");
        assert!(limit, "the code no longer says {text:?}");
    }
}
