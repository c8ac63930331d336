//! Logs: to standard error, readable on a terminal and JSON elsewhere.

use std::io::{self, IsTerminal};

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter; a loaded configuration never causes it.
    #[error("log level is no filter")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("logging was started twice")]
    Twice(#[from] tracing::dispatcher::SetGlobalDefaultError),
}

/// Starts logging to standard error, once in the life of the process.
///
/// # Errors
/// When it was started before, or when the level is no filter.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let terminal = io::stderr().is_terminal();
    let dispatch = dispatch(config, terminal, io::stderr)?;
    Ok(tracing::dispatcher::set_global_default(dispatch)?)
}

fn dispatch<W>(config: &LogConfig, terminal: bool, writer: W) -> Result<Dispatch, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&config.level)?)
        .with_writer(writer);
    if json {
        let builder = builder.json().flatten_event(true).with_span_list(false);
        return Ok(builder.into());
    }
    // https://no-color.org: set to anything but nothing.
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(builder.with_ansi(colour).into())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

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
        let dispatch = dispatch(&LogConfig { level, format }, terminal, move || {
            writer.clone()
        })
        .unwrap();
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
}
