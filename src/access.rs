//! Who asks, and what it may do.
//!
//! A request comes with a [`Proof`] of who sent it, or with none. [`Identities`] tell who that is,
//! [`Roles`] what it may do; together they make the [`Caller`] for whom the floors below act: what
//! a caller may not see is not there for it.

mod caller;
mod dangers;
mod identities;
mod limits;
mod named;
mod pattern;
mod ready;
mod roles;
mod tenants;

pub use caller::Caller;
pub use identities::{
    ALGORITHMS, Identified, Identities, IdentitiesError, IdentityCounts, KeySetError, Proof,
    ProofKind, ReadError, SanPattern, TOKEN_PREFIX, TokenDigest, Why, algorithm, bearer,
    count_keys, jwks_url, random_token,
};
pub use limits::{Holds, Limits, LimitsConfig, Permit};
pub(crate) use named::acts_on_partner;
#[cfg(any(test, fuzzing))]
pub use named::try_names;
pub use ready::READY_ROLES;
pub use roles::Roles;
pub use tenants::{Owners, Tenant, Tenants, View};

use crate::domain::Failure;

/// Who may do what. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Who is who.
    pub identities: Identities,
    /// Who may do what.
    pub roles: Roles,
    /// How much of it.
    pub limits: Limits,
}

// === impl Access ===

impl Access {
    /// The caller that this somebody is, if it may call this RPC (`/switchgate.v1.Service/Method`).
    ///
    /// # Errors
    /// PERMISSION_DENIED when its roles do not allow the RPC.
    pub fn admit(&self, identified: Identified, rpc: &str) -> Result<Caller, Failure> {
        self.roles.caller(identified)?.calling(rpc)
    }
}

/// Whether names fit a pattern of a role, in which `*` stands for any characters.
pub(crate) fn pattern(text: &str) -> impl Fn(&str) -> bool {
    let pattern = pattern::Pattern::new(text);
    move |name| pattern.fits(name)
}
