//! What subscribers got, for those who watch the gateway.

use super::journal::GapReason;
use super::subscription::Item;
use super::{Entry, Journal};
use crate::domain::Count;

/// The reasons of gaps, in the order in which they are counted.
pub const GAP_REASONS: [GapReason; 5] = [
    GapReason::LinkLost,
    GapReason::EventsLost,
    GapReason::SlowConsumer,
    GapReason::JournalOverrun,
    GapReason::NotSubscribed,
];

/// What all subscribers got since the start.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Events, once for each subscriber that got it.
    pub events: Count,
    /// Events that were left out for subscribers that were too slow, as far as they were counted.
    pub left_out: Count,
    /// Gaps that subscribers were told, in the order of [`GAP_REASONS`].
    pub gaps: [Count; GAP_REASONS.len()],
    /// Subscriptions that were ended since they were too slow.
    pub ended_slow: Count,
    /// Subscriptions that were ended since the journal had not kept what was next.
    pub ended_overrun: Count,
}

/// The journal and its subscribers as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct JournalNow {
    /// Entries that were ever appended.
    pub appended: u64,
    /// Entries that had to go.
    pub dropped: u64,
    /// Bytes of those that are held.
    pub held_bytes: usize,
    /// Age of the oldest that is held, in seconds.
    pub oldest_seconds: f64,
    /// Bytes that the histories of sessions hold beside, and the sessions that have any.
    pub history: (usize, usize),
    /// Subscriptions.
    pub subscribers: usize,
    /// Entries that the one furthest behind has still to look at, and the age of the first of them
    /// in seconds.
    pub lag: (u64, f64),
}

// === impl GapReason ===

impl GapReason {
    /// Its name, as in the proto without the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkLost => "LINK_LOST",
            Self::EventsLost => "EVENTS_LOST",
            Self::SlowConsumer => "SLOW_CONSUMER",
            Self::JournalOverrun => "JOURNAL_OVERRUN",
            Self::NotSubscribed => "NOT_SUBSCRIBED",
        }
    }
}

// === impl Delivered ===

impl Delivered {
    /// A subscriber is told this.
    pub(super) fn tell(&self, item: &Item) {
        let gap = match item {
            Item::Events(events) => return self.events.add(events.len() as u64),
            Item::Checkpoint => return,
            Item::Gap(gap) => gap,
            Item::Other(entry) => match &**entry {
                Entry::Gap(gap) => gap,
                _ => return,
            },
        };
        let mut counts = GAP_REASONS.iter().zip(&self.gaps);
        if let Some((_, count)) = counts.find(|(reason, _)| **reason == gap.reason) {
            count.one();
        }
        if matches!(
            gap.reason,
            GapReason::SlowConsumer | GapReason::JournalOverrun
        ) {
            self.left_out.add(gap.count);
        }
    }
}

// === impl Journal ===

impl Journal {
    /// What it and its subscribers are like.
    pub fn now(&self) -> JournalNow {
        let held = self.held();
        let age = |position: u64| {
            let at = self.appended_at(position);
            at.map_or(0.0, |at| at.elapsed().as_secs_f64())
        };
        let (subscribers, furthest) = self.sleepers().furthest_behind();
        let lag = furthest.map_or((0, 0.0), |position| {
            // What is gone is not waited for.
            let position = position.max(held.oldest);
            (held.end.saturating_sub(position), age(position + 1))
        });
        JournalNow {
            appended: held.end,
            dropped: held.oldest,
            held_bytes: held.bytes,
            oldest_seconds: age(held.oldest + 1),
            history: self.history_held(),
            subscribers,
            lag,
        }
    }
}
