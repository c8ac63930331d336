//! The nodes: links, their supervision, and what each FreeSWITCH says of itself.

mod asked;
mod capture;
mod census;
mod cores;
mod counts;
mod figures;
#[cfg(test)]
mod fixtures;
mod listening;
mod membership;
mod node;
mod placement;
mod pool;
mod sink;
mod strays;
mod supervisor;
mod sync;
mod synthetic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::watch;

pub use capture::Capture;
pub use counts::{KindCounts, LinksNow, NodeCounts};
pub use figures::Figures;
pub use membership::Removed;
pub use node::{Node, NodeStatus};
pub use placement::Selector;
pub use sync::Differences;

use crate::domain::{Deadline, Failure, NodeId, NodeState, Reason, SessionId};
use crate::esl::{ConnectionConfig, Connector, Credentials, Dialer, Event, Limits};
use crate::events::{Journal, Wants};
use crate::jobs::Jobs;
use crate::shutdown::Drain;
use crate::tracker::{Labels, Tracker};
use cores::Cores;

/// How `show` starts its refusal where FreeSWITCH runs without a database (`show_function` in
/// `mod_commands.c`).
pub const NO_DATABASE: &[u8] = b"-ERR SQL disabled";

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
    /// How long FreeSWITCH may take for an answer when it is asked for its sessions.
    pub query_timeout: Duration,
    /// Shortest and longest pause between attempts to connect.
    pub backoff: (Duration, Duration),
}

/// What the links of all nodes have in common.
#[derive(Clone)]
pub struct LinkRecipe {
    /// Longest time for connecting and authenticating together.
    pub timeout: Duration,
    /// Largest frames.
    pub limits: Limits,
    /// Opens sockets.
    pub dialer: Arc<dyn Dialer>,
    /// How each link behaves.
    pub link: ConnectionConfig,
    /// Shortest and longest pause between attempts to connect.
    pub backoff: (Duration, Duration),
    /// How long FreeSWITCH may take for an answer when it is asked for its sessions.
    pub query_timeout: Duration,
    /// Links for commands of a node that names no number.
    pub command_links: usize,
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
    /// Which events they are to ask for.
    pub wants: Arc<Wants>,
}

/// All nodes.
#[derive(Debug)]
pub struct Fleet {
    members: RwLock<BTreeMap<NodeId, Member>>,
    /// Tells that a node came or went.
    membership: watch::Sender<()>,
    /// Held while one is chosen, so that two callers do not both take the last place.
    placing: Mutex<()>,
    /// The last capture, as long as somebody has it.
    captured: capture::Latest,
    cores: Arc<Cores>,
    sinks: Sinks,
    drain: Drain,
}

/// A node and what its tasks belong to.
#[derive(Debug)]
struct Member {
    node: Arc<Node>,
    drain: Drain,
    /// It is being removed: its name is taken until all of it is gone, and it is not shown.
    is_leaving: bool,
}

// === impl LinkRecipe ===

impl LinkRecipe {
    /// A node whose links are made so.
    pub fn node(
        &self,
        id: NodeId,
        address: String,
        credentials: Credentials,
        labels: Labels,
        command_links: usize,
    ) -> NodeSpec {
        NodeSpec {
            id,
            connector: Connector {
                address,
                credentials,
                timeout: self.timeout,
                limits: self.limits,
                dialer: Arc::clone(&self.dialer),
            },
            labels,
            command_links,
            link: self.link.clone(),
            backoff: self.backoff,
            query_timeout: self.query_timeout,
        }
    }
}

impl fmt::Debug for LinkRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkRecipe")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

// === impl Fleet ===

impl Fleet {
    /// Starts to connect to all nodes, until `drain` stops.
    pub fn start(specs: Vec<NodeSpec>, sinks: &Sinks, drain: &Drain) -> Arc<Self> {
        let cores = Arc::default();
        let start = |spec: NodeSpec| (spec.id.clone(), Member::start(spec, sinks, &cores, drain));
        let members = specs.into_iter().map(start).collect();
        Arc::new(Self {
            members: RwLock::new(members),
            membership: watch::Sender::new(()),
            placing: Mutex::default(),
            captured: capture::Latest::default(),
            cores,
            sinks: sinks.clone(),
            drain: drain.clone(),
        })
    }

    /// The node of this name.
    ///
    /// # Errors
    /// NODE_NOT_FOUND when there is none.
    pub fn node(&self, id: &NodeId) -> Result<Arc<Node>, Failure> {
        let members = self.read();
        match members.get(id.as_str()).filter(|member| member.is_shown()) {
            Some(member) => Ok(Arc::clone(&member.node)),
            None => Err(unknown(id, &members)),
        }
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> std::vec::IntoIter<Arc<Node>> {
        let members = self.read();
        let nodes: Vec<_> = members
            .values()
            .filter(|member| member.is_shown())
            .map(|member| Arc::clone(&member.node))
            .collect();
        nodes.into_iter()
    }

    /// Compares what is tracked with what a node has, now. While the node is being read after a
    /// (re)connect, that comes first.
    ///
    /// # Errors
    /// NODE_NOT_FOUND; NODE_UNAVAILABLE without a live link; DEADLINE_EXCEEDED with the metadata
    /// `command_sent`.
    pub async fn reconcile(&self, id: &NodeId, deadline: Deadline) -> Result<Differences, Failure> {
        let node = self.node(id)?;
        let late = |message, is_sent| {
            move || {
                Failure::new(Reason::DeadlineExceeded, message)
                    .node(id)
                    .with("command_sent", is_sent)
            }
        };
        node.check_hears()?;
        deadline
            .bound(node.left(NodeState::Syncing))
            .await
            .ok_or_else(late(
                "the deadline passed while the node was still being read",
                false,
            ))?;
        node.check_hears()?;
        let syncer = sync::Syncer::new(&node, &self.sinks);
        deadline
            .bound(syncer.reconcile_now())
            .await
            .ok_or_else(late(
                "the deadline passed before the comparison was done; what was corrected stays so",
                true,
            ))?
    }

    /// Takes a node out of placement, or puts it back.
    ///
    /// # Errors
    /// NODE_NOT_FOUND.
    pub fn set_drained(&self, id: &NodeId, is_drained: bool) -> Result<Arc<Node>, Failure> {
        let node = self.node(id)?;
        node.set_drained(is_drained);
        sink::NodeSink::new(&node, &self.sinks).publish(|status| {
            if matches!(status.state, NodeState::Ready | NodeState::Draining) {
                status.state = node.in_service();
            }
        });
        Ok(node)
    }

    /// Takes in what FreeSWITCH says (`uuid_dump`) of a session that was put into a call, since it
    /// fires no event for that.
    pub fn put_into_call(&self, node: &Arc<Node>, dump: &Event) {
        sink::NodeSink::new(node, &self.sinks).put_into_call(dump);
    }

    /// A node for new work, which makes these legs; none for work that makes no sessions.
    ///
    /// # Errors
    /// NODE_NOT_FOUND when the selector names none, NO_NODE_AVAILABLE when none of those that fit
    /// is in service, NODE_LIMIT when all that are have no room.
    pub fn place(&self, selector: &Selector, legs: &[SessionId]) -> Result<Arc<Node>, Failure> {
        if let Some(id) = &selector.node {
            self.node(id)?;
        }
        let nodes: Vec<_> = self.nodes().collect();
        let _placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        placement::place(&nodes, selector, &self.sinks.tracker, legs)
    }

    /// Waits until one node at least is in service.
    pub async fn any_ready(&self) {
        let mut membership = self.membership.subscribe();
        loop {
            membership.mark_unchanged();
            let nodes: Vec<_> = self.nodes().collect();
            let reached = |node: &Arc<Node>| {
                let node = Arc::clone(node);
                Box::pin(async move { node.reached(NodeState::Ready).await })
            };
            let waits: Vec<_> = nodes.iter().map(reached).collect();
            let any = async {
                match waits.is_empty() {
                    true => std::future::pending().await,
                    false => futures_util::future::select_all(waits).await,
                }
            };
            tokio::select! {
                biased;
                _ = any => return,
                // The sender is ours.
                _ = membership.changed() => {}
            }
        }
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NodeId, Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<NodeId, Member>> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Member ===

impl Member {
    fn start(spec: NodeSpec, sinks: &Sinks, cores: &Arc<Cores>, drain: &Drain) -> Self {
        let drain = drain.part();
        Self {
            node: supervisor::start(spec, sinks.clone(), Arc::clone(cores), &drain),
            drain,
            is_leaving: false,
        }
    }

    fn is_shown(&self) -> bool {
        !self.is_leaving
    }
}

fn unknown(id: &NodeId, members: &BTreeMap<NodeId, Member>) -> Failure {
    let shown = members.iter().filter(|(_, member)| member.is_shown());
    let known: Vec<_> = shown.map(|(id, _)| id.as_str()).collect();
    let message = format!("no node {id}; there are: {}", known.join(", "));
    Failure::new(Reason::NodeNotFound, message).node(id)
}
