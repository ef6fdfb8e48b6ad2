//! Reads a key set, key by key.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::algorithm::Algorithms;
use crate::fetch::{Endpoint, FetchError, Http};
use crate::json::object;
use crate::key::Key;
use crate::key::jwk::{self, PassedOver};
use crate::limits::{KEY_NAME_BYTES_MAX, KEY_SET_BYTES_MAX, SET_KEYS_MAX};

/// What a key set holds.
#[derive(Debug)]
pub(crate) struct ReadSet {
    pub(crate) keys: Arc<[Arc<Key>]>,
    pub(crate) passed_over: Vec<Passed>,
}

/// A key that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Passed {
    /// Its number in the set, from 1.
    pub(crate) number: usize,
    /// Its name, if it has one that may be shown.
    pub(crate) name: Option<Box<str>>,
    pub(crate) why: PassedOver,
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Asks for the set. `issuer` and the address are whose the keys are.
pub(crate) async fn read(
    http: &Http,
    url: &Endpoint,
    issuer: Option<&str>,
    allowed: Algorithms,
) -> Result<ReadSet, FetchError> {
    let body = http.get(url, KEY_SET_BYTES_MAX).await?;
    let home = ["set", issuer.map_or("any", |_| "one"), issuer.unwrap_or_default(), url.as_str()];
    parse(&body, &home, allowed).ok_or(FetchError::Unreadable)
}

/// Reads the set's JSON; `None` if it is no set.
pub(crate) fn parse(body: &[u8], home: &[&str], allowed: Algorithms) -> Option<ReadSet> {
    let set: Json<'_> = object(body)?;
    let (mut keys, mut passed_over) = (Vec::new(), Vec::new());
    for (at, raw) in set.keys.iter().enumerate() {
        // One word about all that are too many.
        if at == SET_KEYS_MAX {
            passed_over.push(Passed { number: at + 1, name: None, why: PassedOver::TooMany });
            break;
        }
        // Each by itself: the whole set is known to be JSON, but not what a key may hold twice.
        let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        match jwk::read(home, &value, allowed) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(why) => {
                let name = value.get("kid").and_then(Value::as_str);
                let name = name.filter(|name| name.len() <= KEY_NAME_BYTES_MAX).map(Into::into);
                passed_over.push(Passed { number: at + 1, name, why });
            }
        }
    }
    Some(ReadSet { keys: keys.into(), passed_over })
}
