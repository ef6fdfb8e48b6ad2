//! The Watertight client: publish with retries, subscribe with resume.
//!
//! ```no_run
//! # async fn example() -> Result<(), watertight_client::Error> {
//! use watertight_client::{Item, NewEvent, Publisher, Subscriber};
//!
//! let publisher = Publisher::new("http://127.0.0.1:8080")?;
//! publisher.publish("demo", &NewEvent::json(&"hello")?.with_type("greeting")).await?;
//!
//! let mut subscriber = Subscriber::new("http://127.0.0.1:8080", "demo")?;
//! while let Some(item) = subscriber.next().await {
//!     match item? {
//!         Item::Event(event) => println!("{}: {}", event.event_type, event.data),
//!         Item::Gap(gap) => println!("{:?} events are missing ({})", gap.missed, gap.reason),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Neither of the two spawns a task or a thread: what they do, they do while one of their futures is awaited,
//! and dropping them closes their socket. (One exception is tokio's: the name of a host is looked up on a thread
//! for blocking calls, and a look-up that has begun ends by itself.) HTTP/1.1, over TLS for `https` (feature `tls`, on by default).
//!
//! # Layout
//!
//! | module | what it is for |
//! |---|---|
//! | [`Publisher`] (`publisher`) | `turns`: which request goes next; `exchange`: one until it is answered; `all`: a stream of events in batches; `feed`: lines of a deployment's log |
//! | [`Subscriber`] (`subscriber`) | `options`: what it can be told; `phase`: where it is; `machine`: how it moves on |
//! | `plan` | what every attempt asks for, and which origin may hear what |
//! | `attempt` | one attempt: token, request, redirects, what the answer means |
//! | `stream`, `poll` | an open stream; the answer to a long-poll |
//! | `cursor`, `position` | where to resume, and what was delivered already |
//! | `fallback`, `backoff` | which way to ask next; how long to wait before |
//! | `credentials` | tokens, and functions that give them |
//! | `proxy` | which proxy a request goes through, from the environment; `bypass`: `no_proxy` |
//! | [`Transport`] (`transport`) | how requests reach a server: `network` (TCP, a proxy, `unix`, [`tls`]), `link` (hyper over it) |
//! | [`Clock`] (`clock`) | the only place that reads time |
//! | `url`, `endpoint` | checked URLs; where the hub is |
//! | [`limits`] | every limit with its reason |
//! | `event`, `error` | what applications see |

mod attempt;
mod backoff;
mod clock;
mod credentials;
mod cursor;
mod endpoint;
mod error;
mod event;
mod fallback;
mod feed;
pub mod limits;
mod plan;
mod poll;
mod position;
mod proxy;
mod publisher;
mod stream;
mod subscriber;
mod transport;
mod url;

pub use clock::{Clock, Sleep};
pub use credentials::TokenRequest;
pub use error::{Error, Problem, ProxyProblem};
pub use event::{Event, Gap, Item, NewEvent, Status};
pub use feed::{Feed, LogLines};
pub use plan::Replay;
pub use publisher::{PublishAll, Published, Publisher, Stopped, Unsent};
pub use subscriber::Subscriber;
pub use transport::{Answering, Body, HyperTransport, Transport, unix_socket};

/// Whom to trust over `https`: for `with_tls_config` of a [`Subscriber`] or a [`Publisher`].
#[cfg(feature = "tls")]
pub mod tls {
    pub use crate::transport::tls::{platform_roots, roots_from_pem};
    pub use rustls::ClientConfig;
}
