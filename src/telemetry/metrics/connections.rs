//! Connections of clients, and TLS.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Family, Page, Theme};
use crate::grpc::Transport;

const OPEN: Family = Family::gauge(
    "switchgate_connections",
    "Connections of clients",
    &["state"],
);
const ENDED: Family = Family::counter(
    "switchgate_connections_total",
    "Connections of clients, by what became of them",
    &["outcome"],
);
const NOT_AFTER: Family = Family::gauge(
    "switchgate_tls_certificate_expiry_seconds",
    "When the certificate in use expires, in seconds since 1970; absent without TLS",
    &[],
);
const LOADED: Family = Family::gauge(
    "switchgate_tls_loaded_seconds",
    "When the files of TLS in use were read, in seconds since 1970; absent without TLS",
    &[],
);
const FAILED: Family = Family::counter(
    "switchgate_tls_failed_reloads_total",
    "Looks at the files of TLS that found them bad, so that those before stay in use",
    &[],
);

/// Connections of clients, and TLS.
#[derive(Debug)]
pub struct ConnectionMetrics(pub Transport);

// === impl ConnectionMetrics ===

impl Theme for ConnectionMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = self.0.connections();
        let open = [
            (["open"], figures.open),
            (["handshaking"], figures.handshaking),
        ];
        page.samples(&OPEN, open)?;
        let ended = [
            (["accepted"], figures.accepted),
            (["refused"], figures.refused),
            (["displaced"], figures.displaced),
            (["unproven"], figures.unproven),
            (["failed_handshake"], figures.failed_handshakes),
            (["aged"], figures.aged),
        ];
        page.samples(&ENDED, ended)?;
        let tls = self.0.tls().map(crate::tls::Tls::figures);
        let figure = |value: Option<f64>| value.map(|value| ([], value));
        let tls = tls.as_ref();
        page.samples(&NOT_AFTER, figure(tls.map(|tls| seconds(tls.not_after))))?;
        page.samples(&LOADED, figure(tls.map(|tls| seconds(tls.loaded_at))))?;
        page.samples(&FAILED, tls.map(|tls| ([], tls.failed_reloads)))
    }
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64()
}
