//! Which node gets new work.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::seq::IteratorRandom;
use tokio::time::Instant;

use super::figures::Figures;
use super::node::Node;
use crate::access::View;
use crate::chance::Dice;
use crate::domain::{Failure, NodeId, NodeState, Reason, SessionId};
use crate::tracker::Tracker;

/// How long a leg that was placed counts though it was not seen: longer than FreeSWITCH needs to
/// make one, and shorter than one that it never made should hold a place.
const UNSEEN: Duration = Duration::from_secs(2);
/// FreeSWITCH's limit of new sessions is for one second.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// After which a full node may have room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// After which it makes sense to ask again for a drained node: until then it is for people to decide.
const RETRY_DRAINED: Duration = Duration::from_secs(30);

/// Conditions that a node must meet.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// This one and no other.
    pub node: Option<NodeId>,
    /// All of these labels with these values.
    pub labels: BTreeMap<String, String>,
    /// One of those that the caller may use.
    pub view: View,
}

/// How loaded a node is. A limit of 0 is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    pub(super) sessions: u64,
    pub(super) max_sessions: u64,
    /// New sessions within the last second.
    pub(super) rate: u64,
    pub(super) max_rate: u64,
    /// In percent.
    pub(super) idle_cpu: f64,
}

/// What has changed at a node since its last heartbeat, which is up to 20 s old.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Sessions that were tracked when it came; absent before the first.
    live_then: Option<usize>,
    /// When sessions began, as far back as the limit of new ones reaches.
    begins: VecDeque<Instant>,
    /// Legs that this gateway has placed and not yet seen.
    unseen: VecDeque<(Instant, SessionId)>,
}

// === impl Selector ===

impl Selector {
    fn fits(&self, node: &Node) -> bool {
        let labels = node.labels();
        self.node.as_ref().is_none_or(|id| id == node.id())
            && self.view.shows_node(node.id())
            && self
                .labels
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    }
}

// === impl Load ===

impl Load {
    /// Whether so many new sessions are within the limits.
    fn has_room(&self, legs: u64) -> bool {
        let within = |count: u64, limit: u64| limit == 0 || legs == 0 || count + legs <= limit;
        within(self.sessions, self.max_sessions) && within(self.rate, self.max_rate)
    }

    /// Less is better: sessions against their limit, then new sessions against theirs, then how
    /// busy the CPU is. In steps, so that nodes which are nearly equal are chosen at random.
    fn score(&self) -> (u64, u64, u64) {
        let part = |count: u64, limit: u64, steps: u64| match limit {
            0 => 0,
            limit => count * steps / limit,
        };
        let busy = (100.0 - self.idle_cpu.clamp(0.0, 100.0)) / 10.0;
        (
            part(self.sessions, self.max_sessions, 1000),
            part(self.rate, self.max_rate, 10),
            // From 0 to 10.
            busy as u64,
        )
    }
}

// === impl Recent ===

impl Recent {
    pub(super) fn heartbeat(&mut self, live: usize) {
        self.live_then = Some(live);
    }

    pub(super) fn began(&mut self, at: Instant) {
        self.begins.push_back(at);
        self.forget(at);
    }

    pub(super) fn placed(&mut self, legs: &[SessionId], at: Instant) {
        self.unseen.extend(legs.iter().map(|leg| (at, leg.clone())));
    }

    /// They will not be made.
    pub(super) fn not_placed(&mut self, legs: &[SessionId]) {
        self.unseen.retain(|(_, leg)| !legs.contains(leg));
    }

    pub(super) fn load(
        &mut self,
        figures: &Figures,
        live: usize,
        now: Instant,
        is_known: impl Fn(&SessionId) -> bool,
    ) -> Load {
        self.forget(now);
        self.unseen.retain(|(_, leg)| !is_known(leg));
        let unseen = self.unseen.len() as u64;
        // The heartbeat counts sessions that are not tracked, where FreeSWITCH keeps no list of
        // them; what was tracked since then tells how many there are by now.
        let sessions = match self.live_then {
            Some(then) => (u64::from(figures.sessions) + live as u64).saturating_sub(then as u64),
            None => live as u64,
        };
        Load {
            sessions: sessions.max(live as u64) + unseen,
            max_sessions: figures.max_sessions.into(),
            rate: self.begins.len() as u64 + unseen,
            max_rate: figures.max_sessions_per_second.into(),
            idle_cpu: figures.idle_cpu,
        }
    }

    fn forget(&mut self, now: Instant) {
        let is_past = |at: Instant, span| now.saturating_duration_since(at) >= span;
        while self
            .begins
            .front()
            .is_some_and(|at| is_past(*at, RATE_WINDOW))
        {
            self.begins.pop_front();
        }
        while self
            .unseen
            .front()
            .is_some_and(|(at, _)| is_past(*at, UNSEEN))
        {
            self.unseen.pop_front();
        }
    }
}

/// The best of these loads that has room for so many new sessions; at random among equals, so that
/// several gateways do not all choose the same.
pub(super) fn choose(loads: &[Load], legs: u64, rng: &mut impl Rng) -> Option<usize> {
    let roomy = || (0..loads.len()).filter(|at| loads[*at].has_room(legs));
    let least = roomy().map(|at| loads[at].score()).min();
    roomy()
        .filter(|at| Some(loads[*at].score()) == least)
        .choose(rng)
}

/// Chooses the node in service that is least loaded, for these new legs; none for work that makes
/// no sessions, which a full node can do too.
pub(super) fn place(
    nodes: &[Arc<Node>],
    selector: &Selector,
    tracker: &Tracker,
    legs: &[SessionId],
) -> Result<Arc<Node>, Failure> {
    // By whether there is such a node, labels would tell a tenant what nodes do not.
    if selector.view.is_tenants() && !selector.labels.is_empty() {
        let remedy = "is not for callers with a tenant; leave it out, or name a node in node_id";
        return Err(Failure::invalid("node_selector.match_labels", remedy));
    }
    let fitting: Vec<_> = nodes.iter().filter(|node| selector.fits(node)).collect();
    let is_usable = |node: &&&Arc<Node>| node.is_ready() && node.command_links().0 > 0;
    let usable: Vec<_> = fitting.iter().filter(is_usable).collect();
    let is_known = |leg: &SessionId| tracker.session(leg).is_some();
    let loads: Vec<Load> = usable
        .iter()
        .map(|node| node.load(tracker.live_count(node.id()), is_known))
        .collect();
    if let Some(at) = choose(&loads, legs.len() as u64, &mut Dice) {
        let node = Arc::clone(usable[at]);
        node.placed(legs);
        return Ok(node);
    }
    Err(match usable.as_slice() {
        [] => unusable(&fitting),
        [node] => full(format!("node {} is at its limit of sessions", node.id())).node(node.id()),
        several => full(format!(
            "all {} nodes that fit are at their limits",
            several.len()
        )),
    })
}

fn full(message: String) -> Failure {
    Failure::new(Reason::NodeLimit, message).retry_after(RETRY_AFTER)
}

fn unusable(fitting: &[&Arc<Node>]) -> Failure {
    let message = match fitting {
        [] => "no node has these labels".to_owned(),
        [node] if node.is_ready() => format!("node {} has no live command link", node.id()),
        [node] => why_unusable(node),
        several => format!("none of the {} nodes that fit is in service", several.len()),
    };
    let is_drained = |node: &&Arc<Node>| node.status().state == NodeState::Draining;
    let retry_after = match !fitting.is_empty() && fitting.iter().all(is_drained) {
        true => RETRY_DRAINED,
        false => RETRY_AFTER,
    };
    let failure = Failure::new(Reason::NoNodeAvailable, message).retry_after(retry_after);
    match fitting {
        [node] => failure.node(node.id()),
        _ => failure,
    }
}

fn why_unusable(node: &Node) -> String {
    let (id, status) = (node.id(), node.status());
    match (status.state, status.detail.as_str()) {
        (NodeState::Draining, _) => {
            format!("node {id} is DRAINING: it gets no new work until UndrainNode puts it back")
        }
        (state, "") => format!("node {id} is {state}"),
        (state, detail) => format!("node {id} is {state}: {detail}"),
    }
}

#[cfg(test)]
mod tests;
