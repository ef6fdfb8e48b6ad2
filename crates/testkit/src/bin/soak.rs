//! `soak BINARY [--seed N] [--seconds N] [--rounds N] [--steps N] [--lose-one-in N]`: the model checker for as
//! long as one likes. An interrupt ends it after the settling of the round.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use watertight_testkit::soak::{self, Options};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(binary) = words.next().map(PathBuf::from) else {
        eprintln!("soak: the path of the hub's binary is missing");
        return ExitCode::from(64);
    };
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}");
            return ExitCode::from(64);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = watch_interrupts(Arc::clone(&stop)) {
        eprintln!("soak: interrupts cannot be watched: {error}");
        return ExitCode::FAILURE;
    }
    match soak::run(&binary, &options, &stop) {
        Ok(summary) => {
            println!("soak: seed {}: {summary}", options.seed);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("soak: FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The first interrupt sets `stop`, the second ends the process. The thread ends with it.
fn watch_interrupts(stop: Arc<AtomicBool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut interrupts = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    std::thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
        runtime.block_on(async {
            interrupts.recv().await;
            eprintln!("soak: interrupted; settling the round (once more to end at once)");
            stop.store(true, Ordering::SeqCst);
            interrupts.recv().await;
            std::process::exit(130);
        });
    })?;
    Ok(())
}
