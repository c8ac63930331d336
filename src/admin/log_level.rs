//! The log level, seen and changed.

use std::net::{IpAddr, SocketAddr};

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;

use super::AdminParts;
use crate::config::LogLevelFrom;
use crate::telemetry::LogLevelError;

/// Longest log level.
const MAX_BYTES: usize = 4096;

type Answer = (StatusCode, String);

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(pub(super) SocketAddr);

/// Shows it.
pub(super) async fn show(State(parts): State<AdminParts>) -> Answer {
    let shown = match &parts.log_level {
        Some(level) => (StatusCode::OK, level.text() + "\n"),
        None => no_logs(),
    };
    std::future::ready(shown).await
}

/// Changes it to the body.
pub(super) async fn change(
    State(parts): State<AdminParts>,
    Extension(Asker(peer)): Extension<Asker>,
    body: Body,
) -> Answer {
    if !may_change(parts.log_level_from, peer.ip()) {
        let text =
            "the log level may be changed from this machine alone; see admin.log_level_from\n";
        return (StatusCode::FORBIDDEN, text.to_owned());
    }
    let Some(level) = parts.log_level else {
        return no_logs();
    };
    let Ok(body) = to_bytes(body, MAX_BYTES).await else {
        let text = format!("the body is cut off or longer than {MAX_BYTES} bytes\n");
        return (StatusCode::BAD_REQUEST, text);
    };
    let Ok(text) = std::str::from_utf8(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            "the body is not UTF-8\n".to_owned(),
        );
    };
    match level.change(text.trim(), &peer.to_string()) {
        Ok(()) => (StatusCode::OK, level.text() + "\n"),
        Err(error @ LogLevelError::NoLevel(_)) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(error @ LogLevelError::Closed(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
        }
    }
}

fn may_change(from: LogLevelFrom, peer: IpAddr) -> bool {
    match from {
        LogLevelFrom::Loopback => peer.to_canonical().is_loopback(),
        LogLevelFrom::Anyone => true,
        LogLevelFrom::Nobody => false,
    }
}

fn no_logs() -> Answer {
    let text = "the logs of this process are not those of the gateway\n";
    (StatusCode::NOT_FOUND, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_machine_alone_may_change_it() {
        let may = |from, peer: &str| may_change(from, peer.parse().unwrap());
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(may(LogLevelFrom::Loopback, near), "{near}");
            assert!(!may(LogLevelFrom::Nobody, near), "{near}");
        }
        for far in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "0.0.0.0"] {
            assert!(!may(LogLevelFrom::Loopback, far), "{far}");
            assert!(may(LogLevelFrom::Anyone, far), "{far}");
        }
    }
}
