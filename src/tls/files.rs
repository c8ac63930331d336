//! Which files there are, and what is wrong with them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may give none; one that they give must be good.
    Optional,
    /// They are asked and must give a good one.
    Required,
}

/// The files that a server's TLS is made of, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
    /// The authorities whose client certificates are good.
    pub client_ca: Option<PathBuf>,
    /// Lists of client certificates that are good no more.
    pub client_crl: Option<PathBuf>,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What the file is for, by the key of `grpc.tls` that names it.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it: continues the sentence that its path begins.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// Everything that is wrong with the files; never empty where it is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaws(pub Vec<Flaw>);

// === impl Flaw ===

impl Flaw {
    pub(super) fn new(key: &'static str, path: &Path, (reason, remedy): (String, String)) -> Self {
        Self {
            key,
            path: path.to_owned(),
            reason,
            remedy,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            path,
            reason,
            remedy,
        } = self;
        write!(f, "{key}: `{}` {reason}; {remedy}", path.display())
    }
}

// === impl Flaws ===

impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, flaw) in self.0.iter().enumerate() {
            let between = if at > 0 { "; " } else { "" };
            write!(f, "{between}{flaw}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Flaws {}

/// Whether every user of this machine may read the key; false where that cannot be told.
pub fn key_is_open_to_all(key: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(key).is_ok_and(|of| of.permissions().mode() & 0o004 != 0)
}

/// Why a file could not be read.
pub(super) fn unreadable(error: &io::Error) -> (String, String) {
    // What is not UTF-8 is not PEM, and most likely DER.
    match error.kind() {
        io::ErrorKind::InvalidData => not_pem("it holds binary data"),
        _ => (
            format!("cannot be read: {error}"),
            "name a file that this user may read".to_owned(),
        ),
    }
}

pub(super) fn not_pem(why: impl fmt::Display) -> (String, String) {
    (
        format!("is not PEM: {why}"),
        "give a file with lines such as -----BEGIN CERTIFICATE-----; openssl converts DER with -inform der".to_owned(),
    )
}
