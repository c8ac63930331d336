//! Applications and their arguments.

use super::{Unquotable, check_command, check_no_expansion, check_text};
use crate::domain::{HangupCause, SessionId, check_wire_text};

/// Refuses names that no application of FreeSWITCH has. `::` would call one asynchronously
/// (`switch_core_session_execute_application_get_flags` in `switch_core_session.c`).
pub fn check_application_name(name: &str) -> Result<(), Unquotable> {
    if name.is_empty() {
        return Err(Unquotable::Missing("name an application such as playback"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(Unquotable::ApplicationName(c)),
        None => Ok(()),
    }
}

/// A whole `sendmsg` that executes one application on a channel, ready for the wire.
///
/// The argument goes as a body: `read_packet` in `mod_event_socket.c` takes a body as it is, but
/// strips leading spaces from a header. Without an argument there is no body at all. FreeSWITCH
/// names the execution's events by `event_id` (`Application-UUID`).
///
/// A channel on which `app_disable_expand_variables` is true gets each backslash doubled where
/// the argument has an escape sequence, for there FreeSWITCH leaves them alone.
pub fn sendmsg_execute(
    session: &SessionId,
    application: &str,
    arguments: &str,
    event_id: &uuid::Uuid,
    event_lock: bool,
    loops: Option<u32>,
) -> Result<String, Unquotable> {
    let body = escape_expansion(arguments)?;
    execute(session, application, &body, event_id, event_lock, loops)
}

/// As [`sendmsg_execute`], but FreeSWITCH expands each `${...}` in the argument, running the commands
/// that it names.
pub fn sendmsg_execute_expanding(
    session: &SessionId,
    application: &str,
    arguments: &str,
    event_id: &uuid::Uuid,
    event_lock: bool,
    loops: Option<u32>,
) -> Result<String, Unquotable> {
    let body = escape_around_expansions(arguments)?;
    execute(session, application, &body, event_id, event_lock, loops)
}

fn execute(
    session: &SessionId,
    application: &str,
    body: &str,
    event_id: &uuid::Uuid,
    event_lock: bool,
    loops: Option<u32>,
) -> Result<String, Unquotable> {
    check_application_name(application)?;
    let mut packet = format!(
        "sendmsg {session}\ncall-command: execute\nexecute-app-name: {application}\n\
         Event-UUID: {event_id}\n"
    );
    if event_lock {
        packet.push_str("event-lock: true\n");
    }
    if let Some(loops) = loops {
        packet.push_str(&format!("loops: {loops}\n"));
    }
    if !body.is_empty() {
        packet.push_str(&format!(
            "content-type: text/plain\ncontent-length: {}\n",
            body.len()
        ));
    }
    check_command(&packet)?;
    packet.push('\n');
    packet.push_str(body);
    match packet.len() {
        len if len > super::MAX_COMMAND_BYTES => Err(Unquotable::TooLong(len)),
        _ => Ok(packet),
    }
}

/// A whole `sendmsg` that hangs a channel up, ready for the wire.
pub fn sendmsg_hangup(session: &SessionId, cause: HangupCause) -> String {
    let cause = cause.name();
    format!("sendmsg {session}\ncall-command: hangup\nhangup-cause: {cause}\n\n")
}

/// The arguments of an application as FreeSWITCH must hold them before it expands them.
///
/// `switch_channel_expand_variables_check` in `switch_channel.c` leaves a text alone that has
/// neither `${` nor one of `\\ \n \s \t \'`. Any other it walks through: `\\` becomes one
/// backslash, `\'` vanishes, `$$` loses a dollar. There backslashes are doubled and dollars
/// escaped. `%[` at the start would be variables (`switch_core_session_exec`).
pub(super) fn escape_expansion(arguments: &str) -> Result<String, Unquotable> {
    check_text(arguments)?;
    check_scope(arguments)?;
    let walked = |pair: &[u8]| pair[0] == b'\\' && b"\\nst'".contains(&pair[1]);
    if !arguments.as_bytes().windows(2).any(walked) {
        return Ok(arguments.to_owned());
    }
    Ok(arguments.replace('\\', r"\\").replace('$', r"\$"))
}

/// The same for arguments whose `${...}` is to be expanded: all around it stays as it is.
pub(super) fn escape_around_expansions(arguments: &str) -> Result<String, Unquotable> {
    check_wire_text(arguments)?;
    if check_no_expansion(arguments).is_ok() {
        return escape_expansion(arguments);
    }
    check_scope(arguments)?;
    let mut text = String::with_capacity(arguments.len() + 8);
    let mut rest = arguments;
    while let Some(c) = rest.chars().next() {
        let begins = |start: &str| rest.starts_with(start);
        let length = match begins("${") || begins("$${") {
            true => expansion_length(rest),
            false => {
                if matches!(c, '\\' | '$') {
                    text.push('\\');
                }
                c.len_utf8()
            }
        };
        let (taken, behind) = rest.split_at(length);
        text.push_str(taken);
        rest = behind;
    }
    Ok(text)
}

/// Bytes of the `${...}` at the start, up to the brace that closes it.
fn expansion_length(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn check_scope(arguments: &str) -> Result<(), Unquotable> {
    match arguments.as_bytes() {
        [b'%', b'[', ..] | [b'%', _, b'[', ..] => Err(Unquotable::ScopeVariables),
        _ => Ok(()),
    }
}

/// The text for `switch_caller_extension_add_application` in `switch_caller.c`, which drops an
/// application whose argument holds `\'`, with a warning in its log alone.
pub(super) fn escape_planned(arguments: &str, expand: bool) -> Result<String, Unquotable> {
    let text = match expand {
        true => escape_around_expansions(arguments)?,
        false => escape_expansion(arguments)?,
    };
    if text.contains("\\'") {
        return Err(Unquotable::EscapedQuote);
    }
    Ok(text)
}
