//! The nodes: links, their supervision, and what each FreeSWITCH says of itself.

mod figures;
mod node;
mod placement;
mod pool;
mod sink;
mod supervisor;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use figures::Figures;
pub use node::{Node, NodeStatus};
pub use placement::Selector;
pub use sync::Differences;

use crate::domain::{Failure, NodeId, NodeState, Reason};
use crate::esl::{ConnectionConfig, Connector};
use crate::events::{Entry, Journal};
use crate::jobs::Jobs;
use crate::shutdown::Drain;
use crate::tracker::{Labels, Tracker};

/// One node as the configuration gives it.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Name.
    pub id: NodeId,
    /// How to reach it.
    pub connector: Connector,
    /// Labels for selectors.
    pub labels: Labels,
    /// Links for commands.
    pub command_links: usize,
    /// How each link behaves.
    pub link: ConnectionConfig,
    /// Shortest and longest pause between attempts to connect.
    pub backoff: (Duration, Duration),
}

/// What the nodes' event tasks write to.
#[derive(Debug, Clone)]
pub struct Sinks {
    /// Sessions and calls.
    pub tracker: Arc<Tracker>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Events for clients.
    pub journal: Arc<Journal>,
}

/// All nodes.
#[derive(Debug)]
pub struct Fleet {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    sinks: Sinks,
}

// === impl Fleet ===

impl Fleet {
    /// Starts to connect to all nodes, until `drain` stops.
    pub fn start(specs: Vec<NodeSpec>, sinks: &Sinks, drain: &Drain) -> Arc<Self> {
        let nodes = specs
            .into_iter()
            .map(|spec| {
                (
                    spec.id.clone(),
                    supervisor::start(spec, sinks.clone(), drain),
                )
            })
            .collect();
        Arc::new(Self {
            nodes,
            sinks: sinks.clone(),
        })
    }

    /// The node of this name.
    ///
    /// # Errors
    /// NODE_NOT_FOUND when there is none.
    pub fn node(&self, id: &NodeId) -> Result<Arc<Node>, Failure> {
        self.nodes.get(id.as_str()).cloned().ok_or_else(|| {
            let known: Vec<_> = self.nodes.keys().map(NodeId::as_str).collect();
            let message = format!("no node {id}; there are: {}", known.join(", "));
            Failure::new(Reason::NodeNotFound, message).node(id)
        })
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// Compares what is tracked with what a node has, now.
    ///
    /// # Errors
    /// NODE_NOT_FOUND; NODE_UNAVAILABLE without a live link.
    pub async fn reconcile(&self, id: &NodeId) -> Result<Differences, Failure> {
        sync::Syncer::new(&self.node(id)?, &self.sinks, false)
            .reconcile()
            .await
    }

    /// Takes a node out of placement, or puts it back.
    ///
    /// # Errors
    /// NODE_NOT_FOUND.
    pub fn set_drained(&self, id: &NodeId, is_drained: bool) -> Result<Arc<Node>, Failure> {
        let node = self.node(id)?;
        if let Some(state) = node.set_drained(is_drained) {
            self.sinks.journal.append(Entry::NodeState {
                node: id.clone(),
                state,
            });
        }
        Ok(node)
    }

    /// A node for new work.
    ///
    /// # Errors
    /// NODE_NOT_FOUND when the selector names none, NO_NODE_AVAILABLE when none of those that fit
    /// is in service.
    pub fn place(&self, selector: &Selector) -> Result<Arc<Node>, Failure> {
        if let Some(id) = &selector.node {
            self.node(id)?;
        }
        placement::place(self.nodes.values(), selector)
    }

    /// Waits until one node at least is in service.
    pub async fn any_ready(&self) {
        let mut waits: Vec<_> = self
            .nodes
            .values()
            .map(|node| Box::pin(node.reached(NodeState::Ready)))
            .collect();
        std::future::poll_fn(|cx| {
            let ready = waits
                .iter_mut()
                .any(|wait| wait.as_mut().poll(cx).is_ready());
            if ready {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}
