//! Who is let in, and what is refused.

use std::fmt;

use super::{Family, Page, Theme};
use crate::access::{Identities, Limits, ProofKind, Why};

const ACCEPTED: Family = Family::counter(
    "switchgate_proofs_accepted_total",
    "Requests that were let in, by what proved who sent them",
    &["proof"],
);
const REFUSED: Family = Family::counter(
    "switchgate_proofs_refused_total",
    "Requests that are UNAUTHENTICATED, by the reason that their sender is told",
    &["why"],
);
const KEYS: Family = Family::counter(
    "switchgate_issuer_keys_reads_total",
    "Looks for the keys of issuers of tokens, by whether they could be read",
    &["result"],
);
const LIMITED: Family = Family::counter(
    "switchgate_requests_limited_total",
    "Requests that limits of callers, or of all callers together, refused",
    &[],
);
const LIMITED_IN_FLIGHT: Family = Family::gauge(
    "switchgate_requests_in_flight",
    "Unary RPCs under way that count for limits.total_in_flight",
    &[],
);

/// Who is let in, and what is refused.
#[derive(Debug)]
pub struct AccessMetrics {
    /// Who is who.
    pub identities: Identities,
    /// How much callers may use.
    pub limits: Limits,
}

// === impl AccessMetrics ===

impl Theme for AccessMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = self.identities.counts();
        let accepted = ProofKind::ALL.map(|kind| ([kind.name()], counts.accepted(kind)));
        page.samples(&ACCEPTED, accepted)?;
        let refused = Why::ALL.map(|why| ([why.name()], counts.refused(why)));
        page.samples(&REFUSED, refused)?;
        let reads = [
            (["ok"], counts.refreshed()),
            (["failed"], counts.refresh_failed()),
        ];
        page.samples(&KEYS, reads)?;
        page.samples(&LIMITED, [([], self.limits.refused())])?;
        page.samples(&LIMITED_IN_FLIGHT, [([], self.limits.in_flight())])
    }
}
