//! Why a proof is not accepted: little for the client, more for the log, and the counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::{Failure, Reason};

/// Why a request is UNAUTHENTICATED, as far as its sender is told. Whoever guesses learns nothing
/// from it: all that a wrong token could be is one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// There is no proof, and without one nobody is let in.
    Missing,
    /// The header `authorization` is not `Bearer TOKEN`, or there are several.
    Malformed,
    /// A token whose signature is good is past its time.
    Expired,
    /// Everything else: unknown, of another issuer or audience, signed by nobody known.
    Rejected,
    /// The keys of the token's issuer were never read, so that nobody can tell.
    KeysUnread,
}

/// By what somebody proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofKind {
    /// A static token.
    Token,
    /// A signed token of an issuer.
    Jwt,
    /// A client certificate.
    Certificate,
    /// Nothing, which is enough where anonymous requests are.
    Anonymous,
}

/// Why a proof is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: Why,
    /// For the log at `debug`; never holds any of the proof.
    pub(super) detail: &'static str,
}

/// How often what happened, since the gateway started.
#[derive(Debug, Default)]
pub struct IdentityCounts {
    accepted: [AtomicU64; ProofKind::ALL.len()],
    refused: [AtomicU64; Why::ALL.len()],
    pub(super) cached: AtomicU64,
    pub(super) refreshed: AtomicU64,
    pub(super) refresh_failed: AtomicU64,
}

// === impl Why ===

impl Why {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Missing,
        Self::Malformed,
        Self::Expired,
        Self::Rejected,
        Self::KeysUnread,
    ];

    /// As clients and metrics see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::KeysUnread => "keys_unread",
        }
    }

    /// What the client is told; `ways` are the kinds of proof that there are.
    pub(super) fn failure(self, ways: &str) -> Failure {
        let message = match self {
            Self::Missing => format!("the request does not say who sends it; {ways}"),
            Self::Malformed => {
                "the header authorization is malformed; send one, as `authorization: Bearer TOKEN`"
                    .to_owned()
            }
            Self::Expired => "the token has expired; get a new one from its issuer".to_owned(),
            Self::Rejected => format!("the proof of who sends the request is not accepted; {ways}"),
            Self::KeysUnread => {
                "the keys of the token's issuer were not read yet; try again in some seconds"
                    .to_owned()
            }
        };
        Failure::new(Reason::Unauthenticated, message).with("why", self.name())
    }
}

// === impl ProofKind ===

impl ProofKind {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Token, Self::Jwt, Self::Certificate, Self::Anonymous];

    /// As metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Certificate => "certificate",
            Self::Anonymous => "anonymous",
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn missing(detail: &'static str) -> Self {
        let why = Why::Missing;
        Self { why, detail }
    }

    pub(super) fn malformed(detail: &'static str) -> Self {
        let why = Why::Malformed;
        Self { why, detail }
    }

    pub(super) fn expired(detail: &'static str) -> Self {
        let why = Why::Expired;
        Self { why, detail }
    }

    pub(super) fn unread(detail: &'static str) -> Self {
        let why = Why::KeysUnread;
        Self { why, detail }
    }

    pub(super) fn rejected(detail: &'static str) -> Self {
        let why = Why::Rejected;
        Self { why, detail }
    }
}

// === impl IdentityCounts ===

impl IdentityCounts {
    /// Requests that were let in, by what proved who sent them.
    pub fn accepted(&self, kind: ProofKind) -> u64 {
        self.accepted[kind as usize].load(Ordering::Relaxed)
    }

    /// Requests that were not.
    pub fn refused(&self, why: Why) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Requests of [`ProofKind::Jwt`] whose signature had been verified before.
    pub fn cached(&self) -> u64 {
        self.cached.load(Ordering::Relaxed)
    }

    /// Times that the keys of an issuer were read.
    pub fn refreshed(&self) -> u64 {
        self.refreshed.load(Ordering::Relaxed)
    }

    /// Times that they could not be read.
    pub fn refresh_failed(&self) -> u64 {
        self.refresh_failed.load(Ordering::Relaxed)
    }

    pub(super) fn count_accepted(&self, kind: ProofKind) {
        self.accepted[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self, why: Why) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_apart() {
        let counts = IdentityCounts::default();
        for (times, why) in Why::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counts.count_refused(why));
        }
        for (times, kind) in ProofKind::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counts.count_accepted(kind));
        }
        assert_eq!(Why::ALL.map(|why| counts.refused(why)), [0, 1, 2, 3, 4]);
        assert_eq!(
            ProofKind::ALL.map(|kind| counts.accepted(kind)),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn a_failure_tells_why_in_one_word() {
        for why in Why::ALL {
            let failure = why.failure("send a token");
            assert_eq!(failure.reason(), Reason::Unauthenticated);
            assert_eq!(failure.metadata()["why"], why.name());
            assert_eq!(failure.metadata().len(), 1);
        }
    }
}
