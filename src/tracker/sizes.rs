//! How much is known, for those who watch the gateway.

use std::collections::HashSet;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::{Tracker, lock};

/// How much the tracker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Sessions that live.
    pub live_sessions: usize,
    /// Sessions that have ended and can still be read.
    pub ended_sessions: usize,
    /// Calls of which a session lives.
    pub live_calls: usize,
    /// Calls of which none does and that can still be read.
    pub ended_calls: usize,
}

// === impl Tracker ===

impl Tracker {
    /// Counts by looking at each session: events are told in turn with it, for a part of the
    /// sessions at a time.
    pub fn sizes(&self) -> Sizes {
        let hash = FixedState::default();
        // By the hash alone: a call that is missed for once in millions of years is none too few.
        let mut live_calls = HashSet::with_hasher(FixedState::default());
        let (mut known, mut live) = (0, 0);
        for shard in &self.shards {
            let shard = lock(shard);
            known += shard.sessions.len();
            for session in shard.sessions.values().filter(|session| session.is_live()) {
                live += 1;
                live_calls.insert(hash.hash_one(session.call.as_str()));
            }
        }
        let calls = lock(&self.calls.index).len();
        Sizes {
            live_sessions: live,
            ended_sessions: known - live,
            live_calls: live_calls.len(),
            // One may have come or gone meanwhile.
            ended_calls: calls.saturating_sub(live_calls.len()),
        }
    }
}
