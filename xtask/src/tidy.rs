//! Formatting, lints, dependencies, and what keeps documents and code together.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dependencies;
use crate::documents;
use crate::step::{self, Outcome, cargo, root};

/// Lines a source file may have without giving a reason at its top.
const LINES_MAX: usize = 500;

/// All of it.
pub(crate) fn run() -> Outcome {
    quick()?;
    lints()?;
    dependencies::check()
}

/// What needs a compiler.
pub(crate) fn lints() -> Outcome {
    let lints = cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]);
    step::run("lints", lints)?;
    // Everything else is compiled with all features: what ships has to do without those of tests.
    let shipped = cargo(&["check", "--package", "watertight-cli", "--package", "watertight-python"]);
    step::run("what ships, without the features of tests", shipped)
}

/// What takes seconds.
pub(crate) fn quick() -> Outcome {
    step::run("formatting", cargo(&["fmt", "--all", "--check"]))?;
    println!("xtask: documents");
    let mut wrong = Vec::new();
    for file in tracked_files() {
        check_file(&file, &mut wrong);
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("untidy:\n  {}", wrong.join("\n  "))) }
}

fn check_file(file: &Path, wrong: &mut Vec<String>) {
    let name = file.strip_prefix(root()).unwrap_or(file).display().to_string();
    let Ok(text) = fs::read_to_string(file) else { return };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs" | "ts" | "tsx" | "mjs" | "py") => {
            let lines = text.lines().count();
            if lines > LINES_MAX && !text.contains("Long because") {
                wrong.push(format!("{name}: {lines} lines and no `Long because ...` at its top"));
            }
        }
        Some("md") => documents::check_links(file, &name, &text, wrong),
        _ => {}
    }
    if file.ends_with("tests/all.rs") {
        for forgotten in forgotten_tests(file, &text) {
            wrong.push(format!("{name}: no `mod {forgotten};`, so its tests do not run"));
        }
    }
}

/// Files beside the one that is the binary of all of a crate's tests, which it does not have as a module.
fn forgotten_tests(all: &Path, text: &str) -> Vec<String> {
    let beside = all.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let files = beside.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let names = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let has = |name: &str| text.lines().any(|line| line == format!("mod {name};"));
    names.filter(|name| name != "all" && !has(name)).collect()
}

/// Sources and documents, without what is built or fetched.
fn tracked_files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().to_path_buf()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let built = ["target", "node_modules", "dist"].iter().any(|folder| name == *folder);
            let skip = built || name.to_string_lossy().starts_with('.');
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skip => folders.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tests_that_the_binary_of_all_does_not_have_is_found() {
        let all = root().join("crates/client/tests/all.rs");
        let text = fs::read_to_string(&all).unwrap();
        assert!(forgotten_tests(&all, &text).is_empty());
        assert_eq!(forgotten_tests(&all, &text.replace("mod storms;", "")), ["storms"]);
    }
}
