//! Bridging a leg with an endpoint.

use uuid::Uuid;

use super::variable::leg_block;
use super::{Unquotable, check_endpoint};
use crate::domain::SessionId;

/// A whole `sendmsg` that calls `endpoint` for a leg and bridges the two, ready for the wire. The
/// new leg gets the id `peer`, and these variables, whose values stand there as they are.
///
/// `%[...]` sets variables for the time of this one application (`switch_core_session_exec` in
/// `switch_core_session.c`): with `continue_on_fail` the leg stays up when the endpoint fails
/// (`audio_bridge_function` in `mod_dptools.c`).
///
/// # Errors
/// When the endpoint is no single, plain dial string.
pub fn sendmsg_bridge(
    session: &SessionId,
    peer: &SessionId,
    variables: &[(&str, &str)],
    endpoint: &str,
    event_id: &Uuid,
) -> Result<String, Unquotable> {
    check_endpoint(endpoint)?;
    let mut body = format!("%[continue_on_fail=true][origination_uuid={peer}]");
    for (name, value) in variables {
        body.push_str(&leg_block(name, value)?);
    }
    body.push_str(endpoint);
    let length = body.len();
    Ok(format!(
        "sendmsg {session}\ncall-command: execute\nexecute-app-name: bridge\n\
         Event-UUID: {event_id}\nevent-lock: true\n\
         content-type: text/plain\ncontent-length: {length}\n\n{body}"
    ))
}
