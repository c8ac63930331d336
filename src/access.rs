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
mod standing;
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
pub use standing::{Admitted, Standing};
pub use tenants::{Owners, Tenant, Tenants, View};

use std::collections::BTreeMap;

use self::identities::Found;
use crate::config::{AccessConfig, RoleConfig, TenantConfig};
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

/// Somebody whose proof is good.
#[derive(Debug)]
pub struct Admission {
    /// Who it is.
    pub name: String,
    /// What says so.
    pub kind: ProofKind,
    /// PERMISSION_DENIED when its roles do not allow the RPC.
    pub outcome: Result<Admitted, Failure>,
}

// === impl Access ===

impl Access {
    /// Who asks, as its proof says it, and whether it may call this RPC
    /// (`/switchgate.v1.Service/Method`).
    ///
    /// # Errors
    /// UNAUTHENTICATED when the proof is none that is known.
    pub async fn admit(&self, proof: Proof<'_>, rpc: &str) -> Result<Admission, Failure> {
        // Taken first, so that no change is missed.
        let mut changes = self.identities.changes();
        loop {
            let number = *changes.borrow_and_update();
            let Found {
                kind,
                identified,
                until,
            } = self.identities.find(proof).await?;
            let name = identified.name.clone();
            let caller = self.roles.caller(identified);
            let caller = caller.and_then(|caller| caller.calling(rpc));
            // Or it could be half of one configuration and half of another.
            if *changes.borrow() != number {
                continue;
            }
            let outcome = caller.map(|caller| Admitted {
                caller,
                until,
                changes,
            });
            return Ok(Admission {
                name,
                kind,
                outcome,
            });
        }
    }

    /// Puts all of another configuration in place of the one that counts, at once, for requests that
    /// come from now on. Streams that would not be let in as they were end.
    ///
    /// # Errors
    /// As [`Identities::replace`]; then all stays as it was.
    pub fn replace(
        &self,
        access: &AccessConfig,
        roles: &BTreeMap<String, RoleConfig>,
        tenants: &BTreeMap<String, TenantConfig>,
    ) -> Result<(), IdentitiesError> {
        self.identities
            .replace_with(access, || self.roles.replace(roles, tenants))
    }
}

/// Whether names fit a pattern of a role, in which `*` stands for any characters.
pub(crate) fn pattern(text: &str) -> impl Fn(&str) -> bool {
    let pattern = pattern::Pattern::new(text);
    move |name| pattern.fits(name)
}
