//! WatchNodes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Services;
use super::convert::{to_node, to_node_state};
use super::watch::Watched;
use crate::domain::{Failure, NodeId, NodeState};
use crate::events::{Cursor, Entry, EventFilter, Item, SlowPolicy, Start, Subscription};
use crate::pb::{self, NodeChange, WatchNodesResponse};

/// How often newer figures are told: heartbeats come every 20 s by default, of each node at another
/// moment.
const FIGURES_INTERVAL: Duration = Duration::from_secs(5);
/// The subscription need not break a silence.
const SILENCE: Duration = Duration::from_secs(3600);

/// Watched nodes.
pub(super) struct NodeFeed {
    services: Services,
    changes: Subscription,
    /// The nodes that were told, and the heartbeat of which.
    told: BTreeMap<NodeId, Option<SystemTime>>,
    figures: Interval,
    is_first: bool,
}

// === impl NodeFeed ===

impl NodeFeed {
    pub(super) fn begin(services: &Services) -> Result<Self, Failure> {
        let mut figures = interval(FIGURES_INTERVAL);
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            // Before the nodes are read, so that nothing falls between.
            changes: Subscription::begin(
                &services.control.journal,
                EventFilter::of_nodes(),
                Start::Now,
                SlowPolicy::End,
                services.subscriber_bytes,
                SILENCE,
            )?,
            services: services.clone(),
            told: BTreeMap::new(),
            figures,
            is_first: true,
        })
    }

    fn respond(&self, change: NodeChange, nodes: Vec<pb::Node>) -> WatchNodesResponse {
        WatchNodesResponse {
            change: change.into(),
            nodes,
            cursor: self.changes.cursor().to_string(),
        }
    }

    /// All nodes with a heartbeat that was not told yet.
    fn newer(&mut self, with_all: bool) -> Vec<pb::Node> {
        let mut nodes = Vec::new();
        for node in self.services.control.fleet.nodes() {
            let heartbeat = node.figures().heartbeat_at;
            // One that was added is told as that first.
            let is_newer = self
                .told
                .get(node.id().as_str())
                .is_some_and(|told| *told != heartbeat);
            if with_all || is_newer {
                self.told.insert(node.id().clone(), heartbeat);
                nodes.push(to_node(&node, &self.services.control));
            }
        }
        nodes
    }

    fn changed(&mut self, id: &NodeId, state: NodeState) -> WatchNodesResponse {
        let node = self.services.control.fleet.node(id).ok();
        let mut shown = match node.filter(|_| state != NodeState::Removed) {
            Some(node) => to_node(&node, &self.services.control),
            None => pb::Node {
                node_id: id.to_string(),
                ..pb::Node::default()
            },
        };
        shown.state = to_node_state(state).into();
        let was_told = match state {
            NodeState::Removed => self.told.remove(id.as_str()).is_some(),
            _ => self.told.contains_key(id.as_str()),
        };
        let change = match (state, was_told) {
            (NodeState::Removed, _) => NodeChange::Removed,
            (_, true) => NodeChange::State,
            (_, false) => {
                self.told.insert(id.clone(), None);
                NodeChange::Added
            }
        };
        self.respond(change, vec![shown])
    }
}

impl Watched for NodeFeed {
    type Message = WatchNodesResponse;

    fn cursor(&self) -> Cursor {
        self.changes.cursor()
    }

    async fn next(&mut self) -> Result<Option<WatchNodesResponse>, Failure> {
        if std::mem::take(&mut self.is_first) {
            let all = self.newer(true);
            self.figures.reset();
            return Ok(Some(self.respond(NodeChange::Snapshot, all)));
        }
        loop {
            tokio::select! {
                biased;
                item = self.changes.next() => {
                    if let Item::Other(entry) = item?
                        && let Entry::NodeState { node, state } = &*entry
                    {
                        return Ok(Some(self.changed(node, *state)));
                    }
                }
                _ = self.figures.tick() => {
                    let newer = self.newer(false);
                    if !newer.is_empty() {
                        return Ok(Some(self.respond(NodeChange::Figures, newer)));
                    }
                }
            }
        }
    }
}
