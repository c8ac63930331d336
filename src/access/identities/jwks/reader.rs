//! Reads the keys of an issuer once, from a file or a URL.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::access::identities::key_set::KeySetError;
use crate::access::identities::tokens::TokenDigest;

/// Longest set of keys. Real ones have one to ten kilobytes.
const LONGEST: usize = 1 << 20;
/// Longest time to read them from a URL.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What reads them.
#[derive(Debug)]
pub(super) enum Reader {
    File(PathBuf),
    Url {
        client: reqwest::Client,
        url: reqwest::Url,
        /// The authorities of the client: where they are, and what was there.
        ca: Option<(PathBuf, TokenDigest)>,
    },
}

/// Why keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file of keys, or of authorities.
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    /// The server is not reached or not trusted.
    #[error("cannot be fetched: {}", with_causes(.0))]
    Http(reqwest::Error),
    /// It answers something else than 200.
    #[error("is answered with status {0}")]
    Status(u16),
    /// More than a set of keys ever has.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// It is no set of keys.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// The file of authorities holds none.
    #[error("holds no certificate in PEM form")]
    NoAuthority,
}

// === impl Reader ===

impl Reader {
    /// Of a URL, whose server's certificate may be of these authorities, else of the system's.
    pub(super) fn of_url(url: reqwest::Url, ca: Option<PathBuf>) -> Result<Self, ReadError> {
        let authorities = ca.as_ref().map(std::fs::read).transpose()?;
        let client = client(authorities.as_deref())?;
        let ca = ca.zip(authorities.as_deref().map(TokenDigest::of));
        Ok(Self::Url { client, url, ca })
    }

    pub(super) async fn read(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut content = Vec::new();
        match self {
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let mut file = file.take(LONGEST as u64 + 1);
                file.read_to_end(&mut content).await?;
            }
            Self::Url {
                client: known,
                url,
                ca,
            } => {
                if let Some((path, digest)) = ca {
                    let authorities = tokio::fs::read(path).await?;
                    let found = TokenDigest::of(&authorities);
                    if found != *digest {
                        *known = client(Some(&authorities))?;
                        *digest = found;
                    }
                }
                let client = &*known;
                let fetched = client.get(url.clone()).send().await;
                let mut response = fetched.map_err(without_url)?;
                if response.status() != http::StatusCode::OK {
                    return Err(ReadError::Status(response.status().as_u16()));
                }
                while let Some(chunk) = response.chunk().await.map_err(without_url)? {
                    content.extend_from_slice(&chunk);
                    if content.len() > LONGEST {
                        break;
                    }
                }
            }
        }
        if content.len() > LONGEST {
            return Err(ReadError::TooLong);
        }
        Ok(content)
    }
}

/// A URL of keys: by TLS, except on this very machine, since whoever changes the answer on its way
/// can sign tokens.
///
/// # Errors
/// What is wrong with it.
pub fn jwks_url(text: &str) -> Result<reqwest::Url, &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "is no URL")?;
    let local = || {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password, which would show in logs");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if local() => Ok(url),
        "http" => Err("is not protected: whoever changes the answer on its way can sign tokens"),
        _ => Err("is no URL of https"),
    }
}

/// A client that follows nobody elsewhere, asks no proxy and keeps no connection.
fn client(authorities: Option<&[u8]>) -> Result<reqwest::Client, ReadError> {
    let mut builder = reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .user_agent(concat!("switchgate/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = authorities {
        let certificates =
            reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ReadError::NoAuthority)?;
        if certificates.is_empty() {
            return Err(ReadError::NoAuthority);
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(without_url)
}

/// The place is named beside the error.
fn without_url(error: reqwest::Error) -> ReadError {
    ReadError::Http(error.without_url())
}

fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_tls_or_from_this_machine() {
        for good in [
            "https://login.example.net/keys",
            "https://10.0.0.1:8443/keys",
            "http://127.0.0.1:8080/keys",
            "http://127.8.8.8/keys",
            "http://[::1]:8080/keys",
            "http://localhost/keys",
        ] {
            assert!(jwks_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "login.example.net",
            "http://login.example.net/keys",
            "http://10.0.0.1/keys",
            "http://localhost.example.net/keys",
            "http://127.0.0.1.example.net/keys",
            "file:///etc/keys",
            "https://me:secret@login.example.net/keys",
        ] {
            assert!(jwks_url(bad).is_err(), "{bad}");
        }
    }
}
