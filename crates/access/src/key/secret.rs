//! Secrets for HS256, HS384 and HS512: raw text or bytes, or base64.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms};
use crate::key::Key;
use crate::key::load::KeyError;

/// What each algorithm needs, bytes: as long as its hash (RFC 7518, section 3.2).
const NEEDS: [(Algorithm, usize); 3] =
    [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];

/// Before a secret in base64.
const BASE64: &str = "base64:";

/// The secret's bytes: the text's own, or what stands behind `base64:` (either alphabet, with or without padding).
///
/// # Errors
/// When it is too short, a key of another kind, or no base64.
pub(crate) fn bytes(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if let Some(found) = other_kind(text) {
        return Err(KeyError::SecretIsKey(found));
    }
    let bytes = match text.strip_prefix(BASE64.as_bytes()) {
        None => Zeroizing::new(text.to_vec()),
        Some(encoded) => {
            let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let decode = |alphabet| GeneralPurpose::new(alphabet, config).decode(encoded).ok();
            decode(&STANDARD).or_else(|| decode(&URL_SAFE)).map(Zeroizing::new).ok_or(KeyError::NoBase64)?
        }
    };
    if bytes.len() < NEEDS[0].1 {
        return Err(KeyError::SecretTooShort { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The algorithms that a secret of that length is for.
pub(crate) fn algorithms(bytes: usize) -> Algorithms {
    let fitting: Vec<_> = NEEDS.iter().filter(|(_, need)| bytes >= *need).map(|(fits, _)| *fits).collect();
    Algorithms::of(&fitting)
}

/// What `algorithm` needs of a secret, bytes.
pub(crate) fn needs(algorithm: Algorithm) -> Option<usize> {
    NEEDS.iter().find(|(of, _)| *of == algorithm).map(|(_, need)| *need)
}

pub(crate) fn key(text: &[u8]) -> Result<Key, KeyError> {
    let bytes = bytes(text)?;
    Ok(Key::new(&["static"], None, algorithms(bytes.len()), DecodingKey::from_secret(&bytes)))
}

/// A public key is known to everybody: as a secret it would let everybody sign.
fn other_kind(text: &[u8]) -> Option<&'static str> {
    let text = text.trim_ascii_start();
    let starts = |prefix: &str| text.starts_with(prefix.as_bytes());
    if text.windows(10).any(|window| window == b"-----BEGIN") {
        Some("a key or certificate in PEM")
    } else if starts("ssh-") || starts("ecdsa-sha2-") {
        Some("an OpenSSH public key")
    } else if starts("{") && text.windows(5).any(|window| window == b"\"kty\"") {
        Some("a JSON Web Key")
    } else {
        None
    }
}
