//! What comes before HTTP/2 on a connection: TLS where it is configured, and the preface.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;

use super::preface::{Stranger, greet, is_tls};
use crate::tls::{Material, Tls};

/// How long a client that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// What HTTP/2 runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that speaks HTTP/2 from here on.
pub(super) struct Shaken {
    pub(super) stream: Box<dyn Stream>,
    /// Of the client, where it gave a certificate.
    pub(super) proof: Option<ClientProof>,
}

/// A client's certificate, and what it is held against.
pub(super) struct ClientProof {
    /// The certificate, then those between it and its authority.
    chain: Vec<CertificateDer<'static>>,
    material: watch::Receiver<Arc<Material>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The socket failed.
    #[error("the connection is gone")]
    Socket(#[source] io::Error),
    /// TLS failed.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// What speaks there is something else.
    #[error(transparent)]
    Stranger(#[from] Stranger),
}

/// Takes a connection up to HTTP/2.
pub(super) async fn shake(tls: Option<&Tls>, stream: TcpStream) -> Result<Shaken, HandshakeError> {
    stream.set_nodelay(true).map_err(HandshakeError::Socket)?;
    let Some(tls) = tls else {
        return Ok(Shaken {
            stream: Box::new(greet(stream).await?),
            proof: None,
        });
    };
    // What speaks plain text would wait for an answer to it.
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if is_tls(first[0]) => {}
        Ok(1) => return Err(Stranger::PlainText.into()),
        Ok(_) => return Err(HandshakeError::Socket(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => return Err(HandshakeError::Socket(error)),
    }
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
        .await
        .map_err(HandshakeError::Tls)?;
    // Taken as late as can be; what replaces it from now on is heard of.
    let mut material = tls.follow();
    let config = Arc::clone(&material.borrow_and_update().config);
    let stream = match hello.into_stream(config).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            linger(stream).await;
            return Err(HandshakeError::Tls(error));
        }
    };
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let proof = chain.filter(|chain| !chain.is_empty());
    Ok(Shaken {
        stream: Box::new(greet(stream).await?),
        proof: proof.map(|chain| ClientProof { chain, material }),
    })
}

/// Lets the alert reach the client that it is for: a socket that is closed while there is something
/// to read is reset, and what was sent is lost with it.
async fn linger(mut stream: TcpStream) {
    let _ = tokio::time::timeout(LINGER, async {
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
}

// === impl ClientProof ===

impl ClientProof {
    /// The certificate itself.
    pub(super) fn certificate(&self) -> Option<Arc<[u8]>> {
        self.chain.first().map(|leaf| Arc::from(leaf.as_ref()))
    }

    /// Resolves when authorities or revocation lists were replaced by such that do not let this
    /// client in any longer.
    pub(super) async fn revoked(&mut self) -> rustls::Error {
        loop {
            if self.material.changed().await.is_err() {
                // Nothing replaces anything any more.
                return std::future::pending().await;
            }
            let material = Arc::clone(&self.material.borrow_and_update());
            if let Err(error) = material.admits(&self.chain) {
                return error;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio::net::TcpListener;

    use super::*;
    use crate::tls::{ClientCertificates, ClientFiles, ClientTls, Files};

    #[tokio::test]
    async fn the_certificate_of_a_client_is_known_byte_by_byte() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        let sign = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let ((server, server_key), (client, client_key)) = (sign("localhost"), sign("client"));
        let tls = Tls::load(Files {
            certificate: write("server.pem", &server.pem()),
            key: write("server.key", &server_key.serialize_pem()),
            client_certificates: ClientCertificates::Optional,
            client_ca: Some(ca.clone()),
            client_crl: None,
        })
        .unwrap();
        let own = (
            write("client.pem", &client.pem()),
            write("client.key", &client_key.serialize_pem()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (identity, expected) in [(Some(own), Some(&**client.der())), (None, None)] {
            let files = ClientFiles {
                ca: ca.clone(),
                identity,
            };
            let client = ClientTls::load(&files).unwrap();
            let says = async {
                let stream = TcpStream::connect(address).await.unwrap();
                let name = "localhost".try_into().unwrap();
                let mut stream = client.connect(name, stream).await.unwrap();
                stream
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                    .await
                    .unwrap();
                stream
            };
            let hears = async { shake(Some(&tls), listener.accept().await.unwrap().0).await };
            let (_stream, shaken) = tokio::join!(says, hears);
            let certificate = shaken.unwrap().proof.and_then(|proof| proof.certificate());
            assert_eq!(certificate.as_deref(), expected);
        }
    }
}
