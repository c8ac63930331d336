//! Wires metrics and probes.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{AppError, Reloads};
use crate::admin::{Admin, AdminParts, Readiness};
use crate::config::AdminConfig;
use crate::control::Parts;
use crate::discovery::Discovery;
use crate::grpc::{Server, Services};
use crate::shutdown::Drain;
use crate::telemetry::metrics::{
    AccessMetrics, ConnectionMetrics, DiscoveryMetrics, EventMetrics, JobMetrics, LinkMetrics,
    NodeMetrics, ProcessMetrics, ReloadMetrics, RpcMetrics, SessionMetrics, Theme,
};

/// Binds the port, unless it is switched off.
pub(super) async fn listen(config: &AdminConfig) -> Result<Option<TcpListener>, AppError> {
    if !config.enabled {
        return Ok(None);
    }
    let address = config.listen;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(AppError::ListenAdmin { address, source }),
    }
}

/// The themes of the metrics.
pub(super) fn themes(
    parts: &Parts,
    services: &Services,
    server: &Server,
    readiness: &Readiness,
    (reloads, discovery): (&Reloads, &Discovery),
    (front, back): (&Drain, &Drain),
) -> Vec<Box<dyn Theme>> {
    let Parts {
        fleet,
        tracker,
        jobs,
        journal,
        ..
    } = parts;
    vec![
        Box::new(ProcessMetrics::new(front, back)),
        Box::new(readiness.clone()),
        Box::new(ReloadMetrics(Arc::clone(reloads.counts()))),
        Box::new(DiscoveryMetrics(discovery.clone())),
        Box::new(RpcMetrics(server.api().tally().clone())),
        Box::new(ConnectionMetrics(server.transport())),
        Box::new(AccessMetrics {
            identities: services.access.identities.clone(),
            limits: services.access.limits.clone(),
        }),
        Box::new(NodeMetrics {
            fleet: Arc::clone(fleet),
            tracker: Arc::clone(tracker),
            jobs: Arc::clone(jobs),
        }),
        Box::new(LinkMetrics(Arc::clone(fleet))),
        Box::new(SessionMetrics {
            tracker: Arc::clone(tracker),
            once: Arc::clone(&services.once),
        }),
        Box::new(JobMetrics(Arc::clone(jobs))),
        Box::new(EventMetrics(Arc::clone(journal))),
    ]
}

/// Answers from now on.
pub(super) fn start(
    address: SocketAddr,
    listener: TcpListener,
    parts: &AdminParts,
) -> Result<Admin, AppError> {
    Admin::start(listener, parts).map_err(|source| AppError::ListenAdmin { address, source })
}
