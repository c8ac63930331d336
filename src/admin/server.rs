//! Connections to the admin port, and how much a client of it may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower::Service as _;
use tracing::{debug, warn};

use super::connections::{Connections, Place};
use super::log_level::Asker;
use crate::accept::accept;
use crate::shutdown::Drain;

/// Connections at a time. Each may hold a page of metrics that it does not read, which is some
/// 100 KiB for a few nodes.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection lives; after that it is asked to close. Metrics and probes need none that
/// lasts.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long it may take to close then.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long the headers of a request may take, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the rest of a request and its answer's headers may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a client over HTTP/2 is asked whether it is there, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Bytes of a request's headers.
const MAX_HEADERS: usize = 16 * 1024;
/// Requests at a time on one connection over HTTP/2.
const MAX_STREAMS: u32 = 16;
/// Streams that a client may reset before they are done (RUSTSEC-2024-0003).
const MAX_PENDING_RESETS: usize = 20;

/// Answers until the drain stops.
pub(super) async fn serve(listener: TcpListener, router: Router, drain: Drain) {
    let connections = Connections::new(MAX_CONNECTIONS);
    let take = |stream, peer| {
        let place = connections.enter();
        let (router, drain) = (router.clone(), drain.clone());
        drain
            .clone()
            .spawn(serve_connection(stream, peer, router, place, drain));
    };
    let failed = |error| warn!(%error, "connection for metrics or probes is not accepted");
    accept(listener, &drain, take, failed).await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    drain: Drain,
) {
    let service = hyper::service::service_fn(move |request| answer(router.clone(), request, peer));
    let mut builder = auto::Builder::new(drain.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(MAX_HEADERS as u32);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        biased;
        () = place.given_away() => return debug!(%peer, "connection goes for a newer one"),
        result = &mut connection => result,
        () = over(&drain) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                () = place.given_away() => return,
                result = connection => result,
                () = sleep(GOODBYE) => return,
            }
        }
    };
    if let Err(error) = result {
        debug!(%error, %peer, "connection for metrics or probes failed");
    }
}

/// Answers one request; one that takes too long is told so.
async fn answer(
    mut router: Router,
    mut request: http::Request<Incoming>,
    peer: SocketAddr,
) -> Result<axum::response::Response, Infallible> {
    request.extensions_mut().insert(Asker(peer));
    match timeout(REQUEST_TIMEOUT, router.call(request)).await {
        Ok(response) => response,
        Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// Resolves when a connection has to close.
async fn over(drain: &Drain) {
    tokio::select! {
        biased;
        () = drain.stopped() => {}
        () = sleep(MAX_AGE) => {}
    }
}
