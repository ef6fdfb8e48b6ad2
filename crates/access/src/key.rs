//! A key that verifies tokens: what it is made of, which algorithms it is for, and who it is.

pub mod jwk;
pub mod load;
pub mod pem;
pub mod secret;

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

use crate::algorithm::{Algorithm, Algorithms};

/// Who a key is, for as long as this process lives: the same material for the same algorithms from the same place. It is
/// made with a secret of the process, so it says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyIdentity([u8; 16]);

impl fmt::Debug for KeyIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyIdentity")
    }
}

/// A key that verifies. Its material is erased when it is dropped, and never shown.
pub struct Key {
    identity: KeyIdentity,
    name: Option<Box<str>>,
    algorithms: Algorithms,
    material: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl Key {
    /// A key. `home` says where it comes from: the same material from elsewhere is another key.
    pub(crate) fn new(
        home: &[&str],
        name: Option<Box<str>>,
        algorithms: Algorithms,
        material: DecodingKey,
    ) -> Key {
        let identity = identify(home, name.as_deref(), algorithms, &material);
        Key { identity, name, algorithms, material }
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> KeyIdentity {
        self.identity
    }

    /// Its name (`kid`), if it came with one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The algorithms it is for.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// The same key for fewer algorithms; `None` if none is left.
    pub(crate) fn narrowed(self, home: &[&str], to: Algorithms) -> Option<Key> {
        let algorithms = self.algorithms.and(to);
        (!algorithms.is_empty()).then(|| Key::new(home, self.name, algorithms, self.material))
    }

    /// Whether the signature, in base64url, is this key's over `signed`. Secrets are compared in constant time by the
    /// library. The key decides about the algorithm; a wish that it is not for is refused.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        if !self.algorithms.contains(algorithm) {
            return false;
        }
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &self.material)
            .is_ok_and(|verifier| verifier.verify(signed.as_bytes(), &signature).is_ok())
    }
}

/// Each part goes in with its length, so that no two lists of parts are the same bytes.
fn identify(
    home: &[&str],
    name: Option<&str>,
    algorithms: Algorithms,
    material: &DecodingKey,
) -> KeyIdentity {
    let mut hash = hmac::Context::with_key(process_key());
    let mut add = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(&(home.len() as u64).to_be_bytes());
    home.iter().for_each(|part| add(part.as_bytes()));
    add(name.map_or(&[0][..], |_| &[1]));
    add(name.unwrap_or_default().as_bytes());
    add(algorithms.to_string().as_bytes());
    add(match material.family() {
        AlgorithmFamily::Hmac => b"hmac",
        AlgorithmFamily::Rsa => b"rsa",
        AlgorithmFamily::Ec => b"ec",
        AlgorithmFamily::Ed => b"ed",
    });
    match material.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => add(bytes),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            add(n);
            add(e);
        }
    }
    first_half(hash.sign().as_ref())
}

fn first_half(tag: &[u8]) -> KeyIdentity {
    let mut identity = [0; 16];
    for (to, from) in identity.iter_mut().zip(tag) {
        *to = *from;
    }
    KeyIdentity(identity)
}

/// A secret of this process, so that an identity does not help to guess a key.
fn process_key() -> &'static hmac::Key {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut bytes = [0; 32];
        // Without random numbers identities are still right: they are only compared with each other.
        let _ = getrandom::fill(&mut bytes);
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    })
}
