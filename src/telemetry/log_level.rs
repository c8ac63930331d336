//! The log level, which can be changed while the program runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::is_log_level;

/// What is logged, which can be changed while the program runs. Clones share it.
#[derive(Debug, Clone)]
pub struct LogLevel {
    filter: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

/// Why the log level stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// It is none.
    #[error(
        "`{}` is no log level; write off, error, warn, info, debug or trace, or parts such as \
         info,switchgate::esl=debug",
        .0.escape_debug()
    )]
    NoLevel(String),
    /// Nothing is logged any longer.
    #[error("the logs are closed")]
    Closed(#[from] reload::Error),
}

// === impl LogLevel ===

impl LogLevel {
    /// The level that is configured, and the filter that follows it.
    pub(super) fn new(
        text: &str,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), tracing_subscriber::filter::ParseError>
    {
        let (layer, filter) = reload::Layer::new(EnvFilter::builder().parse(text)?);
        let text = Arc::new(Mutex::new(text.to_owned()));
        Ok((layer, Self { filter, text }))
    }

    /// What is logged, as it was written.
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    /// Changes what is logged, and logs that `who` did so.
    ///
    /// # Errors
    /// When it is no log level; then all stays as it is.
    pub fn change(&self, text: &str, who: &str) -> Result<(), LogLevelError> {
        let no_level = || LogLevelError::NoLevel(text.to_owned());
        if !is_log_level(text) {
            return Err(no_level());
        }
        let filter = EnvFilter::builder().parse(text).map_err(|_| no_level())?;
        let mut current = self.lock();
        let from = std::mem::replace(&mut *current, text.to_owned());
        // Told by whichever of the two lets it through.
        let is_heard = tracing::enabled!(tracing::Level::WARN);
        let tell = || tracing::warn!(%from, to = text, %who, "log level is changed");
        if is_heard {
            tell();
        }
        if let Err(error) = self.filter.reload(filter) {
            *current = from;
            return Err(error.into());
        }
        if !is_heard {
            tell();
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
