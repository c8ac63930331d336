//! `switchgate healthcheck`: a client of `grpc.health.v1`, for probes of containers.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::CliError;
use super::client::{ClientArgs, Way, root_cause};

/// Flags of `switchgate healthcheck`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  switchgate healthcheck
  switchgate healthcheck --address 192.0.2.1:50061 --timeout 1s
  switchgate healthcheck --service switchgate.v1.SessionService
  switchgate healthcheck --address gw.example.net:50061 --ca ca.pem
  switchgate healthcheck --ca ca.pem --server-name gw.example.net --certificate probe.pem --key probe.key

Exit codes: 0 serving, 1 not serving or no such service, 2 unreachable, 64 wrong command line or files.")]
pub struct Healthcheck {
    /// The service to ask for, such as switchgate.v1.SessionService; the whole server when left
    /// out
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub service: String,

    /// How to reach the server.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What a server says of its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It serves.
    Serving,
    /// It answers, but does not serve.
    NotServing(String),
    /// It gives no answer about its health.
    Unreachable(String),
}

// === impl Healthcheck ===

impl Healthcheck {
    /// Asks, prints the answer on one line and gives the exit code for it.
    ///
    /// # Errors
    /// When a file is not what it should be, or the runtime does not start.
    pub fn run(&self) -> Result<ExitCode, CliError> {
        let way = self.client.way()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let verdict = runtime.block_on(self.ask(&way));
        // A closed output is no reason to fail: the exit code still tells.
        let _ = writeln!(std::io::stdout(), "{}", self.line(&verdict));
        Ok(verdict.exit_code().into())
    }

    /// Asks once.
    async fn ask(&self, way: &Way) -> Verdict {
        match tokio::time::timeout(self.client.timeout, self.ask_patiently(way)).await {
            Ok(verdict) => verdict,
            Err(_) => Verdict::Unreachable(self.client.no_answer()),
        }
    }

    async fn ask_patiently(&self, way: &Way) -> Verdict {
        let channel = match way.connect().await {
            Ok(channel) => channel,
            Err(cause) => return Verdict::Unreachable(cause),
        };
        let service = self.service.clone();
        let request = way.request(HealthCheckRequest { service });
        match HealthClient::new(channel).check(request).await {
            Ok(answer) => match answer.into_inner().status() {
                ServingStatus::Serving => Verdict::Serving,
                other => Verdict::NotServing(other.as_str_name().to_owned()),
            },
            Err(status) if status.code() == Code::NotFound => {
                Verdict::NotServing("no such service".to_owned())
            }
            Err(status) => {
                Verdict::Unreachable(format!("{}: {}", status.code(), root_cause(&status)))
            }
        }
    }

    fn line(&self, verdict: &Verdict) -> String {
        let address = self.client.authority();
        let service = match self.service.as_str() {
            "" => String::new(),
            name => format!(" {name}"),
        };
        format!("{address}{service}: {verdict}")
    }
}

// === impl Verdict ===

impl Verdict {
    /// The exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Serving => 0,
            Self::NotServing(_) => 1,
            Self::Unreachable(_) => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("serving"),
            Self::NotServing(why) => write!(f, "not serving ({why})"),
            Self::Unreachable(why) => write!(f, "unreachable ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;

    use super::*;
    use crate::cli::client::{TlsArgs, parse_address};
    use crate::shutdown::Drain;

    fn question(address: &str, service: &str) -> Healthcheck {
        Healthcheck {
            service: service.to_owned(),
            client: ClientArgs {
                address: parse_address(address).unwrap(),
                timeout: Duration::from_secs(5),
                token_file: None,
                tls: TlsArgs::default(),
            },
        }
    }

    #[tokio::test]
    async fn each_answer_of_a_server_has_its_exit_code() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter
            .set_service_status("up", tonic_health::ServingStatus::Serving)
            .await;
        reporter
            .set_service_status("down", tonic_health::ServingStatus::NotServing)
            .await;
        let drain = Drain::new();
        let server = tonic::transport::Server::builder().add_service(service);
        drain.spawn(
            server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), drain.stopped()),
        );

        for (service, code, line) in [
            ("up", 0, "up: serving"),
            ("down", 1, "down: not serving (NOT_SERVING)"),
            ("unknown", 1, "unknown: not serving (no such service)"),
        ] {
            let question = question(&address, service);
            let verdict = question.ask(&question.client.way().unwrap()).await;
            assert_eq!(verdict.exit_code(), code, "{verdict}");
            assert_eq!(question.line(&verdict), format!("{address} {line}"));
        }
        assert!(drain.finish(Duration::from_secs(5)).await);

        let question = question(&address, "");
        let verdict = question.ask(&question.client.way().unwrap()).await;
        assert_eq!(verdict.exit_code(), 2, "{verdict}");
        assert!(verdict.to_string().contains("refused"), "{verdict}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_unreachable_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let question = question(&address, "");
        let verdict = question.ask(&question.client.way().unwrap()).await;
        assert_eq!(
            verdict,
            Verdict::Unreachable("no answer within 5s".to_owned())
        );
    }
}
