//! The server: our own accept loop over hyper, so that limits, deadlines and the stop are ours.
//!
//! tonic's loop leaves the number of streams unlimited, answers an expired deadline with
//! CANCELLED, and waits for ever for open streams when it stops.

use std::time::Duration;

use tokio::net::TcpListener;
use tracing::warn;

use super::Services;
use super::api::Api;
use super::connection::Reception;
use super::gate::{ConnectionFigures, Gate, Seldom};
use crate::accept::accept;
use crate::tls::Tls;

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub struct GrpcConfig {
    /// Longest request message.
    pub max_message_bytes: usize,
    /// Whether reflection is served.
    pub reflection: bool,
    /// Connections that are served at a time.
    pub max_connections: usize,
    /// Handshakes under way at a time; the oldest makes room for a newer one.
    pub max_handshakes: usize,
    /// What each connection is held to.
    pub limits: Limits,
}

/// What each connection is held to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time for TLS and the first bytes of HTTP/2.
    pub handshake_timeout: Duration,
    /// Silence after which a client is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// Age at which a connection takes no new RPCs, give or take a tenth.
    pub max_connection_age: Duration,
    /// Time that RPCs under way have from then on.
    pub max_connection_age_grace: Duration,
    /// RPCs under way at a time.
    pub max_concurrent_streams: u32,
    /// Streams that a client may reset before they are taken up (CVE-2023-44487,
    /// RUSTSEC-2024-0003).
    pub max_pending_resets: usize,
    /// Bytes of a request's headers, decoded, with 32 more for each.
    pub max_header_bytes: u32,
    /// Bytes that one stream may have waiting for a slow client, beside what the client's own
    /// window holds.
    pub max_send_buffer_bytes: usize,
}

/// All services behind one listener. Clones share it.
#[derive(Debug, Clone)]
pub struct Server {
    reception: Reception,
    gate: Gate,
}

/// What an operator watches of a server. Clones share it.
#[derive(Debug, Clone)]
pub struct Transport {
    gate: Gate,
    tls: Option<Tls>,
}

// === impl Default ===

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            reflection: true,
            max_connections: 10_000,
            max_handshakes: 1024,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_connection_age: Duration::from_secs(1800),
            max_connection_age_grace: Duration::from_secs(300),
            max_concurrent_streams: 200,
            max_pending_resets: 20,
            max_header_bytes: 16 << 10,
            max_send_buffer_bytes: 64 << 10,
        }
    }
}

// === impl Server ===

impl Server {
    /// Puts the services together; without `tls` they speak plain text.
    ///
    /// # Errors
    /// When the descriptor set for reflection is malformed, which a build would have noticed.
    pub fn new(
        services: &Services,
        config: GrpcConfig,
        tls: Option<Tls>,
    ) -> Result<Self, tonic_reflection::server::Error> {
        Ok(Self {
            reception: Reception {
                api: Api::new(services, config.max_message_bytes, config.reflection)?,
                limits: config.limits,
                tls,
                drain: services.drain.clone(),
            },
            gate: Gate::new(config.max_connections, config.max_handshakes),
        })
    }

    /// What answers requests, however they come.
    pub fn api(&self) -> &Api {
        &self.reception.api
    }

    /// What an operator watches of it.
    pub fn transport(&self) -> Transport {
        Transport {
            gate: self.gate.clone(),
            tls: self.reception.tls.clone(),
        }
    }

    /// Accepts connections until the drain stops; then sends GOAWAY on each and returns. RPCs
    /// under way are tasks of the drain.
    pub async fn serve(self, listener: TcpListener) {
        let drain = self.reception.drain.clone();
        let failing = Seldom::default();
        let take = |stream, address| {
            if let Some(handshake) = self.gate.enter() {
                let reception = self.reception.clone();
                drain.spawn(reception.serve(handshake, stream, address));
            }
        };
        let failed = |error| {
            if let Some(times) = failing.due() {
                warn!(%error, times, "connections are not accepted");
            }
        };
        accept(listener, &drain, take, failed).await;
    }
}

// === impl Transport ===

impl Transport {
    /// Connections: how many there are, and what became of those that were refused.
    pub fn connections(&self) -> ConnectionFigures {
        self.gate.figures()
    }

    /// TLS, where it is configured: its certificate, and the means to read it again.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}
