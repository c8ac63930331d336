//! Who is who.
//!
//! A bearer token counts where there is one, else the client's certificate, else nothing, if
//! anonymous requests are let in. A wrong proof is never made good by another one beside it.

mod bearer;
mod cache;
mod certificates;
mod claims;
mod jwks;
mod jwt;
mod key_set;
mod refusal;
mod start;
mod tokens;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::debug;

pub use bearer::bearer;
pub use certificates::SanPattern;
pub use jwks::{ReadError, jwks_url};
pub use key_set::{ALGORITHMS, KeySetError, algorithm, count_keys};
pub use refusal::{IdentityCounts, ProofKind, Why};
pub use start::IdentitiesError;
pub use tokens::{TOKEN_PREFIX, TokenDigest, random_token};

use crate::domain::Failure;
use crate::shutdown::Drain;
use certificates::Certificates;
use jwt::Issuers;
use refusal::Refusal;
use tokens::Tokens;

/// Name of whoever sends no proof.
const ANONYMOUS: &str = "anonymous";
/// What may do everything.
const ADMIN: &str = "admin";

/// What a request brings to prove who sent it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof<'a> {
    /// The header `authorization`, as it came; several are one with commas between (RFC 9110,
    /// section 5.3), which is none that is good.
    pub authorization: Option<&'a [u8]>,
    /// The client's certificate, verified by TLS, as DER.
    pub certificate: Option<&'a [u8]>,
}

/// Who somebody is; what it may do follows from its roles and its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Its name in logs and limits.
    pub name: String,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// Name of its tenant; without one it belongs to none and sees all.
    pub tenant: Option<String>,
}

/// Who is who. Clones share it. By default everybody is the administrator, which the configuration
/// allows on loopback alone.
#[derive(Debug, Clone, Default)]
pub struct Identities(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: ArcSwap<Known>,
    counts: Arc<IdentityCounts>,
    drain: Drain,
    /// Whoever replaces what is known.
    turn: Mutex<()>,
    /// Which configuration counts; told again when keys of an issuer have changed.
    changes: watch::Sender<u64>,
}

/// Somebody whose proof is good.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: ProofKind,
    pub(super) identified: Identified,
    /// Last second, since 1970, in which the proof is good; absent when that does not end by itself.
    pub(super) until: Option<u64>,
}

/// Everybody who is known.
#[derive(Debug)]
struct Known {
    tokens: Tokens,
    issuers: Issuers,
    certificates: Certificates,
    /// Who it is that sends no proof; none when everybody has to prove something.
    anonymous: Option<Identified>,
    /// For clients: what they can send.
    ways: String,
}

// === impl Identified ===

impl Identified {
    /// Somebody who proves nothing and may do everything.
    fn nobody_in_particular() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            roles: vec![ADMIN.to_owned()],
            tenant: None,
        }
    }
}

// === impl Found ===

impl Found {
    fn of(kind: ProofKind, identified: Identified) -> Self {
        Self {
            kind,
            identified,
            until: None,
        }
    }
}

// === impl Identities ===

impl Identities {
    /// Who sent this proof, and what it is. May wait some seconds for an issuer's new keys.
    ///
    /// # Errors
    /// UNAUTHENTICATED.
    pub async fn identify(&self, proof: Proof<'_>) -> Result<Identified, Failure> {
        Ok(self.find(proof).await?.identified)
    }

    /// As [`Identities::identify`], and until when.
    pub(super) async fn find(&self, proof: Proof<'_>) -> Result<Found, Failure> {
        let known = self.0.known.load_full();
        let counts = &self.0.counts;
        match known.find(proof, true, counts).await {
            Ok(found) => {
                counts.count_accepted(found.kind);
                Ok(found)
            }
            Err(Refusal { why, detail }) => {
                counts.count_refused(why);
                debug!(why = why.name(), detail, "proof is refused");
                Err(why.failure(&known.ways))
            }
        }
    }

    /// Who sent a proof that was good once; counts nothing and waits for no keys, since what
    /// changes is told.
    ///
    /// # Errors
    /// Why it is good no more.
    pub(super) async fn find_again(&self, proof: Proof<'_>) -> Result<Found, Why> {
        let known = self.0.known.load_full();
        let found = known.find(proof, false, &IdentityCounts::default()).await;
        found.map_err(|refusal| refusal.why)
    }

    /// Resolves when the keys of each issuer that is known now were read, or could not be, once:
    /// after some seconds at the latest.
    pub async fn keys_were_tried(&self) {
        self.0.known.load_full().issuers.first_round_over().await;
    }

    /// Which configuration counts; it changes too when keys of an issuer do, then to the same.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// How often proofs were accepted and refused.
    pub fn counts(&self) -> &IdentityCounts {
        &self.0.counts
    }
}

// === impl Known ===

impl Default for Known {
    fn default() -> Self {
        Self {
            tokens: Tokens::default(),
            issuers: Issuers::default(),
            certificates: Certificates::default(),
            anonymous: Some(Identified::nobody_in_particular()),
            ways: String::new(),
        }
    }
}

impl Known {
    /// Whether anybody can prove anything.
    fn has_source(&self) -> bool {
        !(self.tokens.is_empty() && self.issuers.is_empty() && self.certificates.is_empty())
    }

    async fn find(
        &self,
        proof: Proof<'_>,
        waits: bool,
        counts: &IdentityCounts,
    ) -> Result<Found, Refusal> {
        // Where nothing can be proved, a proof is worth nothing, and does no harm.
        let header = proof.authorization.filter(|_| self.has_source());
        if let Some(header) = header {
            let token = bearer(header).ok_or(Refusal::malformed(
                "the header authorization is no bearer token",
            ))?;
            return self.bearer(token, waits, counts).await;
        }
        let certificate = proof.certificate.filter(|_| !self.certificates.is_empty());
        if let Some(der) = certificate {
            let found = self.certificates.find(der).map_err(Refusal::rejected)?;
            return Ok(Found::of(ProofKind::Certificate, found));
        }
        let anonymous = self.anonymous.clone();
        let identified = anonymous.ok_or(Refusal::missing("no proof was sent"))?;
        Ok(Found::of(ProofKind::Anonymous, identified))
    }

    async fn bearer(
        &self,
        token: &str,
        waits: bool,
        counts: &IdentityCounts,
    ) -> Result<Found, Refusal> {
        let digest = TokenDigest::of(token.as_bytes());
        if let Some(found) = self.tokens.find(&digest) {
            return Ok(Found::of(ProofKind::Token, found.clone()));
        }
        if self.issuers.is_empty() {
            return Err(Refusal::rejected("the token is unknown"));
        }
        let verified = self.issuers.verify(token, digest, waits, counts).await?;
        Ok(Found {
            kind: ProofKind::Jwt,
            identified: Identified::clone(&verified.identified),
            until: Some(verified.until),
        })
    }
}

#[cfg(test)]
mod tests;
