//! From a client's text to a [`Resume`]. The input may be hostile, so every text has a result and the work is
//! bounded.

use watertight_core::Resume;
use watertight_core::limits::RESUME_TEXT_BYTES_MAX;

/// What a `Last-Event-ID` asks for. An empty one asks for nothing (a client that has no id yet sends none or
/// an empty one); anything that is no id of this hub is [`Resume::Unknown`], and becomes a gap.
#[must_use]
pub fn from_last_event_id(text: &[u8]) -> Resume {
    if text.is_empty() {
        return Resume::Live;
    }
    if text.len() > RESUME_TEXT_BYTES_MAX {
        return Resume::Unknown;
    }
    let position = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    position.map_or(Resume::Unknown, Resume::After)
}

/// What `?replay=` asks for: `all`, or a number of events. `None`: neither.
#[must_use]
pub fn from_replay(text: &str) -> Option<Resume> {
    match text {
        "all" => Some(Resume::All),
        number => number.parse().ok().map(Resume::Last),
    }
}
