//! TLS: who gets in, and what is told to those who do not.

pub(crate) mod clients;
pub(crate) mod pki;

use std::process::{Command, Output};

use rustls::AlertDescription;
use switchgate::config::Config;
use switchgate::tls::ClientCertificates;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::faults::until;
use crate::gateway::{Gateway, within};
use clients::Client;
use pki::{Authority, Folder};

/// A gateway that speaks TLS, and the files that it does so with.
pub(crate) struct Secured {
    pub(crate) gateway: Gateway,
    pub(crate) folder: Folder,
    /// Of the server's certificate.
    pub(crate) authority: Authority,
    /// Of clients' certificates.
    pub(crate) clients: Authority,
}

// === impl Secured ===

impl Secured {
    pub(crate) async fn new(ask: ClientCertificates) -> Self {
        Self::tuned(ask, |_, _| {}).await
    }

    pub(crate) async fn tuned(
        ask: ClientCertificates,
        tune: impl FnOnce(&mut Config, &Folder),
    ) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("servers"));
        let clients = Authority::new("clients");
        let (certificate, key) = folder.identity("server", &authority.server());
        let client_ca = folder.write("clients.pem", &clients.pem);
        let gateway = Gateway::over_sims(1, |config| {
            let tls = &mut config.grpc.tls;
            (tls.certificate, tls.key) = (Some(certificate), Some(key));
            tls.client_certificates = ask;
            tls.client_ca = (ask != ClientCertificates::None).then_some(client_ca);
            tune(config, &folder);
        })
        .await;
        Self {
            gateway,
            folder,
            authority,
            clients,
        }
    }

    /// A client that trusts the server and has no certificate.
    pub(crate) fn nobody(&self) -> Client {
        Client::new(&[&self.authority], None)
    }

    /// A client with a good certificate of this number.
    pub(crate) fn client(&self, serial: u64) -> Client {
        Client::new(&[&self.authority], Some(&self.clients.client(serial)))
    }

    fn failed_handshakes(&self) -> u64 {
        self.gateway.transport.connections().failed_handshakes
    }

    /// The health check, with these flags, of this gateway.
    fn healthcheck(&self, flags: &[&str]) -> Output {
        self.program("healthcheck", flags)
    }

    /// This sub-command, with these flags, asks this gateway.
    fn program(&self, name: &str, flags: &[&str]) -> Output {
        let address = format!("localhost:{}", self.gateway.address.port());
        let command = Command::new(env!("CARGO_BIN_EXE_switchgate"))
            .args([name, "--address", &address])
            .args(flags)
            .env_clear()
            .output();
        command.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_authority_is_served_and_another_is_not() {
    let secured = Secured::new(ClientCertificates::None).await;
    let address = secured.gateway.address;
    assert_eq!(secured.nobody().ask(address).await, Ok(1));

    let distrustful = Client::new(&[&secured.clients], None);
    let refused = distrustful.ask(address).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    until(|| secured.failed_handshakes() == 1).await;

    let stream = within(secured.nobody().dial(address)).await.unwrap();
    let connection = stream.get_ref().1;
    assert_eq!(connection.alpn_protocol(), Some(b"h2".as_slice()));
    drop(stream);
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_must_give_a_certificate_where_it_is_required() {
    let secured = Secured::new(ClientCertificates::Required).await;
    let address = secured.gateway.address;
    assert_eq!(secured.client(7).ask(address).await, Ok(1));
    let alert = secured.nobody().refusal(address).await;
    assert_eq!(alert, Some(AlertDescription::CertificateRequired));
    assert!(secured.nobody().ask(address).await.is_err());
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_give_a_certificate_where_it_is_optional() {
    let secured = Secured::new(ClientCertificates::Optional).await;
    let address = secured.gateway.address;
    assert_eq!(secured.client(7).ask(address).await, Ok(1));
    assert_eq!(secured.nobody().ask(address).await, Ok(1));
    assert_eq!(secured.failed_handshakes(), 0);
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_foreign_certificates_are_refused_whether_required_or_not() {
    for ask in [ClientCertificates::Optional, ClientCertificates::Required] {
        let secured = Secured::new(ask).await;
        let address = secured.gateway.address;
        let (expired, foreign) = (
            secured.clients.expired_client(),
            // Good for a server, not for a client.
            secured.authority.client(1),
        );
        for (identity, alert) in [
            (expired, AlertDescription::CertificateExpired),
            (foreign, AlertDescription::UnknownCA),
        ] {
            let client = Client::new(&[&secured.authority], Some(&identity));
            assert_eq!(client.refusal(address).await, Some(alert), "{ask:?}");
            assert!(client.ask(address).await.is_err());
        }
        let of_a_server = secured.clients.server();
        let client = Client::new(&[&secured.authority], Some(&of_a_server));
        assert!(client.refusal(address).await.is_some());
        secured.gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_on_a_tls_port_and_tls_on_a_plain_port_are_closed() {
    let secured = Secured::new(ClientCertificates::None).await;
    for said in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(answer_to(secured.gateway.address, said).await, b"");
    }
    assert_eq!(secured.failed_handshakes(), 2);

    let plain = Gateway::over_sim().await;
    assert!(within(secured.nobody().dial(plain.address)).await.is_err());
    assert_eq!(
        answer_to(plain.address, "GET / HTTP/1.1\r\n\r\n").await,
        b""
    );
    assert_eq!(plain.transport.connections().failed_handshakes, 2);
    plain.stop().await;
    secured.gateway.stop().await;
}

/// What a server answers before it closes the connection.
async fn answer_to(address: std::net::SocketAddr, said: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let write = tokio::io::AsyncWriteExt::write_all(&mut stream, said.as_bytes());
    write.await.unwrap();
    let mut answer = Vec::new();
    // A reset tells as much as an end.
    let _ = within(stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthcheck_speaks_tls_with_and_without_a_certificate() {
    let secured = Secured::new(ClientCertificates::Required).await;
    let folder = &secured.folder;
    let ca = folder.write("ca.pem", &secured.authority.pem);
    let (certificate, key) = folder.identity("probe", &secured.clients.client(5));
    let token = folder.write("token", "secret\n");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, certificate, key) = (path(&ca), path(&certificate), path(&key));
    let (token, missing) = (path(&token), path(&folder.path("missing")));

    let mutual = ["--ca", &ca, "--certificate", &certificate, "--key", &key];
    let with = |more: &[&'static str]| secured.healthcheck(&[&mutual, more].concat());
    assert_eq!(with(&[]).status.code(), Some(0), "{:?}", with(&[]));
    assert_eq!(with(&["--server-name", "127.0.0.1"]).status.code(), Some(0));
    let other = with(&["--server-name", "other.example.net"]);
    assert_eq!(other.status.code(), Some(2), "{other:?}");
    let alone = secured.healthcheck(&["--ca", &ca]);
    assert_eq!(alone.status.code(), Some(2), "{alone:?}");
    let token = [&mutual, ["--token-file", &token].as_slice()].concat();
    assert_eq!(secured.healthcheck(&token).status.code(), Some(0));

    let nodes = secured.program("nodes", &mutual);
    assert_eq!(nodes.status.code(), Some(0), "{nodes:?}");
    let shown = String::from_utf8(nodes.stdout).unwrap();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "a heading and the one node: {shown}");
    assert!(lines[1].contains("READY"), "{shown}");
    let alone = secured.program("nodes", &["--ca", &ca]);
    assert_eq!(alone.status.code(), Some(2), "{alone:?}");

    for wrong in [
        ["--ca", &missing].as_slice(),
        &["--ca", &key],
        &["--token-file", &missing],
        &["--certificate", &certificate, "--key", &key],
        &["--ca", &ca, "--certificate", &certificate],
        &["--server-name", "localhost"],
    ] {
        let output = secured.healthcheck(wrong);
        assert_eq!(output.status.code(), Some(64), "{wrong:?}: {output:?}");
    }
    secured.gateway.stop().await;
}
