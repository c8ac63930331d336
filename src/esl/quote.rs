//! Client strings on their way into FreeSWITCH: each arrives with exactly its characters, or is
//! refused with the reason. Pure text, no IO.
//!
//! FreeSWITCH has no quoting that a whole command obeys. A command passes through a chain of
//! splitters, and each one strips quotes, spaces and backslashes again (`switch_separate_string`
//! in `switch_utils.c`): one for `uuid_setvar`, three for a variable in `{...}` of an originate,
//! five for one in `[...]`. So nothing here is put in quotes. Each pass of the chain has its exact
//! inverse (`passes`), and a value is run backwards through the passes that it will meet. What
//! is then still refused is refused because of what FreeSWITCH does behind the splitters.
//!
//! Measured on FreeSWITCH 1.10.12; `tests/live_quoting.rs` repeats it on any other.
//!
//! - [`OriginateCommand`]: variables, dial strings, caller id, application or extension
//! - [`uuid_setvar`], [`uuid_unsetvar`]: one variable of a living channel
//! - [`sendmsg_execute`], [`sendmsg_hangup`]: whole `sendmsg` packets
//! - [`ApiCommand`]: any api, as `api` or as `bgapi`

mod api;
mod application;
mod bridge;
mod endpoint;
mod originate;
mod passes;
mod split;
mod variable;

#[cfg(test)]
mod corpus;
#[cfg(any(test, fuzzing))]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "an oracle must panic"
)]
mod model;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, reason = "an oracle must panic")]
pub mod survival;
#[cfg(test)]
mod tests;

use crate::domain::{TextError, check_wire_text};

pub use api::{ApiCommand, uuid_kill};
pub use application::{
    check_application_name, sendmsg_execute, sendmsg_execute_expanding, sendmsg_hangup,
};
pub use bridge::sendmsg_bridge;
pub use endpoint::check_endpoint;
pub(crate) use originate::MAX_LEGS;
pub use originate::{Leg, LegStrategy, OriginateCommand, RefusedField, Target};
pub(crate) use split::separate;
pub(crate) use variable::{HOOK_PREFIXES, Hook, base_name, hook};
pub use variable::{
    check_value, check_variable_name, runs_commands, uuid_setvar, uuid_setvar_expanding,
    uuid_unsetvar,
};

/// Longest command that is written, in bytes. FreeSWITCH ends a command by force at 10 MiB and
/// takes the rest for another one (`max_len` in `read_packet`, `mod_event_socket.c`).
const MAX_COMMAND_BYTES: usize = 1 << 20;

/// Why FreeSWITCH cannot be given a string. The caller puts the field's name in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unquotable {
    /// A line feed, a carriage return or a NUL.
    #[error(transparent)]
    Wire(#[from] TextError),
    /// `${` or `$${`.
    #[error("holds ${{, which FreeSWITCH expands, running commands on its host; remove it")]
    Expansion,
    /// An empty value where FreeSWITCH would see none.
    #[error("is empty, which FreeSWITCH cannot tell from absent; leave it out or unset it")]
    Empty,
    /// A text without which there is no command; what to write instead.
    #[error("is missing; {0}")]
    Missing(&'static str),
    /// A value that FreeSWITCH takes for an array.
    #[error("starts with ARRAY::, which FreeSWITCH turns into an array; change the start")]
    Array,
    /// A character that no variable name may have.
    #[error("is a variable name that holds {0:?}; use letters, digits and _ - . ! * + ~")]
    VariableName(char),
    /// `_body`, which sets an event's body.
    #[error("is the name _body, which FreeSWITCH keeps for itself; use another")]
    ReservedName,
    /// A name that is given twice.
    #[error("gives {0:?} twice (FreeSWITCH ignores case); give it once")]
    Twice(String),
    /// A square bracket without its partner in a variable of one leg.
    #[error(
        "holds a [ or ] without its partner, which ends the leg's variables; use the variables of the whole call"
    )]
    Bracket,
    /// A control character that FreeSWITCH replaces.
    #[error(
        "holds the control character {0:?}, which FreeSWITCH replaces or takes for a separator; remove it"
    )]
    Control(char),
    /// A character that no dial string may have.
    #[error(
        "is a dial string that holds {0:?}; write it as %XX in a SIP URI, give further dial strings as further endpoints"
    )]
    Endpoint(char),
    /// Variables in a dial string.
    #[error("is a dial string with its own variables, {0}...; use variables")]
    EndpointVariables(char),
    /// `:_:` in a dial string.
    #[error(
        "is a dial string that holds :_:, which separates dial strings; give them as further endpoints"
    )]
    EndpointSeparator,
    /// No `type/`.
    #[error("is no dial string; write type/address, such as sofia/internal/1000@example.com")]
    EndpointForm,
    /// A character that would change a SIP From header.
    #[error("holds {0:?}, which changes the From header that FreeSWITCH writes; remove it")]
    CallerId(char),
    /// A character that no application name has.
    #[error("is an application name that holds {0:?}; use letters, digits and _ - .")]
    ApplicationName(char),
    /// `%[`, or `%`, one byte and `[`.
    #[error(
        "starts with %[, which FreeSWITCH takes for variables of the application; change the start"
    )]
    ScopeVariables,
    /// `\'` in the argument of an application in an originate.
    #[error(
        r"holds \', for which FreeSWITCH drops the application; originate to park, then Execute"
    )]
    EscapedQuote,
    /// An extension that would be an application.
    #[error("starts with &, which names an application; use application")]
    ExtensionIsApplication,
    /// A dialplan that runs its extension as applications.
    #[error("names the inline dialplan, which runs applications; use application")]
    InlineDialplan,
    /// `undef`, which FreeSWITCH's originate takes for an absent argument.
    #[error("is undef, which FreeSWITCH takes for absent; use another name")]
    Undef,
    /// White space where a single word is needed.
    #[error("holds {0:?}; write one word of printable ASCII")]
    Word(char),
    /// White space at the ends of an api's arguments.
    #[error("begins or ends with white space, which FreeSWITCH strips; remove it")]
    OuterSpace,
    /// A job id that FreeSWITCH would cut.
    #[error("is longer than 36 bytes, where FreeSWITCH cuts a job id; use a UUID")]
    JobId,
    /// More items than FreeSWITCH keeps.
    #[error("has {count} items, FreeSWITCH takes {most}; give fewer")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many can be given.
        most: usize,
    },
    /// A command of more than 1 MiB.
    #[error("makes a command of {0} bytes, the limit is 1048576; shorten it")]
    TooLong(usize),
    /// A command that FreeSWITCH replaces by another.
    #[error(
        "names mod_event_socket together with load, for which FreeSWITCH replaces the whole command; use fs_cli"
    )]
    ReplacedCommand,
}

/// Refuses line ends, NUL and [`check_no_expansion`]: the rule for every client string that
/// becomes part of a channel.
pub fn check_text(text: &str) -> Result<(), Unquotable> {
    check_wire_text(text)?;
    check_no_expansion(text)
}

/// Refuses `${` and `$${`, also with backslashes between: FreeSWITCH expands them in variables,
/// dial strings and every application's arguments, and an expansion can be an api, `system`
/// included (`switch_string_var_check_const` in `switch_utils.h`,
/// `switch_channel_expand_variables_check` in `switch_channel.c`).
pub fn check_no_expansion(text: &str) -> Result<(), Unquotable> {
    let mut dollar = false;
    for byte in text.bytes() {
        match byte {
            b'$' => dollar = true,
            b'{' if dollar => return Err(Unquotable::Expansion),
            b'\\' => {}
            _ => dollar = false,
        }
    }
    Ok(())
}

/// Control characters become spaces in a channel's profile (`switch_clean_string` in
/// `switch_utils.h`, used by `switch_caller.c`) and separate legs inside `switch_ivr_originate`.
fn check_no_control(text: &str) -> Result<(), Unquotable> {
    match text.chars().find(|c| *c < ' ') {
        Some(c) => Err(Unquotable::Control(c)),
        None => Ok(()),
    }
}

/// The last look at a command, without its body: its size, and the words for which `parse_command`
/// in `mod_event_socket.c` throws the command away and reloads the Event Socket instead.
pub(super) fn check_command(text: &str) -> Result<(), Unquotable> {
    if text.len() > MAX_COMMAND_BYTES {
        return Err(Unquotable::TooLong(text.len()));
    }
    let lower = text.to_ascii_lowercase();
    let load = lower.contains("unload") || lower.contains("reload");
    if load && lower.contains("mod_event_socket") {
        return Err(Unquotable::ReplacedCommand);
    }
    Ok(())
}
