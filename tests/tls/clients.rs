//! Clients that speak TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use switchgate::pb;
use switchgate::pb::node_service_client::NodeServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::pki::{Authority, Identity};
use crate::gateway::within;

/// Whom a client trusts, and who it is.
#[derive(Clone)]
pub(crate) struct Client {
    connector: TlsConnector,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(trusted: &[&Authority], identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        for authority in trusted {
            let der = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
            roots.add(der).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                let chain = chain.collect::<Result<_, _>>().unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// A connection that has shaken hands, as far as the client is concerned: in TLS 1.3 a server
    /// refuses its certificate afterwards.
    pub(crate) async fn dial(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = "localhost".try_into().unwrap();
        self.connector.connect(name, stream).await
    }

    pub(crate) async fn channel(
        &self,
        address: SocketAddr,
    ) -> Result<Channel, tonic::transport::Error> {
        let client = self.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let client = client.clone();
            async move { client.dial(address).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://localhost")
            .connect_with_connector(connector)
            .await
    }

    /// Connects, asks for the list of nodes, and gives back how many there are.
    pub(crate) async fn ask(&self, address: SocketAddr) -> Result<usize, String> {
        let channel = within(self.channel(address)).await;
        let channel = channel.map_err(|error| format!("{error:?}"))?;
        list_nodes(&channel)
            .await
            .map_err(|status| format!("{status:?}"))
    }

    /// The alert with which the server refuses this client, if it does.
    pub(crate) async fn refusal(&self, address: SocketAddr) -> Option<AlertDescription> {
        let outcome = async {
            let mut stream = self.dial(address).await?;
            stream
                .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                .await?;
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
            stream.read_u8().await
        };
        let error = within(outcome).await.err()?;
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::AlertReceived(alert) => Some(*alert),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn list_nodes(channel: &Channel) -> Result<usize, tonic::Status> {
    let request = pb::ListNodesRequest::default();
    let mut client = NodeServiceClient::new(channel.clone());
    let listed = within(client.list_nodes(request)).await?;
    Ok(listed.into_inner().nodes.len())
}
