//! What comes before HTTP/2 on a connection: TLS where it is configured, and the preface.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;

use super::preface::{Stranger, greet, is_tls};
use crate::tls::{Material, Tls};

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
    let stream = hello
        .into_stream(config)
        .await
        .map_err(HandshakeError::Tls)?;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let proof = chain.filter(|chain| !chain.is_empty());
    Ok(Shaken {
        stream: Box::new(greet(stream).await?),
        proof: proof.map(|chain| ClientProof { chain, material }),
    })
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
