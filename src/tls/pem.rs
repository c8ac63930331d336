//! What PEM files hold. Errors are a reason and a remedy, for a [`Flaw`](super::Flaw).

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::files::not_pem;

type Found<T> = Result<T, (String, String)>;

/// All certificates of a file, at least one.
pub(super) fn certificates(text: &str) -> Found<Vec<CertificateDer<'static>>> {
    all(text, "certificate", "CERTIFICATE")
}

/// The authorities of a file, at least one.
pub(super) fn authorities(text: &str) -> Found<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in certificates(text)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            (
                format!(
                    "holds as number {} what is no certificate of an authority: {error}",
                    at + 1
                ),
                "give the certificates of the authorities alone".to_owned(),
            )
        })?;
    }
    Ok(roots)
}

/// All revocation lists of a file, at least one.
pub(super) fn revocation_lists(text: &str) -> Found<Vec<CertificateRevocationListDer<'static>>> {
    all(text, "revocation list", "X509 CRL")
}

/// The first private key of a file.
pub(super) fn key(text: &str) -> Found<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if text.contains("ENCRYPTED") => Err((
            "is encrypted".to_owned(),
            "decrypt it with openssl pkey -in FILE -out FILE, and let file permissions protect it"
                .to_owned(),
        )),
        Err(error) => Err(nothing(text, error, "private key", "PRIVATE KEY")),
    }
}

fn all<T: PemObject>(text: &str, what: &str, label: &str) -> Found<Vec<T>> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(nothing(text, pem::Error::NoItemsFound, what, label)),
        Ok(found) => Ok(found),
        Err(error) => Err(nothing(text, error, what, label)),
    }
}

fn nothing(text: &str, error: pem::Error, what: &str, label: &str) -> (String, String) {
    match error {
        pem::Error::NoItemsFound if text.contains("-----BEGIN ") => (
            format!("holds no {what}"),
            format!("give a file with -----BEGIN {label}-----"),
        ),
        pem::Error::NoItemsFound => not_pem("it has no -----BEGIN line"),
        // The library prints what it misses as numbers.
        pem::Error::MissingSectionEnd { .. } => not_pem("an -----END line is missing"),
        pem::Error::IllegalSectionStart { .. } => not_pem("a -----BEGIN line is malformed"),
        error => not_pem(error),
    }
}
