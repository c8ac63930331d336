//! Whether requests may come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::ReadyPolicy;
use crate::domain::NodeState;
use crate::fleet::Fleet;
use crate::telemetry::metrics::{Family, Page, Theme};

const READY: Family = Family::gauge(
    "switchgate_ready",
    "1 while /readyz says so: enough nodes are in service, and no stop was asked for",
    &[],
);
const DRAINING: Family = Family::gauge("switchgate_draining", "1 since a stop was asked for", &[]);

/// Where the gateway is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It does not take requests yet.
    Starting,
    /// It takes requests.
    Serving,
    /// A stop was asked for.
    Draining,
}

/// Whether requests may come: by the stage of the gateway and by its nodes. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness {
    stage: Arc<AtomicU8>,
    fleet: Arc<Fleet>,
    policy: ReadyPolicy,
}

/// What a probe is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is content.
    pub is_ready: bool,
    /// Why, for people.
    pub text: String,
}

// === impl Readiness ===

impl Readiness {
    /// Of a gateway that starts.
    pub fn new(fleet: &Arc<Fleet>, policy: ReadyPolicy) -> Self {
        Self {
            stage: Arc::new(AtomicU8::new(Stage::Starting as u8)),
            fleet: Arc::clone(fleet),
            policy,
        }
    }

    /// The gateway is further in its life.
    pub fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// Where the gateway is in its life.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            _ => Stage::Draining,
        }
    }

    /// Whether requests may come.
    pub fn verdict(&self) -> Verdict {
        let mut missing = Vec::new();
        let (mut all, mut in_service) = (0, 0);
        for node in self.fleet.nodes() {
            all += 1;
            let status = node.status();
            match status.state {
                NodeState::Ready | NodeState::Draining => in_service += 1,
                state if status.detail.is_empty() => {
                    missing.push(format!("node {}: {state}", node.id()));
                }
                state => missing.push(format!("node {}: {state}: {}", node.id(), status.detail)),
            }
        }
        let (needed, policy) = (self.policy.needed(all), self.policy.name());
        let stage = self.stage();
        let is_ready = stage == Stage::Serving && in_service >= needed;
        let word = match (stage, is_ready) {
            (Stage::Starting, _) => "not ready: starting",
            (Stage::Draining, _) => "not ready: draining",
            (Stage::Serving, false) => "not ready",
            (Stage::Serving, true) => "ready",
        };
        let mut text =
            format!("{word}: {in_service} of {all} nodes in service, {needed} needed ({policy})\n");
        for line in missing {
            text.push_str(&line);
            text.push('\n');
        }
        Verdict { is_ready, text }
    }

    /// Whether it takes requests, or did: what a start has to reach. Nodes do not count, or a
    /// gateway would be started again and again for want of a FreeSWITCH.
    pub fn is_started(&self) -> bool {
        self.stage() > Stage::Starting
    }
}

impl Theme for Readiness {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.samples(&READY, [([], self.verdict().is_ready)])?;
        page.samples(&DRAINING, [([], self.stage() == Stage::Draining)])
    }
}
