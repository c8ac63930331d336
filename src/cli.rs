//! The command line: one module for each sub-command.

mod check_config;
mod client;
mod demo;
mod healthcheck;
mod manager;
mod nodes;
mod package;
mod serve;
mod signal;
mod sim;
mod token;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{LogConfig, Problems, TracingConfig};
use crate::telemetry::{LogLevel, TelemetryError};

pub use check_config::CheckConfig;
pub use client::{ClientArgs, TlsArgs};
pub use healthcheck::{Healthcheck, Verdict};
pub use nodes::Nodes;
pub use package::{Completions, Man};
pub use serve::Serve;
pub use signal::{Ending, Hangups, Signal, run_until_signal};
pub use sim::Sim;
pub use token::Token;

/// Exit code of a wrong command line or configuration: EX_USAGE of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// The gRPC control plane for FreeSWITCH.
#[derive(Debug, Parser)]
#[command(
    name = "switchgate",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  switchgate serve --demo                          try it without a FreeSWITCH
  switchgate serve --node fs1=192.0.2.1:8021       control one FreeSWITCH
  switchgate serve --config switchgate.yaml        control those of a file

Exit codes: 0 done, 1 failed, 64 wrong command line or configuration."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve gRPC over one or more FreeSWITCHes.
    ///
    /// Settings come from the file, then from the environment, then from flags. SIGHUP has them read
    /// again: what is bad changes nothing. SIGTERM or SIGINT
    /// stops in order: the health answers NOT_SERVING, streams end with their last position, running
    /// calls finish, links to FreeSWITCH close, all within `shutdown.grace`. A second signal leaves at
    /// once.
    Serve(Serve),
    /// Simulate a FreeSWITCH's event socket.
    ///
    /// For tests of anything that speaks to FreeSWITCH, without one.
    Sim(Sim),
    /// Show the configuration in effect, or all that is wrong with it.
    ///
    /// Reads the file and the environment as `serve` does and prints every key, without passwords.
    /// Nothing is contacted. What only deserves a warning goes to standard error.
    CheckConfig(CheckConfig),
    /// Ask a running server for its health.
    ///
    /// Prints one line and says the same by its exit code.
    Healthcheck(Healthcheck),
    /// Show the nodes of a running server.
    ///
    /// Prints a line for each: what state it is in, and why.
    Nodes(Nodes),
    /// Make a token for a client.
    ///
    /// Prints a random one and the lines of configuration that let its bearer in. They hold its
    /// digest alone, from which the token cannot be found.
    Token(Token),
    /// Print what completes command lines in a shell.
    ///
    /// For packages, which put it where the shell looks.
    #[command(hide = true)]
    Completions(Completions),
    /// Write the manual pages.
    ///
    /// For packages: one page for the program and one for each sub-command.
    #[command(hide = true)]
    Man(Man),
}

/// How long the last spans may take to the collector.
const TRACES_PATIENCE: Duration = Duration::from_secs(3);

/// Flags for logs.
#[derive(Debug, Clone, Default, Args)]
pub struct LogArgs {
    /// off, error, warn, info, debug, trace, or by part: info,switchgate::esl=debug
    /// [env: SWITCHGATE__LOG__LEVEL, RUST_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<String>,

    /// auto (text on a terminal, else JSON), text or json
    /// [env: SWITCHGATE__LOG__FORMAT] [default: auto]
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<String>,
}

/// Why a sub-command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The command line, or a file that it names, is wrong.
    #[error("{0}")]
    Usage(String),
    /// Logging did not start.
    #[error("cannot log")]
    Telemetry(#[from] TelemetryError),
    /// The runtime or the handling of signals did not start, or output could not be written.
    #[error("the system gave an error")]
    Io(#[from] std::io::Error),
    /// The configuration could not be shown.
    #[error("cannot show the configuration")]
    Yaml(#[from] yaml_serde::Error),
    /// The server or the simulator ended by an error.
    #[error("{part} failed")]
    Run {
        /// What ended.
        part: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A second signal came before the orderly stop had ended.
    #[error("left at once on a second {0}")]
    Forced(Signal),
}

// === impl CliError ===

impl CliError {
    /// The exit code that says what happened.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => EXIT_USAGE.into(),
            Self::Forced(signal) => signal.exit_code().into(),
            _ => ExitCode::FAILURE,
        }
    }

    /// An error of what runs.
    pub(crate) fn run(
        part: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Run { part, source }
    }
}

// === impl LogArgs ===

impl LogArgs {
    /// Lays the flags over a configuration.
    fn lay<'a>(&self, loader: crate::config::Loader<'a>) -> crate::config::Loader<'a> {
        loader
            .flag("log.level", "--log-level", self.log_level.clone())
            .flag("log.format", "--log-format", self.log_format.clone())
    }
}

/// Starts the runtime, logging and traces, and runs until done; then sends the spans that are left,
/// unless it was told to leave at once. What runs may change the log level.
fn run_logged<T, F>(
    log: &LogConfig,
    tracing: &TracingConfig,
    run: impl FnOnce(LogLevel) -> F,
) -> Result<T, CliError>
where
    F: Future<Output = Result<T, CliError>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (telemetry, level) = {
        let _runtime = runtime.enter();
        crate::telemetry::init(log, tracing)?
    };
    let outcome = runtime.block_on(run(level));
    if !matches!(outcome, Err(CliError::Forced(_))) {
        runtime.block_on(telemetry.finish(TRACES_PATIENCE));
    }
    // What still blocks a thread must not hold up the exit: the time to finish is over.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_help_text_renders() {
        Cli::command().debug_assert();
        for (name, expected) in [
            ("serve", "SWITCHGATE_ESL_PASSWORD"),
            ("sim", "SWITCHGATE_SIM_PASSWORD"),
            ("check-config", "Examples:"),
            ("healthcheck", "Exit codes:"),
            ("nodes", "Exit codes:"),
            ("token", "access.tokens"),
        ] {
            let parsed = Cli::try_parse_from(["switchgate", name, "--help"]);
            let help = parsed.err().unwrap().to_string();
            assert!(
                help.contains(expected) && help.contains("Examples:"),
                "{help}"
            );
            assert!(
                !help.contains("ClueCon") || name == "sim" || name == "serve",
                "{help}"
            );
        }
    }
}
