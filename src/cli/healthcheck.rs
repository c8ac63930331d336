//! `switchgate healthcheck`: a client of `grpc.health.v1`, for probes of containers.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::CliError;
use crate::config::DEFAULT_GRPC_PORT;
use crate::tls::{ClientFiles, ClientTls};

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
    /// The server to ask, as HOST:PORT, http://HOST:PORT or https://HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SWITCHGATE_HEALTHCHECK_ADDRESS",
        default_value = "127.0.0.1:50061",
        value_parser = parse_address
    )]
    pub address: Uri,

    /// The service to ask for, such as switchgate.v1.SessionService; the whole server when left
    /// out
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub service: String,

    /// Longest time to wait, for connection and answer together
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_timeout)]
    pub timeout: Duration,

    /// File with a token to send as `authorization: Bearer TOKEN`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Flags for TLS.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Flags for TLS.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsArgs {
    /// Speak TLS; PEM file with the authorities whose servers are trusted
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub ca: Option<PathBuf>,

    /// PEM file with a certificate of this client, for a server that asks for one
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"], help_heading = "TLS")]
    pub certificate: Option<PathBuf>,

    /// PEM file with the private key of that certificate
    #[arg(
        long,
        value_name = "FILE",
        requires = "certificate",
        help_heading = "TLS"
    )]
    pub key: Option<PathBuf>,

    /// Name that the server's certificate must have; the host of the address when left out
    #[arg(long, value_name = "NAME", requires = "ca", help_heading = "TLS")]
    pub server_name: Option<String>,
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

/// How to reach a server.
enum Way {
    PlainText,
    Tls(ClientTls, ServerName<'static>),
}

// === impl Healthcheck ===

impl Healthcheck {
    /// Asks, prints the answer on one line and gives the exit code for it.
    ///
    /// # Errors
    /// When a file is not what it should be, or the runtime does not start.
    pub fn run(&self) -> Result<ExitCode, CliError> {
        let way = self.way()?;
        let token = self.token()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let verdict = runtime.block_on(self.ask(way, token));
        // A closed output is no reason to fail: the exit code still tells.
        let _ = writeln!(std::io::stdout(), "{}", self.line(&verdict));
        Ok(verdict.exit_code().into())
    }

    /// How to reach the server.
    fn way(&self) -> Result<Way, CliError> {
        let Some(ca) = &self.tls.ca else {
            return match self.address.scheme_str() {
                Some("https") => Err(CliError::Usage(
                    "https needs --ca FILE, with the authorities whose servers are trusted"
                        .to_owned(),
                )),
                _ => Ok(Way::PlainText),
            };
        };
        let files = ClientFiles {
            ca: ca.clone(),
            identity: self.tls.certificate.clone().zip(self.tls.key.clone()),
        };
        let tls = ClientTls::load(&files).map_err(|flaws| CliError::Usage(flaws.to_string()))?;
        let host = self.address.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = self.tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|error| {
            CliError::Usage(format!(
                "`{name}` is no name of a server: {error}; give --server-name"
            ))
        })?;
        Ok(Way::Tls(tls, name))
    }

    /// What to send as `authorization`.
    fn token(&self) -> Result<Option<AsciiMetadataValue>, CliError> {
        let Some(file) = &self.token_file else {
            return Ok(None);
        };
        let wrong = |why: String| {
            let file = file.display();
            CliError::Usage(format!(
                "--token-file `{file}` {why}; name a file with a token alone"
            ))
        };
        let token = std::fs::read_to_string(file)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let mut value: AsciiMetadataValue = format!("Bearer {}", token.trim())
            .parse()
            .map_err(|_| wrong("holds what no header can".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Asks once.
    async fn ask(&self, way: Way, token: Option<AsciiMetadataValue>) -> Verdict {
        match tokio::time::timeout(self.timeout, self.ask_patiently(way, token)).await {
            Ok(verdict) => verdict,
            Err(_) => {
                let waited = humantime::format_duration(self.timeout);
                Verdict::Unreachable(format!("no answer within {waited}"))
            }
        }
    }

    async fn ask_patiently(&self, way: Way, token: Option<AsciiMetadataValue>) -> Verdict {
        let endpoint = Endpoint::from(self.address.clone());
        let connected = match way {
            Way::PlainText => endpoint.connect().await,
            Way::Tls(tls, name) => connect_tls(endpoint, tls, name).await,
        };
        let channel = match connected {
            Ok(channel) => channel,
            Err(error) => return Verdict::Unreachable(root_cause(&error)),
        };
        let service = self.service.clone();
        let mut request = tonic::Request::new(HealthCheckRequest { service });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token);
        }
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
        let address = self
            .address
            .authority()
            .map_or("", |authority| authority.as_str());
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

/// A channel whose connections speak TLS with the server of this name.
async fn connect_tls(
    endpoint: Endpoint,
    tls: ClientTls,
    name: ServerName<'static>,
) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |address: Uri| {
        let (tls, name) = (tls.clone(), name.clone());
        async move {
            let host = address.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = address.port_u16().unwrap_or(DEFAULT_GRPC_PORT);
            let stream = TcpStream::connect((host, port)).await?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    endpoint.connect_with_connector(connector).await
}

/// The last of a chain of errors: tonic's own are only "transport error".
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn parse_address(text: &str) -> Result<Uri, String> {
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("{error}; write HOST:PORT"))?;
    match (uri.scheme_str(), uri.port_u16()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        (Some("http" | "https"), None) => Err("has no port; write HOST:PORT".to_owned()),
        _ => Err("is neither HOST:PORT nor http://HOST:PORT nor https://HOST:PORT".to_owned()),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ if text
            .parse()
            .is_ok_and(|seconds: f64| seconds > 0.0 && seconds.is_finite()) =>
        {
            Err(format!("has no unit; write {text}s"))
        }
        _ => Err("is no duration longer than zero; write for example 500ms or 3s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;

    use super::*;
    use crate::shutdown::Drain;

    fn question(address: &str, service: &str) -> Healthcheck {
        Healthcheck {
            address: parse_address(address).unwrap(),
            service: service.to_owned(),
            timeout: Duration::from_secs(5),
            token_file: None,
            tls: TlsArgs::default(),
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
            let verdict = question.ask(Way::PlainText, None).await;
            assert_eq!(verdict.exit_code(), code, "{verdict}");
            assert_eq!(question.line(&verdict), format!("{address} {line}"));
        }
        assert!(drain.finish(Duration::from_secs(5)).await);

        let verdict = question(&address, "").ask(Way::PlainText, None).await;
        assert_eq!(verdict.exit_code(), 2, "{verdict}");
        assert!(verdict.to_string().contains("refused"), "{verdict}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_unreachable_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let verdict = question(&address, "").ask(Way::PlainText, None).await;
        assert_eq!(
            verdict,
            Verdict::Unreachable("no answer within 5s".to_owned())
        );
    }

    #[test]
    fn addresses_need_a_port() {
        for text in [
            "127.0.0.1:1",
            "http://fs.example.net:1",
            "[::1]:1",
            "https://a:1",
        ] {
            assert!(parse_address(text).is_ok(), "{text}");
        }
        for text in ["127.0.0.1", "https://a", "ftp://a:1", "", "a b:1"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timeout_without_its_unit_is_told_so() {
        assert_eq!(parse_timeout("3").unwrap_err(), "has no unit; write 3s");
        for text in ["0s", "0", "soon", "-1s"] {
            let told = parse_timeout(text).unwrap_err();
            assert!(told.contains("longer than zero"), "{text}: {told}");
        }
        assert_eq!(parse_timeout("500ms"), Ok(Duration::from_millis(500)));
    }
}
