//! `switchgate sim`: a FreeSWITCH that exists only on the wire.

use std::net::SocketAddr;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tracing::info;

use super::{CliError, Ending, LogArgs, run_logged, run_until_signal};
use crate::config::{DEFAULT_ESL_PASSWORD, Loader, Source, TracingConfig};
use crate::domain::check_wire_text;
use crate::shutdown::Drain;
use crate::sim::SimConfig;

/// How long the simulator's links may take to close.
const STOP_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Flags of `switchgate sim`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Environment:
  SWITCHGATE_SIM_PASSWORD   the same as --password, hidden from the list of processes
  RUST_LOG                  log level

Examples:
  switchgate sim
  switchgate sim --listen 127.0.0.1:8022 --name fs2 &
  switchgate serve --node fs2=127.0.0.1:8022")]
pub struct Sim {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8021")]
    pub listen: SocketAddr,

    /// Password that clients must give
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "SWITCHGATE_SIM_PASSWORD",
        hide_env_values = true,
        default_value = DEFAULT_ESL_PASSWORD,
        value_parser = parse_password
    )]
    pub password: SecretString,

    /// Name of the simulated switch, as its events give it
    #[arg(long, value_name = "NAME", default_value = "sim")]
    pub name: String,

    /// Flags for logs.
    #[command(flatten)]
    pub log: LogArgs,
}

// === impl Sim ===

impl Sim {
    /// Simulates until a signal.
    ///
    /// # Errors
    /// When the log settings are wrong, the address is taken, or a second signal came.
    pub fn run(self, source: &dyn Source) -> Result<(), CliError> {
        let log = self.log.lay(Loader::new(source)).load()?.log;
        run_logged(
            &log,
            &TracingConfig::default(),
            async |_| match run_until_signal(|stop| simulate(self, stop)).await? {
                Ending::Own(outcome) => outcome,
                Ending::Forced(signal) => Err(CliError::Forced(signal)),
            },
        )
    }
}

/// Simulates until `stop` resolves.
async fn simulate(
    sim: Sim,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CliError> {
    let failed = |error| CliError::run("the simulator", error);
    let listener = TcpListener::bind(sim.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    info!(%address, name = sim.name, "simulated FreeSWITCH listens");
    let config = SimConfig {
        name: sim.name,
        password: sim.password.expose_secret().to_owned(),
        ..SimConfig::default()
    };
    let drain = Drain::new();
    let node = crate::sim::Sim::new(config, &drain);
    drain.spawn(async move { node.serve(listener).await });
    stop.await;
    drain.finish(STOP_GRACE).await;
    Ok(())
}

fn parse_password(text: &str) -> Result<SecretString, String> {
    match check_wire_text(text) {
        Ok(()) if text.is_empty() => Err("is empty; no client could give it".to_owned()),
        Ok(()) => Ok(SecretString::from(text)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn all_that_a_simulator_needs_has_a_default() {
        let Command::Sim(sim) = Cli::try_parse_from(["switchgate", "sim"]).unwrap().command else {
            panic!("not sim");
        };
        assert_eq!(sim.listen.to_string(), "127.0.0.1:8021");
        assert_eq!(sim.name, "sim");
        assert!(Cli::try_parse_from(["switchgate", "sim", "--listen", "8021"]).is_err());
    }
    #[test]
    fn the_password_shows_in_no_debug_output() {
        let line = ["switchgate", "sim", "--password", "hunter2"];
        let shown = format!("{:?}", Cli::try_parse_from(line).unwrap());
        assert!(
            shown.contains("Sim") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(Cli::try_parse_from(["switchgate", "sim", "--password", ""]).is_err());
    }
}
