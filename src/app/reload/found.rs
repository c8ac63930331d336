//! The nodes that were found, as they come and go.

use std::sync::Arc;

use tracing::info;

use super::nodes::Nodes;
use super::{Changes, joined};
use crate::discovery::Discovery;

// === impl Nodes ===

impl Nodes {
    /// Makes nodes of what is found, for ever.
    pub(super) async fn follow_found(self: Arc<Self>, discovery: Discovery) {
        let mut found = discovery.found();
        loop {
            let now = found.borrow_and_update().clone();
            let mut changes = Changes::default();
            let left_out = self.take_found(now, &mut changes).await;
            discovery.set_left_out(&left_out);
            if changes != Changes::default() {
                info!(
                    nodes_added = joined(&changes.added),
                    nodes_removed = joined(&changes.removed),
                    nodes_changed = joined(&changes.changed),
                    "nodes that were found have changed"
                );
            }
            // The sender lives with `discovery`.
            if found.changed().await.is_err() {
                return;
            }
        }
    }
}
