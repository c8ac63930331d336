//! The differences that are allowed, each with its reason.

use super::record::Event;
use super::run::Difference;

/// Recordings of an outbound socket, where FreeSWITCH connects to the client.
pub(crate) fn is_outbound(name: &str) -> bool {
    name.starts_with("outbound_")
}

/// Events that are left out of the comparison.
pub(crate) fn is_left_out(_event: &Event) -> bool {
    false
}

/// Headers that need not be there.
pub(crate) fn may_miss(_name: &str) -> bool {
    false
}

/// Whether this difference is one of those allowed.
pub(crate) fn is(_flow: &str, _difference: &Difference) -> bool {
    false
}
