//! The hub in a Python process: what `watertight_sse.hub` is made of. Not for applications.
//!
//! **No thread of the hub ever takes the interpreter's lock.** Pumps, keeper and the threads of requests know nothing of
//! Python: what they have for a Python task they leave in a [`bell::Bell`], whose file descriptor that task's event loop
//! watches. What Python calls never waits for a thread of the hub while it holds the lock, but for the short locks of a
//! log. So neither side can stop the other, and nothing of the hub is in the way when the interpreter ends.
//!
//! # Layout
//!
//! | module | what it holds |
//! |---|---|
//! | [`hub`] | `Hub`: publish, subscribe, end, figures, stop |
//! | [`reader`] | `Reader`: a subscription, read in pieces by a task or a thread |
//! | [`pending`] | `Pending`: what is not done yet (a publisher waits for readers), polled by a task or waited for |
//! | [`bell`] | `Bell`: wakes an event loop, once for all that has become ready |
//! | [`waiting`] | what wakes a thread, and a task |
//! | [`events`] | from frames to Python's events |
//! | [`shelf`] | events that were made and that other readers of their session are about to take |
//! | [`server`] | `Server`: the accept loop |
//! | [`trim`] | gives what a crowd of connections leaves free in the allocator back to the system |
//! | [`process`] | what a fork leaves alone, and what has to be over before the interpreter ends |
//! | [`errors`] | errors with the codes of the HTTP API |

mod bell;
mod errors;
mod events;
mod figures;
mod hub;
mod pending;
mod process;
mod reader;
mod server;
mod shelf;
mod trim;
mod waiting;

use pyo3::prelude::*;

/// The native part of `watertight_sse.hub`.
#[pymodule]
fn _hub(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<bell::Bell>()?;
    module.add_class::<hub::PyHub>()?;
    module.add_class::<pending::Pending>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<server::PyServer>()?;
    module.add_function(wrap_pyfunction!(process::forked, module)?)?;
    module.add_function(wrap_pyfunction!(process::exiting, module)?)?;
    Ok(())
}
