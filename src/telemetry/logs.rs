//! Logs: to standard error, readable on a terminal and JSON elsewhere.

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::Layer;

use super::log_level::LogLevel;
use super::{SPANS, TelemetryError};
use crate::config::{LogConfig, LogFormat};

/// Target of the exporter's own warnings, one for each export that fails; `traces` tells the first.
const EXPORTER: &str = "opentelemetry-otlp";

/// Takes what is logged, without the spans of traces.
type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Takes what is logged; what comes with it changes what that is.
///
/// # Errors
/// When the level is no filter.
pub(super) fn layer<W>(
    config: &LogConfig,
    terminal: bool,
    writer: W,
) -> Result<(LogLayer, LogLevel), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let (filter, level) = LogLevel::new(&config.level)?;
    let filter = filter.and(filter_fn(|metadata| {
        ![SPANS, EXPORTER].contains(&metadata.target())
    }));
    let lines = fmt::layer().with_writer(writer);
    if json {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        return Ok((lines.with_filter(filter).boxed(), level));
    }
    // https://no-color.org: set to anything but nothing.
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok((lines.with_ansi(colour).with_filter(filter).boxed(), level))
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
        let (dispatch, _) = dispatch(&config, terminal, move || writer.clone(), None).unwrap();
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
        let (dispatch, _) = dispatch(&config, false, move || writer.clone(), None).unwrap();
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

    #[test]
    fn the_level_changes_while_the_program_runs_and_the_log_tells_so() {
        let memory = Memory::default();
        let writer = memory.clone();
        let config = LogConfig {
            level: "off".to_owned(),
            format: LogFormat::Text,
        };
        let (dispatch, level) = dispatch(&config, false, move || writer.clone(), None).unwrap();
        let logged = || String::from_utf8(std::mem::take(&mut *memory.0.lock().unwrap())).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::debug!("unheard");
            level
                .change("info,switchgate::telemetry=debug", "a test")
                .unwrap();
            tracing::debug!("heard");
            let text = logged();
            assert!(text.contains("log level is changed from=off to=\"info,switchgate::telemetry=debug\" who=a test"), "{text}");
            assert!(
                text.contains("heard") && !text.contains("unheard"),
                "{text}"
            );

            for wrong in ["loud", "", "switchgate=loud", "info,,"] {
                let refused = level.change(wrong, "a test").unwrap_err();
                assert!(
                    matches!(refused, crate::telemetry::LogLevelError::NoLevel(_)),
                    "{wrong}: {refused}"
                );
            }
            assert_eq!(level.text(), "info,switchgate::telemetry=debug");
            level.change("off", "a test").unwrap();
            tracing::error!("unheard");
            let text = logged();
            assert!(
                text.contains("to=\"off\"") && !text.contains("unheard"),
                "{text}"
            );
        });
    }
}
