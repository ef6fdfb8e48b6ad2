//! Public keys from PEM files (RFC 7468): SubjectPublicKeyInfo, PKCS#1, and the key of a certificate. Whatever else such
//! a file may hold is named in the refusal, with what would do.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::DecodingKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms};
use crate::key::Key;
use crate::key::load::KeyError;
use crate::limits::{FILE_KEYS_MAX, RSA_BITS_MAX, RSA_BITS_MIN};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

pub(crate) const RSA_ANY: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const RSA_PSS: [Algorithm; 3] = [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// One block of a PEM file.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// The blocks of a PEM file. Text between them is passed over, as RFC 7468 has it.
///
/// # Errors
/// When there is none, too many, or one is damaged.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyError::NoPem(unknown(text)))?;
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).ok_or(KeyError::DamagedPem)?;
        let (body, after) = after.split_once(END).ok_or(KeyError::DamagedPem)?;
        let after = after.strip_prefix(label).and_then(|after| after.strip_prefix(DASHES));
        rest = after.ok_or(KeyError::DamagedPem)?;
        if blocks.len() == FILE_KEYS_MAX {
            return Err(KeyError::TooManyKeys);
        }
        // A private key of an older form has headers before its body ("Proc-Type: 4,ENCRYPTED").
        let der = if body.contains(':') {
            Zeroizing::default()
        } else {
            let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
            Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| KeyError::DamagedPem)?)
        };
        blocks.push(Block { label: label.to_owned(), der });
    }
    if blocks.is_empty() { Err(KeyError::NoPem(unknown(text.as_bytes()))) } else { Ok(blocks) }
}

/// What a file without PEM in it may be.
fn unknown(text: &[u8]) -> &'static str {
    let text = text.trim_ascii_start();
    if text.is_empty() {
        "nothing"
    } else if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-") {
        "an OpenSSH public key (`ssh-keygen -e -m PKCS8 -f FILE` prints it as PEM)"
    } else if text.starts_with(b"{") {
        "JSON (a key set is named by its address, `jwks_url`)"
    } else if text.starts_with(b"0\x82") || text.starts_with(b"0\x81") || text.starts_with(b"0Y0\x13") {
        "DER (`openssl pkey -pubin -inform DER -in FILE` prints it as PEM)"
    } else {
        "something else (a secret belongs into `token_secret_file`)"
    }
}

/// All public keys of a PEM file.
pub(crate) fn public_keys(text: &[u8]) -> Result<Vec<Key>, KeyError> {
    let blocks = blocks(text)?;
    // Of a chain only the first certificate is the issuer's own; the rest vouch for it.
    let mut certificates = 0;
    let mut keys = Vec::new();
    for Block { label, der } in &blocks {
        match label.as_str() {
            "PUBLIC KEY" => keys.push(from_info(der)?),
            "RSA PUBLIC KEY" => keys.push(from_rsa(der, &RSA_ANY)?),
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                certificates += 1;
                if certificates == 1 {
                    let (_, certificate) =
                        X509Certificate::from_der(der).map_err(|_| KeyError::Unreadable("certificate"))?;
                    keys.push(from_info(certificate.public_key().raw)?);
                }
            }
            "OPENSSH PRIVATE KEY" => return Err(KeyError::OpenSshPrivate),
            other if other.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
            "SSH2 PUBLIC KEY" => return Err(KeyError::OpenSshPublic),
            _ => {}
        }
    }
    if keys.is_empty() { Err(KeyError::NoPublicKey) } else { Ok(keys) }
}

/// A key in the form that says what it is (RFC 5280, section 4.1).
fn from_info(der: &[u8]) -> Result<Key, KeyError> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(der).map_err(|_| KeyError::Unreadable("public key"))?;
    if !rest.is_empty() {
        return Err(KeyError::Unreadable("public key"));
    }
    let bytes = info.subject_public_key.data.as_ref();
    match info.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => from_rsa(bytes, &RSA_ANY),
        "1.2.840.113549.1.1.10" => from_rsa(bytes, &RSA_PSS),
        "1.2.840.10045.2.1" => {
            let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => from_point(Algorithm::ES256, bytes),
                Some("1.3.132.0.34") => from_point(Algorithm::ES384, bytes),
                Some("1.3.132.0.10") => Err(KeyError::UnfitKey("an EC key on the curve secp256k1")),
                Some("1.3.132.0.35") => Err(KeyError::UnfitKey("an EC key on the curve P-521")),
                _ => Err(KeyError::UnfitKey("an EC key on an unknown curve")),
            }
        }
        "1.3.101.112" => from_ed(bytes),
        "1.3.101.110" => Err(KeyError::UnfitKey("an X25519 key, which is for encryption,")),
        "1.3.101.113" => Err(KeyError::UnfitKey("an Ed448 key")),
        "1.2.840.10040.4.1" => Err(KeyError::UnfitKey("a DSA key")),
        _ => Err(KeyError::UnfitKey("a key of an unknown kind")),
    }
}

fn from_rsa(der: &[u8], algorithms: &[Algorithm]) -> Result<Key, KeyError> {
    let (rest, key) = RSAPublicKey::from_der(der).map_err(|_| KeyError::Unreadable("RSA public key"))?;
    if !rest.is_empty() {
        return Err(KeyError::Unreadable("RSA public key"));
    }
    check_rsa(key.modulus, key.exponent)?;
    Ok(Key::new(&["static"], None, Algorithms::of(algorithms), DecodingKey::from_rsa_der(der)))
}

/// Whether an RSA key may be used: big enough, not so big that it takes long, an exponent that is one.
pub(crate) fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyError> {
    let stripped = |bytes: &[u8]| bytes.iter().position(|byte| *byte != 0).map(|at| bytes[at..].to_vec());
    let (Some(modulus), Some(exponent)) = (stripped(modulus), stripped(exponent)) else {
        return Err(KeyError::Unreadable("RSA public key"));
    };
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(KeyError::RsaSize { bits });
    }
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd(&modulus) || !is_odd(&exponent) || exponent == [1] || exponent.len() > 4 {
        return Err(KeyError::Unreadable("RSA public key"));
    }
    Ok(())
}

pub(crate) fn from_point(algorithm: Algorithm, point: &[u8]) -> Result<Key, KeyError> {
    let curve =
        if algorithm == Algorithm::ES256 { &ECDSA_P256_SHA256_FIXED } else { &ECDSA_P384_SHA384_FIXED };
    ParsedPublicKey::new(curve, point).map_err(|_| KeyError::Unreadable("EC public key"))?;
    Ok(Key::new(&["static"], None, Algorithms::of(&[algorithm]), DecodingKey::from_ec_der(point)))
}

pub(crate) fn from_ed(bytes: &[u8]) -> Result<Key, KeyError> {
    ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyError::Unreadable("Ed25519 public key"))?;
    Ok(Key::new(&["static"], None, Algorithms::of(&[Algorithm::EdDSA]), DecodingKey::from_ed_der(bytes)))
}
