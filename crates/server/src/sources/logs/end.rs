//! The end of a deployment. In Redis it is a message or an entry, and beside a channel the key `CHANNEL:end`, which is found
//! by those who come later.

use redis::Value;
use serde::Deserialize;
use serde_json::json;
use watertight::clock::wall_clock;
use watertight::event::EventType;
use watertight::{Event, SourceError};

use crate::redis::{CommandError, Redis};

/// The end of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct End {
    /// What its command returned, if it was one.
    pub(crate) exit_code: Option<i32>,
    /// When, seconds since the Unix epoch, if that was said.
    pub(crate) ended_at: Option<f64>,
}

/// How it is written.
#[derive(Deserialize)]
struct Written {
    event: Option<String>,
    #[serde(rename = "exitCode", alias = "exit_code")]
    exit_code: Option<i32>,
    #[serde(rename = "endedAt", alias = "ended_at")]
    ended_at: Option<f64>,
}

impl End {
    /// The end that a message says; `None`: it is a line.
    pub(super) fn of_message(message: &[u8]) -> Option<End> {
        // Looked at before it is taken apart: most are lines.
        if !message.starts_with(b"{") || memchr::memmem::find(message, b"\"event\"").is_none() {
            return None;
        }
        let written: Written = serde_json::from_slice(message).ok()?;
        (written.event.as_deref() == Some("end")).then(|| End::of(&written))
    }

    /// The end that a value of the key says. Whatever stands there, it is over.
    pub(super) fn of_key(value: &[u8]) -> End {
        if let Ok(written) = serde_json::from_slice::<Written>(value) {
            return End::of(&written);
        }
        let code = str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
        End { exit_code: code, ended_at: None }
    }

    fn of(written: &Written) -> End {
        End { exit_code: written.exit_code, ended_at: written.ended_at }
    }

    /// Its data as the last event of a log has it.
    pub(crate) fn data(self) -> String {
        let now = || wall_clock().as_millis() as f64 / 1e3;
        let ended_at = self.ended_at.filter(|at| at.is_finite()).unwrap_or_else(now);
        json!({ "exitCode": self.exit_code, "endedAt": ended_at }).to_string()
    }

    /// The last event of a log.
    pub(super) fn event(self) -> Result<Event, SourceError> {
        Ok(Event::of_type(EventType::new("end").map_err(SourceError::new)?, self.data()))
    }
}

/// The end that stands beside a channel, if there is one.
pub(super) async fn beside(redis: &Redis, channel: &str) -> Result<Option<End>, CommandError> {
    let mut command = redis::cmd("GET");
    command.arg(format!("{channel}:end"));
    Ok(match redis.command(&command).await? {
        Value::BulkString(value) => Some(End::of_key(&value)),
        _ => None,
    })
}

/// Whether the deployment of a channel is over; `None`: Redis does not say.
pub(super) async fn is_over(redis: &Redis, channel: &str) -> Option<bool> {
    beside(redis, channel).await.ok().map(|end| end.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_from_lines_that_look_like_it() {
        let over = |exit_code| Some(End { exit_code, ended_at: None });
        for (message, end) in [
            (r#"{"event":"end"}"#, over(None)),
            (r#"{"exitCode":3,"event":"end"}"#, over(Some(3))),
            (r#"{"event":"end","exit_code":0}"#, over(Some(0))),
            (r#"{"event":"start"}"#, None),
            (r#"{"message":"\"event\" end"}"#, None),
            (r#"{"event":"end"#, None),
            ("end", None),
            ("", None),
        ] {
            assert_eq!(End::of_message(message.as_bytes()), end, "{message}");
        }
    }

    #[test]
    fn whatever_stands_in_the_key_it_is_over() {
        for (value, exit_code) in [("0", Some(0)), (" 137\n", Some(137)), ("", None), ("done", None)] {
            assert_eq!(End::of_key(value.as_bytes()).exit_code, exit_code, "{value:?}");
        }
        let said = End::of_key(br#"{"exitCode":2,"endedAt":1764150000.5}"#);
        assert_eq!(said, End { exit_code: Some(2), ended_at: Some(1_764_150_000.5) });
    }
}
