//! The server: its own accept loop over hyper, so that limits, deadlines and the stop are ours.
//!
//! tonic's loop leaves the number of streams unlimited, answers an expired deadline with
//! CANCELLED, and waits for ever for open streams when it stops.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Service as _;
use tracing::{debug, warn};

use super::event_service::server::event_service_server::{self, EventServiceServer};
use super::health::Health;
use super::status::status;
use super::{Services, deadline};
use crate::domain::{Failure, Reason};
use crate::pb::call_service_server::{self, CallServiceServer};
use crate::pb::job_service_server::{self, JobServiceServer};
use crate::pb::node_service_server::{self, NodeServiceServer};
use crate::pb::session_service_server::{self, SessionServiceServer};
use crate::shutdown::Drain;

/// Pause after a failed accept: without one, too many open files would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may be silent after it has connected.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that one stream may have waiting for a slow client, beside what the client's own window
/// holds.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a request's headers.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// Streams that a client may reset before they are done, per connection (RUSTSEC-2024-0003).
const MAX_PENDING_RESETS: usize = 20;
/// How long RPCs have to end themselves that are cut: they know best what to say.
const LAST_WORD: Duration = Duration::from_millis(200);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub struct GrpcConfig {
    /// Longest request message.
    pub max_message_bytes: usize,
    /// Silence after which a client is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// RPCs under way at a time, per connection.
    pub max_concurrent_streams: u32,
    /// Whether reflection is served.
    pub reflection: bool,
}

/// All services behind one listener.
#[derive(Debug, Clone)]
pub struct Server {
    routes: Routes,
    health: Health,
    config: GrpcConfig,
    drain: Drain,
    /// Ends the RPCs that the grace period did not.
    cut: CancellationToken,
}

/// Starts hyper's tasks through the drain, so that the stop waits for them.
#[derive(Debug, Clone)]
struct DrainExecutor(Drain);

// === impl GrpcConfig ===

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_concurrent_streams: 1000,
            reflection: true,
        }
    }
}

// === impl Server ===

impl Server {
    /// Puts the services together.
    ///
    /// # Errors
    /// When the descriptor set for reflection is malformed, which a build would have noticed.
    pub fn new(
        services: &Services,
        config: GrpcConfig,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let limit = config.max_message_bytes;
        let names = [
            session_service_server::SERVICE_NAME,
            call_service_server::SERVICE_NAME,
            job_service_server::SERVICE_NAME,
            event_service_server::SERVICE_NAME,
            node_service_server::SERVICE_NAME,
        ];
        let health = Health::new(&names, &services.drain);
        let mut routes = Routes::new(HealthServer::new(health.clone()))
            .add_service(
                SessionServiceServer::new(services.clone()).max_decoding_message_size(limit),
            )
            .add_service(CallServiceServer::new(services.clone()).max_decoding_message_size(limit))
            .add_service(JobServiceServer::new(services.clone()).max_decoding_message_size(limit))
            .add_service(EventServiceServer::new(services.clone()).max_decoding_message_size(limit))
            .add_service(NodeServiceServer::new(services.clone()).max_decoding_message_size(limit));
        if config.reflection {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(crate::pb::DESCRIPTOR)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                    // So that reflecting clients can show the details of errors.
                    .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            };
            routes = routes
                .add_service(builder().build_v1()?)
                .add_service(builder().build_v1alpha()?);
        }
        Ok(Self {
            routes: routes.prepare(),
            health,
            config,
            drain: services.drain.clone(),
            cut: services.control.cut.clone(),
        })
    }

    /// The state that `grpc.health.v1` tells.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Answers one request, however it came: takes the client's deadline out of the headers and
    /// lets the routes do the rest.
    pub async fn answer<B>(&self, mut request: Request<B>) -> http::Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let deadline = deadline::take(request.headers_mut());
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let mut routes = self.routes.clone();
        tokio::select! {
            biased;
            response = or_internal(async { routes.call(request).await }) => response,
            () = self.cut_off() => {
                let message = "the gateway shuts down; the request may have been executed";
                let failure = Failure::new(Reason::ShuttingDown, message).with("command_sent", true);
                status(&failure).into_http()
            }
        }
    }

    /// Resolves when no answer is waited for any longer.
    async fn cut_off(&self) {
        self.cut.cancelled().await;
        tokio::time::sleep(LAST_WORD).await;
    }

    /// Accepts connections until the drain stops; then sends GOAWAY on each and returns. RPCs
    /// under way are tasks of the drain.
    pub async fn serve(self, listener: TcpListener) {
        let stopped = self.drain.stopped();
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopped => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.drain
                        .spawn(self.clone().serve_connection(stream, peer));
                }
                Err(error) => {
                    warn!(%error, "connection is not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_connection(self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, %peer, "connection is gone at once");
            return;
        }
        // hyper would wait for the first byte for ever, and the stop with it.
        let mut first = [0];
        tokio::select! {
            biased;
            () = self.drain.stopped() => return,
            first = timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)) => if first.is_err() {
                debug!(%peer, "connection is closed since it said nothing");
                return;
            },
        }
        let config = self.config;
        let mut builder = http2::Builder::new(DrainExecutor(self.drain.clone()));
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(config.keepalive_interval)
            .keep_alive_timeout(config.keepalive_timeout)
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let server = self.clone();
        let service = hyper::service::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            biased;
            result = &mut connection => result,
            () = self.drain.stopped() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!(%error, %peer, "connection failed");
        }
    }
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

impl<F> hyper::rt::Executor<F> for DrainExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
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
