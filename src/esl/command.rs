//! Commands as they stand on the wire. A [`Command`] is one whole command by construction: nothing
//! else can be written to a link.

use bytes::Bytes;

use crate::domain::{Deadline, JobId, TextError, check_wire_text};

/// Longest text that one command takes, far below the 10 MiB after which FreeSWITCH ends a command
/// wherever it stands and reads the rest as the next one (`max_len` of `read_packet` in
/// `mod_event_socket.c`).
const MAX_TEXT: usize = 1 << 20;

/// One command, rendered and checked: it ends with its empty line and holds no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    bytes: Bytes,
    reply_by: Option<Deadline>,
}

// === impl Command ===

impl Command {
    /// `api LINE`: runs on the link's own thread in FreeSWITCH and blocks it until done
    /// (`api_exec(NULL, ..)` in `mod_event_socket.c`), so only for what is quick.
    ///
    /// # Errors
    /// When the line holds a line feed, a carriage return or NUL, or is longer than 1 MiB.
    pub fn api(line: &str) -> Result<Self, TextError> {
        Self::line("api", line)
    }

    /// `bgapi LINE` with a `Job-UUID` of our choice, so that the job can be registered before the
    /// command is written.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub fn bgapi(job: &JobId, line: &str) -> Result<Self, TextError> {
        check(line)?;
        Ok(Self::rendered(format!("bgapi {line}\nJob-UUID: {job}\n\n")))
    }

    /// `sendmsg` in the rendering of [`crate::esl::quote`], which is where its form is decided.
    pub(crate) fn rendered(text: String) -> Self {
        Self {
            bytes: text.into(),
            reply_by: None,
        }
    }

    /// `event plain NAMES`: adds to what this link is sent.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub fn event_plain(names: &str) -> Result<Self, TextError> {
        Self::line("event plain", names)
    }

    /// `nixevent NAMES`: takes away from what this link is sent.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub fn nixevent(names: &str) -> Result<Self, TextError> {
        Self::line("nixevent", names)
    }

    /// `filter HEADER VALUE`: only events with that header value are sent.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub fn filter(header: &str, value: &str) -> Result<Self, TextError> {
        check(value)?;
        Self::line("filter", &format!("{header} {value}"))
    }

    /// `noevents`: stops all events; harmless where there are none, which makes it the probe of
    /// links without events.
    pub fn noevents() -> Self {
        Self::rendered("noevents\n\n".to_owned())
    }

    /// `exit`: FreeSWITCH answers `+OK bye` and closes.
    pub fn exit() -> Self {
        Self::rendered("exit\n\n".to_owned())
    }

    /// `auth PASSWORD`.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub(super) fn auth(password: &str) -> Result<Self, TextError> {
        Self::line("auth", password)
    }

    /// `userauth USER@DOMAIN:PASSWORD`.
    ///
    /// # Errors
    /// As [`Command::api`].
    pub(super) fn userauth(user: &str, password: &str) -> Result<Self, TextError> {
        check(password)?;
        Self::line("userauth", &format!("{user}:{password}"))
    }

    /// What it is without its arguments, which may be secret: `api uuid_kill`, `sendmsg`.
    pub fn verb(&self) -> &str {
        let line = self.bytes.split(|byte| *byte == b'\n').next();
        let line = str::from_utf8(line.unwrap_or_default()).unwrap_or_default();
        let words = match line.starts_with("api ") || line.starts_with("bgapi ") {
            true => 2,
            false => 1,
        };
        let mut ends = line.match_indices(' ').map(|(at, _)| at);
        &line[..ends.nth(words - 1).unwrap_or(line.len())]
    }

    /// The bytes on the wire.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its reply is waited for until then, once it is taken for writing: the deadline of the send is
    /// that of the taking alone.
    pub(crate) fn replied_by(self, deadline: Deadline) -> Self {
        Self {
            reply_by: Some(deadline),
            ..self
        }
    }

    pub(super) fn reply_by(&self) -> Option<Deadline> {
        self.reply_by
    }

    fn line(word: &str, rest: &str) -> Result<Self, TextError> {
        check(rest)?;
        Ok(Self::rendered(format!("{word} {rest}\n\n")))
    }
}

fn check(text: &str) -> Result<(), TextError> {
    check_wire_text(text)?;
    match text.len() > MAX_TEXT {
        true => Err(TextError {
            name: "more than 1 MiB",
            at: MAX_TEXT,
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_can_end_its_command() {
        for hostile in ["status\n\napi hupall", "status\r\n", "status\0", "\n"] {
            assert!(Command::api(hostile).is_err());
            assert!(Command::bgapi(&JobId::generate(), hostile).is_err());
            assert!(Command::event_plain(hostile).is_err());
            assert!(Command::nixevent(hostile).is_err());
            assert!(Command::filter("Unique-ID", hostile).is_err());
            assert!(Command::filter(hostile, "x").is_err());
            assert!(Command::auth(hostile).is_err());
            assert!(Command::userauth("u@d", hostile).is_err());
        }
    }

    #[test]
    fn a_verb_has_no_arguments() {
        let verb = |line: &str| Command::rendered(format!("{line}\n\n")).verb().to_owned();
        for (line, expected) in [
            ("api uuid_kill 1 NORMAL", "api uuid_kill"),
            ("api status", "api status"),
            ("api", "api"),
            (
                "bgapi originate user/1 &park()\nJob-UUID: 1",
                "bgapi originate",
            ),
            ("bgapi status\nJob-UUID: 1", "bgapi status"),
            ("sendmsg 1\ncall-command: execute", "sendmsg"),
            ("auth ClueCon", "auth"),
            ("noevents", "noevents"),
            ("", ""),
        ] {
            assert_eq!(verb(line), expected);
        }
    }

    /// FreeSWITCH would take the rest for a command of its own.
    #[test]
    fn no_argument_is_longer_than_freeswitch_reads() {
        let fits = "x".repeat(MAX_TEXT);
        assert!(Command::api(&fits).is_ok());
        let long = format!("{fits}api hupall");
        assert_eq!(Command::api(&long).map_err(|e| e.at), Err(MAX_TEXT));
        assert!(Command::bgapi(&JobId::generate(), &long).is_err());
        assert!(Command::filter("Unique-ID", &long).is_err());
        assert!(Command::userauth("u@d", &long).is_err());
    }
}
