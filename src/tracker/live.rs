//! How many sessions live on each node.

use std::collections::HashMap;
use std::sync::Mutex;

use super::lock;
use crate::domain::NodeId;

/// Counts of live sessions, which would else be counted by looking at all of them.
#[derive(Debug, Default)]
pub(super) struct LiveCounts(Mutex<HashMap<NodeId, usize>>);

// === impl LiveCounts ===

impl LiveCounts {
    pub(super) fn began(&self, node: &NodeId) {
        *lock(&self.0).entry(node.clone()).or_default() += 1;
    }

    pub(super) fn ended(&self, node: &NodeId) {
        let mut counts = lock(&self.0);
        if let Some(count) = counts.get_mut(node.as_str()) {
            *count -= 1;
            if *count == 0 {
                counts.remove(node.as_str());
            }
        }
    }

    pub(super) fn of(&self, node: &NodeId) -> usize {
        lock(&self.0).get(node.as_str()).copied().unwrap_or(0)
    }
}
