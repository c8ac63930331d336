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
/// How often newer details are told: a node that cannot be reached tries again several times a second.
const DETAILS_INTERVAL: Duration = Duration::from_secs(1);
/// The subscription need not break a silence.
const SILENCE: Duration = Duration::from_secs(3600);

/// Watched nodes.
pub(super) struct NodeFeed {
    services: Services,
    changes: Subscription,
    /// The nodes that were told, and what of them.
    told: BTreeMap<NodeId, Told>,
    figures: Interval,
    details: Interval,
    is_first: bool,
}

/// What was told of a node last.
struct Told {
    state: NodeState,
    detail: String,
    heartbeat: Option<SystemTime>,
}

// === impl NodeFeed ===

impl NodeFeed {
    pub(super) fn begin(services: &Services) -> Result<Self, Failure> {
        Ok(Self {
            // Before the nodes are read, so that nothing falls between.
            changes: services.control.subscribe(
                EventFilter::of_nodes(),
                Start::Now,
                SlowPolicy::End,
                services.subscriber_bytes,
                SILENCE,
            )?,
            services: services.clone(),
            told: BTreeMap::new(),
            figures: every(FIGURES_INTERVAL),
            details: every(DETAILS_INTERVAL),
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
        for node in self.services.control.nodes() {
            let heartbeat = node.figures().heartbeat_at;
            // One that was added is told as that first.
            let is_newer = match self.told.get_mut(node.id().as_str()) {
                Some(told) => std::mem::replace(&mut told.heartbeat, heartbeat) != heartbeat,
                None => false,
            };
            if with_all {
                let status = node.status();
                let told = Told {
                    state: status.state,
                    detail: status.detail,
                    heartbeat,
                };
                self.told.insert(node.id().clone(), told);
            }
            if with_all || is_newer {
                nodes.push(to_node(&node, &self.services.control));
            }
        }
        nodes
    }

    /// All nodes whose state is the one that was told, but for another reason.
    fn explained(&mut self) -> Vec<pb::Node> {
        let mut nodes = Vec::new();
        for node in self.services.control.nodes() {
            let status = node.status();
            let Some(told) = self.told.get_mut(node.id().as_str()) else {
                continue;
            };
            // Another state is about to be told as that.
            if told.state == status.state && told.detail != status.detail {
                told.detail = status.detail;
                nodes.push(to_node(&node, &self.services.control));
            }
        }
        nodes
    }

    fn changed(&mut self, id: &NodeId, state: NodeState) -> WatchNodesResponse {
        let node = self.services.control.node(id).ok();
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
            _ => {
                let heartbeat = self.told.get(id.as_str()).and_then(|told| told.heartbeat);
                let detail = shown.state_detail.clone();
                let told = Told {
                    state,
                    detail,
                    heartbeat,
                };
                self.told.insert(id.clone(), told).is_some()
            }
        };
        let change = match (state, was_told) {
            (NodeState::Removed, _) => NodeChange::Removed,
            (_, true) => NodeChange::State,
            (_, false) => NodeChange::Added,
        };
        self.respond(change, vec![shown])
    }
}

/// Ticks that are not made up for.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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
            self.details.reset();
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
                _ = self.details.tick() => {
                    let explained = self.explained();
                    if !explained.is_empty() {
                        return Ok(Some(self.respond(NodeChange::Detail, explained)));
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
