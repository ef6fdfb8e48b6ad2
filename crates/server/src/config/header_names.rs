//! A list of names of header fields.

use http::HeaderName;

use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::read_list;

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
        // `*` is a valid name, but in this place it would mean all of them.
        let name =
            |text: &str| HeaderName::try_from(text).ok().filter(|_| text != "*").ok_or("is no header name");
        read_list(raw, &Self::FORM, bounds, name)
    }

    fn plain(value: &Vec<HeaderName>) -> Plain {
        Plain::List(value.iter().map(ToString::to_string).collect())
    }
}
