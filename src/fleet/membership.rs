//! Nodes that come and go while the gateway runs.

use std::collections::BTreeMap;
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
use crate::shutdown::Drain;

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
    /// NODE_EXISTS when there is one of this name or at this address, or while it is being removed.
    pub fn add(&self, spec: NodeSpec) -> Result<Arc<Node>, Failure> {
        let id = spec.id.clone();
        let mut members = self.write();
        check_address(&spec, &members)?;
        let node = match members.entry(id.clone()) {
            Place::Occupied(place) => {
                let message = match place.get().is_leaving {
                    true => format!("the node {id} that was there is still being removed"),
                    false => format!("there is a node {id} already; remove it first"),
                };
                return Err(Failure::new(Reason::NodeExists, message).node(&id));
            }
            Place::Vacant(place) => {
                // Before any task of the node can tell of it.
                self.tell(&id, NodeState::Connecting);
                let member = Member::start(spec, &self.sinks, &self.cores, &self.drain);
                Arc::clone(&place.insert(member).node)
            }
        };
        drop(members);
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
        let (node, drain) = self.take_out(id, is_forced)?;
        self.membership.send_replace(());
        let (fleet, span) = (Arc::clone(self), info_span!("node", node = %id));
        let farewell = async move { fleet.dismiss(&node, &drain).await };
        let farewell = self.drain.spawn(farewell.instrument(span));
        farewell.await.map_err(|error| {
            Failure::new(
                Reason::Internal,
                format!("the removal met a defect: {error}"),
            )
            .node(id)
        })
    }

    /// Shows the node no more; whoever takes it out has to dismiss it.
    fn take_out(&self, id: &NodeId, is_forced: bool) -> Result<(Arc<Node>, Drain), Failure> {
        let mut members = self.write();
        if !members.get(id.as_str()).is_some_and(Member::is_shown) {
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
        match members.get_mut(id.as_str()) {
            Some(member) => {
                member.is_leaving = true;
                Ok((Arc::clone(&member.node), member.drain.clone()))
            }
            None => Err(unknown(id, &members)),
        }
    }

    async fn dismiss(&self, node: &Arc<Node>, drain: &Drain) -> Removed {
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
        let sink = NodeSink::new(node, &self.sinks);
        for session in &live {
            sink.end(&session.id, None, Why::Removed);
        }
        let jobs = self.sinks.jobs.running_on(id);
        self.sinks.jobs.node_removed(id);
        self.sinks.tracker.node_lost(id);
        // Everything above goes by the name, so it is free only now; the next of this name is told
        // of behind this.
        let mut members = self.write();
        self.tell(id, NodeState::Removed);
        members.remove(id.as_str());
        drop(members);
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

/// No other node may be reached at the same address: both would be the same FreeSWITCH.
fn check_address(spec: &NodeSpec, members: &BTreeMap<NodeId, Member>) -> Result<(), Failure> {
    let address = &spec.connector.address;
    let mut others = members.values().map(|member| &member.node);
    let same =
        others.find(|node| *node.id() != spec.id && node.address().eq_ignore_ascii_case(address));
    match same {
        None => Ok(()),
        Some(node) => {
            let message = format!("node {} has the address {address} already", node.id());
            Err(Failure::new(Reason::NodeExists, message).node(node.id()))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::events::{EventSet, HistoryConfig, Journal, JournalConfig, Wants};
    use crate::fleet::Sinks;
    use crate::fleet::fixtures::spec;
    use crate::jobs::{Jobs, JobsConfig};
    use crate::tracker::{Tracker, TrackerConfig};

    #[tokio::test]
    async fn a_name_is_free_only_when_all_of_its_node_is_gone() {
        let drain = Drain::new();
        let journal = Journal::start(JournalConfig::default(), HistoryConfig::default(), &drain);
        let sinks = Sinks {
            tracker: Tracker::start(TrackerConfig::default(), &drain),
            jobs: Jobs::start(JobsConfig::default(), &drain),
            wants: Wants::new(&EventSet::default(), Duration::ZERO, &journal),
            journal,
        };
        let fleet = Fleet::start(vec![spec("a")], &sinks, &drain);
        let id: NodeId = "a".parse().unwrap();
        let (goodbye_tx, goodbye_rx) = oneshot::channel::<()>();
        fleet.read()["a"].drain.spawn(goodbye_rx);

        let mut membership = fleet.membership.subscribe();
        let (leaving, name) = (Arc::clone(&fleet), id.clone());
        let removal = drain.spawn(async move { leaving.remove(&name, false).await });
        membership.changed().await.unwrap();
        assert!(fleet.nodes().next().is_none());
        assert_eq!(fleet.node(&id).unwrap_err().reason(), Reason::NodeNotFound);
        let refused = fleet.add(spec("a")).unwrap_err();
        assert_eq!(refused.reason(), Reason::NodeExists);
        assert!(refused.message().contains("being removed"), "{refused:?}");
        let again = fleet.remove(&id, true).await.unwrap_err();
        assert_eq!(again.reason(), Reason::NodeNotFound);

        goodbye_tx.send(()).unwrap();
        removal.await.unwrap().unwrap();
        fleet.add(spec("a")).unwrap();
        assert!(drain.finish(GOODBYE).await);
    }
}
