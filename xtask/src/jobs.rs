//! Several steps at once: what each says is kept together, and shown when it has ended; of those that failed, the end is shown
//! once more when all have ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::step::{Outcome, root, target_dir};

/// Lines of what a job said that are shown once more if it failed: a test runner ends with what went wrong.
const SHOWN_AGAIN: usize = 40;

/// Characters of each of these lines: a line of a log may be long, and the end of what CI prints is all that some see of it.
const WIDTH: usize = 160;

/// Commands that follow each other, until one fails.
pub(crate) struct Job {
    name: String,
    commands: Vec<Command>,
    /// The name of the one that has to have ended before.
    after: Option<&'static str>,
}

impl Job {
    pub(crate) fn new(name: impl Into<String>, commands: Vec<Command>) -> Self {
        Self { name: name.into(), commands, after: None }
    }

    pub(crate) fn one(name: impl Into<String>, command: Command) -> Self {
        Self::new(name, vec![command])
    }

    /// This program with other arguments.
    pub(crate) fn of_ours(name: impl Into<String>, arguments: &[&str]) -> Result<Self, String> {
        let ours = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut command = Command::new(ours);
        command.args(arguments);
        Ok(Self::one(name, command))
    }

    /// It takes what the others leave of the machine: it computes, and nobody waits for it.
    pub(crate) fn nicely(mut self) -> Self {
        self.commands = self.commands.iter().map(nice).collect();
        self
    }

    /// Begins when another one has ended.
    pub(crate) fn after(self, other: &'static str) -> Self {
        Self { after: Some(other), ..self }
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

/// What has not begun, in its order; what runs; what failed.
struct Board {
    waiting: Vec<(usize, Job)>,
    running: Vec<String>,
    failures: Vec<Failure>,
}

impl Board {
    fn is_free(&self, job: &Job) -> bool {
        let has_ended = |other: &str| {
            !self.waiting.iter().map(|(_, job)| &job.name).chain(&self.running).any(|name| name == other)
        };
        job.after.is_none_or(has_ended)
    }
}

struct Failure {
    reason: String,
    output: PathBuf,
}

/// Does something, and runs jobs meanwhile, one after the other.
pub(crate) fn beside<T>(jobs: Vec<Job>, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    beside_into(&target_dir().join("jobs/beside"), jobs, work)
}

fn beside_into<T>(
    folder: &Path,
    jobs: Vec<Job>,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    thread::scope(|scope| {
        let others = scope.spawn(|| run_into(folder, jobs, 1));
        let made = work();
        let outcome = others.join().unwrap_or_else(|_| Err("a thread of jobs panicked".to_owned()));
        match (outcome, made) {
            (Ok(()), made) => made,
            (Err(others), Ok(_)) => Err(others),
            (Err(others), Err(made)) => Err(format!("{others}\nxtask: {made}")),
        }
    })
}

/// Runs all of them, so many at a time, begun in their order. One that fails stops no other: a run shows everything that fails.
pub(crate) fn run(jobs: Vec<Job>, at_once: usize) -> Outcome {
    run_into(&target_dir().join("jobs"), jobs, at_once)
}

/// What each says goes into a file of the folder, by its number.
fn run_into(folder: &Path, jobs: Vec<Job>, at_once: usize) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let waiting = jobs.into_iter().enumerate().collect();
    let board = Mutex::new(Board { waiting, running: Vec::new(), failures: Vec::new() });
    let ended = Condvar::new();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((number, mut job)) = next(&board, &ended) {
                    let output = folder.join(format!("{number}.txt"));
                    let begun = now();
                    let outcome = job.run(&output);
                    let seconds = begun.elapsed().as_secs();
                    let mut board = lock(&board);
                    println!("xtask: {} ({seconds} s)\n{}", job.name, text(&output).trim_end());
                    board.failures.extend(outcome.err().map(|reason| Failure { reason, output }));
                    board.running.retain(|name| *name != job.name);
                    ended.notify_all();
                }
            });
        }
    });
    let failures = board.into_inner().unwrap_or_else(PoisonError::into_inner).failures;
    if failures.is_empty() { Ok(()) } else { Err(told_again(&failures)) }
}

/// The first job that waits for none; waits while all that are left do.
fn next(board: &Mutex<Board>, ended: &Condvar) -> Option<(usize, Job)> {
    let mut board = lock(board);
    while !board.waiting.is_empty() {
        if let Some(first) = board.waiting.iter().position(|(_, job)| board.is_free(job)) {
            let (number, job) = board.waiting.remove(first);
            board.running.push(job.name.clone());
            return Some((number, job));
        }
        board = ended.wait(board).unwrap_or_else(PoisonError::into_inner);
    }
    None
}

/// The ends of what they said, and below them which failed: what one looks at first stands last.
fn told_again(failures: &[Failure]) -> String {
    let mut told = String::new();
    for Failure { reason, output } in failures {
        let text = text(output);
        let lines: Vec<String> =
            text.trim_end().lines().map(|line| line.chars().take(WIDTH).collect()).collect();
        let end = lines[lines.len().saturating_sub(SHOWN_AGAIN)..].join("\n");
        told += &format!("{reason}; it ended with:\n{end}\nxtask: ");
    }
    let reasons: Vec<&str> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    told + &reasons.join("\nxtask: ")
}

/// The command with the lowest priority.
fn nice(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        nice.current_dir(folder);
    }
    nice
}

fn text(output: &Path) -> String {
    match fs::read(output) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("{}: {error}\n", output.display()),
    }
}

#[expect(clippy::disallowed_methods, reason = "it is told, and decides nothing")]
fn now() -> Instant {
    Instant::now()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn each_that_fails_is_told_last_with_the_end_of_what_it_said_and_stops_no_other() {
        let folder = target_dir().join("jobs-test/told");
        let made = folder.join("made");
        let _gone = fs::remove_file(&made);
        let jobs = vec![
            Job::one("first", shell("seq 1 1000; printf 'why%01000d\\n' 0 >&2; exit 3")),
            Job::new("second", vec![shell("exit 1"), shell("echo never")]),
            Job::one("third", shell(&format!("touch {}", made.display()))),
        ];
        let told = run_into(&folder, jobs, 1).unwrap_err();
        assert!(told.contains("\n1000\nwhy000") && !told.contains("\n900\n"), "{told}");
        assert!(told.lines().all(|line| line.len() <= WIDTH), "{told}");
        assert!(
            told.ends_with("first failed (exit status: 3)\nxtask: second failed (exit status: 1)"),
            "{told}"
        );
        assert!(!told.contains("never") && made.exists());
    }

    #[test]
    fn a_job_that_leaves_the_machine_to_others_is_the_same_otherwise() {
        let folder = target_dir().join("jobs-test/nice");
        fs::create_dir_all(&folder).unwrap();
        let mut command = shell("test $(nice) = 19 && test $NAME = value && test $(pwd) = $PLACE");
        command.current_dir(&folder).env("NAME", "value").env("PLACE", folder.canonicalize().unwrap());
        run_into(&folder, vec![Job::one("nice", command).nicely()], 1).unwrap();
    }

    #[test]
    fn what_is_done_beside_a_job_is_given_and_either_may_fail() {
        let folder = target_dir().join("jobs-test/beside");
        let done = |script| beside_into(&folder, vec![Job::one("job", shell(script))], || Ok(7));
        assert_eq!(done("exit 0"), Ok(7));
        assert!(done("exit 1").unwrap_err().ends_with("job failed (exit status: 1)"));
        let both =
            beside(vec![Job::one("job", shell("exit 1"))], || Err::<(), _>("no".to_owned())).unwrap_err();
        assert!(both.ends_with("job failed (exit status: 1)\nxtask: no"), "{both}");
    }

    #[test]
    fn what_comes_after_another_waits_for_its_end_and_lets_others_by() {
        let folder = target_dir().join("jobs-test/after");
        let (first, third) = (folder.join("first"), folder.join("third"));
        for file in [&first, &third] {
            let _gone = fs::remove_file(file);
        }
        let until = |file: &Path| format!("until test -e {}; do sleep 0.01; done", file.display());
        let jobs = vec![
            // Ends only because the third one begins, which stands behind the second.
            Job::one("first", shell(&format!("{}; touch {}", until(&third), first.display()))),
            Job::one("second", shell(&format!("test -e {}", first.display()))).after("first"),
            Job::one("third", shell(&format!("touch {}", third.display()))),
        ];
        run_into(&folder, jobs, 2).unwrap();
    }
}
