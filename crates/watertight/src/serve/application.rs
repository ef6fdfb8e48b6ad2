//! What answers requests: an axum router, or an application that stands before one and knows its usual requests by
//! itself.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Extensions, Request, Response};
use tower_service::Service;

use super::in_flight::InFlight;
use super::whole::{AnswerBytes, AtOnce, WholeRequest};

/// An answer that is being made. Dropping it gives the request up.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What is known of a request beside what it says.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// The address that sends it; `None` over a Unix socket, and where a request was made by hand.
    pub peer: Option<SocketAddr>,
    /// Its permit; `None` for what is always answered.
    pub in_flight: Option<InFlight>,
}

impl Arrival {
    /// Puts it where extractors look for it: `ConnectInfo<SocketAddr>` and `Extension<InFlight>`.
    pub fn note_in(self, extensions: &mut Extensions) {
        if let Some(peer) = self.peer {
            extensions.insert(ConnectInfo(peer));
        }
        if let Some(in_flight) = self.in_flight {
            extensions.insert(in_flight);
        }
    }

    /// What [`Arrival::note_in`] put there.
    #[must_use]
    pub fn noted_in(extensions: &Extensions) -> Arrival {
        Arrival {
            peer: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            in_flight: extensions.get::<InFlight>().cloned(),
        }
    }
}

/// What a [`super::Server`] asks for answers.
pub trait Application: Send + Sync + 'static {
    /// Begins to answer a request.
    fn answer(&self, request: Request<Body>, arrival: Arrival) -> Answering;

    /// Answers a request that is there whole, without waiting and in short time; or does nothing with it, and is asked by
    /// [`Application::answer`]. Called on HTTP/1.1 only, over TLS as well. What it answers must be what the other way
    /// would have answered. A panic in it ends the connection.
    fn answer_at_once(&self, request: &WholeRequest<'_>, answer: &mut AnswerBytes) -> AtOnce {
        let _ = (request, answer);
        AtOnce::NotHere
    }
}

impl Application for Router {
    fn answer(&self, mut request: Request<Body>, arrival: Arrival) -> Answering {
        arrival.note_in(request.extensions_mut());
        let answer = self.clone().call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            response
        })
    }
}
