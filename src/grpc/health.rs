//! `grpc.health.v1`, per service.
//!
//! Own and not `tonic_health`'s service, whose Watch ends with NOT_FOUND for an unknown service
//! where the protocol demands SERVICE_UNKNOWN on an open stream; the generated code is its.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as HealthApi;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The state of all services: they serve or stop together. NOT_SERVING until somebody says
/// otherwise.
#[derive(Debug, Clone)]
pub struct Health {
    services: Arc<[&'static str]>,
    state: Arc<watch::Sender<ServingStatus>>,
}

// === impl Health ===

impl Health {
    /// Health of these services, and of the server as a whole, whose name is empty.
    pub(super) fn new(services: &[&'static str]) -> Self {
        Self {
            services: services.into(),
            state: Arc::new(watch::Sender::new(ServingStatus::NotServing)),
        }
    }

    /// Says whether the services serve.
    pub fn set_serving(&self, is_serving: bool) {
        let state = if is_serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.state.send_replace(state);
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
        Ok(Response::new(response(*self.state.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = self.knows(&request.into_inner().service);
        let states = WatchStream::new(self.state.subscribe());
        let told = states.map(move |state| {
            Ok(response(if is_known {
                state
            } else {
                ServingStatus::ServiceUnknown
            }))
        });
        Ok(Response::new(Box::pin(told)))
    }
}

fn response(state: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: state.into(),
    }
}
