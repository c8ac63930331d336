//! Api commands, as `api` and as `bgapi`.

use super::passes::{Pass, escape};
use super::{Unquotable, check_command, check_text};
use crate::domain::{HangupCause, JobId, SessionId, check_wire_text};

/// Longest job id (`uuid_str` of `api_command_struct` in `mod_event_socket.c`).
const MAX_JOB_ID_BYTES: usize = 36;

/// An api and its argument line, checked, not yet on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCommand {
    command: String,
    arguments: String,
}

// === impl ApiCommand ===

impl ApiCommand {
    /// Takes an argument line as it is. Only what would end or change the command is refused, and
    /// white space at the ends, which `switch_api_execute` in `switch_loadable_module.c` strips;
    /// what the api makes of the rest is its own affair. `${` passes: no api but `expand` and its
    /// like expands its arguments.
    pub fn new(command: &str, arguments: &str) -> Result<Self, Unquotable> {
        check_word(command)?;
        check_wire_text(arguments)?;
        let space = |c: char| matches!(c, ' ' | '\t' | '\u{b}');
        if arguments.starts_with(space) || arguments.ends_with(space) {
            return Err(Unquotable::OuterSpace);
        }
        check_command(&format!("{command} {arguments}"))?;
        Ok(Self {
            command: command.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    /// Arguments that the api splits at spaces (`switch_separate_string` with a space, as most of
    /// `mod_commands.c` does): each word arrives with exactly its characters.
    pub fn words(command: &str, words: &[&str]) -> Result<Self, Unquotable> {
        let mut line = String::new();
        for word in words {
            check_text(word)?;
            if word.is_empty() {
                return Err(Unquotable::Empty);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&escape(word, Pass::Blank));
        }
        Self::new(command, &line)
    }

    /// Name of the api.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The argument line.
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// The command to wait for, ready for the wire.
    pub fn api(&self) -> String {
        format!("api {}\n\n", self.line())
    }

    /// The command as the background job `job`, ready for the wire.
    pub fn bgapi(&self, job: &JobId) -> Result<String, Unquotable> {
        if job.as_str().len() > MAX_JOB_ID_BYTES {
            return Err(Unquotable::JobId);
        }
        Ok(format!("bgapi {}\nJob-UUID: {job}\n\n", self.line()))
    }

    fn line(&self) -> String {
        if self.arguments.is_empty() {
            return self.command.clone();
        }
        format!("{} {}", self.command, self.arguments)
    }
}

/// Hangs a channel up: `uuid_kill`, which also cancels an originate in progress.
pub fn uuid_kill(session: &SessionId, cause: HangupCause) -> ApiCommand {
    ApiCommand {
        command: "uuid_kill".to_owned(),
        arguments: format!("{session} {}", cause.name()),
    }
}

fn check_word(command: &str) -> Result<(), Unquotable> {
    check_wire_text(command)?;
    if command.is_empty() {
        return Err(Unquotable::Missing("name an api command such as status"));
    }
    match command.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(Unquotable::Word(c)),
        None => Ok(()),
    }
}
