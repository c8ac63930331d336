//! How long a task may look at entries before others have their turn.

use std::time::Duration;

use tokio::time::Instant;

use super::filter::EventFilter;

/// Longest turn, but for the entry with which it ends.
const LONGEST: Duration = Duration::from_millis(1);

/// A turn of a task that asks a filter. One that is fast to ask needs no more than the budget that
/// tokio has for each task; one that is slow might be asked for seconds within it.
#[derive(Debug)]
pub(super) struct Turn {
    /// `None` when the filter is fast.
    began: Option<Instant>,
}

// === impl Turn ===

impl Turn {
    pub(super) fn new(filter: &EventFilter) -> Self {
        Self {
            began: filter.is_slow().then(Instant::now),
        }
    }

    /// Whether others should have theirs.
    pub(super) fn is_over(&self) -> bool {
        self.began.is_some_and(|began| began.elapsed() > LONGEST)
    }

    /// Gives others their turn when this one is over. To be asked between entries.
    pub(super) async fn pass(&mut self) {
        if self.is_over() {
            tokio::task::yield_now().await;
            self.began = Some(Instant::now());
        }
    }
}
