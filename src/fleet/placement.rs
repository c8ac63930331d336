//! Which node gets new work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::IteratorRandom;

use super::node::Node;
use crate::chance::Dice;
use crate::domain::{Failure, NodeId, Reason};

/// Conditions that a node must meet.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// This one and no other.
    pub node: Option<NodeId>,
    /// All of these labels with these values.
    pub labels: BTreeMap<String, String>,
}

// === impl Selector ===

impl Selector {
    fn fits(&self, node: &Node) -> bool {
        self.node.as_ref().is_none_or(|id| id == node.id())
            && self
                .labels
                .iter()
                .all(|(name, value)| node.labels().get(name) == Some(value))
    }
}

/// Chooses the node in service that is least full; at random among equals, so that several
/// gateways do not all choose the same.
pub(super) fn place<'a>(
    nodes: impl Iterator<Item = &'a Arc<Node>>,
    selector: &Selector,
) -> Result<Arc<Node>, Failure> {
    let fitting: Vec<_> = nodes.filter(|node| selector.fits(node)).collect();
    let ready = || fitting.iter().filter(|node| node.is_ready());
    let least = ready().map(|node| fullness(node)).min();
    let chosen = ready()
        .filter(|node| Some(fullness(node)) == least)
        .choose(&mut Dice);
    chosen.map(|node| Arc::clone(node)).ok_or_else(|| {
        let message = match fitting.as_slice() {
            [] => "no node has these labels".to_owned(),
            [node] => format!(
                "node {} is {}: {}",
                node.id(),
                node.status().state,
                node.status().detail
            ),
            several => format!("none of the {} nodes that fit is in service", several.len()),
        };
        Failure::new(Reason::NoNodeAvailable, message).retry_after(Duration::from_secs(1))
    })
}

/// Sessions by the last heartbeat in per mille of the limit.
fn fullness(node: &Node) -> u64 {
    let figures = node.figures();
    u64::from(figures.sessions) * 1000 / u64::from(figures.max_sessions.max(1))
}
