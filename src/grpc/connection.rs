//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::api::Api;
use super::gate::{Handshake, Place};
use super::handshake::{ClientProof, HandshakeError, Shaken, shake};
use super::peer::Peer;
use super::server::Limits;
use crate::chance;
use crate::shutdown::Drain;
use crate::tls::Tls;

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// How much an age differs from the one that is configured, either way: clients that came together
/// must not go together.
const AGE_JITTER: f64 = 0.1;
/// How long the last words of RPCs that are ended have to reach the client.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long one that goes for a newer one has for what is under way; then it is cut, and has as long
/// for last words. The newer one waits.
const MAKES_ROOM: Duration = Duration::from_millis(300);

/// What a connection is served with.
#[derive(Debug, Clone)]
pub(super) struct Reception {
    pub(super) api: Api,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) drain: Drain,
}

/// A connection's way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until its age.
    Serving,
    /// No new RPCs; those under way may finish within the grace.
    GoingAway,
    /// RPCs were ended and say their last words.
    Farewell,
}

// === impl Reception ===

impl Reception {
    /// Serves the connection until it ends.
    pub(super) async fn serve(self, handshake: Handshake, stream: TcpStream, address: SocketAddr) {
        let shaken = {
            let shaking = timeout(
                self.limits.handshake_timeout,
                shake(self.tls.as_ref(), stream),
            );
            tokio::select! {
                biased;
                () = self.drain.stopped() => return,
                () = handshake.displaced() => {
                    debug!(peer = %address, "connection is given up for a newer one in its handshake");
                    return;
                }
                shaken = shaking => shaken,
            }
        };
        let shaken = match shaken {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(error)) => {
                tell_failure(&error, address);
                return handshake.failed();
            }
            Err(_) => {
                debug!(peer = %address, "connection is closed since its handshake took too long");
                return handshake.failed();
            }
        };
        let place = tokio::select! {
            biased;
            () = self.drain.stopped() => return,
            place = handshake.done() => place,
        };
        if let Some(place) = place {
            self.serve_http2(shaken, address, &place).await;
        }
    }

    async fn serve_http2(self, shaken: Shaken, address: SocketAddr, place: &Place) {
        let Shaken { stream, mut proof } = shaken;
        let limits = self.limits;
        // Streams and waits of this connection end with it, and with the gateway.
        let (life, cut) = (self.drain.child(), self.api.cut().child_token());
        let peer = Peer {
            address,
            certificate: proof.as_ref().and_then(ClientProof::certificate),
        };
        let served = Arc::new((self.api.on_connection(&life, &cut, place.proven()), peer));
        let service = hyper::service::service_fn(move |request| {
            let served = Arc::clone(&served);
            async move {
                let (api, peer) = &*served;
                Ok::<_, Infallible>(api.answer(request, peer).await)
            }
        });
        let http2 = limits.http2(self.drain.clone());
        let mut connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
        let mut stopped = pin!(self.drain.stopped());
        let mut displaced = pin!(place.displaced());
        let mut timer = pin!(sleep(jittered(limits.max_connection_age)));
        let (mut stage, mut is_stopping) = (Stage::Serving, false);
        let mut farewell = FAREWELL;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut connection => break result,
                () = &mut displaced, if farewell == FAREWELL => {
                    debug!(peer = %address, "connection that proved nothing ends for a newer one");
                    connection.as_mut().graceful_shutdown();
                    farewell = MAKES_ROOM;
                    stage = Stage::GoingAway;
                    timer.set(sleep(farewell));
                }
                () = &mut stopped, if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                error = revoked(&mut proof), if stage != Stage::Farewell => {
                    info!(peer = %address, %error, "connection ends, since its client's certificate is good no more");
                    connection.as_mut().graceful_shutdown();
                    stage = end(&life, &cut);
                    timer.set(sleep_until(Instant::now() + FAREWELL));
                }
                () = &mut timer => match stage {
                    Stage::Serving => {
                        place.aged();
                        connection.as_mut().graceful_shutdown();
                        stage = Stage::GoingAway;
                        timer.set(sleep(limits.max_connection_age_grace));
                    }
                    Stage::GoingAway => {
                        stage = end(&life, &cut);
                        timer.set(sleep(farewell));
                    }
                    Stage::Farewell => break Ok(()),
                },
            }
        };
        if let Err(error) = result {
            debug!(error = chain(&error), peer = %address, "connection failed");
        }
    }
}

// === impl Limits ===

impl Limits {
    fn http2(&self, executor: Drain) -> http2::Builder<Drain> {
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .max_concurrent_streams(self.max_concurrent_streams)
            .max_pending_accept_reset_streams(self.max_pending_resets)
            .max_header_list_size(self.max_header_bytes)
            .max_send_buf_size(self.max_send_buffer_bytes)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        builder
    }
}

/// Ends what runs on a connection: streams first, then what waits.
fn end(life: &Drain, cut: &CancellationToken) -> Stage {
    life.stop();
    cut.cancel();
    Stage::Farewell
}

/// Resolves when the client's certificate is good no more.
async fn revoked(proof: &mut Option<ClientProof>) -> rustls::Error {
    match proof {
        Some(proof) => proof.revoked().await,
        None => std::future::pending().await,
    }
}

fn jittered(age: Duration) -> Duration {
    age.mul_f64(1.0 + AGE_JITTER * (2.0 * chance::fraction() - 1.0))
}

fn tell_failure(error: &HandshakeError, address: SocketAddr) {
    debug!(error = chain(error), peer = %address, "handshake failed");
}

/// An error and what caused it: hyper's own words tell little.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
