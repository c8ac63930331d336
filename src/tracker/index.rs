//! Which sessions belong to which call.

use std::collections::HashMap;

use crate::domain::{CallId, SessionId};

/// Members of each call in the order in which they joined. A call is here as long as one of its
/// sessions is.
#[derive(Debug, Default)]
pub(super) struct CallIndex {
    calls: HashMap<CallId, Vec<SessionId>, foldhash::fast::RandomState>,
}

// === impl CallIndex ===

impl CallIndex {
    pub(super) fn insert(&mut self, call: &CallId, session: &SessionId) {
        let members = self.calls.entry(call.clone()).or_default();
        if !members.contains(session) {
            members.push(session.clone());
        }
    }

    pub(super) fn remove(&mut self, call: &CallId, session: &SessionId) {
        let Some(members) = self.calls.get_mut(call) else {
            return;
        };
        members.retain(|member| member != session);
        if members.is_empty() {
            self.calls.remove(call);
        }
    }

    pub(super) fn members(&self, call: &CallId) -> Option<Vec<SessionId>> {
        self.calls.get(call).cloned()
    }

    pub(super) fn ids(&self) -> Vec<CallId> {
        self.calls.keys().cloned().collect()
    }
}
