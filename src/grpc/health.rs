//! `grpc.health.v1`, per service.
//!
//! Own and not `tonic_health`'s service, whose Watch ends with NOT_FOUND for an unknown service
//! where the protocol demands SERVICE_UNKNOWN on an open stream; the generated code is its.

use std::future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as HealthApi;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::status::status;
use super::watch::shutting_down;
use crate::shutdown::Drain;

/// The state of all services: they serve or stop together. NOT_SERVING until somebody says
/// otherwise.
#[derive(Debug, Clone)]
pub struct Health {
    services: Arc<[&'static str]>,
    state: Arc<watch::Sender<Stage>>,
    /// Ends the streams of Watch, which have no end of their own.
    drain: Drain,
}

/// A way of no return: a node that comes into service while the gateway drains must not call
/// clients back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    Stopped,
}

/// One stream of Watch.
struct Feed {
    states: watch::Receiver<Stage>,
    told: Option<ServingStatus>,
    is_known: bool,
    drain: Drain,
}

// === impl Health ===

impl Health {
    /// Health of these services, and of the server as a whole, whose name is empty.
    pub(super) fn new(services: &[&'static str], drain: &Drain) -> Self {
        Self {
            services: services.into(),
            state: Arc::new(watch::Sender::new(Stage::Starting)),
            drain: drain.clone(),
        }
    }

    /// The services serve from now on, unless they were stopped.
    pub fn serve(&self) {
        self.state.send_if_modified(|stage| {
            let is_first = *stage == Stage::Starting;
            if is_first {
                *stage = Stage::Serving;
            }
            is_first
        });
    }

    /// The services serve no more, whatever else is said.
    pub fn stop_serving(&self) {
        self.state.send_replace(Stage::Stopped);
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

#[tonic::async_trait]
impl HealthApi for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            // The protocol's own code for this case, which has no ErrorInfo.
            return Err(Status::not_found(format!("no service {service:?}")));
        }
        Ok(Response::new(response(self.state.borrow().status())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = self.knows(&request.into_inner().service);
        let feed = Feed {
            states: self.state.subscribe(),
            told: None,
            is_known,
            drain: self.drain.clone(),
        };
        let told = stream::unfold(feed, |mut feed| async move {
            let state = feed.next().await?;
            Some((Ok(response(state)), feed))
        });
        let end = stream::once(future::ready(Err(status(&shutting_down()))));
        let told = told.chain(end);
        Ok(Response::new(Box::pin(told)))
    }
}

// === impl Stage ===

impl Stage {
    fn status(self) -> ServingStatus {
        match self {
            Self::Serving => ServingStatus::Serving,
            Self::Starting | Self::Stopped => ServingStatus::NotServing,
        }
    }
}

// === impl Feed ===

impl Feed {
    /// The next state that differs from the one told last; the stop comes after the last of them.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let state = match self.is_known {
                true => self.states.borrow_and_update().status(),
                false => ServingStatus::ServiceUnknown,
            };
            if self.told.replace(state) != Some(state) {
                return Some(state);
            }
            tokio::select! {
                biased;
                changed = self.states.changed() => changed.ok()?,
                () = self.drain.stopped() => return None,
            }
        }
    }
}

fn response(state: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: state.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_ends_with_the_gateway_and_says_why() {
        let drain = Drain::new();
        let health = Health::new(&["a"], &drain);
        health.serve();
        let request = HealthCheckRequest {
            service: "unknown".to_owned(),
        };
        let mut told = health
            .watch(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        let state = told.next().await.unwrap().unwrap();
        assert_eq!(state.status(), ServingStatus::ServiceUnknown);
        drain.stop();
        let end = told.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), tonic::Code::Unavailable);
        assert!(told.next().await.is_none());
    }
    #[tokio::test]
    async fn a_node_that_comes_late_does_not_take_the_stop_back() {
        let health = Health::new(&["a"], &Drain::new());
        let told = async || {
            let request = Request::new(HealthCheckRequest::default());
            health.check(request).await.unwrap().into_inner().status()
        };
        assert_eq!(told().await, ServingStatus::NotServing);
        health.serve();
        assert_eq!(told().await, ServingStatus::Serving);
        health.stop_serving();
        health.serve();
        assert_eq!(told().await, ServingStatus::NotServing);
    }
}
