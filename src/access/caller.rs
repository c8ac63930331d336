//! Who asks.

use std::sync::Arc;

/// Who asks. Clones share it.
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
        Self::named("gateway")
    }

    /// Somebody who gave no proof.
    pub fn anonymous() -> Self {
        Self::named("anonymous")
    }

    /// Its name in logs.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn named(name: &str) -> Self {
        Self(Arc::new(Who {
            name: name.to_owned(),
        }))
    }
}
