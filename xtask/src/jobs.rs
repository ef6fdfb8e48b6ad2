//! Several steps at once: what each says is kept together, and shown when it has ended.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::step::{Outcome, root, target_dir};

/// Commands that follow each other, until one fails.
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) commands: Vec<Command>,
}

impl Job {
    pub(crate) fn one(name: impl Into<String>, command: Command) -> Self {
        Self { name: name.into(), commands: vec![command] }
    }

    /// Runs it in the project's root, unless a command says where. What it prints goes into the file.
    fn run(&mut self, output: &Path) -> Outcome {
        let told = |error: std::io::Error| format!("{}: {error}", self.name);
        let file = File::create(output).map_err(told)?;
        for command in &mut self.commands {
            if command.get_current_dir().is_none() {
                command.current_dir(root());
            }
            command.stdin(Stdio::null()).stdout(file.try_clone().map_err(told)?);
            command.stderr(file.try_clone().map_err(told)?);
            let status = command.status().map_err(told)?;
            if !status.success() {
                return Err(format!("{} failed ({status})", self.name));
            }
        }
        Ok(())
    }
}

/// Runs all of them, so many at a time, begun in their order. One that fails stops no other: a run shows everything that fails.
pub(crate) fn run(jobs: Vec<Job>, at_once: usize) -> Outcome {
    let folder = target_dir().join("jobs");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let waiting = Mutex::new(jobs.into_iter().enumerate().collect::<VecDeque<_>>());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((number, mut job)) = next(&waiting) {
                    let output = folder.join(format!("{number}.txt"));
                    let outcome = job.run(&output);
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    show(&job.name, &output);
                    failures.extend(outcome.err());
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nxtask: ")) }
}

fn next(waiting: &Mutex<VecDeque<(usize, Job)>>) -> Option<(usize, Job)> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn show(name: &str, output: &PathBuf) {
    let text =
        fs::read(output).unwrap_or_else(|error| format!("{}: {error}\n", output.display()).into_bytes());
    println!("xtask: {name}\n{}", String::from_utf8_lossy(&text).trim_end());
}
