//! What is read from the files, and what is refused.

use std::fs;

use tempfile::TempDir;

use super::*;

/// A certificate for `localhost` that runs out in this year, and its key, as PEM files in `dir`.
fn write_pair(dir: &Path, year: i32) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(dir.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn open(dir: &Path) -> Result<Arc<Certificates>, TlsError> {
    Certificates::open(&dir.join("cert.pem"), &dir.join("key.pem"))
}

/// 2040-01-01 and 2041-01-01.
const IN_2040: i64 = 2_208_988_800;
const IN_2041: i64 = IN_2040 + 366 * 86_400;

#[test]
fn the_expiry_is_that_of_the_certificate_in_use() {
    let dir = TempDir::new().unwrap();
    write_pair(dir.path(), 2040);
    let certificates = open(dir.path()).unwrap();
    assert_eq!(certificates.expires(), IN_2040);
    write_pair(dir.path(), 2041);
    certificates.reload().unwrap();
    assert_eq!((certificates.expires(), certificates.reloads()), (IN_2041, 1));
}

#[test]
fn the_expiry_of_a_chain_is_its_earliest() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_pair(dir.path(), 2041);
    write_pair(other.path(), 2040);
    let chain = [dir.path(), other.path()].map(|dir| fs::read_to_string(dir.join("cert.pem")).unwrap());
    fs::write(dir.path().join("cert.pem"), chain.concat()).unwrap();
    assert_eq!(open(dir.path()).unwrap().expires(), IN_2040);
}

#[test]
fn a_bad_pair_is_refused_naming_the_file_and_the_one_before_stays() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_pair(dir.path(), 2040);
    write_pair(other.path(), 2041);
    let certificates = open(dir.path()).unwrap();
    let before = Arc::clone(&certificates.current.read().key);
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let good = [fs::read(&cert).unwrap(), fs::read(&key).unwrap()];
    let half = &good[0][..good[0].len() / 2];
    let not_der = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice();
    let other_key = fs::read(other.path().join("key.pem")).unwrap();
    let mut refused = 0;
    for (new_cert, new_key, says) in [
        (b"".as_slice(), good[1].as_slice(), "tls_cert"),
        (half, &good[1], "tls_cert"),
        (not_der, &good[1], "tls_cert"),
        (&good[0], b"", "tls_key"),
        (&good[0], &other_key, "do not go together"),
    ] {
        fs::write(&cert, new_cert).unwrap();
        fs::write(&key, new_key).unwrap();
        let error = certificates.reload().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        refused += 1;
        assert_eq!((certificates.refused(), certificates.reloads()), (refused, 0));
        assert!(Arc::ptr_eq(&before, &certificates.current.read().key), "{says}");
    }
    fs::remove_file(&cert).unwrap();
    assert!(certificates.reload().unwrap_err().to_string().contains("tls_cert"));
    assert_eq!(certificates.expires(), IN_2040);
}
