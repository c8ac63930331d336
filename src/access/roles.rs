//! What somebody may do.

use super::{Caller, Identified};
use crate::domain::Failure;

/// What each role may do. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Roles {}

// === impl Roles ===

impl Roles {
    /// The caller with the rights of its roles.
    ///
    /// # Errors
    /// PERMISSION_DENIED when it has none that is known.
    pub fn caller(&self, identified: Identified) -> Result<Caller, Failure> {
        Ok(Caller::named(identified.name))
    }
}
