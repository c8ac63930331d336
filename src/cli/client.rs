//! How the sub-commands that ask a running gateway reach it: address, TLS and token.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};

use super::CliError;
use crate::config::DEFAULT_GRPC_PORT;
use crate::tls::{ClientFiles, ClientTls};

/// Flags of the sub-commands that ask a running gateway.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// The server to ask, as HOST:PORT, http://HOST:PORT or https://HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SWITCHGATE_HEALTHCHECK_ADDRESS",
        default_value = "127.0.0.1:50061",
        value_parser = parse_address
    )]
    pub address: Uri,

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

/// A way to one server, whose files were read.
#[derive(Debug, Clone)]
pub(super) struct Way {
    address: Uri,
    tls: Option<(ClientTls, ServerName<'static>)>,
    token: Option<AsciiMetadataValue>,
}

// === impl ClientArgs ===

impl ClientArgs {
    /// The server's host and port, to be printed.
    pub(super) fn authority(&self) -> &str {
        let authority = self.address.authority();
        authority.map_or("", |authority| authority.as_str())
    }

    /// Reads the files.
    pub(super) fn way(&self) -> Result<Way, CliError> {
        Ok(Way {
            address: self.address.clone(),
            tls: self.client_tls()?,
            token: self.token()?,
        })
    }

    /// The error of who has waited for too long.
    pub(super) fn no_answer(&self) -> String {
        let waited = humantime::format_duration(self.timeout);
        format!("no answer within {waited}")
    }

    fn client_tls(&self) -> Result<Option<(ClientTls, ServerName<'static>)>, CliError> {
        let Some(ca) = &self.tls.ca else {
            return match self.address.scheme_str() {
                Some("https") => Err(CliError::Usage(
                    "https needs --ca FILE, with the authorities whose servers are trusted"
                        .to_owned(),
                )),
                _ => Ok(None),
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
        Ok(Some((tls, name)))
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
}

// === impl Way ===

impl Way {
    /// Connects; the error is the cause.
    pub(super) async fn connect(&self) -> Result<Channel, String> {
        let endpoint = Endpoint::from(self.address.clone());
        let connected = match self.tls.clone() {
            None => endpoint.connect().await,
            Some((tls, name)) => connect_tls(endpoint, tls, name).await,
        };
        connected.map_err(|error| root_cause(&error))
    }

    /// A request with the token, if there is one.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            let headers = request.metadata_mut();
            headers.insert("authorization", token.clone());
        }
        request
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
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

pub(super) fn parse_address(text: &str) -> Result<Uri, String> {
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
    use super::*;

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
