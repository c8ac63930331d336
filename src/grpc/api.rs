//! The API as one: what happens to a request between the socket and the service that answers it.
//!
//! Each request is answered by services of its own, which act for its caller: a handler cannot
//! forget to ask whom it works for.

use std::borrow::Cow;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use http::header::{AUTHORIZATION, HeaderMap};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Service as _;
use tracing::Instrument as _;

use super::answer;
use super::event_service::body;
use super::event_service::server::event_service_server::{self, EventServiceServer};
use super::gate::Proven;
use super::health::Health;
use super::observe::Observed;
use super::open::{self, Open};
use super::peer::Peer;
use super::receiving;
use super::rpc::Rpc;
use super::status::status;
use super::tally::Tally;
use super::{Services, deadline};
use crate::access::{Holds, Proof, ProofKind, Standing};
use crate::domain::{Failure, Reason};
use crate::pb::call_service_server::{self, CallServiceServer};
use crate::pb::job_service_server::{self, JobServiceServer};
use crate::pb::node_service_server::{self, NodeServiceServer};
use crate::pb::session_service_server::{self, SessionServiceServer};
use crate::shutdown::Drain;

/// How long RPCs have to end themselves that are cut: they know best what to say.
const LAST_WORD: Duration = Duration::from_millis(200);

/// All services. Clones share them.
#[derive(Debug, Clone)]
pub struct Api {
    services: Services,
    /// Health and reflection, which are the same for everyone.
    open: Routes,
    /// How many of these may be under way.
    open_bounds: Open,
    health: Health,
    max_message_bytes: usize,
    /// Ends the RPCs that the grace period did not.
    cut: CancellationToken,
    tally: Tally,
    /// Learns when somebody known asks; absent where there is no connection.
    proven: Option<Proven>,
}

// === impl Api ===

impl Api {
    /// Puts the services together.
    ///
    /// # Errors
    /// When the descriptor set for reflection is malformed, which a build would have noticed.
    pub(super) fn new(
        services: &Services,
        max_message_bytes: usize,
        reflection: bool,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let names = [
            session_service_server::SERVICE_NAME,
            call_service_server::SERVICE_NAME,
            job_service_server::SERVICE_NAME,
            event_service_server::SERVICE_NAME,
            node_service_server::SERVICE_NAME,
        ];
        let health = Health::new(&names, &services.drain);
        let mut open = Routes::new(HealthServer::new(health.clone()));
        if reflection {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(crate::pb::DESCRIPTOR)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                    // So that reflecting clients can show the details of errors.
                    .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            };
            open = open
                .add_service(builder().build_v1()?)
                .add_service(builder().build_v1alpha()?);
        }
        Ok(Self {
            services: services.clone(),
            open: open.prepare(),
            open_bounds: Open::new(),
            health,
            max_message_bytes,
            cut: services.control.cut().clone(),
            tally: Tally::new(),
            proven: None,
        })
    }

    /// The state that `grpc.health.v1` tells.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The same services, whose streams end with this drain and whose RPCs are cut by this token:
    /// those of one connection, which learns when somebody known asks.
    pub(super) fn on_connection(
        &self,
        drain: &Drain,
        cut: &CancellationToken,
        proven: Proven,
    ) -> Self {
        let mut api = self.clone();
        api.proven = Some(proven);
        api.open_bounds = self.open_bounds.on_connection();
        api.services.drain = drain.clone();
        api.services.control.set_cut(cut.clone());
        api.cut = cut.clone();
        api
    }

    /// Ends the RPCs that the grace period did not.
    pub(super) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// All requests since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Answers one request, however it came: takes the client's deadline out of the headers and
    /// lets the services do the rest.
    pub async fn answer<B>(&self, mut request: Request<B>, peer: &Peer) -> http::Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let call = self.tally.begin(request.uri().path());
        if let Some(deadline) = deadline::take(request.headers_mut()) {
            request.extensions_mut().insert(deadline);
        }
        let observed = Observed::begin(
            &self.services.audit,
            request.uri().path(),
            request.headers(),
            peer,
        );
        let request = observed.request(request.map(Body::new));
        let answer = async {
            tokio::select! {
                biased;
                response = or_internal(self.route(request, peer, &observed)) => body::unpack(response),
                () = self.cut_off() => {
                    let message = "the gateway shuts down; the request may have been executed";
                    let failure = Failure::new(Reason::ShuttingDown, message).with("command_sent", true);
                    status(&failure).into_http()
                }
            }
        };
        let response = answer.instrument(observed.span().clone()).await;
        answer::follow(response, call, observed)
    }

    /// Gives the request to its service, which acts for the caller.
    async fn route(
        &self,
        request: Request<Body>,
        peer: &Peer,
        observed: &Observed,
    ) -> Result<http::Response<Body>, Infallible> {
        let Some(rpc) = Rpc::at(request.uri().path()) else {
            return self.route_open(request).await;
        };
        let authorization = authorization(request.headers());
        let proof = Proof {
            authorization: authorization.as_deref(),
            certificate: peer.certificate.as_deref(),
        };
        let admission = self.services.access.admit(proof, &rpc.path).await;
        let admitted = admission.and_then(|admission| {
            let is_known = admission.kind != ProofKind::Anonymous;
            observed.identified(&admission.name, is_known);
            if let Some(proven) = &self.proven
                && (is_known || admission.outcome.is_ok())
            {
                proven.tell();
            }
            let holds = if rpc.streams {
                Holds::Stream
            } else {
                Holds::Unary
            };
            // Before its rights are looked at: who has none asks no faster than others.
            let permit = self.services.access.limits.enter(&admission.name, holds)?;
            let permit = Arc::new(permit);
            let admitted = admission.outcome?;
            let caller = observed.admitted(admitted.caller.clone(), request.headers())?;
            let mut services = self.services.on_behalf_of(caller, &permit);
            services.standing = rpc.streams.then(|| {
                let access = &self.services.access;
                Arc::new(Standing::new(access, proof, &rpc.path, admitted))
            });
            Ok((services, permit))
        });
        let (services, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(failure) => return Ok(status(&failure).into_http()),
        };
        let request = receiving::bounded(request);
        let limit = self.max_message_bytes;
        macro_rules! serve {
            ($server:ident) => {
                $server::new(services)
                    .max_decoding_message_size(limit)
                    .call(request)
                    .await
            };
        }
        let answer = match rpc.service.as_str() {
            session_service_server::SERVICE_NAME => serve!(SessionServiceServer),
            call_service_server::SERVICE_NAME => serve!(CallServiceServer),
            job_service_server::SERVICE_NAME => serve!(JobServiceServer),
            event_service_server::SERVICE_NAME => serve!(EventServiceServer),
            node_service_server::SERVICE_NAME => serve!(NodeServiceServer),
            _ => self.route_open(request).await,
        };
        // Of a unary RPC it is over.
        match rpc.streams {
            true => answer.map(|response| answer::keep(response, permit)),
            false => answer,
        }
    }

    /// Gives the request to health or reflection, for whoever asks, or says that there is no such RPC.
    async fn route_open(&self, request: Request<Body>) -> Result<http::Response<Body>, Infallible> {
        let permit = match self.open_bounds.enter() {
            Ok(permit) => permit,
            Err(failure) => return Ok(status(&failure).into_http()),
        };
        let answer = self.open.clone().call(open::bounded(request)).await;
        answer.map(|response| answer::keep(response, permit))
    }

    /// Resolves when no answer is waited for any longer.
    async fn cut_off(&self) {
        self.cut.cancelled().await;
        tokio::time::sleep(LAST_WORD).await;
    }
}

/// The header `authorization`; several are joined as HTTP says, so that nobody has the choice.
fn authorization(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next()?.as_bytes();
    Some(values.fold(Cow::Borrowed(first), |joined, value| {
        Cow::Owned([&joined, b", ".as_slice(), value.as_bytes()].concat())
    }))
}

/// A panic ends this RPC with INTERNAL, where the client would see no more than a reset stream.
async fn or_internal(
    answer: impl Future<Output = Result<http::Response<Body>, Infallible>>,
) -> http::Response<Body> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            let defect = "the request met a defect of the gateway; it may have been executed";
            status(&Failure::new(Reason::Internal, defect)).into_http()
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_as_internal() {
        let response = or_internal(async { panic!("as it should") }).await;
        let status = Status::from_header_map(response.headers()).expect("grpc-status");
        assert_eq!(status.code(), Code::Internal);
        let reason = status
            .get_error_details()
            .error_info()
            .map(|info| info.reason.clone());
        assert_eq!(reason.as_deref(), Some("INTERNAL"));
    }
}
