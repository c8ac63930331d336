//! All sessions and calls as they are at one moment.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Members;
use super::session::Session;
use super::{Call, Tracker, lock};
use crate::domain::CallId;

/// What was there at one moment, as quickly as it could be taken: nothing in it is in order yet.
#[derive(Debug)]
pub struct Capture {
    sessions: Vec<Arc<Session>>,
    calls: Vec<(CallId, Members)>,
}

// === impl Tracker ===

impl Tracker {
    /// Takes note of everything. The caller keeps all events out meanwhile (`fleet::Fleet::capture`),
    /// and the sweep waits; what else changes a session, its labels and the variables that somebody
    /// asked for, is told by no event.
    pub fn capture(&self) -> Capture {
        let _still = lock(&self.sweeping);
        let mut sessions = Vec::with_capacity(self.capacity());
        for shard in &self.shards {
            sessions.extend(lock(shard).sessions.values().cloned());
        }
        Capture {
            sessions,
            calls: lock(&self.calls.index).all(),
        }
    }

    fn capacity(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).sessions.len())
            .sum()
    }
}

// === impl Capture ===

impl Capture {
    /// The sessions and the calls, each oldest first.
    pub fn in_order(self) -> (Vec<Arc<Session>>, Vec<Call>) {
        let mut sessions = self.sessions;
        sessions.sort_by(|a, b| a.order().cmp(&b.order()));
        let by_id: HashMap<&str, &Arc<Session>, foldhash::fast::RandomState> = sessions
            .iter()
            .map(|session| (session.id.as_str(), session))
            .collect();
        let call = |(id, members): (CallId, Members)| {
            let of_call = members.sessions.iter();
            let of_call = of_call.filter_map(|id| by_id.get(id.as_str()).copied().cloned());
            Call::new(id, of_call.collect(), members)
        };
        let mut calls: Vec<Call> = self.calls.into_iter().filter_map(call).collect();
        calls.sort_by(|a, b| a.order().cmp(&b.order()));
        (sessions, calls)
    }
}
