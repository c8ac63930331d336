//! TLS of a client: whom it trusts, and who it says it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{Flaw, Flaws, unreadable};
use super::{ALPN_HTTP2, pem, provider};

/// The files that a client's TLS is made of, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities whose servers are trusted.
    pub ca: PathBuf,
    /// The client's own certificate, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// TLS of a client. Clones share it.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

// === impl ClientTls ===

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with the first bad one.
    pub fn load(files: &ClientFiles) -> Result<Self, Flaws> {
        let flaws = |key, path: &Path, flaw| Flaws(vec![Flaw::new(key, path, flaw)]);
        let read = |key, path: &Path| {
            std::fs::read_to_string(path).map_err(|error| flaws(key, path, unreadable(&error)))
        };
        let roots = pem::authorities(&read("ca", &files.ca)?)
            .map_err(|flaw| flaws("ca", &files.ca, flaw))?;
        let unusable = |path: &Path, error: rustls::Error| {
            let remedy = "check certificate and key with openssl".to_owned();
            flaws(
                "certificate",
                path,
                (format!("cannot be used: {error}"), remedy),
            )
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| unusable(&files.ca, error))?
            .with_root_certificates(roots);
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = pem::certificates(&read("certificate", certificate)?)
                    .map_err(|flaw| flaws("certificate", certificate, flaw))?;
                let key = pem::key(&read("key", key)?).map_err(|flaw| flaws("key", key, flaw))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(certificate, error))?
            }
        };
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands over this connection with the server of this name.
    ///
    /// # Errors
    /// When the server is not that one or refuses this client.
    pub async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.0.connect(name, stream).await
    }
}
