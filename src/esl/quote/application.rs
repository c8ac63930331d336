//! Applications and their arguments.

use super::{Unquotable, check_command, check_text};
use crate::domain::{HangupCause, SessionId};

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
    check_application_name(application)?;
    let body = escape_expansion(arguments)?;
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
    packet.push_str(&body);
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
    if let [b'%', b'[', ..] | [b'%', _, b'[', ..] = arguments.as_bytes() {
        return Err(Unquotable::ScopeVariables);
    }
    let walked = |pair: &[u8]| pair[0] == b'\\' && b"\\nst'".contains(&pair[1]);
    if !arguments.as_bytes().windows(2).any(walked) {
        return Ok(arguments.to_owned());
    }
    Ok(arguments.replace('\\', r"\\").replace('$', r"\$"))
}

/// The text for `switch_caller_extension_add_application` in `switch_caller.c`, which drops an
/// application whose argument holds `\'`, with a warning in its log alone.
pub(super) fn escape_planned(arguments: &str) -> Result<String, Unquotable> {
    let text = escape_expansion(arguments)?;
    if text.contains("\\'") {
        return Err(Unquotable::EscapedQuote);
    }
    Ok(text)
}
