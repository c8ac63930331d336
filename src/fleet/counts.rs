//! What happened to a node and its links, for those who watch the gateway.

use std::sync::Arc;

use super::Differences;
use crate::domain::Count;
use crate::esl::LinkCounts;
use crate::events::GapReason;

/// What happened to one node since it was taken in.
#[derive(Debug, Default)]
pub struct NodeCounts {
    /// The link for events.
    pub event_link: KindCounts,
    /// The links for commands.
    pub command_links: KindCounts,
    /// The link for what takes long.
    pub query_link: KindCounts,
    /// Events that FreeSWITCH sent.
    pub events: Count,
    /// Events that the gateway made of what it found by asking.
    pub synthetic_events: Count,
    /// Times without a link, in which events were missed.
    pub gaps_link_lost: Count,
    /// Times that events were lost over a link that lived.
    pub gaps_events_lost: Count,
    /// Comparisons with the tracker that came to their end.
    pub comparisons: Count,
    /// Those that did not.
    pub comparisons_failed: Count,
    /// Sessions that were found by them.
    pub found: Count,
    /// Sessions that were corrected by them.
    pub changed: Count,
    /// Sessions that were ended by them.
    pub ended: Count,
}

/// What happened to the links of one kind.
#[derive(Debug, Default)]
pub struct KindCounts {
    /// What went over them.
    pub traffic: Arc<LinkCounts>,
    /// Times that one came up.
    pub connects: Count,
    /// Attempts that failed.
    pub failures: Count,
    /// Times that one was lost.
    pub losses: Count,
}

/// The links of one kind as they are.
#[derive(Debug, Clone, Copy)]
pub struct LinksNow<'a> {
    /// `event`, `command` or `query`.
    pub kind: &'static str,
    /// Links that there should be.
    pub configured: usize,
    /// Links that live.
    pub up: usize,
    /// Commands that wait to be written.
    pub queued: usize,
    /// What happened to them.
    pub counts: &'a KindCounts,
}

// === impl NodeCounts ===

impl NodeCounts {
    pub(super) fn gap(&self, reason: GapReason) {
        match reason {
            GapReason::LinkLost => self.gaps_link_lost.one(),
            GapReason::EventsLost => self.gaps_events_lost.one(),
            // Of subscribers, not of nodes.
            GapReason::SlowConsumer | GapReason::JournalOverrun | GapReason::NotSubscribed => {}
        }
    }

    pub(super) fn compared<E>(&self, outcome: &Result<Differences, E>) {
        let Ok(differences) = outcome else {
            return self.comparisons_failed.one();
        };
        self.comparisons.one();
        self.found.add(differences.found as u64);
        self.changed.add(differences.changed as u64);
        self.ended.add(differences.ended as u64);
    }
}
