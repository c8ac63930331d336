//! The server: its own accept loop over hyper, so that limits, deadlines and the stop are ours.
//!
//! tonic's loop leaves the number of streams unlimited, answers an expired deadline with
//! CANCELLED, and waits for ever for open streams when it stops.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Services;
use super::api::Api;
use super::peer::Peer;
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
    api: Api,
    config: GrpcConfig,
    drain: Drain,
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
        Ok(Self {
            api: Api::new(services, config.max_message_bytes, config.reflection)?,
            config,
            drain: services.drain.clone(),
        })
    }

    /// What answers requests, however they come.
    pub fn api(&self) -> &Api {
        &self.api
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
        let api = self.api.clone();
        let peer = Peer {
            address: peer,
            certificate: None,
        };
        let address = peer.address;
        let service = hyper::service::service_fn(move |request| {
            let (api, peer) = (api.clone(), peer.clone());
            async move { Ok::<_, Infallible>(api.answer(request, &peer).await) }
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
            debug!(%error, peer = %address, "connection failed");
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
