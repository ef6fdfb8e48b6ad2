//! The Watertight client: publish with retries, subscribe with resume.
//!
//! ```no_run
//! # async fn example() -> Result<(), watertight_client::Error> {
//! use watertight_client::{Item, NewEvent, Publisher, Subscriber};
//!
//! let mut publisher = Publisher::new("http://127.0.0.1:8080")?;
//! publisher.publish("demo", &NewEvent::json(&"hello")?.with_type("greeting")).await?;
//!
//! let mut subscriber = Subscriber::new("http://127.0.0.1:8080", "demo")?;
//! while let Some(item) = subscriber.next().await {
//!     match item? {
//!         Item::Event(event) => println!("{}: {}", event.event_type, event.data),
//!         Item::Gap(gap) => println!("{:?} events are missing ({})", gap.missed, gap.reason),
//!         Item::Status(_) => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Neither of the two spawns a task or a thread: what they do, they do while one of their futures is awaited,
//! and dropping them closes their socket. Plain `http://` over HTTP/1.1 only.
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`Publisher`] (`publisher`) | one request after the other, retried safely |
//! | [`Subscriber`] (`subscriber`) | the state machine: waiting, connecting, open, over |
//! | `attempt`, `stream` | one attempt to open a stream; an open one |
//! | `link`, `endpoint` | one connection; where the hub is |
//! | `backoff`, `limits` | how long to wait; every limit with its reason |
//! | `event`, `error` | what applications see |

mod attempt;
mod backoff;
mod endpoint;
mod error;
mod event;
pub mod limits;
mod link;
mod publisher;
mod stream;
mod subscriber;

pub use attempt::Replay;
pub use error::{Error, Problem};
pub use event::{Event, Gap, Item, NewEvent, Status};
pub use publisher::Publisher;
pub use subscriber::Subscriber;
