//! Nodes: their state, what FreeSWITCH says of itself, and what was done to agree with it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Family, Page, Theme, Value};
use crate::domain::NodeState;
use crate::fleet::{Figures, Fleet, Node, NodeStatus};
use crate::jobs::Jobs;
use crate::tracker::Tracker;

const STATES: [NodeState; 5] = [
    NodeState::Connecting,
    NodeState::Syncing,
    NodeState::Ready,
    NodeState::Draining,
    NodeState::Down,
];

/// Characters of a version that are told.
const MAX_VERSION: usize = 64;

const STATE: Family = Family::gauge(
    "switchgate_node_state",
    "1 for the state in which a node is, 0 for the others",
    &["node", "state"],
);
const INFO: Family = Family::gauge(
    "switchgate_node_info",
    "Always 1: the version of FreeSWITCH",
    &["node", "version"],
);
const SESSIONS: Family = Family::gauge(
    "switchgate_node_sessions",
    "Sessions that FreeSWITCH counted in its last heartbeat",
    &["node"],
);
const MAX_SESSIONS: Family = Family::gauge(
    "switchgate_node_max_sessions",
    "Most sessions that FreeSWITCH takes (max-sessions)",
    &["node"],
);
const SESSION_RATE: Family = Family::gauge(
    "switchgate_node_sessions_per_second",
    "New sessions in the last second before the heartbeat",
    &["node"],
);
const MAX_SESSION_RATE: Family = Family::gauge(
    "switchgate_node_max_sessions_per_second",
    "Most new sessions per second that FreeSWITCH takes (sessions-per-second)",
    &["node"],
);
const CPU_IDLE: Family = Family::gauge(
    "switchgate_node_cpu_idle_ratio",
    "Idle part of the CPU as FreeSWITCH sees it, 0 to 1",
    &["node"],
);
const UPTIME: Family = Family::gauge(
    "switchgate_node_uptime_seconds",
    "How long FreeSWITCH had been up at its last heartbeat",
    &["node"],
);
const HEARTBEAT_AGE: Family = Family::gauge(
    "switchgate_node_heartbeat_age_seconds",
    "Time since the last heartbeat; FreeSWITCH sends one every 20 s unless configured otherwise",
    &["node"],
);
const TRACKED: Family = Family::gauge(
    "switchgate_node_tracked_sessions",
    "Live sessions of the node that the gateway knows",
    &["node"],
);
const JOBS: Family = Family::gauge(
    "switchgate_node_unfinished_jobs",
    "Jobs of the node that have not ended; each is a thread in FreeSWITCH",
    &["node"],
);
const EVENTS: Family = Family::counter(
    "switchgate_node_events_total",
    "Events that FreeSWITCH sent",
    &["node"],
);
const SYNTHETIC: Family = Family::counter(
    "switchgate_node_synthetic_events_total",
    "Events that the gateway made of what it found by asking",
    &["node"],
);
const GAPS: Family = Family::counter(
    "switchgate_node_gaps_total",
    "Times that events of the node are missing",
    &["node", "reason"],
);
const COMPARISONS: Family = Family::counter(
    "switchgate_node_comparisons_total",
    "Comparisons of what FreeSWITCH has with what the gateway knows",
    &["node", "result"],
);
const DIFFERENCES: Family = Family::counter(
    "switchgate_node_differences_total",
    "Sessions that a comparison found, changed or ended",
    &["node", "kind"],
);

/// Nodes by name.
#[derive(Debug)]
pub struct NodeMetrics {
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// Their sessions.
    pub tracker: Arc<Tracker>,
    /// Their jobs.
    pub jobs: Arc<Jobs>,
}

/// A node as it is.
struct Now {
    node: Arc<Node>,
    status: NodeStatus,
    figures: Figures,
    /// Since its last heartbeat; absent before the first.
    heartbeat_age: Option<f64>,
}

// === impl NodeMetrics ===

impl Theme for NodeMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let nodes: Vec<Now> = self.fleet.nodes().map(Now::new).collect();
        let nodes = &*nodes;
        let states = nodes.iter().flat_map(|now| {
            STATES.map(|state| ([now.id(), state.name()], state == now.status.state))
        });
        page.samples(&STATE, states)?;
        let known = nodes.iter().filter(|now| !now.status.version.is_empty());
        page.samples(&INFO, known.map(|now| ([now.id(), now.version()], true)))?;
        said(page, nodes)?;
        each(page, &TRACKED, nodes, |now| {
            self.tracker.live_count(now.node.id())
        })?;
        each(page, &JOBS, nodes, |now| {
            self.jobs.running_on(now.node.id())
        })?;
        happened(page, nodes)
    }
}

/// What FreeSWITCH says of itself.
fn said(page: &mut Page<'_>, nodes: &[Now]) -> fmt::Result {
    figures(page, &SESSIONS, nodes, |figures| figures.sessions)?;
    figures(page, &MAX_SESSIONS, nodes, |figures| figures.max_sessions)?;
    figures(page, &SESSION_RATE, nodes, |figures| {
        figures.sessions_per_second
    })?;
    figures(page, &MAX_SESSION_RATE, nodes, |figures| {
        figures.max_sessions_per_second
    })?;
    figures(page, &CPU_IDLE, nodes, |figures| figures.idle_cpu / 100.0)?;
    figures(page, &UPTIME, nodes, |figures| figures.uptime.as_secs_f64())?;
    let ages = nodes.iter().filter_map(|now| {
        let age = now.heartbeat_age?;
        Some(([now.id()], age))
    });
    page.samples(&HEARTBEAT_AGE, ages)
}

/// What happened to nodes.
fn happened(page: &mut Page<'_>, nodes: &[Now]) -> fmt::Result {
    each(page, &EVENTS, nodes, |now| now.node.counts().events.get())?;
    each(page, &SYNTHETIC, nodes, |now| {
        now.node.counts().synthetic_events.get()
    })?;
    let gaps = nodes.iter().flat_map(|now| {
        let counts = now.node.counts();
        [
            ([now.id(), "LINK_LOST"], counts.gaps_link_lost.get()),
            ([now.id(), "EVENTS_LOST"], counts.gaps_events_lost.get()),
        ]
    });
    page.samples(&GAPS, gaps)?;
    let comparisons = nodes.iter().flat_map(|now| {
        let counts = now.node.counts();
        [
            ([now.id(), "done"], counts.comparisons.get()),
            ([now.id(), "failed"], counts.comparisons_failed.get()),
        ]
    });
    page.samples(&COMPARISONS, comparisons)?;
    let differences = nodes.iter().flat_map(|now| {
        let counts = now.node.counts();
        [
            ([now.id(), "found"], counts.found.get()),
            ([now.id(), "changed"], counts.changed.get()),
            ([now.id(), "ended"], counts.ended.get()),
        ]
    });
    page.samples(&DIFFERENCES, differences)
}

/// One figure of those nodes that have told any.
fn figures<V: Into<Value>>(
    page: &mut Page<'_>,
    family: &Family,
    nodes: &[Now],
    figure: impl Fn(&Figures) -> V,
) -> fmt::Result {
    let told = nodes.iter().filter(|now| now.heartbeat_age.is_some());
    page.samples(family, told.map(|now| ([now.id()], figure(&now.figures))))
}

fn each<V: Into<Value>>(
    page: &mut Page<'_>,
    family: &Family,
    nodes: &[Now],
    number: impl Fn(&Now) -> V,
) -> fmt::Result {
    page.samples(family, nodes.iter().map(|now| ([now.id()], number(now))))
}

// === impl Now ===

impl Now {
    fn new(node: Arc<Node>) -> Self {
        let figures = node.figures();
        let age = |at| SystemTime::now().duration_since(at).unwrap_or_default();
        Self {
            status: node.status(),
            figures,
            heartbeat_age: figures.heartbeat_at.map(|at| age(at).as_secs_f64()),
            node,
        }
    }

    fn id(&self) -> &str {
        self.node.id().as_str()
    }

    /// As FreeSWITCH tells it, which could be anything.
    fn version(&self) -> &str {
        let version = &self.status.version;
        let end = version.char_indices().nth(MAX_VERSION);
        end.map_or(version, |(end, _)| &version[..end])
    }
}
