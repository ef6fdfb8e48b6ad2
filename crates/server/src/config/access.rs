//! The kinds of setting that only authentication has: texts that tokens must hold, signature algorithms, what happens
//! while nobody answers.

use watertight_access::Algorithm;
use watertight_access::algorithm::named;

use super::choice::{Choice, form};
use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};
use super::list::read_list;

/// How many bytes such a text may have: a claim of a token that has more is refused anyway.
const TEXT_BYTES_MAX: usize = 512;

fn text(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("is empty"),
        text if text.len() > TEXT_BYTES_MAX => Err("is longer than 512 bytes"),
        text if text.chars().any(char::is_control) => Err("has a control character"),
        text => Ok(text.to_owned()),
    }
}

/// A text, or none.
pub(super) enum OptionalText {}

impl Kind for OptionalText {
    type Value = Option<String>;
    const FORM: Form = Form {
        value_name: "TEXT",
        noun: "a text",
        advice: "a text in quotes",
        unit: None,
        words: "\"none\"",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Option<String>, Refusal> {
        match raw {
            Raw::Text(word) if word.eq_ignore_ascii_case("none") => Ok(None),
            Raw::Text(value) => {
                text(value).map(Some).map_err(|wrong| Refusal::malformed(wrong, Self::FORM.advice(bounds)))
            }
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &Option<String>) -> Plain {
        Plain::Text(value.clone().unwrap_or_else(|| "none".to_owned()))
    }
}

/// A list of texts.
pub(super) enum Texts {}

impl Kind for Texts {
    type Value = Vec<String>;
    const FORM: Form = Form {
        value_name: "TEXT,...",
        noun: "a list of texts",
        advice: "a list of texts, such as [\"https://events.example.com\"]",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Vec<String>, Refusal> {
        read_list(raw, &Self::FORM, bounds, text)
    }

    fn plain(value: &Vec<String>) -> Plain {
        Plain::List(value.clone())
    }
}

/// The name of a cookie (RFC 6265, section 4.1.1), or none.
pub(super) enum CookieName {}

impl Kind for CookieName {
    type Value = Option<String>;
    const FORM: Form = Form {
        value_name: "NAME",
        noun: "the name of a cookie",
        advice: "the name of a cookie, such as \"watertight\"",
        unit: None,
        words: "\"none\"",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Option<String>, Refusal> {
        let name = OptionalText::read(raw, bounds)?;
        let is_token = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        match name {
            Some(name) if !is_token(&name) => Err(Self::FORM.refuse(bounds)),
            name => Ok(name),
        }
    }

    fn plain(value: &Option<String>) -> Plain {
        OptionalText::plain(value)
    }
}

/// A list of signature algorithms.
pub(super) enum TokenAlgorithms {}

impl Kind for TokenAlgorithms {
    type Value = Vec<Algorithm>;
    const FORM: Form = Form {
        value_name: "ALG,...",
        noun: "a list of algorithms",
        advice: "a list of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Vec<Algorithm>, Refusal> {
        read_list(raw, &Self::FORM, bounds, |name| named(name).ok_or("is no algorithm that the hub knows"))
    }

    fn plain(value: &Vec<Algorithm>) -> Plain {
        Plain::List(value.iter().map(|algorithm| format!("{algorithm:?}")).collect())
    }
}

/// What happens to open streams while nobody answers whether they are still allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessFail {
    /// They are closed after a few tries.
    Closed,
    /// They go on.
    Open,
}

impl Choice for AccessFail {
    const WRITTEN: Form = form("closed|open", "\"closed\" or \"open\"", "\"closed\" or \"open\"");
    const ALL: &'static [(&'static str, AccessFail)] =
        &[("closed", AccessFail::Closed), ("open", AccessFail::Open)];
}
