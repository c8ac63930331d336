//! Nodes that come and go while the gateway runs.

use std::collections::btree_map::Entry as Place;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument as _, info, info_span, warn};

use super::node::Node;
use super::sink::NodeSink;
use super::synthetic::Why;
use super::{Fleet, Member, NodeSpec, unknown};
use crate::domain::{Failure, NodeId, NodeState, Reason};
use crate::events::Entry;

/// How long the links of a node may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What went with a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sessions that lived on it and are no longer tracked.
    pub sessions: usize,
    /// Jobs that ran on it and are lost.
    pub jobs: usize,
}

// === impl Fleet ===

impl Fleet {
    /// Adds a node and starts to connect to it.
    ///
    /// # Errors
    /// NODE_EXISTS when there is one of this name.
    pub fn add(&self, spec: NodeSpec) -> Result<Arc<Node>, Failure> {
        let id = spec.id.clone();
        let node = match self.write().entry(id.clone()) {
            Place::Occupied(_) => {
                let message = format!("there is a node {id} already; remove it first");
                return Err(Failure::new(Reason::NodeExists, message).node(&id));
            }
            Place::Vacant(place) => {
                // Before any task of the node can tell of it.
                self.tell(&id, NodeState::Connecting);
                let member = Member::start(spec, &self.sinks, &self.drain);
                Arc::clone(&place.insert(member).node)
            }
        };
        self.membership.send_replace(());
        info!(node = %id, address = %node.address(), "node is added");
        Ok(node)
    }

    /// Removes a node: its links say goodbye, its tasks end, and what the gateway knows of its
    /// sessions and jobs ends too. It is done also when nobody waits for it any more.
    ///
    /// # Errors
    /// NODE_NOT_FOUND; NODE_BUSY while sessions or jobs live on it, unless it is forced.
    pub async fn remove(
        self: &Arc<Self>,
        id: &NodeId,
        is_forced: bool,
    ) -> Result<Removed, Failure> {
        let member = self.take_out(id, is_forced)?;
        self.membership.send_replace(());
        let (fleet, span) = (Arc::clone(self), info_span!("node", node = %id));
        let farewell = async move { fleet.dismiss(member).await };
        let farewell = self.drain.spawn(farewell.instrument(span));
        farewell.await.map_err(|error| {
            Failure::new(
                Reason::Internal,
                format!("the removal met a defect: {error}"),
            )
            .node(id)
        })
    }

    fn take_out(&self, id: &NodeId, is_forced: bool) -> Result<Member, Failure> {
        let mut members = self.write();
        if !members.contains_key(id.as_str()) {
            return Err(unknown(id, &members));
        }
        let sessions = self.sinks.tracker.live_count(id);
        let jobs = self.sinks.jobs.running_on(id);
        if !is_forced && sessions + jobs > 0 {
            let message = format!(
                "{sessions} sessions live on node {id} and {jobs} jobs run there; drain it and wait, or force it"
            );
            return Err(Failure::new(Reason::NodeBusy, message)
                .node(id)
                .with("sessions", sessions)
                .with("jobs", jobs));
        }
        members
            .remove(id.as_str())
            .ok_or_else(|| unknown(id, &members))
    }

    async fn dismiss(&self, member: Member) -> Removed {
        let Member { node, drain } = member;
        let id = node.id();
        // First of all: without links no event can bring anything back.
        if !drain.finish(GOODBYE).await {
            warn!(left = drain.running(), "links did not say goodbye in time");
        }
        node.update(|status| {
            status.state = NodeState::Removed;
            "the node was removed".clone_into(&mut status.detail);
        });
        let live = self.sinks.tracker.live_on(id);
        let sink = NodeSink::new(&node, &self.sinks);
        for session in &live {
            sink.end(&session.id, None, Why::Removed);
        }
        let jobs = self.sinks.jobs.running_on(id);
        self.sinks.jobs.node_removed(id);
        self.sinks.tracker.node_lost(id);
        self.tell(id, NodeState::Removed);
        let removed = Removed {
            sessions: live.len(),
            jobs,
        };
        info!(sessions = removed.sessions, jobs, "node is removed");
        removed
    }

    fn tell(&self, node: &NodeId, state: NodeState) {
        self.sinks.journal.append(Entry::NodeState {
            node: node.clone(),
            state,
        });
    }
}
