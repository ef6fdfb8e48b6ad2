//! HTTP/1.1 before hyper: requests that are there whole and that the application answers at once, one after the other
//! on a connection that is kept. A publish of an agent or a build is such a request: it costs one read and one write.
//!
//! Nothing is decided here that hyper would decide otherwise. Whatever is unusual, slow, large or refused goes to hyper with
//! every byte that was read, as if nobody had looked at it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tracing::debug;
use watertight_core::{Entry, Kind};

use super::Shared;
use super::heads::{HeadBuffer, HeadError, HeadPatience, Protocol};
use super::http1::Deadline;
use super::permits::FairPermit;
use super::service::Caller;
use super::whole::{AnswerBytes, AtOnce, FIELDS_MAX, Found, find};

/// How long the rest of a body is waited for here; whoever takes longer is hyper's, with all its limits.
const BODY_PATIENCE: Duration = Duration::from_millis(100);
/// What is kept for answers between two requests.
const ANSWER_BYTES: usize = 512;

/// Ends when an answer may be sent.
type Ready = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What a request holds, in the order in which it is given back: what the ledger calls closed holds nothing.
type Held = (FairPermit, Entry);

/// What is to become of the connection.
pub(super) enum Next {
    /// hyper is to read what stands in the buffer.
    Hyper,
    /// There was no request for a while. The buffer is empty.
    Rests,
    /// Nothing is to be done any more.
    Over,
}

/// Whether what stands in the buffer may be a request for here.
pub(super) fn is_for_here(shared: &Shared, head: &HeadBuffer) -> bool {
    with_request(shared, head, |found| !matches!(found, Found::Other))
}

/// Answers requests whose heads are in the buffer, until one is of another kind or none comes for `patience`.
pub(super) async fn serve<S>(
    shared: &Arc<Shared>,
    stream: &mut S,
    head: &mut HeadBuffer,
    caller: &Caller,
    patience: Duration,
) -> Next
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(_charge) = caller.allowance.charge(shared, ANSWER_BYTES) else { return Next::Hyper };
    let patience = HeadPatience { first_byte: patience, head: shared.limits.head_timeout };
    let mut answer = AnswerBytes::default();
    // Both are told of this connection once, not with each request.
    let mut stopped = pin!(shared.stop.cancelled());
    let mut timer = Deadline::default();
    if shared.stop.is_cancelled() {
        return Next::Hyper;
    }
    loop {
        let held = match answer_one(shared, head, caller, &mut answer) {
            Looked::Other => return Next::Hyper,
            Looked::Part(length) => {
                if head.fill_to(length, stream, BODY_PATIENCE, &caller.allowance, shared).await {
                    continue;
                }
                return Next::Hyper;
            }
            Looked::Answered(ready, held) => {
                if let Some(ready) = ready {
                    ready.await;
                }
                held
            }
        };
        let written = async {
            stream.write_all(answer.bytes()).await?;
            stream.flush().await
        };
        if let Err(error) = written.await {
            debug!(%error, peer = %caller.peer, "the peer does not take its answer");
            return Next::Over;
        }
        drop(held);
        answer.clear(ANSWER_BYTES);
        let filled = tokio::select! {
            biased;
            // A request that is there is answered, also when the server stops.
            filled = head.fill(stream, patience, &mut timer, (&caller.allowance, shared)) => filled,
            () = &mut stopped => return Next::Over,
        };
        match filled {
            Ok(Protocol::Http1) => {}
            Ok(Protocol::Http2) => return Next::Over,
            Err(HeadError::Silent) => return Next::Rests,
            Err(error) => {
                debug!(%error, peer = %caller.peer, reason = error.reason(), "a connection ends");
                return Next::Over;
            }
        }
    }
}

/// What became of what stands in the buffer.
enum Looked {
    /// It is nothing for here.
    Other,
    /// So many bytes are needed in all.
    Part(usize),
    /// The answer was written, to be sent when the future ends, if there is one. What a request holds is held until then.
    Answered(Option<Ready>, Held),
}

/// Has the application answer the request at the beginning of the buffer, and takes that out.
fn answer_one(shared: &Shared, head: &mut HeadBuffer, caller: &Caller, answer: &mut AnswerBytes) -> Looked {
    let Some(permit) = shared.requests.try_acquire(caller.peer.ip()) else { return Looked::Other };
    let (at_once, length) = match with_request(shared, head, |found| match found {
        Found::Whole(request, length) => Ok((shared.application.answer_at_once(&request, answer), length)),
        Found::Part(length) => Err(Looked::Part(length)),
        Found::Other => Err(Looked::Other),
    }) {
        Ok(answered) => answered,
        Err(looked) => return looked,
    };
    let ready = match at_once {
        AtOnce::NotHere => return Looked::Other,
        AtOnce::Answered => None,
        AtOnce::Later(ready) => Some(ready),
    };
    head.consume(length);
    // Not before: a request that goes the general way is opened there.
    Looked::Answered(ready, (permit, shared.hub.ledger().open(Kind::Request)))
}

fn with_request<R>(shared: &Shared, head: &HeadBuffer, of: impl FnOnce(Found<'_>) -> R) -> R {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let limits = &shared.limits;
    of(find(head.bytes(), &mut fields, limits.max_head_bytes, limits.max_headers))
}
