//! A list of names of header fields.

use http::HeaderName;

use super::cross_origin::items;
use super::error::{Refusal, printable};
use super::kind::{Bounds, Form, Kind, Plain, Raw};

/// The list as it is written.
pub(super) enum HeaderNames {}

impl Kind for HeaderNames {
    type Value = Vec<HeaderName>;
    const FORM: Form = Form {
        value_name: "HEADER,...",
        noun: "a list of header names",
        advice: "a list of header names, such as [\"x-api-version\"]",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Vec<HeaderName>, Refusal> {
        let mut names = Vec::new();
        for text in items(raw).ok_or_else(|| Self::FORM.refuse(bounds))? {
            // `*` is a valid name, but in this place it would mean all of them.
            let name = HeaderName::try_from(text).ok().filter(|_| text != "*").ok_or_else(|| {
                let wrong = format!("\"{}\" is no header name", printable(text));
                Refusal::malformed(wrong, Self::FORM.advice(bounds))
            })?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn plain(value: &Vec<HeaderName>) -> Plain {
        Plain::List(value.iter().map(ToString::to_string).collect())
    }
}
