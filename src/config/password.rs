//! Passwords: where they come from, and that they show nowhere.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::problem::{Origin, Problem, Problems};
use super::{PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, Source};
use crate::domain::check_wire_text;

/// The password that FreeSWITCH comes with.
pub const DEFAULT_ESL_PASSWORD: &str = "ClueCon";

/// A password that never shows in logs, and where it came from.
#[derive(Debug, Clone)]
pub struct Password {
    secret: SecretString,
    origin: PasswordOrigin,
}

/// Where a password came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordOrigin {
    /// The node's own `password`.
    Given,
    /// The node's own `password_file`.
    File(PathBuf),
    /// SWITCHGATE_ESL_PASSWORD or SWITCHGATE_ESL_PASSWORD_FILE, by name.
    Environment(&'static str),
    /// Nowhere: FreeSWITCH's default password.
    Default,
}

// === impl Password ===

impl Password {
    /// A password and where it came from.
    pub fn new(secret: impl Into<String>, origin: PasswordOrigin) -> Self {
        Self {
            secret: SecretString::from(secret.into()),
            origin,
        }
    }

    /// FreeSWITCH's own default.
    pub fn freeswitch_default() -> Self {
        Self::new(DEFAULT_ESL_PASSWORD, PasswordOrigin::Default)
    }

    /// The password itself, for the wire alone.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Where it came from.
    pub fn origin(&self) -> &PasswordOrigin {
        &self.origin
    }

    /// Refuses what cannot be sent; `key` and `from` are for the problem.
    pub(super) fn checked(self, key: &str, from: Origin) -> Result<Self, Problems> {
        let (reason, remedy) = if self.expose().is_empty() {
            let reason = "is an empty password, which FreeSWITCH never takes".to_owned();
            (reason, "give the password of event_socket.conf.xml")
        } else if let Err(error) = check_wire_text(self.expose()) {
            let reason = format!("holds {} at byte {}", error.name, error.at);
            (reason, "give the password alone, on one line")
        } else {
            return Ok(self);
        };
        Err(Problems::from(Problem {
            key: key.to_owned(),
            value: None,
            reason,
            remedy: remedy.to_owned(),
            origin: from,
        }))
    }
}

/// Reads a file that holds a password and perhaps the line end that editors add.
pub(super) fn read_password(
    key: &str,
    path: &str,
    from: Origin,
    source: &dyn Source,
) -> Result<String, Problems> {
    match source.read(Path::new(path)) {
        Ok(content) => {
            let line = content.strip_suffix('\n').unwrap_or(&content);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        Err(error) => Err(Problems::from(Problem {
            key: key.to_owned(),
            value: Some(format!("`{}`", path.escape_debug())),
            reason: format!("cannot be read: {error}"),
            remedy: "name a file that holds the password and that this user may read".to_owned(),
            origin: from,
        })),
    }
}

/// The password of nodes that have none of their own, out of the values of
/// SWITCHGATE_ESL_PASSWORD and SWITCHGATE_ESL_PASSWORD_FILE, else FreeSWITCH's default.
pub(super) fn fallback(
    own: Option<String>,
    file: Option<String>,
    source: &dyn Source,
) -> Result<Password, Problems> {
    let variable = |name: &str| Origin::Environment(name.to_owned());
    let (name, secret) = match (own, file) {
        (None, None) => return Ok(Password::freeswitch_default()),
        (Some(own), None) => (PASSWORD_VARIABLE, own),
        (None, Some(path)) => {
            let name = PASSWORD_FILE_VARIABLE;
            (name, read_password(name, &path, variable(name), source)?)
        }
        (Some(_), Some(_)) => {
            return Err(Problems::from(Problem {
                key: PASSWORD_VARIABLE.to_owned(),
                value: None,
                reason: format!("is set and so is {PASSWORD_FILE_VARIABLE}"),
                remedy: "unset one of them".to_owned(),
                origin: variable(PASSWORD_VARIABLE),
            }));
        }
    };
    Password::new(secret, PasswordOrigin::Environment(name)).checked(name, variable(name))
}
