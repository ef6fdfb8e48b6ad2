//! Lines to the hub, in order. Knows the client; must not know where the lines come from.

use std::time::Duration;

use watertight_client::{Error, Publisher};

use super::fit::{Fit, Overlong};
use super::lines::{Line, describe, text};

/// Events in one request with `--ndjson`.
const BATCH_LINES_MAX: usize = 100;

/// Bytes in one request with `--ndjson`, unless a single line is longer.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// What the lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Events in JSON.
    Ndjson,
    /// The data of events of one type.
    Text { event_type: Option<String>, ttl: Option<Duration>, fit: Fit },
}

/// A line that could not be published, nor any after it.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) number: u64,
    pub(super) error: Error,
}

/// Sends lines to one session and counts.
pub(super) struct Sender {
    publisher: Publisher,
    session: String,
    form: Form,
    /// Events that the hub has taken.
    pub(super) sent: u64,
    /// Prints warnings, each kind once.
    warnings: Warnings,
}

impl Sender {
    pub(super) fn new(publisher: Publisher, session: String, form: Form, quiet: bool) -> Self {
        let warnings = Warnings { quiet, ..Warnings::default() };
        Self { publisher, session, form, sent: 0, warnings }
    }

    /// Sends the lines, in order.
    ///
    /// # Errors
    /// The first line that could not be sent; those before it were.
    pub(super) async fn send(&mut self, lines: Vec<Line>) -> Result<(), Unsent> {
        match self.form.clone() {
            Form::Ndjson => self.send_batches(lines).await,
            Form::Text { event_type, ttl, .. } => self.send_each(lines, event_type.as_deref(), ttl).await,
        }
    }

    /// One request per line, or several for one that is split: a request of type text carries one event, as it
    /// stands. If the hub takes less than was thought, that is remembered.
    async fn send_each(
        &mut self,
        lines: Vec<Line>,
        event_type: Option<&str>,
        ttl: Option<Duration>,
    ) -> Result<(), Unsent> {
        for Line { number, bytes, dropped, goes_on } in lines {
            let (data, replaced) = text(bytes);
            self.warnings.look_at(number, &data, replaced);
            let mut rest = data.as_str();
            loop {
                let (event, left) = self.fit().map_or((rest.into(), ""), |fit| fit.next(rest, dropped));
                let is_whole = event.len() == data.len() && dropped == 0 && !goes_on;
                let event = event.into_owned().into();
                let sending = self.publisher.publish_text(&self.session, event_type, ttl, event);
                match sending.await {
                    Ok(_) => {}
                    Err(error) if is_too_large(&error) && self.lower_fit() => continue,
                    Err(error) => return Err(Unsent { number, error }),
                }
                self.sent += 1;
                if !is_whole {
                    self.warnings.did_not_fit(number, self.fit());
                }
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn fit(&self) -> Option<Fit> {
        match self.form {
            Form::Ndjson => None,
            Form::Text { fit, .. } => Some(fit),
        }
    }

    fn lower_fit(&mut self) -> bool {
        match &mut self.form {
            Form::Ndjson => false,
            Form::Text { fit, .. } => fit.lower(),
        }
    }

    async fn send_batches(&mut self, lines: Vec<Line>) -> Result<(), Unsent> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for line in lines {
            if line.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if batch.len() == BATCH_LINES_MAX
                || (batch_bytes + line.bytes.len() > BATCH_BYTES_MAX && !batch.is_empty())
            {
                self.send_batch(std::mem::take(&mut batch)).await?;
                batch_bytes = 0;
            }
            batch_bytes += line.bytes.len() + 1;
            batch.push(line);
        }
        if batch.is_empty() { Ok(()) } else { self.send_batch(batch).await }
    }

    /// One request for all. A batch is taken whole or not at all: if it is refused, its lines are sent one by
    /// one, so that those before the culprit get in and the culprit can be named.
    async fn send_batch(&mut self, batch: Vec<Line>) -> Result<(), Unsent> {
        match self.send_ndjson(&batch).await {
            Ok(()) => Ok(()),
            Err(Error::Refused(_)) if batch.len() > 1 => {
                for line in batch {
                    let number = line.number;
                    self.send_ndjson(&[line]).await.map_err(|error| Unsent { number, error })?;
                }
                Ok(())
            }
            Err(error) => Err(Unsent { number: batch.first().map_or(0, |line| line.number), error }),
        }
    }

    async fn send_ndjson(&mut self, batch: &[Line]) -> Result<(), Error> {
        let mut body = Vec::with_capacity(batch.iter().map(|line| line.bytes.len() + 1).sum());
        for line in batch {
            body.extend_from_slice(&line.bytes);
            body.push(b'\n');
        }
        let ids = self.publisher.publish_ndjson(&self.session, body.into()).await?;
        self.sent += ids.len() as u64;
        Ok(())
    }
}

/// Whether the hub refuses an event for its length.
fn is_too_large(error: &Error) -> bool {
    matches!(error.code(), Some("EVENT_TOO_LARGE" | "BODY_TOO_LARGE"))
}

/// What a user should know once, not once per line.
#[derive(Default)]
struct Warnings {
    quiet: bool,
    replaced: bool,
    carriage_return: bool,
    too_long: bool,
}

impl Warnings {
    fn did_not_fit(&mut self, number: u64, fit: Option<Fit>) {
        let Some(fit) = fit.filter(|_| !self.quiet && !self.too_long) else { return };
        self.too_long = true;
        let became = match fit.overlong {
            Overlong::Split => "it is split into several events",
            Overlong::Cut | Overlong::Refuse => "its end is cut off (--split publishes it in pieces)",
        };
        let (line, bytes) = (describe(number), fit.bytes_max);
        eprintln!(
            "watertight: {line} is longer than the {bytes} bytes of one event: {became}; so are later ones"
        );
    }

    fn look_at(&mut self, number: u64, data: &str, replaced: bool) {
        if replaced && !std::mem::replace(&mut self.replaced, true) && !self.quiet {
            eprintln!(
                "watertight: {} is not UTF-8: U+FFFD stands for what could not be read",
                describe(number)
            );
        }
        if data.contains('\r') && !std::mem::replace(&mut self.carriage_return, true) && !self.quiet {
            let advice = if data.ends_with('\r') { " (--crlf takes those at line ends away)" } else { "" };
            eprintln!(
                "watertight: {} has a carriage return, which arrives as a line break{advice}",
                describe(number)
            );
        }
    }
}
