//! The legs of an originate that a client wrote.

use crate::domain::SessionId;

/// The legs that an originate in FreeSWITCH's own syntax names. Of one that names none nobody can
/// tell which they are.
pub(super) fn named_in(arguments: &str) -> Vec<SessionId> {
    let named = arguments.split("origination_uuid=").skip(1);
    named
        .filter_map(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
        .collect()
}
