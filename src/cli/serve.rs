//! `switchgate serve`: the gateway.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tokio::sync::oneshot;

use super::{CliError, Ending, Hangups, LogArgs, demo, manager, run_logged, run_until_signal};
use crate::app::App;
use crate::config::{Config, Loader, NodeNeed, Origin, PasswordOrigin, Problem, Problems, Source};
use crate::shutdown::Drain;
use crate::telemetry::LogLevel;

/// Flags of `switchgate serve`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Environment:
  SWITCHGATE__GRPC__LISTEN=127.0.0.1:50062 any key of the file: capitals, two underscores for a dot
  SWITCHGATE_ESL_PASSWORD                  password of nodes that have none of their own
  SWITCHGATE_ESL_PASSWORD_FILE             the same, in a file
  RUST_LOG                                 log level

Examples:
  switchgate serve --demo
  SWITCHGATE_ESL_PASSWORD=secret switchgate serve --node fs1=192.0.2.1 --node fs2=192.0.2.2:8021
  switchgate serve --config switchgate.yaml --listen 0.0.0.0:50061

Without a password FreeSWITCH's default ClueCon is used, with a warning. To listen beyond this machine,
say in the file who is let in: access.tokens, access.jwt or access.certificates; or give --insecure.
All keys with their defaults: docs/config.example.yaml.")]
pub struct Serve {
    /// YAML file with the configuration
    #[arg(long, short, value_name = "FILE", env = "SWITCHGATE_CONFIG")]
    pub config: Option<PathBuf>,

    /// Serve over two simulated FreeSWITCHes with a little traffic
    #[arg(long, conflicts_with = "node")]
    pub demo: bool,

    /// Where to serve gRPC [env: SWITCHGATE__GRPC__LISTEN] [default: 127.0.0.1:50061]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,

    /// Listen beyond this machine although everybody is let in [env: SWITCHGATE__ACCESS__INSECURE]
    #[arg(long)]
    pub insecure: bool,

    /// Where to serve metrics and probes [env: SWITCHGATE__ADMIN__LISTEN] [default: 127.0.0.1:50062]
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin_listen: Option<String>,

    /// A FreeSWITCH to control, more than once for more; the port is 8021 when left out
    #[arg(long, value_name = "NAME=HOST:PORT")]
    pub node: Vec<NodeFlag>,

    /// Flags for logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The value of `--node`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFlag {
    /// Before the equals sign.
    pub name: String,
    /// Behind it.
    pub address: String,
}

// === impl NodeFlag ===

impl FromStr for NodeFlag {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text
            .split_once('=')
            .ok_or("has no `=`; write NAME=HOST:PORT, such as fs1=192.0.2.1:8021")?;
        Ok(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }
}

// === impl Serve ===

impl Serve {
    /// The configuration from file, environment and these flags.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, source: &dyn Source) -> Result<Config, Problems> {
        let need = match self.demo {
            true => NodeNeed::Simulated,
            false => NodeNeed::Required,
        };
        let loader = Loader::new(source)
            .file(self.config.clone())
            .flag("grpc.listen", "--listen", self.listen.clone())
            .flag(
                "access.insecure",
                "--insecure",
                self.insecure.then(|| "true".to_owned()),
            )
            .flag("admin.listen", "--admin-listen", self.admin_listen.clone())
            .need(need);
        let nodes = self.node.iter();
        nodes
            .fold(self.log.lay(loader), |loader, node| {
                loader.node(&node.name, &node.address)
            })
            .load()
    }

    /// Serves until a signal.
    ///
    /// # Errors
    /// When the configuration is wrong, the server cannot start, or a second signal came.
    pub fn run(&self, source: impl Source + Clone + Send + Sync + 'static) -> Result<(), CliError> {
        let config = self.load(&source)?;
        let (log, tracing) = (config.log.clone(), config.tracing.clone());
        run_logged(&log, &tracing, async |level| {
            warn_of(&config);
            // Before anything is started: until then it would end the process.
            let hangups = Hangups::listen()?;
            let start = |stop| serve(self, source, config, level, hangups, stop);
            match run_until_signal(start).await? {
                Ending::Own(outcome) => outcome,
                Ending::Forced(signal) => Err(CliError::Forced(signal)),
            }
        })
    }
}

/// What is allowed and yet deserves a warning.
fn warn_of(config: &Config) {
    for node in config.nodes_with_default_password() {
        tracing::warn!(
            node = %node.id,
            remedy = "set password or password_file of the node, or SWITCHGATE_ESL_PASSWORD",
            "no password configured, using FreeSWITCH's default"
        );
    }
    for source in &config.discovery.sources {
        if *source.password.origin() == PasswordOrigin::Default {
            let remedy = "set password or password_file of the source, or SWITCHGATE_ESL_PASSWORD";
            tracing::warn!(
                source = source.name,
                remedy,
                "no password configured for a source of nodes, using FreeSWITCH's default"
            );
        }
    }
    if let Some(key) = config.key_open_to_all() {
        let remedy = "chmod 600 it, or mount the secret with defaultMode 0400";
        tracing::warn!(key = %key.display(), remedy, "every user may read the TLS key");
    }
    for (problem, remedy) in config.access_warnings() {
        let listen = config.grpc.listen;
        tracing::warn!(%listen, problem, remedy, "access is weaker than it should be");
    }
}

/// Serves until `stop` resolves, then drains. Until then each SIGHUP reloads the configuration.
async fn serve(
    flags: &Serve,
    source: impl Source + Clone + Send + Sync + 'static,
    mut config: Config,
    level: LogLevel,
    hangups: Hangups,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CliError> {
    let demo = flags.demo;
    // The simulated nodes of a demo, and the watchdog: what ends after the server has.
    let around = Drain::new();
    if demo {
        config.admin.listen = demo::admin_address(config.admin.listen);
        config.nodes = demo::start(&around)
            .await
            .map_err(|error| CliError::run("the demo", error))?;
    }
    let app = App::build_logged(&config, level)
        .await
        .map_err(|error| CliError::run("the server", error))?;
    if demo {
        let address = app
            .address()
            .map_err(|error| CliError::run("the server", error))?;
        println!("{}", demo::introduction(address, app.admin_address()));
    }
    let reloads = app.reloads().clone();
    // What a demo brings itself is in no file.
    let (nodes, listen) = (config.nodes.clone(), config.admin.listen);
    let load = async || {
        let (flags, source) = (flags.clone(), source.clone());
        // A file can be on a volume that hangs, which must not keep a stop from being heard.
        let loaded = tokio::task::spawn_blocking(move || flags.load(&source)).await;
        let mut config = loaded.unwrap_or_else(|defect| Err(unread(&defect)))?;
        if demo {
            config.nodes.clone_from(&nodes);
            config.admin.listen = listen;
        }
        warn_of(&config);
        Ok(config)
    };
    let reloading = hangups.each(async || {
        manager::reloading();
        // It has logged what went wrong.
        manager::reloaded(reloads.reload(load()).await.is_ok());
    });
    let (stopping_tx, stopping_rx) = oneshot::channel();
    let reloading = async {
        tokio::select! {
            biased;
            _ = stopping_rx => {}
            () = reloading => {}
        }
    };
    let grace = config.shutdown.grace;
    let stop = async move {
        stop.await;
        manager::stopping(grace);
        // Whoever listens has gone with the other half.
        let _ = stopping_tx.send(());
    };
    manager::start_watchdog(&around);
    manager::ready();
    tokio::join!(app.run(stop), reloading);
    around.finish(grace).await;
    Ok(())
}

/// The configuration was not even read.
fn unread(defect: &tokio::task::JoinError) -> Problems {
    Problems(vec![Problem {
        key: String::new(),
        value: None,
        reason: format!("the configuration could not be read: {defect}"),
        remedy: "report it".to_owned(),
        origin: Origin::Default,
    }])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::Fake;

    fn parse(arguments: &[&str]) -> Result<Serve, clap::Error> {
        let line = ["switchgate", "serve"].iter().chain(arguments);
        match Cli::try_parse_from(line)?.command {
            Command::Serve(serve) => Ok(serve),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_reach_the_configuration() {
        let source = Fake::new().file(
            "f.yaml",
            "nodes: [{id: a, address: one}]\nlog: {level: warn}",
        );
        let flags = "--config f.yaml --listen 0.0.0.0:1 --insecure --node a=two --node b=[::1]:9 --log-level debug --log-format json";
        let arguments: Vec<&str> = flags.split(' ').collect();
        let config = parse(&arguments).unwrap().load(&source).unwrap();
        assert_eq!(config.grpc.listen.to_string(), "0.0.0.0:1");
        let addresses: Vec<String> = config
            .nodes
            .iter()
            .map(|node| node.address.to_string())
            .collect();
        assert_eq!(addresses, ["two:8021", "[::1]:9"]);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
    }

    #[test]
    fn beyond_loopback_everybody_is_let_in_only_when_that_is_said() {
        let source = Fake::new();
        let load = |flags: &str| {
            let flags: Vec<&str> = flags.split(' ').collect();
            parse(&flags).unwrap().load(&source)
        };
        assert!(load("--demo --listen 127.0.0.1:1").is_ok());
        assert!(load("--demo --listen [::1]:1").is_ok());
        assert!(load("--demo --listen [::ffff:127.0.0.1]:1").is_ok());
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let problems = load(&format!("--demo --listen {address}")).unwrap_err();
            assert_eq!(problems.0[0].key, "grpc.listen", "{problems}");
            assert!(load(&format!("--demo --insecure --listen {address}")).is_ok());
        }
    }

    #[test]
    fn a_server_needs_nodes_or_the_demo() {
        let source = Fake::new();
        assert!(parse(&[]).unwrap().load(&source).is_err());
        assert!(parse(&["--demo"]).unwrap().load(&source).is_ok());
        assert!(parse(&["--demo", "--node", "a=b"]).is_err());
        assert!(parse(&["--node", "192.0.2.1"]).is_err());
    }
}
