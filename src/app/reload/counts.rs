//! How reloads went.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How reloads went. The start counts as the first good one.
#[derive(Debug)]
pub struct ReloadCounts(Mutex<ReloadFigures>);

/// How reloads went, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadFigures {
    /// Reloads that were applied, without the start.
    pub applied: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// Whether the last one was applied.
    pub is_last_applied: bool,
    /// When a configuration was applied last.
    pub applied_at: SystemTime,
}

// === impl ReloadCounts ===

impl ReloadCounts {
    /// As it is now.
    pub fn figures(&self) -> ReloadFigures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn succeeded(&self) {
        self.change(|figures| {
            figures.applied += 1;
            figures.is_last_applied = true;
            figures.applied_at = SystemTime::now();
        });
    }

    pub(super) fn failed(&self) {
        self.change(|figures| {
            figures.refused += 1;
            figures.is_last_applied = false;
        });
    }

    fn change(&self, change: impl FnOnce(&mut ReloadFigures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Default for ReloadCounts {
    fn default() -> Self {
        Self(Mutex::new(ReloadFigures {
            applied: 0,
            refused: 0,
            is_last_applied: true,
            applied_at: SystemTime::now(),
        }))
    }
}
