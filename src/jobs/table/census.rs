//! How many jobs there are and how they ended, for those who watch the gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::JobState;
use super::Jobs;

/// The ends of a job, in the order in which they are counted.
pub const ENDS: [JobState; 5] = [
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
    JobState::Expired,
    JobState::Lost,
];

/// How many jobs there are and were.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobCensus {
    /// Those that FreeSWITCH has not taken yet.
    pub pending: usize,
    /// Those that it runs.
    pub running: usize,
    /// Those that have ended and can still be read.
    pub kept: usize,
    /// Since when the oldest of those that have not ended was registered.
    pub oldest: Option<Duration>,
    /// Those that ever ended, in the order of [`ENDS`].
    pub ended: [u64; ENDS.len()],
}

/// What the table counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When each of those was registered that have not ended, in this order.
    unfinished: BTreeMap<u64, Instant>,
    next: u64,
    pending: usize,
    ended: [u64; ENDS.len()],
}

// === impl Jobs ===

impl Jobs {
    /// How many jobs there are and were.
    pub fn census(&self) -> JobCensus {
        let table = self.lock();
        let tally = &table.tally;
        let oldest = tally.unfinished.values().next();
        JobCensus {
            pending: tally.pending,
            running: tally.unfinished.len() - tally.pending,
            kept: table.finished.len(),
            oldest: oldest.map(Instant::elapsed),
            ended: tally.ended,
        }
    }
}

// === impl Tally ===

impl Tally {
    /// A job was registered; gives its number.
    pub(super) fn registered(&mut self) -> u64 {
        self.next += 1;
        self.pending += 1;
        self.unfinished.insert(self.next, Instant::now());
        self.next
    }

    /// A job that has not ended is in another state.
    pub(super) fn moved(&mut self, from: JobState, to: JobState) {
        self.pending += usize::from(to == JobState::Pending);
        self.pending -= usize::from(from == JobState::Pending);
    }

    /// A job ended.
    pub(super) fn ended(&mut self, number: u64, from: JobState, to: JobState) {
        self.unfinished.remove(&number);
        self.moved(from, to);
        let mut counts = ENDS.iter().zip(&mut self.ended);
        if let Some((_, count)) = counts.find(|(end, _)| **end == to) {
            *count += 1;
        }
    }
}
