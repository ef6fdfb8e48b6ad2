//! Reading JSON that must be an object, and in which `null` is not the same as nothing.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object, each of whose members that counts is there once. A struct would otherwise also be read from a list.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

/// A member that is there, be it `null`.
pub(crate) fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}
