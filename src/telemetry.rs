//! What operators see: logs, metrics, traces and the audit.
//!
//! The floors below `grpc` know spans of the crate `tracing` alone, with the target [`SPANS`];
//! what OpenTelemetry is, only this module knows.

pub mod audit;
mod log_level;
mod logs;
pub mod metrics;
pub mod redact;
mod spans;
mod traces;

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::config::{LogConfig, TracingConfig};

pub use log_level::{LogLevel, LogLevelError};
pub use metrics::Metrics;
pub(crate) use spans::{FAILED, continue_from, error_type, remote_trace_id};
pub use spans::{SPANS, detach, trace_id, traceparent};
pub use traces::Traces;

/// Why logging or tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter; a loaded configuration never causes it.
    #[error("log level is no filter")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("logging was started twice")]
    Twice(#[from] tracing::dispatcher::SetGlobalDefaultError),
    /// `tracing.headers_file` cannot be read.
    #[error("cannot read {path} (tracing.headers_file); name a file that this user may read")]
    HeadersFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line of `tracing.headers_file` is no header. It may be secret, so it is not shown.
    #[error("line {line} of {path} (tracing.headers_file) is no header; write `name: value`")]
    Header {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// `tracing.otlp_endpoint` cannot be used; a loaded configuration never causes it.
    #[error("spans cannot be exported to tracing.otlp_endpoint")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What was started; ends the traces.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
}

// === impl Telemetry ===

impl Telemetry {
    /// Sends the spans that are left, within `patience`.
    pub async fn finish(self, patience: Duration) {
        if let Some(traces) = self.traces {
            traces.finish(patience).await;
        }
    }
}

/// Starts logging to standard error, and traces where they are asked for, once in the life of the
/// process; within a runtime, to which the connection of the exporter belongs. The level that comes
/// with it changes what is logged.
///
/// # Errors
/// When it was started before, or the configuration cannot be used.
pub fn init(
    log: &LogConfig,
    tracing: &TracingConfig,
) -> Result<(Telemetry, LogLevel), TelemetryError> {
    let terminal = io::stderr().is_terminal();
    let traces = tracing
        .is_on()
        .then(|| Traces::start(tracing))
        .transpose()?;
    let (dispatch, level) = dispatch(log, terminal, io::stderr, traces.as_ref())?;
    tracing::dispatcher::set_global_default(dispatch)?;
    Ok((Telemetry { traces }, level))
}

/// Who takes logs and, where there are traces, spans.
///
/// # Errors
/// When the level is no filter.
pub fn dispatch<W>(
    config: &LogConfig,
    terminal: bool,
    writer: W,
    traces: Option<&Traces>,
) -> Result<(Dispatch, LogLevel), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (lines, level) = logs::layer(config, terminal, writer)?;
    let registry = tracing_subscriber::registry().with(lines);
    // Without traces there is no layer at all, so that spans are off where they stand.
    let dispatch = match traces {
        Some(traces) => registry.with(traces.layer().boxed()).into(),
        None => registry.into(),
    };
    Ok((dispatch, level))
}
