//! What is answered to which path.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tonic_health::pb::health_server::HealthServer;

use super::{AdminParts, Readiness, log_level};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Format;

/// What there is, for who asks for something else.
const PATHS: &str = "there are /livez, /readyz, /startupz, /metrics and /log-level\n";

/// Metrics, of which one page is made at a time: whoever asks more often waits, and all else goes
/// on.
#[derive(Debug, Clone)]
struct Scrapes {
    metrics: Arc<Metrics>,
    turn: Arc<Mutex<()>>,
}

/// All pages.
pub(super) fn router(parts: &AdminParts) -> Router {
    let scrapes = Scrapes {
        metrics: Arc::clone(&parts.metrics),
        turn: Arc::default(),
    };
    let health = HealthServer::new(parts.health.clone());
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready).with_state(parts.readiness.clone()))
        .route(
            "/startupz",
            get(started).with_state(parts.readiness.clone()),
        )
        .route("/metrics", get(metrics).with_state(scrapes))
        .route(
            "/log-level",
            get(log_level::show)
                .put(log_level::change)
                .with_state(parts.clone()),
        )
        .route_service("/grpc.health.v1.Health/{method}", health)
        .fallback(nothing)
}

/// That the process runs, and nothing else: a FreeSWITCH that is away is no reason to start the
/// gateway anew.
async fn live() -> &'static str {
    std::future::ready("alive\n").await
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let verdict = std::future::ready(readiness.verdict()).await;
    (status(verdict.is_ready), verdict.text).into_response()
}

async fn started(State(readiness): State<Readiness>) -> Response {
    let is_started = std::future::ready(readiness.is_started()).await;
    let text = match is_started {
        true => "started\n",
        false => "starting\n",
    };
    (status(is_started), text).into_response()
}

async fn metrics(State(scrapes): State<Scrapes>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let _turn = scrapes.turn.lock().await;
    match scrapes.metrics.render(format) {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn nothing() -> Response {
    std::future::ready((StatusCode::NOT_FOUND, PATHS).into_response()).await
}

fn status(is_good: bool) -> StatusCode {
    match is_good {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}
