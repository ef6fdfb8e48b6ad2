//! The signature of a question: `t=UNIX,v1=HEX`, HMAC-SHA256 with the shared secret over `UNIX.BODY`.

use std::fmt::Write as _;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use http::HeaderValue;

use crate::config::Secret;
use crate::directory::DirectoryStartError;

/// A shorter secret could be guessed from one signed question: 128 bits, if they are random.
const SECRET_BYTES_MIN: usize = 16;

pub(super) struct Signer(Key);

impl Signer {
    pub(super) fn new(secret: &Secret) -> Result<Signer, DirectoryStartError> {
        if secret.expose().len() < SECRET_BYTES_MIN {
            return Err(DirectoryStartError::ShortSecret { min: SECRET_BYTES_MIN });
        }
        Ok(Signer(Key::new(HMAC_SHA256, secret.expose())))
    }

    /// The value of the header for a body sent at this time, seconds since the Unix epoch.
    pub(super) fn sign(&self, at: u64, body: &[u8]) -> HeaderValue {
        let mut signed = format!("{at}.").into_bytes();
        signed.extend_from_slice(body);
        let mut text = format!("t={at},v1=");
        for byte in sign(&self.0, &signed).as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        // Digits and letters only.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_with_its_time() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let signer = Signer::new(&secret).unwrap();
        // echo -n '1700000000.{"user":"ada"}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let expected = "t=1700000000,v1=4a1276bcbeaf1d02095ce379c6967deee41ff96c7a99b4fbcde40da832e25ad2";
        assert_eq!(signer.sign(1_700_000_000, br#"{"user":"ada"}"#), expected);
        assert_ne!(signer.sign(1_700_000_001, br#"{"user":"ada"}"#), expected);
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused() {
        assert!(Signer::new(&Secret::new(b"0123456789abcde").unwrap()).is_err());
        assert!(Signer::new(&Secret::new(b"0123456789abcdef").unwrap()).is_ok());
    }
}
