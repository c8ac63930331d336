//! What the files of a server come to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{self, SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig, version};

use super::files::{ClientCertificates, Files, Flaw, Flaws, unreadable};
use super::{ALPN_HTTP2, pem, provider};

/// How a file is read.
pub(super) type Read<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Certificate, key and authorities, ready for handshakes.
#[derive(Debug)]
pub struct Material {
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// When the certificate expires.
    pub not_after: SystemTime,
    /// From when on the certificate counts.
    pub not_before: SystemTime,
    /// When the files were read.
    pub loaded_at: SystemTime,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    contents: Digest,
}

/// Of everything that was read, to tell whether it has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest(Vec<u8>);

/// What the files hold.
pub(super) struct Contents {
    certificate: String,
    key: String,
    client_ca: Option<String>,
    client_crl: Option<String>,
}

// === impl Contents ===

impl Contents {
    pub(super) fn read(files: &Files, read: Read<'_>) -> Result<Self, Flaws> {
        let mut flaws = Vec::new();
        let mut file = |key, path: &Path| {
            let flaw = |error| flaws.push(Flaw::new(key, path, unreadable(&error)));
            read(path).map_err(flaw).ok()
        };
        let certificate = file("certificate", &files.certificate);
        let key = file("key", &files.key);
        let (mut client_ca, mut client_crl) = (None, None);
        if files.client_certificates != ClientCertificates::None {
            client_ca = files
                .client_ca
                .as_deref()
                .map(|path| file("client_ca", path));
            client_crl = files
                .client_crl
                .as_deref()
                .map(|path| file("client_crl", path));
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) if flaws.is_empty() => Ok(Self {
                certificate,
                key,
                client_ca: client_ca.flatten(),
                client_crl: client_crl.flatten(),
            }),
            _ => Err(Flaws(flaws)),
        }
    }

    pub(super) fn digest(&self) -> Digest {
        let mut context = digest::Context::new(&SHA256);
        let (ca, crl) = (self.client_ca.as_deref(), self.client_crl.as_deref());
        for text in [Some(&*self.certificate), Some(&*self.key), ca, crl] {
            let text = text.unwrap_or_default();
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        Digest(context.finish().as_ref().to_vec())
    }
}

// === impl Material ===

impl Material {
    /// Reads all files.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(files: &Files, read: &dyn Fn(&Path) -> io::Result<String>) -> Result<Self, Flaws> {
        Self::build(files, &Contents::read(files, read)?)
    }

    pub(super) fn build(files: &Files, contents: &Contents) -> Result<Self, Flaws> {
        let mut flaws = Vec::new();
        let certificate = pem::certificates(&contents.certificate)
            .and_then(|chain| Ok((validity(&chain)?, chain)))
            .map_err(|flaw| flaws.push(Flaw::new("certificate", &files.certificate, flaw)));
        let key =
            pem::key(&contents.key).map_err(|flaw| flaws.push(Flaw::new("key", &files.key, flaw)));
        let clients = clients(files, contents, &mut flaws);
        let (Ok(((not_before, not_after), chain)), Ok(key)) = (certificate, key) else {
            return Err(Flaws(flaws));
        };
        let certified =
            certified(chain, key).map_err(|flaw| flaws.push(Flaw::new("key", &files.key, flaw)));
        let config = certified.and_then(|certified| {
            server_config(certified, clients.as_ref()).map_err(|error| {
                let remedy = "check certificate and key with openssl".to_owned();
                let flaw = (format!("cannot be used: {error}"), remedy);
                flaws.push(Flaw::new("certificate", &files.certificate, flaw));
            })
        });
        match config {
            Ok(config) if flaws.is_empty() => Ok(Self {
                config: Arc::new(config),
                not_after,
                not_before,
                loaded_at: SystemTime::now(),
                clients,
                contents: contents.digest(),
            }),
            _ => Err(Flaws(flaws)),
        }
    }

    /// Whether a client's certificate, with those between it and its authority, is good now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admits(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        match (&self.clients, chain.split_first()) {
            (Some(clients), Some((leaf, between))) => {
                let now = UnixTime::now();
                clients.verify_client_cert(leaf, between, now).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Why clients refuse the certificate at this time, if they do.
    pub fn out_of_date(&self, now: SystemTime) -> Option<&'static str> {
        if now > self.not_after {
            Some("has expired")
        } else if now < self.not_before {
            Some("is not valid yet")
        } else {
            None
        }
    }

    pub(super) fn contents(&self) -> &Digest {
        &self.contents
    }
}

/// What clients' certificates are held against; a flaw is added and none given back where that
/// cannot be.
fn clients(
    files: &Files,
    contents: &Contents,
    flaws: &mut Vec<Flaw>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let (path, text) = (files.client_ca.as_deref()?, contents.client_ca.as_deref()?);
    let roots = pem::authorities(text)
        .map_err(|flaw| flaws.push(Flaw::new("client_ca", path, flaw)))
        .ok()?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let mut list = path;
    if let (Some(path), Some(text)) = (&files.client_crl, &contents.client_crl) {
        let crls = pem::revocation_lists(text)
            .map_err(|flaw| flaws.push(Flaw::new("client_crl", path, flaw)))
            .ok()?;
        builder = builder.with_crls(crls);
        list = path;
    }
    if files.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    // The authorities have been checked, so that only a list can be malformed.
    let refuse = |error| {
        let remedy = "make the list anew with the authority's tool, such as openssl ca -gencrl";
        let flaw = (format!("cannot be used: {error}"), remedy.to_owned());
        flaws.push(Flaw::new("client_crl", list, flaw));
    };
    builder.build().map_err(refuse).ok()
}

/// From when until when a certificate counts.
fn validity(chain: &[CertificateDer<'_>]) -> Result<(SystemTime, SystemTime), (String, String)> {
    let refuse = |error: String| {
        (
            format!("holds what is no certificate: {error}"),
            "give the server's certificate first, then those of the authorities between".to_owned(),
        )
    };
    let leaf = chain.first().ok_or_else(|| refuse("nothing".to_owned()))?;
    let (_, leaf) =
        x509_parser::parse_x509_certificate(leaf).map_err(|error| refuse(error.to_string()))?;
    let validity = leaf.validity();
    let time = |seconds: i64| {
        let since = Duration::from_secs(seconds.unsigned_abs());
        match seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(since),
            false => SystemTime::UNIX_EPOCH.checked_add(since),
        }
        .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let (from, until) = (validity.not_before, validity.not_after);
    Ok((time(from.timestamp()), time(until.timestamp())))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, (String, String)> {
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => (
            "does not fit the certificate".to_owned(),
            "give the key with which grpc.tls.certificate was requested".to_owned(),
        ),
        error => (
            format!("cannot be used: {error}"),
            "give an unencrypted RSA, ECDSA or Ed25519 key".to_owned(),
        ),
    })
}

fn server_config(
    certified: CertifiedKey,
    clients: Option<&Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    // A resumed session would not look at the client's certificate again, and connections of gRPC
    // are too rare and too long for resumption to matter.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
