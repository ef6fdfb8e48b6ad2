//! What hyper calls for each request of a connection, whatever its protocol: a permit, charges, the application, and
//! an answer that is watched until its last byte was taken.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::Service;
use watertight_core::{Entry, Kind, Owner, Permit};

use super::Shared;
use super::activity::{ActiveRequest, Activity};
use super::answer::{AnswerBody, MadeInPieces, Taken};
use super::application::Arrival;
use super::awaited::AwaitedBody;
use super::charge::{Allowance, Charge, HTTP2_CALL_BYTES, HTTP2_STREAM_BYTES, head_bytes};
use super::http2::{self, CONNECTION_WINDOW_BYTES};
use super::in_flight::InFlight;
use super::lean::Handover;
use super::permits::FairPermit;
use super::phase::{Asked, HeadClock};
use super::refusal::Refusal;
use super::watch::{StreamWatch, record_of};
use crate::peer::Peer;
use crate::subscription::TaskRecord;

/// Answers up to this size are covered by what their request or connection is charged.
const SMALL_ANSWER_BYTES: u64 = 8 * 1024;

/// Who is at the other end of a connection, and what it is granted.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    /// Why everything is refused but what is always answered. `None`: it is an ordinary connection.
    pub(super) refusal: Option<Refusal>,
    pub(super) allowance: Allowance,
}

/// What a request holds until the last byte of its answer was taken.
#[derive(Debug)]
pub(super) struct RequestGuards {
    _active: ActiveRequest,
    _asked: Asked,
    in_flight: Option<InFlight>,
    /// What the stream of an HTTP/2 connection holds, and what is held of the answer.
    _stream: Option<Charge>,
    _answer: Option<Permit>,
    /// The subscriber behind it, if it is a stream.
    stream: Option<Weak<TaskRecord>>,
    /// Last: what the ledger calls closed is charged no more.
    _entry: Entry,
}

impl RequestGuards {
    pub(super) fn subscriber(&self) -> Option<Arc<TaskRecord>> {
        self.stream.as_ref().and_then(Weak::upgrade)
    }
}

pub(super) type Answer = Response<AnswerBody<RequestGuards>>;

/// Asks the application for one connection.
pub(super) struct RouterService {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Caller,
    pub(super) clock: HeadClock,
    /// Where streams leave HTTP; `None` where they cannot.
    pub(super) handover: Option<Handover>,
    pub(super) watch: StreamWatch,
    pub(super) activity: Activity,
}

/// What is charged for a request before the application sees it.
struct Charges {
    /// Its head; `None` where nothing is charged because it is always answered.
    head: Option<Charge>,
    /// What its HTTP/2 stream holds, and what the application holds until it has answered.
    stream: Option<Charge>,
    call: Option<Charge>,
    /// What its body may fill while it waits for its permit.
    window: Option<Arc<Charge>>,
}

impl Service<Request<Incoming>> for RouterService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let asked = self.clock.head_ended();
        let guards = RequestGuards {
            _entry: self.shared.hub.ledger().open(Kind::Request),
            _active: self.activity.begin(),
            _asked: asked,
            in_flight: None,
            _stream: None,
            _answer: None,
            stream: None,
        };
        let is_always_answered = (self.shared.always_answered)(request.method(), request.uri().path());
        let refusal = self.caller.refusal.filter(|_| !is_always_answered);
        let charges = match refusal.or_else(|| host_is_unclear(&request).then_some(Refusal::Host)) {
            Some(why) => Err(why),
            None => self.charge(&request, is_always_answered),
        };
        let call = Call {
            shared: Arc::clone(&self.shared),
            caller: self.caller.clone(),
            clock: self.clock.clone(),
            handover: self.handover.clone(),
            watch: self.watch.clone(),
            version: request.version(),
            is_get: *request.method() == Method::GET,
            is_head: *request.method() == Method::HEAD,
        };
        match charges {
            Ok(charges) => Box::pin(call.answer(request, is_always_answered, charges, guards)),
            Err(why) => {
                // Its head goes at once, not when its answer is taken.
                let head = request.into_parts().0.headers;
                let refused = call.refuse(why, &head, guards);
                Box::pin(std::future::ready(Ok(refused)))
            }
        }
    }
}

impl RouterService {
    fn charge(&self, request: &Request<Incoming>, is_always_answered: bool) -> Result<Charges, Refusal> {
        let (shared, allowance) = (&*self.shared, &self.caller.allowance);
        let is_http2 = request.version() == Version::HTTP_2;
        let take = || {
            let head = Some(allowance.charge(shared, head_bytes(request))?);
            let (mut stream, mut call) = (None, None);
            if is_http2 {
                stream = Some(allowance.charge(shared, HTTP2_STREAM_BYTES)?);
                call = Some(allowance.charge(shared, HTTP2_CALL_BYTES)?);
            }
            let may_wait = is_http2 && !request.body().is_end_stream();
            let window =
                if may_wait { Some(allowance.charge_window(shared, CONNECTION_WINDOW_BYTES)?) } else { None };
            Some(Charges { head, stream, call, window })
        };
        match take() {
            Some(charges) => Ok(charges),
            None if is_always_answered => Ok(Charges { head: None, stream: None, call: None, window: None }),
            None => Err(Refusal::Memory),
        }
    }
}

/// A name or an IPv4 address, perhaps with a port: what nearly every request has, told without an allocation.
pub(super) fn is_plain_host(host: &[u8]) -> bool {
    let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
    let (name, port) = host.split_at(end);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_port = |port: &[u8]| (2..=6).contains(&port.len()) && port[1..].iter().all(u8::is_ascii_digit);
    !name.is_empty() && name.iter().all(is_name) && (port.is_empty() || is_port(port))
}

/// Whether a request does not say for which host it is, or says it twice (RFC 9112, section 3.2; RFC 9113, section
/// 8.3.1).
fn host_is_unclear<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let is_invalid = |host: &HeaderValue| {
        !is_plain_host(host.as_bytes()) && http::uri::Authority::try_from(host.as_bytes()).is_err()
    };
    match request.version() {
        _ if second.is_some() => true,
        Version::HTTP_11 => first.is_none_or(is_invalid),
        _ => first.is_some_and(is_invalid),
    }
}

/// One request to the application.
struct Call {
    shared: Arc<Shared>,
    caller: Caller,
    clock: HeadClock,
    handover: Option<Handover>,
    watch: StreamWatch,
    version: Version,
    is_get: bool,
    is_head: bool,
}

impl Call {
    async fn answer(
        self,
        request: Request<Incoming>,
        is_always_answered: bool,
        charges: Charges,
        mut guards: RequestGuards,
    ) -> Result<Answer, Infallible> {
        let Charges { head, stream, call: _call, window } = charges;
        guards._stream = stream;
        let is_http1 = self.version != Version::HTTP_2;
        let request = if is_http1 && !request.body().is_end_stream() {
            request.map(|body| Body::new(AwaitedBody { body, clock: self.clock.clone() }))
        } else {
            request.map(Body::new)
        };
        let mut arrival = Arrival { peer: self.caller.peer.address(), in_flight: None };
        // What is always answered is short work, and takes no permit.
        let _head = if is_always_answered {
            head
        } else {
            let Some(permit) = self.permit().await else {
                let head = request.into_parts().0.headers;
                return Ok(self.refuse(Refusal::Requests, &head, guards));
            };
            let (permits, patience) = (&self.shared.requests, self.shared.limits.head_timeout);
            let clock = is_http1.then(|| self.clock.clone());
            let in_flight = InFlight::new(permits, self.caller.peer.ip(), patience, permit, head, clock);
            arrival.in_flight = Some(in_flight.clone());
            guards.in_flight = Some(in_flight);
            None
        };
        drop(window);
        let mut response = self.shared.application.answer(request, arrival).await;
        // Its body may be gone, and the subscription with it: on HEAD, or by middleware.
        let is_stream = record_of(&response).is_some();
        if !is_stream {
            return Ok(self.finish(response, guards));
        }
        // A stream is a subscriber from now on, and no request in flight.
        if let Some(in_flight) = guards.in_flight.take() {
            in_flight.pause();
        }
        if self.version != Version::HTTP_2 {
            // While a stream goes on, what the peer sends is no next head, and behind it there is none.
            self.clock.streams(record_of(&response));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else {
            http2::forget_head(response.headers_mut());
        }
        if let Some(handover) = &self.handover
            && self.is_get
            && self.clock.is_flushed()
            && handover.take_from(&response, self.version)
        {
            drop((response, guards));
            // The connection's task takes the socket now and drops this future.
            return pending().await;
        }
        self.watch.note(&response);
        guards.stream = record_of(&response).as_ref().map(Arc::downgrade);
        Ok(self.watched(response, guards))
    }

    async fn permit(&self) -> Option<FairPermit> {
        self.shared.requests.acquire(self.caller.peer.ip(), self.shared.limits.head_timeout).await
    }

    fn refuse(&self, why: Refusal, head: &HeaderMap, guards: RequestGuards) -> Answer {
        if let Refusal::Connection(_) = why {
            self.shared.gate.count_refusal();
        }
        let mut response = why.response();
        self.shared.complete_refusal(head, response.headers_mut());
        if why == Refusal::Host && self.version != Version::HTTP_2 {
            // Whoever forwarded this may have read another request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.close_behind(self.watched(response, guards))
    }

    /// Charges what is held of the answer until it is taken, and refuses it if there is no room.
    fn finish(&self, response: Response<Body>, mut guards: RequestGuards) -> Answer {
        self.clock.answered();
        let length = response.body().size_hint().exact().unwrap_or_default();
        let is_made_in_pieces = response.extensions().get::<MadeInPieces>().is_some();
        let held = if is_made_in_pieces { MadeInPieces::held(length) } else { length };
        if held > SMALL_ANSWER_BYTES {
            let held = usize::try_from(held).unwrap_or(usize::MAX);
            match self.shared.hub.budget().try_charge(Owner::Requests, held) {
                Ok(charge) => guards._answer = Some(charge),
                Err(_) => return self.watched(Refusal::Memory.response(), guards),
            }
        }
        self.close_behind(self.watched(response, guards))
    }

    /// A connection from what is kept back is closed behind its answer.
    fn close_behind(&self, mut answer: Answer) -> Answer {
        self.clock.answered();
        if self.caller.refusal.is_some() && self.version != Version::HTTP_2 {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn watched(&self, mut response: Response<Body>, guards: RequestGuards) -> Answer {
        if self.is_head {
            // On HTTP/2 hyper would send it (RFC 9110, section 9.3.2): its length is all that is told.
            if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
                let length = HeaderValue::from(length);
                response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length);
            }
            *response.body_mut() = Body::empty();
        }
        let taken = Taken::new(guards);
        if self.version == Version::HTTP_2 {
            http2::watch(&taken);
        }
        response.map(|body| AnswerBody::new(body, taken))
    }
}
