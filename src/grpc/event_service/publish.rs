//! PublishEvent.

use std::sync::Arc;

use super::super::Services;
use super::super::convert::{id, to_event};
use super::selection::Selection;
use crate::control::{Publication, Published};
use crate::domain::{Deadline, Failure, NodeId, Reason};
use crate::events::Entry;
use crate::fleet::Node;
use crate::pb;

// === impl Services ===

impl Services {
    pub(super) async fn publish(
        &self,
        request: pb::PublishEventRequest,
        deadline: Deadline,
    ) -> Result<pb::PublishEventResponse, Failure> {
        let mut headers: Vec<_> = request.headers.into_iter().collect();
        // A map has no order; the same request makes the same command.
        headers.sort_unstable();
        let publication =
            Publication::new(&request.name, &request.subclass, &headers, &request.body)?;
        let node = self.publishing_node(&request.node_id)?;
        let published = self.control.publish(&node, &publication, deadline).await?;
        let Published {
            event_uuid,
            entry,
            cursor,
        } = published;
        let event = match &*entry {
            Entry::Event(record) => Some(to_event(record, cursor, &Selection::All)),
            Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => None,
        };
        Ok(pb::PublishEventResponse {
            node_id: node.id().to_string(),
            event_uuid,
            cursor: cursor.to_string(),
            event,
        })
    }

    fn publishing_node(&self, node_id: &str) -> Result<Arc<Node>, Failure> {
        if !node_id.is_empty() {
            let id: NodeId = id(node_id, "node_id")?;
            return self.control.node(&id);
        }
        let mut nodes = self.control.nodes().into_iter();
        match (nodes.next(), nodes.len()) {
            (None, _) => Err(Failure::new(Reason::NoNodeAvailable, "there is no node")),
            (Some(node), 0) => Ok(node),
            (Some(_), others) => {
                let remedy = format!("there are {} nodes, so name one", others + 1);
                Err(Failure::missing("node_id", &remedy))
            }
        }
    }
}
