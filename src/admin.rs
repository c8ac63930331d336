//! The admin port: probes, metrics and the log level, in plain text on a port of their own.
//!
//! HTTP/1 and HTTP/2 without TLS, since the probes of Kubernetes and most scrapers speak no other
//! way. It is there before anything else and goes last, so that a probe always gets an answer.

mod connections;
mod log_level;
mod pages;
mod readiness;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};

pub use readiness::{Readiness, Stage, Verdict};

use crate::config::LogLevelFrom;
use crate::grpc::Health;
use crate::shutdown::Drain;
use crate::telemetry::{LogLevel, Metrics};

/// How long connections may take to close at the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the admin port tells. Clones share it.
#[derive(Debug, Clone)]
pub struct AdminParts {
    /// Whether requests may come.
    pub readiness: Readiness,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The state that `grpc.health.v1` tells, as on the port of gRPC.
    pub health: Health,
    /// Who may change the log level.
    pub log_level_from: LogLevelFrom,
    /// What is logged; absent where the logs are not the program's own.
    pub log_level: Option<LogLevel>,
}

/// The admin port, which answers from the start. Dropped, it closes.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    drain: Drain,
}

// === impl Admin ===

impl Admin {
    /// Answers on this listener from now on.
    ///
    /// # Errors
    /// When the socket has no address, which a bound one has.
    pub fn start(listener: TcpListener, parts: &AdminParts) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let drain = Drain::new();
        drain.spawn(server::serve(listener, pages::router(parts), drain.clone()));
        info!(%address, "serving metrics and probes");
        Ok(Self { address, drain })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes; probes get no answer from now on.
    pub async fn finish(self) {
        if !self.drain.finish(GOODBYE).await {
            warn!(
                left = self.drain.running(),
                "connections for metrics and probes are cut"
            );
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.drain.stop();
    }
}
