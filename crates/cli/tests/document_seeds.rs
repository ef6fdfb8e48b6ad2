//! `docs/from-the-seeds.md`: every promise in it names tests, and every test that it names is one and is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/from-the-seeds.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The promises of each section of the second rank: what is promised, and the cell with the tests.
fn promises(document: &str) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let (mut all, mut section) = (BTreeMap::<&str, Vec<_>>::new(), "");
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        }
        let Some(row) = line.strip_prefix("| ") else { continue };
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{line}");
        if !matches!(cells[0], "promise" | "case") {
            all.entry(section).or_default().push((cells[0], cells[2]));
        }
    }
    all
}

/// Name and file of each test in a cell: links whose text is code.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let links = cell.split("[`").skip(1).map(|rest| rest.split_once("`](").expect("a link"));
    links.map(|(name, rest)| (name, rest.split_once(')').expect("the link ends").0)).collect()
}

/// Whether `text`, a file of that kind, has a test of this name.
fn has_test(file: &str, text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    match file.rsplit('.').next() {
        Some("rs") => {
            let is_it = |line: &&str| {
                line.starts_with(&format!("fn {name}(")) || line.starts_with(&format!("async fn {name}("))
            };
            let Some(at) = lines.iter().position(is_it) else { return false };
            let mut attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
            let is_marked = attributes.any(|it| *it == "#[test]" || it.starts_with("#[tokio::test"));
            // Or in the list of those that run over each transport.
            let lists = text.split("both_transports!(").skip(1).filter_map(|list| list.split(");").next());
            is_marked || lists.flat_map(str::lines).any(|line| line.trim() == format!("{name},"))
        }
        Some("ts" | "tsx") => {
            let quoted = format!("\"{name}\"");
            let begins = |line: &&&str| ["test", "it", "])("].iter().any(|word| line.starts_with(word));
            lines.iter().filter(begins).any(|line| line.contains(&quoted))
        }
        Some("py") => {
            let definition = format!("def {name}(");
            name.starts_with("test_")
                && lines.iter().any(|line| line.trim_start_matches("async ").starts_with(&definition))
        }
        _ => false,
    }
}

#[test]
fn every_promise_names_its_tests_and_each_of_them_is_there() {
    let document = fs::read_to_string(root().join(DOCUMENT)).unwrap();
    let promises = promises(&document);
    for section in ["The deployment platform", "The agent application"] {
        let count = promises[section].len();
        assert!(count >= 50, "{section}: only {count} promises were found");
    }
    let mut wrong = BTreeSet::new();
    for (promise, cell) in promises.values().flatten() {
        let tests = named(cell);
        if tests.is_empty() {
            wrong.insert(format!("no test is named: {promise}"));
        }
        for (name, link) in tests {
            let file = link.strip_prefix("../").unwrap_or(link);
            match fs::read_to_string(root().join(file)) {
                Ok(text) if has_test(file, &text, name) => {}
                Ok(_) => drop(wrong.insert(format!("{file} has no test called {name:?}"))),
                Err(error) => drop(wrong.insert(format!("{file}: {error}"))),
            }
        }
    }
    assert!(wrong.is_empty(), "{DOCUMENT}:\n{}", Vec::from_iter(wrong).join("\n"));
}

#[test]
fn what_only_looks_like_a_test_is_none() {
    let rust = "#[test]\nfn is_one() {\n}\n\nfn helper() {\n}\nboth_transports!(\n    over_each,\n);\nfn over_each(over: Transport) {}\n";
    let found = ["is_one", "helper", "over_each", "is", "gone"].map(|name| has_test("a.rs", rust, name));
    assert_eq!(found, [true, false, true, false, false]);
    let typescript =
        "  it(\"is one\", () => {});\n// \"a comment\"\ntest.each([1])(\"each %d\", () => {});\n";
    let found = ["is one", "a comment", "each %d", "is"].map(|name| has_test("a.tsx", typescript, name));
    assert_eq!(found, [true, false, true, false]);
    let python = "def helper():\n    pass\n\nasync def test_one():\n    pass\n";
    let found = ["helper", "test_one", "test_two"].map(|name| has_test("a.py", python, name));
    assert_eq!(found, [false, true, false]);
    assert!(!has_test("a.md", "test_one", "test_one"));
}
