//! Keys that come by TLS: from whom the authority says, and from nobody else.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use switchgate::shutdown::Drain;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::issuer::{AUDIENCE, ISSUER, Key, claims, set_of};
use super::{gateway, why};
use crate::gateway::{PATIENCE, within};

/// An authority, and its certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, file }
    }

    /// What a server of this name needs.
    fn server(&self, name: &str) -> TlsAcceptor {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Serves one body to everybody; gives the port.
async fn serve(acceptor: TlsAcceptor, body: String, drain: &Drain) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stopped = drain.stopped();
    drain.spawn(async move {
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, _) = accepted.unwrap();
            // A client that does not trust it goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let answer = format!("{head}{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn authorities_are_read_again_when_they_change() {
    let (own, other) = (Authority::new(), Authority::new());
    let key = Key::new("k", Algorithm::ES256);
    let token = key.sign(&claims(json!({})));
    let drain = Drain::new();
    let port = serve(own.server("127.0.0.1"), set_of(&[&key]), &drain).await;
    let file = NamedTempFile::new().unwrap();
    std::fs::copy(other.file.path(), file.path()).unwrap();
    let config = format!(
        "jwt: [{{issuer: '{ISSUER}', audience: [{AUDIENCE}], jwks_url: 'https://127.0.0.1:{port}/', ca_file: '{}', refresh_interval: 50ms}}]",
        file.path().display()
    );
    let gateway = gateway(&config).await;
    assert_eq!(why(&gateway, &token).await, "keys_unread");
    std::fs::copy(own.file.path(), file.path()).unwrap();
    within(async { while !why(&gateway, &token).await.is_empty() {} }).await;
    gateway.stop().await;
    assert!(drain.finish(PATIENCE).await);
}

#[tokio::test]
async fn keys_are_taken_from_whom_the_authority_says_alone() {
    let (own, other) = (Authority::new(), Authority::new());
    let key = Key::new("k", Algorithm::ES256);
    let token = key.sign(&claims(json!({})));
    for (name, trusted, wanted) in [
        ("127.0.0.1", &own, ""),
        ("127.0.0.1", &other, "keys_unread"),
        ("127.0.0.2", &own, "keys_unread"),
    ] {
        let drain = Drain::new();
        let port = serve(own.server(name), set_of(&[&key]), &drain).await;
        let config = format!(
            "jwt: [{{issuer: '{ISSUER}', audience: [{AUDIENCE}], jwks_url: 'https://127.0.0.1:{port}/', ca_file: '{}'}}]",
            trusted.file.path().display()
        );
        let gateway = gateway(&config).await;
        assert_eq!(why(&gateway, &token).await, wanted, "{name}");
        gateway.stop().await;
        assert!(drain.finish(PATIENCE).await);
    }
}
