//! One key of a key set (RFC 7517). Read one by one: a key that is for something else, or damaged, does not spoil the
//! others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::algorithm::{self, Algorithm, Algorithms};
use crate::key::{Key, pem};
use crate::limits::KEY_NAME_BYTES_MAX;

/// Why a key of a set is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PassedOver {
    /// It is no object.
    #[error("it is no JSON object")]
    NoObject,
    /// Its kind is not known.
    #[error("it is of a kind (`kty`) that signs no token here")]
    Kind,
    /// Its curve is not known.
    #[error("its curve (`crv`) is none of P-256, P-384 and Ed25519")]
    Curve,
    /// It is for something else.
    #[error("it is not for signatures (`use`, `key_ops`)")]
    Use,
    /// Its algorithm does not fit it, or is not known.
    #[error("its algorithm (`alg`) is not known or not for this kind of key")]
    Algorithm,
    /// Its name is no text of a reasonable length.
    #[error("its name (`kid`) is no text of at most {KEY_NAME_BYTES_MAX} bytes")]
    Name,
    /// A number of it is missing or damaged.
    #[error("a number of it is missing or damaged")]
    Damaged,
    /// An RSA key of a size that is not used.
    #[error("it is an RSA key of a size that is not used")]
    RsaSize,
    /// A secret: whoever may read the key set could sign.
    #[error("it is a secret, and a key set is for everybody to read")]
    Secret,
    /// `token_algorithms` leaves nothing of it.
    #[error("`token_algorithms` does not allow what it is for")]
    NotAllowed,
    /// There were enough before it.
    #[error("the set has too many keys")]
    TooMany,
}

/// Reads one key. `home` says whose it is.
///
/// # Errors
/// With the reason why it is passed over.
pub(crate) fn read(home: &[&str], value: &Value, allowed: Algorithms) -> Result<Key, PassedOver> {
    let object = value.as_object().ok_or(PassedOver::NoObject)?;
    let (fits, material) = match object.get("kty").and_then(Value::as_str) {
        Some("RSA") => rsa(object)?,
        Some("EC") => point(object)?,
        Some("OKP") => edwards(object)?,
        Some("oct") => return Err(PassedOver::Secret),
        _ => return Err(PassedOver::Kind),
    };
    if !is_for_signatures(object) {
        return Err(PassedOver::Use);
    }
    let fits = match object.get("alg") {
        None => fits,
        Some(alg) => {
            let named = alg.as_str().and_then(algorithm::named).ok_or(PassedOver::Algorithm)?;
            fits.and(Algorithms::of(&[named]))
        }
    };
    if fits.is_empty() {
        return Err(PassedOver::Algorithm);
    }
    let name: Option<Box<str>> = match object.get("kid") {
        None => None,
        Some(Value::String(name)) if (1..=KEY_NAME_BYTES_MAX).contains(&name.len()) => {
            Some(name.as_str().into())
        }
        Some(_) => return Err(PassedOver::Name),
    };
    let fits = fits.and(allowed);
    if fits.is_empty() { Err(PassedOver::NotAllowed) } else { Ok(Key::new(home, name, fits, material)) }
}

fn is_for_signatures(object: &Map<String, Value>) -> bool {
    let used = object.get("use").is_none_or(|value| value == "sig");
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    used && object.get("key_ops").is_none_or(verifies)
}

fn rsa(object: &Map<String, Value>) -> Result<(Algorithms, DecodingKey), PassedOver> {
    let (n, e) = (number(object, "n")?, number(object, "e")?);
    // Some issuers write the sign's zero byte.
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    pem::check_rsa(n, e).map_err(|error| match error {
        crate::key::load::KeyError::RsaSize { .. } => PassedOver::RsaSize,
        _ => PassedOver::Damaged,
    })?;
    Ok((Algorithms::of(&pem::RSA_ANY), DecodingKey::from_rsa_raw_components(n, e)))
}

fn point(object: &Map<String, Value>) -> Result<(Algorithms, DecodingKey), PassedOver> {
    let (algorithm, length) = match object.get("crv").and_then(Value::as_str) {
        Some("P-256") => (Algorithm::ES256, 32),
        Some("P-384") => (Algorithm::ES384, 48),
        _ => return Err(PassedOver::Curve),
    };
    let (x, y) = (number(object, "x")?, number(object, "y")?);
    if x.len() != length || y.len() != length {
        return Err(PassedOver::Damaged);
    }
    // The point without compression (SEC 1, section 2.3.3).
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    pem::from_point(algorithm, &point).map_err(|_| PassedOver::Damaged)?;
    Ok((Algorithms::of(&[algorithm]), DecodingKey::from_ec_der(&point)))
}

fn edwards(object: &Map<String, Value>) -> Result<(Algorithms, DecodingKey), PassedOver> {
    if object.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return Err(PassedOver::Curve);
    }
    let x = number(object, "x")?;
    pem::from_ed(&x).map_err(|_| PassedOver::Damaged)?;
    Ok((Algorithms::of(&[Algorithm::EdDSA]), DecodingKey::from_ed_der(&x)))
}

fn number(object: &Map<String, Value>, member: &str) -> Result<Vec<u8>, PassedOver> {
    let text = object.get(member).and_then(Value::as_str).ok_or(PassedOver::Damaged)?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| PassedOver::Damaged)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.split_at(zeros).1
}
