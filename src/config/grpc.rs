//! The section of the gRPC server with its defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::{Size, read, read_or_none, write_duration};
use crate::tls::{ClientCertificates, Files};

/// Port of the gRPC server by default.
pub const DEFAULT_GRPC_PORT: u16 = 50061;

/// The gRPC server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// Address and port to listen on. Default 127.0.0.1:50061; port 0 takes any free one.
    #[serde(deserialize_with = "read")]
    pub listen: SocketAddr,
    /// TLS; plain text without.
    pub tls: TlsConfig,
    /// Largest message that is taken or sent, in bytes. Default 4MiB, which is also what gRPC
    /// clients take by default.
    #[serde(deserialize_with = "read")]
    pub max_message_bytes: Size,
    /// Largest headers of a request, in bytes, decoded, with 32 more for each. Default 16KiB: a
    /// token in `authorization` is 1 to 2 KiB mostly.
    #[serde(deserialize_with = "read")]
    pub max_header_bytes: Size,
    /// Most bytes that one stream has waiting for a slow client, beside what the client's own
    /// window holds. Default 64KiB.
    #[serde(deserialize_with = "read")]
    pub max_send_buffer_bytes: Size,
    /// Most connections at once; one more takes the place of the oldest that had no request admitted,
    /// or is closed at once. Default 10000; each needs a file descriptor.
    #[serde(deserialize_with = "read")]
    pub max_connections: usize,
    /// Most connections that are not through their handshake; the oldest makes room for a newer
    /// one. Default 1024; keep it above the number of clients that come back at once after a
    /// restart.
    #[serde(deserialize_with = "read")]
    pub max_handshakes: usize,
    /// Longest time for TLS and the first bytes of HTTP/2. Default 10s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub handshake_timeout: Duration,
    /// Time between HTTP/2 pings to a silent client. Default 30s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub keepalive_interval: Duration,
    /// Time after which a client that answers no ping is gone. Default 10s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub keepalive_timeout: Duration,
    /// Age at which a connection gets GOAWAY, give or take a tenth, so that clients connect anew
    /// and spread over the gateways. Default 30m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub max_connection_age: Duration,
    /// Time that calls and streams of such a connection have left; then streams end with
    /// UNAVAILABLE and their cursor, and the connection is closed. Default 5m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub max_connection_age_grace: Duration,
    /// Most calls at once on one connection; a client queues more. Default 200, since one that begins
    /// thousands at a time otherwise holds up the others.
    #[serde(deserialize_with = "read")]
    pub max_concurrent_streams: u32,
    /// Most streams of a connection that the client may reset before they are taken up; one more
    /// ends the connection (CVE-2023-44487). Default 20.
    #[serde(deserialize_with = "read")]
    pub max_pending_resets: usize,
    /// Whether server reflection answers, by which grpcurl knows the services. Default true.
    #[serde(deserialize_with = "read")]
    pub reflection: bool,
    /// How long a call may take.
    pub deadlines: DeadlinesConfig,
}

/// TLS of the gRPC server. All files are PEM and are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// File with the certificate, then those between it and its authority. Default none: plain
    /// text.
    #[serde(deserialize_with = "read_or_none")]
    pub certificate: Option<PathBuf>,
    /// File with the certificate's private key, not encrypted. Default none.
    #[serde(deserialize_with = "read_or_none")]
    pub key: Option<PathBuf>,
    /// Whether clients must give a certificate: `none`, `optional` or `required`. Default none.
    #[serde(deserialize_with = "read")]
    pub client_certificates: ClientCertificates,
    /// File with the authorities whose client certificates are good. Default none.
    #[serde(deserialize_with = "read_or_none")]
    pub client_ca: Option<PathBuf>,
    /// File with revocation lists, one of each authority of `client_ca` and of those between.
    /// Default none.
    #[serde(deserialize_with = "read_or_none")]
    pub client_crl: Option<PathBuf>,
    /// How often the files are looked at for a change. Default 30s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub reload_interval: Duration,
}

/// How long a unary call may take. A client's own deadline counts where it gives one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlinesConfig {
    /// For a call without a deadline of its own. Default 30s.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub default: Duration,
    /// For an Originate without a deadline of its own; phones ring long. Default 2m.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub originate: Duration,
    /// Longest deadline that a client can ask for; a longer one is cut to it. Default 1h.
    #[serde(deserialize_with = "read", serialize_with = "write_duration")]
    pub max: Duration,
}

// === impl Default ===

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_GRPC_PORT)),
            tls: TlsConfig::default(),
            max_message_bytes: Size::from_mib(4),
            max_header_bytes: Size::from_kib(16),
            max_send_buffer_bytes: Size::from_kib(64),
            max_connections: 10_000,
            max_handshakes: 1024,
            handshake_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_connection_age: Duration::from_secs(1800),
            max_connection_age_grace: Duration::from_secs(300),
            max_concurrent_streams: 200,
            max_pending_resets: 20,
            reflection: true,
            deadlines: DeadlinesConfig::default(),
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_certificates: ClientCertificates::None,
            client_ca: None,
            client_crl: None,
            reload_interval: Duration::from_secs(30),
        }
    }
}

impl Default for DeadlinesConfig {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(30),
            originate: Duration::from_secs(120),
            max: Duration::from_secs(3600),
        }
    }
}

// === impl TlsConfig ===

impl TlsConfig {
    /// The files of a server that speaks TLS; none where it speaks plain text.
    pub fn files(&self) -> Option<Files> {
        Some(Files {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            client_certificates: self.client_certificates,
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
        })
    }
}
