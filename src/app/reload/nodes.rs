//! The nodes that the configuration names, as it changes.
//!
//! A node that is named no more gets no new work and goes when nothing lives there. One at another
//! address is another FreeSWITCH: it comes when the one of before has gone. Nodes that were added
//! by AddNode are left alone.
//!
//! Those that were found (`discovery`) come and go in the same way, with one difference: one that is
//! found no more and whose link is lost is gone, with all that lived there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Changes;
use crate::config::{NodeConfig, Origin, Problem, Problems};
use crate::control::{Parts, node_spec};
use crate::discovery::{Found, LeftOut, Merged, merge};
use crate::domain::{NodeId, NodeState, Reason};
use crate::fleet::{Fleet, LinkRecipe, Node};
use crate::shutdown::Drain;

/// How often a node that is to go is looked at.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Nodes {
    fleet: Arc<Fleet>,
    links: Arc<LinkRecipe>,
    drain: Drain,
    /// Held while one comes or goes.
    named: Mutex<Ledger>,
}

/// Who names nodes, and the nodes.
#[derive(Debug, Default)]
struct Ledger {
    listed: Vec<NodeConfig>,
    found: Found,
    left_out: Vec<LeftOut>,
    nodes: BTreeMap<NodeId, Named>,
}

/// A node that the configuration names, or named, until it is gone.
#[derive(Debug, Default)]
struct Named {
    /// The node, and how it was made.
    there: Option<(Arc<Node>, NodeConfig)>,
    /// How it is to be; absent when it is to go.
    wanted: Option<NodeConfig>,
    /// It was taken out of placement here, and not by a client.
    is_drained: bool,
    /// It is, or was, named by a source of discovery and not by the list.
    is_found: bool,
    /// Since when its link is lost, as far as it is to go.
    lost_at: Option<Instant>,
    /// Stops the task that sees to it.
    task: Option<CancellationToken>,
}

// === impl Nodes ===

impl Nodes {
    /// Of a gateway that was started with these nodes.
    pub(super) fn new(parts: &Parts, nodes: &[NodeConfig]) -> Arc<Self> {
        let there = |node: &NodeConfig| parts.fleet.node(&node.id).ok();
        let named = nodes.iter().map(|node| {
            let named = Named {
                there: there(node).map(|there| (there, node.clone())),
                wanted: Some(node.clone()),
                ..Named::default()
            };
            (node.id.clone(), named)
        });
        Arc::new(Self {
            fleet: Arc::clone(&parts.fleet),
            links: Arc::clone(&parts.links),
            drain: parts.drain.clone(),
            named: Mutex::new(Ledger {
                listed: nodes.to_vec(),
                nodes: named.collect(),
                ..Ledger::default()
            }),
        })
    }

    /// What stands in the way of these nodes: others that clients have added.
    pub(super) async fn conflicts(&self, nodes: &[NodeConfig]) -> Problems {
        let named = self.named.lock().await;
        let is_ours = |node: &Arc<Node>| {
            let named = named.nodes.get(node.id().as_str());
            let there = named.and_then(|named| named.there.as_ref());
            there.is_some_and(|(there, _)| Arc::ptr_eq(there, node))
        };
        let others: Vec<_> = self.fleet.nodes().filter(|node| !is_ours(node)).collect();
        let mut problems = Problems::default();
        for (at, node) in nodes.iter().enumerate() {
            let address = node.address.to_string();
            for other in &others {
                let same_name = *other.id() == node.id;
                let same_address = other.address().eq_ignore_ascii_case(&address);
                let (key, value, reason) = match (same_name, same_address) {
                    (true, false) => (
                        "id",
                        node.id.to_string(),
                        "is a node at another address, which AddNode added".to_owned(),
                    ),
                    (false, true) => {
                        let reason = format!("is that of node {}, which AddNode added", other.id());
                        ("address", address.clone(), reason)
                    }
                    _ => continue,
                };
                problems.0.push(Problem {
                    key: format!("nodes[{at}].{key}"),
                    value: Some(format!("`{value}`")),
                    reason,
                    remedy: format!("remove node {} with RemoveNode first", other.id()),
                    origin: Origin::Default,
                });
            }
        }
        problems
    }

    /// Takes these for those of the list from now on; says whether anything is different.
    pub(super) async fn follow(
        self: &Arc<Self>,
        nodes: &[NodeConfig],
        changes: &mut Changes,
    ) -> bool {
        let mut ledger = self.named.lock().await;
        ledger.listed = nodes.to_vec();
        self.bring(&mut ledger, changes).await
    }

    /// Takes these for those that were found, beside the list; gives those that are left out.
    pub(super) async fn take_found(
        self: &Arc<Self>,
        found: Found,
        changes: &mut Changes,
    ) -> Vec<LeftOut> {
        let mut ledger = self.named.lock().await;
        ledger.found = found;
        self.bring(&mut ledger, changes).await;
        ledger.left_out.clone()
    }

    /// Brings the nodes to what is named; says whether anything is different.
    async fn bring(self: &Arc<Self>, ledger: &mut Ledger, changes: &mut Changes) -> bool {
        let Merged { nodes, left_out } = merge(&ledger.listed, &ledger.found);
        for one in &left_out {
            if !ledger.left_out.contains(one) {
                let LeftOut {
                    source,
                    id,
                    address,
                    rival,
                } = one;
                warn!(source, node = %id, address, %rival, "node that was found is left out; another has its name or address");
            }
        }
        ledger.left_out = left_out;
        let listed: BTreeSet<NodeId> = ledger.listed.iter().map(|node| node.id.clone()).collect();
        let named = &mut ledger.nodes;
        let wanted: BTreeMap<_, _> = nodes.iter().map(|node| (&node.id, node)).collect();
        let ids: BTreeSet<NodeId> = named
            .keys()
            .chain(wanted.keys().copied())
            .cloned()
            .collect();
        let (mut going, mut coming) = (Vec::new(), Vec::new());
        for id in ids {
            let wanted = wanted.get(&id).copied();
            let one = named.entry(id.clone()).or_default();
            if wanted.is_some() {
                one.is_found = !listed.contains(&id);
            }
            match (&one.wanted, wanted) {
                (None, None) => continue,
                (Some(before), Some(now)) if before == now => continue,
                (None, Some(_)) => changes.added.push(id.clone()),
                (Some(_), None) => changes.removed.push(id.clone()),
                (Some(_), Some(_)) => changes.changed.push(id.clone()),
            }
            one.wanted = wanted.cloned();
            match wanted {
                None => going.push(id),
                Some(_) => coming.push(id),
            }
        }
        let is_different = !going.is_empty() || !coming.is_empty();
        // Those that go make room: one may only have got another name.
        for id in going.into_iter().chain(coming) {
            let Some(one) = named.get_mut(&id) else {
                continue;
            };
            if let Some(task) = one.task.take() {
                task.cancel();
            }
            if !self.settle(&id, one).await {
                if one.is_found && one.wanted.is_some() && one.there.is_none() {
                    warn!(node = %id, "node that was found waits; another has its name or address");
                }
                let task = CancellationToken::new();
                one.task = Some(task.clone());
                self.drain.spawn(Arc::clone(self).see_to(id, task));
            } else if one.wanted.is_none() {
                named.remove(&id);
            }
        }
        is_different
    }

    /// Settles it as soon as can be.
    async fn see_to(self: Arc<Self>, id: NodeId, task: CancellationToken) {
        let stopped = self.drain.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                () = task.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let mut ledger = self.named.lock().await;
            let named = &mut ledger.nodes;
            let Some(one) = named.get_mut(&id).filter(|_| !task.is_cancelled()) else {
                return;
            };
            if self.settle(&id, one).await {
                info!(node = %id, "node is as the configuration has it");
                one.task = None;
                if one.wanted.is_none() {
                    named.remove(&id);
                }
                return;
            }
        }
    }

    /// Does what can be done now to have it as it is wanted; says whether that is all.
    async fn settle(&self, id: &NodeId, one: &mut Named) -> bool {
        let now = self.fleet.node(id).ok();
        // A client may have removed it meanwhile, and even added another one of its name.
        one.there = one.there.take().filter(|(there, _)| {
            let same = |now: &Arc<Node>| Arc::ptr_eq(now, there);
            now.as_ref().is_some_and(same)
        });
        if let Some((there, made)) = &mut one.there {
            let same_links = |wanted: &&NodeConfig| wanted.command_links == made.command_links;
            let stays = one.wanted.as_ref();
            let stays = stays.filter(|wanted| wanted.address == made.address);
            match stays {
                Some(wanted) => {
                    one.lost_at = None;
                    self.adjust(there, wanted);
                    if std::mem::take(&mut one.is_drained) {
                        // It was there a moment ago; if not, there is nothing to put back.
                        let _ = self.fleet.set_drained(id, false);
                    }
                }
                None => {
                    let in_service = there.status().state != NodeState::Draining;
                    one.is_drained |= in_service && self.fleet.set_drained(id, true).is_ok();
                }
            }
            if let Some(wanted) = stays.filter(same_links) {
                *made = wanted.clone();
                return true;
            }
            let is_gone = stays.is_none() && one.is_found && {
                let is_lost = there.check_hears().is_err();
                let since = is_lost.then(|| *one.lost_at.get_or_insert_with(Instant::now));
                one.lost_at = since;
                since.is_some_and(|since| since.elapsed() >= self.links.backoff.1)
            };
            if is_gone {
                info!(node = %id, "node that is found no more has lost its link");
            }
            match self.fleet.remove(id, is_gone).await {
                Err(failure) if failure.reason() != Reason::NodeNotFound => return false,
                _ => {
                    one.there = None;
                    one.is_drained = false;
                    one.lost_at = None;
                }
            }
        }
        let Some(wanted) = &one.wanted else {
            return true;
        };
        if let Ok(node) = self.fleet.node(id) {
            // A client added it, and now the configuration names it too.
            let same = node
                .address()
                .eq_ignore_ascii_case(&wanted.address.to_string());
            if same {
                self.adjust(&node, wanted);
                one.there = Some((node, wanted.clone()));
            }
            return same;
        }
        match self.fleet.add(node_spec(&self.links, wanted)) {
            Ok(node) => {
                one.there = Some((node, wanted.clone()));
                true
            }
            Err(failure) => {
                debug!(node = %id, error = failure.message(), "node cannot be added yet");
                false
            }
        }
    }

    /// Changes what can change while it is in service.
    fn adjust(&self, node: &Node, wanted: &NodeConfig) {
        let spec = node_spec(&self.links, wanted);
        node.set_labels(spec.labels);
        node.set_credentials(spec.connector.credentials);
    }
}
