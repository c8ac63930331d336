//! Logs: to standard error, readable on a terminal and JSON elsewhere.

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{SPANS, TelemetryError};
use crate::config::{LogConfig, LogFormat};

/// Target of the exporter's own warnings, one for each export that fails; `traces` tells the first.
const EXPORTER: &str = "opentelemetry-otlp";

/// Takes what is logged.
///
/// # Errors
/// When the level is no filter.
pub(super) fn layer<S, W>(
    config: &LogConfig,
    terminal: bool,
    writer: W,
) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = fmt::layer().with_writer(writer);
    let filter = filter(config)?;
    if json {
        let builder = builder.json().flatten_event(true).with_span_list(false);
        return Ok(builder.with_filter(filter).boxed());
    }
    // https://no-color.org: set to anything but nothing.
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(builder.with_ansi(colour).with_filter(filter).boxed())
}

/// What the level says, without the spans of traces.
fn filter<S>(config: &LogConfig) -> Result<impl Filter<S> + use<S>, TelemetryError> {
    let level = EnvFilter::builder().parse(&config.level)?;
    Ok(level.and(filter_fn(|metadata| {
        ![SPANS, EXPORTER].contains(&metadata.target())
    })))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::telemetry::dispatch;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    // === impl Memory ===

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at two levels with this configuration.
    fn logged(level: &str, format: LogFormat, terminal: bool) -> String {
        let memory = Memory::default();
        let level = level.to_owned();
        let writer = memory.clone();
        let config = LogConfig { level, format };
        let dispatch = dispatch(&config, terminal, move || writer.clone(), None).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let _span = tracing::info_span!("link", node = "fs1").entered();
            tracing::info!(sessions = 3, "node ready");
            tracing::debug!("detail");
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn away_from_a_terminal_each_line_is_one_object() {
        let text = logged("info", LogFormat::Auto, false);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "node ready");
        assert_eq!(line["sessions"], 3);
        assert_eq!(line["span"]["node"], "fs1");
        assert_eq!(logged("info", LogFormat::Json, true).lines().count(), 1);
    }

    #[test]
    fn on_a_terminal_lines_are_text_and_the_level_counts() {
        assert!(logged("debug", LogFormat::Auto, true).contains("detail"));
        let text = logged("info", LogFormat::Text, false);
        assert!(
            text.contains("node ready sessions=3") && !text.contains("detail"),
            "{text}"
        );
        assert_eq!(logged("off", LogFormat::Text, false), "");
    }

    #[test]
    fn without_traces_their_spans_are_off_and_show_nowhere() {
        let memory = Memory::default();
        let writer = memory.clone();
        let config = LogConfig {
            level: "trace".to_owned(),
            format: LogFormat::Json,
        };
        let dispatch = dispatch(&config, false, move || writer.clone(), None).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let span = tracing::info_span!(target: SPANS, "rpc", secret = 7);
            assert!(span.is_disabled());
            let _entered = span.entered();
            tracing::info!("inside");
        });
        let bytes = memory.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("inside") && !text.contains("secret"),
            "{text}"
        );
    }
}
