//! Formatting, lints, dependencies, and what keeps documents and code together.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dependencies;
use crate::documents;
use crate::step::{self, Outcome, cargo, root, target_dir};

/// Lines a source file may have without giving a reason at its top.
const LINES_MAX: usize = 500;

/// All of it.
pub(crate) fn run() -> Outcome {
    quick()?;
    slow()
}

/// What needs a compiler, and answers from elsewhere.
pub(crate) fn slow() -> Outcome {
    // In a directory of its own: tests call cargo, too, and would wait for it.
    let folder = target_dir().join("lints");
    let mut lints = cargo(&["clippy", "--workspace", "--all-targets", "--all-features"]);
    lints.arg("--target-dir").arg(&folder).args(["--", "-D", "warnings"]);
    step::run("lints", lints)?;
    // Everything else is compiled with all features: what ships has to do without those of tests.
    let mut shipped = cargo(&["check", "--package", "watertight-cli", "--package", "watertight-python"]);
    shipped.arg("--target-dir").arg(&folder);
    step::run("what ships, without the features of tests", shipped)?;
    dependencies::check()
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
