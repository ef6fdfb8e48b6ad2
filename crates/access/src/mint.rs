//! Making tokens: for `watertight token`, and for tests. The hub itself makes none.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Map, Value, json};
use x509_parser::asn1_rs::{FromDer as _, OctetString, Sequence};
use x509_parser::x509::AlgorithmIdentifier;

use crate::algorithm::{Algorithm, Algorithms};
use crate::grants::{Grants, InvalidGrants};
use crate::key::load::{KeyError, StaticKeys};
use crate::key::{Key, pem, secret};
use crate::limits::{SUBJECT_BYTES_MAX, TOKEN_BYTES_MAX};

/// A key that signs. Its material is erased when it is dropped, and never shown.
pub struct SigningKey {
    algorithm: Algorithm,
    material: EncodingKey,
    name: Option<String>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why a token cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The key is none.
    #[error("the key {0}")]
    Key(#[from] KeyError),
    /// The private key cannot be used.
    #[error("the key file holds {0}")]
    PrivateKey(&'static str),
    /// The key is not for the algorithm.
    #[error("the key is for {fits}, not for {wanted:?}")]
    Algorithm {
        /// What it is for.
        fits: Algorithms,
        /// What was asked for.
        wanted: Algorithm,
    },
    /// The grants are not usable.
    #[error("{0}")]
    Grants(#[from] InvalidGrants),
    /// The user is not usable.
    #[error("the user (sub) must have 1 to {SUBJECT_BYTES_MAX} bytes and no control characters")]
    Subject,
    /// The token would be refused for its length.
    #[error("the token would be longer than {TOKEN_BYTES_MAX} bytes, and refused")]
    TooLong,
    /// It cannot be signed.
    #[error("the key signs nothing")]
    NotSigned,
    /// There are no random numbers for an id.
    #[error("there are no random numbers: {0}")]
    Random(String),
}

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The user.
    pub subject: Option<String>,
    /// Patterns to subscribe to.
    pub subscribe: Vec<String>,
    /// Patterns to publish to.
    pub publish: Vec<String>,
    /// Whether it grants the operator's calls.
    pub admin: bool,
    /// When it was issued.
    pub issued_at: Option<SystemTime>,
    /// When it expires.
    pub expires: Option<SystemTime>,
    /// When it becomes valid.
    pub not_before: Option<SystemTime>,
    /// Who issues it.
    pub issuer: Option<String>,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// Its id.
    pub id: Option<String>,
}

impl SigningKey {
    /// A secret, in the form of `token_secret`. Without an algorithm, HS256.
    ///
    /// # Errors
    /// When it is too short or no secret.
    pub fn from_secret(text: &[u8], algorithm: Option<Algorithm>) -> Result<SigningKey, MintError> {
        let bytes = secret::bytes(text)?;
        let algorithm = pick(secret::algorithms(bytes.len()), algorithm)?;
        Ok(SigningKey { algorithm, material: EncodingKey::from_secret(&bytes), name: None })
    }

    /// A private key in PEM: PKCS#8, or PKCS#1 of an RSA key. Without an algorithm, the first that fits it.
    ///
    /// # Errors
    /// When it is no such key, or not for that algorithm.
    pub fn from_pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<SigningKey, MintError> {
        let blocks = pem::blocks(text)?;
        let private = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
        let private = private.ok_or(MintError::PrivateKey(
            "no private key: `openssl genpkey -algorithm ed25519` prints one that would do",
        ))?;
        let (fits, material) = match private.label.as_str() {
            "PRIVATE KEY" => from_pkcs8(&private.der)?,
            "RSA PRIVATE KEY" => (Algorithms::of(&pem::RSA_ANY), EncodingKey::from_rsa_der(&private.der)),
            "EC PRIVATE KEY" => {
                return Err(MintError::PrivateKey(
                    "an EC key in the form of SEC 1: `openssl pkcs8 -topk8 -nocrypt -in FILE` prints the form that would do",
                ));
            }
            "OPENSSH PRIVATE KEY" => {
                return Err(MintError::PrivateKey(
                    "a key in OpenSSH's format: `openssl genpkey -algorithm ed25519` prints one that would do",
                ));
            }
            _ => {
                return Err(MintError::PrivateKey(
                    "a key that is encrypted: `openssl pkcs8 -topk8 -nocrypt -in FILE` prints it as it would do",
                ));
            }
        };
        Ok(SigningKey { algorithm: pick(fits, algorithm)?, material, name: None })
    }

    /// Puts the key's name (`kid`) into tokens.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> SigningKey {
        SigningKey { name: Some(name.into()), ..self }
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Makes a token. What the hub would refuse for its form is refused here.
    ///
    /// # Errors
    /// When it would be refused, or the key signs nothing.
    pub fn mint(&self, content: &Content) -> Result<String, MintError> {
        let token = self.sign(&content.to_json()?)?;
        if token.len() > TOKEN_BYTES_MAX { Err(MintError::TooLong) } else { Ok(token) }
    }

    /// Signs any claims, whether or not they make sense.
    ///
    /// # Errors
    /// When the key signs nothing.
    pub fn sign(&self, claims: &Value) -> Result<String, MintError> {
        let mut header = json!({ "alg": format!("{:?}", self.algorithm), "typ": "JWT" });
        if let Some(name) = &self.name {
            header["kid"] = name.as_str().into();
        }
        self.sign_raw(&header.to_string(), &claims.to_string())
    }

    /// Signs any texts as header and claims.
    ///
    /// # Errors
    /// When the key signs nothing.
    pub fn sign_raw(&self, header: &str, claims: &str) -> Result<String, MintError> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.material)
            .ok()
            .and_then(|signer| signer.try_sign(signed.as_bytes()).ok())
            .ok_or(MintError::NotSigned)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Content {
    /// The claims as JSON.
    ///
    /// # Errors
    /// When the user or the grants would be refused.
    pub fn to_json(&self) -> Result<Value, MintError> {
        Grants::new(&self.subscribe, &self.publish, self.admin)?;
        let is_fine = |text: &String| {
            (1..=SUBJECT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if !self.subject.iter().chain(&self.id).chain(&self.issuer).all(is_fine) {
            return Err(MintError::Subject);
        }
        let mut claims = Map::new();
        let texts = [("iss", &self.issuer), ("sub", &self.subject), ("jti", &self.id)];
        claims.extend(
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))),
        );
        match self.audience.as_slice() {
            [] => {}
            [one] => drop(claims.insert("aud".to_owned(), one.as_str().into())),
            many => drop(claims.insert("aud".to_owned(), many.into())),
        }
        let times = [("iat", self.issued_at), ("nbf", self.not_before), ("exp", self.expires)];
        claims.extend(
            times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), seconds(time?).into()))),
        );
        let mut grants = Map::new();
        for (name, patterns) in [("subscribe", &self.subscribe), ("publish", &self.publish)] {
            if !patterns.is_empty() {
                grants.insert(name.to_owned(), patterns.as_slice().into());
            }
        }
        if self.admin {
            grants.insert("admin".to_owned(), true.into());
        }
        claims.insert("watertight".to_owned(), grants.into());
        Ok(claims.into())
    }
}

/// A fresh key for an algorithm, and the key that verifies what it signs: for measurements and tests. A secret has 512
/// bits, an RSA key 2,048.
///
/// # Errors
/// When there are no random numbers.
pub fn fresh_key(algorithm: Algorithm) -> Result<(SigningKey, StaticKeys), MintError> {
    const FAILED: fn(Unspecified) -> MintError = |_| MintError::NotSigned;
    let random = SystemRandom::new();
    let (material, verifying) = match Algorithms::of(&[algorithm]) {
        one if one.and(Algorithms::of(&pem::RSA_ANY)) == one => {
            let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(FAILED)?;
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(FAILED)?;
            let (_, material) = from_pkcs8(pkcs8.as_ref())?;
            (material, DecodingKey::from_rsa_der(pair.public_key().as_ref()))
        }
        _ if algorithm == Algorithm::EdDSA => {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(FAILED)?;
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| MintError::NotSigned)?;
            (EncodingKey::from_ed_der(pkcs8.as_ref()), DecodingKey::from_ed_der(pair.public_key().as_ref()))
        }
        _ if secret::needs(algorithm).is_some() => {
            let secret = zeroize::Zeroizing::new(self::random::<64>()?);
            (EncodingKey::from_secret(&*secret), DecodingKey::from_secret(&*secret))
        }
        _ => {
            let curve = if algorithm == Algorithm::ES256 {
                &ECDSA_P256_SHA256_FIXED_SIGNING
            } else {
                &ECDSA_P384_SHA384_FIXED_SIGNING
            };
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(FAILED)?;
            let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref()).map_err(|_| MintError::NotSigned)?;
            (EncodingKey::from_ec_der(pkcs8.as_ref()), DecodingKey::from_ec_der(pair.public_key().as_ref()))
        }
    };
    let key = Key::new(&["static"], None, Algorithms::of(&[algorithm]), verifying);
    Ok((SigningKey { algorithm, material, name: None }, StaticKeys::of(key)))
}

/// A fresh id for a token: 128 random bits.
///
/// # Errors
/// When there are no random numbers.
pub fn fresh_id() -> Result<String, MintError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<16>()?))
}

/// A fresh secret, as it stands in a file: 512 random bits, enough for HS512.
///
/// # Errors
/// When there are no random numbers.
pub fn fresh_secret() -> Result<zeroize::Zeroizing<String>, MintError> {
    let bytes = zeroize::Zeroizing::new(random::<64>()?);
    Ok(zeroize::Zeroizing::new(format!("base64:{}", URL_SAFE_NO_PAD.encode(*bytes))))
}

fn random<const N: usize>() -> Result<[u8; N], MintError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| MintError::Random(error.to_string()))?;
    Ok(bytes)
}

/// Whole seconds since 1970; a time before that is 0.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn pick(fits: Algorithms, wanted: Option<Algorithm>) -> Result<Algorithm, MintError> {
    match wanted {
        Some(wanted) if !fits.contains(wanted) => Err(MintError::Algorithm { fits, wanted }),
        Some(wanted) => Ok(wanted),
        None => fits.iter().next().ok_or(MintError::NotSigned),
    }
}

/// The key of a PKCS#8 block (RFC 5958).
fn from_pkcs8(der: &[u8]) -> Result<(Algorithms, EncodingKey), MintError> {
    const UNREADABLE: MintError = MintError::PrivateKey("a private key that cannot be read");
    let (_, info) = Sequence::from_der(der).map_err(|_| UNREADABLE)?;
    let (rest, _version) = u8::from_der(info.content.as_ref()).map_err(|_| UNREADABLE)?;
    let (rest, kind) = AlgorithmIdentifier::from_der(rest).map_err(|_| UNREADABLE)?;
    let (_, key) = OctetString::from_der(rest).map_err(|_| UNREADABLE)?;
    match kind.algorithm.to_id_string().as_str() {
        // The library wants what is inside.
        "1.2.840.113549.1.1.1" => {
            Ok((Algorithms::of(&pem::RSA_ANY), EncodingKey::from_rsa_der(key.as_ref())))
        }
        "1.2.840.10045.2.1" => {
            let curve =
                kind.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
            let algorithm = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => Algorithm::ES256,
                Some("1.3.132.0.34") => Algorithm::ES384,
                _ => return Err(MintError::PrivateKey("an EC key on another curve than P-256 and P-384")),
            };
            Ok((Algorithms::of(&[algorithm]), EncodingKey::from_ec_der(der)))
        }
        "1.3.101.112" => Ok((Algorithms::of(&[Algorithm::EdDSA]), EncodingKey::from_ed_der(der))),
        _ => Err(MintError::PrivateKey("a key of another kind than RSA, EC and Ed25519")),
    }
}
