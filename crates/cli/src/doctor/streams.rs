//! Checks of streams: whether events come at once, whether a silent stream stays open, whether whoever leaves is
//! noticed.

use std::time::Duration;

use super::clock::now;
use super::http::Request;
use super::probe::{Probe, Trouble, spoken};
use super::report::{Check, Finding};
use super::stream::{Next, Said, Stream};

/// How long an event may take that comes at once, beyond the way to the hub and back.
const AT_ONCE: Duration = Duration::from_millis(500);
/// How long an event is waited for before it counts as held back.
const HELD_AFTER: Duration = Duration::from_secs(5);
/// Events of which the slowest counts.
const ROUNDS: usize = 3;
/// What is sent to fill a buffer, bytes at a time and in all.
const FILL_BYTES: usize = 16 * 1024;
const FILL_BYTES_MAX: usize = 1024 * 1024;
/// How long each piece of it may take to come through before the next.
const FILL_PAUSE: Duration = Duration::from_millis(100);
/// One more than a browser opens to one origin over HTTP/1.1.
const STREAMS: usize = 7;
/// How long somebody who has left may still be there.
const NOTICED_AT_ONCE: Duration = Duration::from_secs(2);
/// Between two looks at how many subscribers there are, at first and at most.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_MOST: Duration = Duration::from_secs(1);

/// Whether events come at once, and which of the stream's fields come with them.
pub(super) async fn buffering(probe: &Probe) -> Vec<Finding> {
    match look_at_buffering(probe).await {
        Ok(findings) => findings,
        Err(trouble) => vec![Finding::wrong(Check::Buffering, trouble.to_string())],
    }
}

async fn look_at_buffering(probe: &Probe) -> Result<Vec<Finding>, Trouble> {
    let session = probe.session("buffering");
    let mut stream = probe.stream(&session).await?;
    // The hub sends a comment at once.
    let begun = now();
    let mut slowest = match stream.next(HELD_AFTER).await {
        Next::Said(_) => Some(begun.elapsed()),
        Next::Silence => None,
        Next::End(error) => {
            let why = match (error, stream.head()) {
                (_, Some(head)) if head.status != 200 => format!("it is answered with {}", head.status),
                (Some(error), _) => Trouble::from(error).to_string(),
                (None, _) => "its answer is empty".to_owned(),
            };
            let text = format!("a stream ends before its first byte: {why}");
            return Ok(vec![Finding::wrong(Check::Buffering, text)]);
        }
    };
    for _ in 0..ROUNDS {
        let Some(before) = slowest else { break };
        let mark = probe.mark();
        probe.publish(&session, &mark).await?;
        slowest = stream.expect(&mark, HELD_AFTER).await.map(|took| took.max(before));
    }
    let Some(slowest) = slowest else {
        let text = held(probe, &session, &mut stream).await?;
        return Ok(vec![Finding::wrong(Check::Buffering, text), accel(&stream)]);
    };
    let text = format!("the slowest of {} came within {}", ROUNDS + 1, spoken(slowest));
    let finding = if slowest <= AT_ONCE {
        Finding::good(Check::Buffering, text)
    } else {
        Finding::slow(Check::Buffering, format!("{text}: it is held back for a while"))
    };
    Ok(vec![finding, accel(&stream)])
}

/// How much has to be sent until what is held back comes through.
async fn held(probe: &Probe, session: &str, stream: &mut Stream) -> Result<String, Trouble> {
    let mut sent = 0;
    while sent < FILL_BYTES_MAX {
        probe.publish(session, &"x".repeat(FILL_BYTES)).await?;
        sent += FILL_BYTES;
        if let Next::Said(_) = stream.next(FILL_PAUSE).await {
            let waited = spoken(HELD_AFTER);
            return Ok(format!("nothing came within {waited}, until {} KiB more were sent", sent / 1024));
        }
    }
    let (waited, sent) = (spoken(HELD_AFTER), sent / 1024);
    Ok(format!("nothing came within {waited}, nor when {sent} KiB more were sent: it is held to the end"))
}

fn accel(stream: &Stream) -> Finding {
    let Some(head) = stream.head() else {
        return Finding::not_tested(Check::XAccelBuffering, "no head of a stream came");
    };
    match head.get("x-accel-buffering") {
        Some("no") => Finding::good(Check::XAccelBuffering, "passed on"),
        _ => {
            let text = "taken off: a second proxy between this one and the client will buffer streams";
            Finding::slow(Check::XAccelBuffering, text)
        }
    }
}

/// Whether a stream is compressed for those who accept it, and comes at once nevertheless.
pub(super) async fn compression(probe: &Probe) -> Finding {
    match look_at_compression(probe).await {
        Ok(finding) => finding,
        Err(trouble) => Finding::wrong(Check::Compression, trouble.to_string()),
    }
}

async fn look_at_compression(probe: &Probe) -> Result<Finding, Trouble> {
    let session = probe.session("compression");
    let request = Request::new("GET", probe.events(&session))
        .field("Accept", "text/event-stream")
        .field("Accept-Encoding", "gzip, br, zstd, deflate");
    let mut answering = probe.send(request).await?;
    let mut body = Vec::new();
    let opened = tokio::time::timeout(HELD_AFTER, async {
        while answering.head().is_none() {
            answering.pull(&mut body).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    if opened.await.is_err() {
        let text = "no head comes where compression is accepted; see buffering";
        return Ok(Finding::not_tested(Check::Compression, text));
    }
    let encoding = answering.head().and_then(|head| head.get("content-encoding")).map(str::to_owned);
    let Some(encoding) = encoding.filter(|encoding| encoding != "identity") else {
        return Ok(Finding::good(Check::Compression, "streams are left as they are"));
    };
    // What the compressor holds already, and may still let go.
    while let Ok(more) = tokio::time::timeout(FILL_PAUSE, answering.pull(&mut body)).await {
        if !more? {
            break;
        }
    }
    body.clear();
    probe.publish(&session, &probe.mark()).await?;
    let came = tokio::time::timeout(HELD_AFTER, async {
        while body.is_empty() && answering.pull(&mut body).await? {}
        Ok::<_, std::io::Error>(())
    });
    Ok(match came.await {
        Ok(_) if !body.is_empty() => {
            let text = format!("{encoding}: events come at once, but each costs the proxy memory and time");
            Finding::slow(Check::Compression, text)
        }
        _ => {
            let text = format!("{encoding}: an event did not come within {}", spoken(HELD_AFTER));
            Finding::wrong(Check::Compression, text)
        }
    })
}

/// Whether a browser can have more than six streams, and anybody seven.
pub(super) async fn six_connections(probe: &Probe, speaks_http2: bool) -> Finding {
    let session = probe.session("six");
    let mut streams = Vec::new();
    for number in 1..=STREAMS {
        match probe.stream(&session).await {
            Ok(stream) => streams.push(stream),
            Err(trouble) => return refused(number, &trouble.to_string()),
        }
    }
    // All together: where heads are held back, none comes.
    let begun = now();
    for (number, stream) in (1..).zip(&mut streams) {
        let next = stream.next(HELD_AFTER.saturating_sub(begun.elapsed())).await;
        match stream.head().map(|head| head.status) {
            Some(200) => {}
            Some(status) => return refused(number, &format!("is answered with {status}")),
            None if matches!(next, Next::End(_)) => return refused(number, "ends at once"),
            None => {}
        }
    }
    if probe.socket().is_some() {
        let text = format!("{STREAMS} streams at once; no browser comes over a Unix socket");
        return Finding::good(Check::SixConnections, text);
    }
    if speaks_http2 {
        return Finding::good(
            Check::SixConnections,
            "HTTP/2: a browser has all its streams in one connection",
        );
    }
    let text = "HTTP/1.1: a browser opens six connections to one origin, all tabs together, and waits with the \
                seventh stream";
    Finding::slow(Check::SixConnections, text)
}

fn refused(number: usize, why: &str) -> Finding {
    Finding::wrong(Check::SixConnections, format!("stream {number} of one address: {why}"))
}

/// Whether a stream stays open while nothing is published.
pub(super) async fn idle(probe: &Probe) -> Finding {
    match look_at_idle(probe).await {
        Ok(finding) => finding,
        Err(trouble) => Finding::wrong(Check::IdleTimeOut, trouble.to_string()),
    }
}

async fn look_at_idle(probe: &Probe) -> Result<Finding, Trouble> {
    let mut stream = probe.stream(&probe.session("idle")).await?;
    let begun = now();
    let (mut last_byte, mut longest, mut heartbeats) = (begun, Duration::ZERO, 0_u32);
    let patience = spoken(probe.patience);
    loop {
        let left = probe.patience.saturating_sub(begun.elapsed());
        let next = stream.next(left).await;
        let silent = last_byte.elapsed();
        longest = longest.max(silent);
        match next {
            Next::Said(Said::Event { event_type, data }) if event_type == "error" => {
                return Ok(Finding::slow(Check::IdleTimeOut, format!("the hub ended the stream: {data}")));
            }
            Next::Said(said) => {
                last_byte = now();
                heartbeats += u32::from(said == Said::Comment);
            }
            Next::Silence => break,
            Next::End(_) => {
                let (open, silent) = (spoken(begun.elapsed()), spoken(silent));
                let text = format!("a stream was cut off after {open}, when it had been silent for {silent}");
                return Ok(Finding::wrong(Check::IdleTimeOut, text));
            }
        }
    }
    let Some(head) = stream.head() else {
        return Ok(Finding::not_tested(Check::IdleTimeOut, "nothing of a stream came; see buffering"));
    };
    let interval = head.get("heartbeat-interval").and_then(|seconds| seconds.parse().ok());
    let interval = interval.map_or(Duration::ZERO, Duration::from_secs);
    // The first comment opens the stream and is no heartbeat.
    Ok(match heartbeats.saturating_sub(1) {
        0 if probe.patience <= interval => {
            let text = format!(
                "open for {patience}; a heartbeat comes each {}: more --patience says more",
                spoken(interval)
            );
            Finding::not_tested(Check::IdleTimeOut, text)
        }
        0 => Finding::wrong(Check::IdleTimeOut, format!("no heartbeat within {patience}: it is held back")),
        count => {
            let text =
                format!("open for {patience}, {count} heartbeats, silent for {} at most", spoken(longest));
            Finding::good(Check::IdleTimeOut, text)
        }
    })
}

/// Whether the hub learns that a client has left, and when.
pub(super) async fn leaving(probe: &Probe) -> Finding {
    match look_at_leaving(probe).await {
        Ok(finding) => finding,
        Err(trouble) => Finding::not_tested(Check::Leaving, trouble.to_string()),
    }
}

async fn look_at_leaving(probe: &Probe) -> Result<Finding, Trouble> {
    let session = probe.session("leaving");
    let stream = probe.stream(&session).await?;
    if !is_reached(probe, &session, 1.0, HELD_AFTER).await? {
        return Ok(Finding::not_tested(Check::Leaving, "the hub does not see the stream that is open"));
    }
    drop(stream);
    let begun = now();
    if !is_reached(probe, &session, 0.0, probe.patience).await? {
        let text = format!("the hub has not noticed within {}", spoken(probe.patience));
        return Ok(Finding::wrong(Check::Leaving, text));
    }
    let took = begun.elapsed();
    let text = format!("the hub noticed within {}", spoken(took));
    Ok(if took <= NOTICED_AT_ONCE {
        Finding::good(Check::Leaving, text)
    } else {
        Finding::slow(Check::Leaving, format!("{text}: until then the stream costs what an open one costs"))
    })
}

/// Waits until the session has so many subscribers. Whether it came to that in time.
async fn is_reached(
    probe: &Probe,
    session: &str,
    subscribers: f64,
    within: Duration,
) -> Result<bool, Trouble> {
    let begun = now();
    let mut pause = LOOK_FIRST;
    while probe.subscribers(session).await? != subscribers {
        if begun.elapsed() >= within {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MOST);
    }
    Ok(true)
}
