//! The events that are published: each names its session and itself, so that whoever gets one can tell which
//! it is and whether it is whole.

use std::fmt::Write as _;

/// Which event of which publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    /// Number of the publication (a request, however often it is tried).
    pub(super) publication: u32,
    /// Index of the event in it.
    pub(super) index: u32,
}

/// Type of an event: every third publication has one of its own.
pub(super) fn type_of(publication: u32) -> &'static str {
    if publication.is_multiple_of(3) { "tick" } else { "message" }
}

/// The data of an event, about `bytes` long: JSON, so that every way of publishing carries it as it is.
pub(super) fn text(session: &str, key: EventKey, bytes: usize) -> String {
    let EventKey { publication, index } = key;
    let mut text = String::with_capacity(bytes + 64);
    // Writing to a String cannot fail.
    let _ = write!(text, r#"{{"s":"{session}","p":{publication},"i":{index},"n":{bytes},"x":""#);
    let mut state = publication.wrapping_mul(2_654_435_761) ^ index;
    for _ in 0..bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push(char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap()));
    }
    text.push_str("\"}");
    text
}

/// Which event a text is.
///
/// # Errors
/// When it is none of this checker's, of another session, or not whole.
pub(super) fn read(session: &str, data: &str) -> Result<EventKey, String> {
    let short = || data.chars().take(120).collect::<String>();
    let json: serde_json::Value = serde_json::from_str(data)
        .map_err(|error| format!("an event that nobody published ({error}): {}", short()))?;
    let number = |name: &str| json[name].as_u64().and_then(|number| u32::try_from(number).ok());
    let (Some(publication), Some(index), Some(bytes)) = (number("p"), number("i"), number("n")) else {
        return Err(format!("an event that nobody published: {}", short()));
    };
    if json["s"] != session {
        return Err(format!("an event of another session, {}: {}", json["s"], short()));
    }
    let key = EventKey { publication, index };
    if data != text(session, key, bytes as usize) {
        return Err(format!("an event that is not whole: {}", short()));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_itself_and_is_known_to_be_whole() {
        let key = EventKey { publication: 7, index: 3 };
        let whole = text("s", key, 1000);
        assert_eq!(read("s", &whole), Ok(key));
        assert!(read("t", &whole).unwrap_err().contains("another session"));
        assert!(read("s", &whole.replacen('a', "b", 1)).unwrap_err().contains("not whole"));
        assert!(read("s", "something else").unwrap_err().contains("nobody published"));
    }
}
