//! Watertight: an SSE hub that cannot leak, in one binary.
//!
//! This file only knows which command there is; each has a module of its own.

mod bench;
mod check;
mod completions;
mod doctor;
mod exit;
mod health;
mod help;
mod log;
mod man;
mod memory;
mod plain;
mod publish;
mod run;
mod serve;
mod tail;
mod token;
mod top;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// The allocator: gives memory back soon, and can say how much it holds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An SSE hub that cannot leak.
#[derive(Debug, Parser)]
#[command(name = "watertight", version, about, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub
    Serve(serve::ServeArgs),
    /// Publish standard input to a session, line by line
    Publish(publish::PublishArgs),
    /// Print a session's events as they come; resumes by itself
    Tail(tail::TailArgs),
    /// Run a command, and stream its output as a deployment's log
    Run(Box<run::RunArgs>),
    /// Make a token, or say what one holds and why the hub would refuse it
    Token(Box<token::TokenArgs>),
    /// Watch a hub in the terminal: rates, memory, latency, sessions and connections
    Top(top::TopArgs),
    /// Check a configuration and print what holds, and why
    Check(check::CheckArgs),
    /// Find out what stands between a client and the hub, and which setting mends it
    Doctor(doctor::DoctorArgs),
    /// Measure a hub: memory per connection, CPU per delivery, what happens under load
    Bench(bench::BenchArgs),
    /// Ask a hub whether it lives
    Health(health::HealthArgs),
    /// Print the completions for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    match arguments.command {
        Command::Serve(args) => serve::run(args),
        Command::Publish(args) => exit::on_runtime(publish::run(args)),
        Command::Tail(args) => exit::on_runtime(tail::run(args)),
        Command::Run(args) => exit::on_runtime(run::run(*args)),
        Command::Token(args) => token::run(*args),
        Command::Top(args) => exit::on_runtime(top::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => exit::on_runtime(doctor::run(args)),
        Command::Bench(args) => bench::run(args),
        Command::Health(args) => health::run(&args),
        Command::Completions(args) => completions::run(&args, Arguments::command()),
        Command::Man(args) => man::run(&args, Arguments::command()),
    }
}
