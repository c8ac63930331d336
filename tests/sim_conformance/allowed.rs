//! The differences that are allowed: one table, each row with its reason.

use super::run::Difference;

/// Flows that are not played, and why.
const FLOWS: &[(&str, &str)] = &[
    (
        "outbound_linger",
        "FreeSWITCH is the client there; tests/sim_outbound.rs plays them",
    ),
    ("outbound_no_linger", "the same"),
];

/// Flow, part of the difference as it is printed, reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[];

/// Whether this flow is left out.
pub(crate) fn is_left_out(flow: &str) -> bool {
    FLOWS.iter().any(|(name, _)| *name == flow)
}

/// Whether this difference is one of those allowed.
pub(crate) fn is(flow: &str, difference: &Difference) -> bool {
    let text = difference.to_string();
    DIFFERENCES
        .iter()
        .any(|(name, part, _)| *name == flow && text.contains(part))
}
