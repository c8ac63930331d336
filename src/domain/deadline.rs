//! The moment by which an answer is due.

use std::time::Duration;

use tokio::time::Instant;

/// The moment by which a caller wants its answer; passed down as an argument from the RPC to the
/// command that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

// === impl Deadline ===

impl Deadline {
    /// Due this long from now; a span too long to add counts as 30 years.
    pub fn after(span: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        let now = Instant::now();
        Self(now.checked_add(span).unwrap_or_else(|| now + FAR))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Time left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of the two.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// Waits for `future` until the deadline; `None` when it passed first.
    pub async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        tokio::time::timeout_at(self.0, future).await.ok()
    }
}
