//! Authentication: an address to a ready [`Connection`].

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::codec::{FrameError, Limits};
use super::command::Command;
use super::connection::{Connection, ReadError};
use super::dialer::Dialer;
use super::frame::ContentType;

/// How to log in.
#[derive(Clone)]
pub struct Credentials {
    /// `user@domain` for `userauth`; absent for the plain `auth`.
    pub user: Option<String>,
    /// The password of either.
    pub password: SecretString,
}

/// Dials one node and logs in. Makes one attempt a call; who calls again, and when, is not decided
/// here.
#[derive(Clone)]
pub struct Connector {
    /// `host:port`.
    pub address: String,
    /// How to log in.
    pub credentials: Credentials,
    /// Time for dialling and logging in together.
    pub timeout: Duration,
    /// How large frames may be.
    pub limits: Limits,
    /// Opens the socket.
    pub dialer: Arc<dyn Dialer>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket could not be opened.
    #[error("cannot connect")]
    Dial(#[source] io::Error),
    /// It took longer than the time-out.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// FreeSWITCH's access list does not allow this address (`apply-inbound-acl` of
    /// `event_socket.conf`).
    #[error(
        "address is refused by FreeSWITCH's access list (apply-inbound-acl of event_socket.conf)"
    )]
    AddressRefused,
    /// The password, or the user, is wrong.
    #[error("login is refused: {0}")]
    LoginRefused(String),
    /// The password or the user holds a line end or NUL.
    #[error("user or password {0}")]
    BadCredentials(#[from] crate::domain::TextError),
    /// The socket broke during login.
    #[error("connection broke during login")]
    Broken(#[source] io::Error),
    /// The peer sent no frames.
    #[error("peer does not speak the Event Socket protocol")]
    NotEsl(#[source] FrameError),
    /// The peer sent a frame that has no place in a login.
    #[error("unexpected {0:?} frame during login")]
    Unexpected(ContentType),
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

// === impl Connector ===

impl Connector {
    /// Dials and logs in.
    ///
    /// # Errors
    /// Says at which step it failed; each is worth another attempt, since passwords and access
    /// lists change too.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        tokio::time::timeout(self.timeout, self.dial_and_login())
            .await
            .map_err(|_| ConnectError::TimedOut(self.timeout))?
    }

    async fn dial_and_login(&self) -> Result<Connection, ConnectError> {
        let io = self
            .dialer
            .dial(&self.address)
            .await
            .map_err(ConnectError::Dial)?;
        let mut connection = Connection::new(io, self.limits);
        match connection.read_greeting().await?.content_type() {
            ContentType::AuthRequest => {}
            ContentType::RudeRejection => return Err(ConnectError::AddressRefused),
            other => return Err(ConnectError::Unexpected(other)),
        }
        let password = self.credentials.password.expose_secret();
        let login = match &self.credentials.user {
            Some(user) => {
                connection.expect_userauth_reply();
                Command::userauth(user, password)?
            }
            None => Command::auth(password)?,
        };
        connection
            .write(&login)
            .await
            .map_err(ConnectError::Broken)?;
        let reply = connection.read_frame().await?;
        if reply.content_type() != ContentType::CommandReply {
            return Err(ConnectError::Unexpected(reply.content_type()));
        }
        let text = reply.headers().text("Reply-Text").unwrap_or_default();
        match text.starts_with("+OK") {
            true => Ok(connection),
            false => Err(ConnectError::LoginRefused(text.trim().to_owned())),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl From<ReadError> for ConnectError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Broken(error),
            ReadError::Frame(error) => Self::NotEsl(error),
        }
    }
}
