//! What happens to a subscriber that is too slow.

use std::time::SystemTime;

use tokio::time::Instant;

use super::super::filter::EventFilter;
use super::super::journal::{Entry, Gap, GapReason, Journal};
use super::super::log::Overrun;
use super::super::turn::Turn;
use super::{Item, READ_AHEAD, READ_AHEAD_BYTES, SlowPolicy, Subscription, too_old};
use crate::domain::{Failure, Reason};

/// How far a subscription is behind, and how far it may be.
#[derive(Debug)]
pub(super) struct Lag {
    max: u64,
    /// The bound at present: `max` behind the closest to the end that it has been, so that one that
    /// begins far behind may catch up.
    allowed: u64,
    /// Bytes of what is wanted between its position and this one, so that nothing is counted twice.
    counted_to: u64,
    wanted_bytes: u64,
    /// All that came before this was read.
    complete_to: Instant,
    /// Events are left out up to this position.
    skips_to: Option<u64>,
}

/// Events that are left out.
#[derive(Debug, Default)]
struct LeftOut {
    count: u64,
    /// When the first of them came.
    began: Option<Instant>,
    /// Position behind the last of them.
    last: u64,
}

// === impl Lag ===

impl Lag {
    pub(super) fn new(max: u64, journal: &Journal, position: u64) -> Self {
        // When the subscription begins far behind, what is next is older than now.
        let next_at = journal.appended_at(position + 1);
        Self {
            max,
            allowed: u64::MAX,
            counted_to: 0,
            wanted_bytes: 0,
            complete_to: next_at.unwrap_or_else(Instant::now),
            skips_to: None,
        }
    }

    pub(super) fn allowed(&self) -> u64 {
        self.allowed
    }

    pub(super) fn skips_to(&self) -> Option<u64> {
        self.skips_to
    }

    /// All up to `position` was read, and so many bytes lie behind it.
    pub(super) fn saw(&mut self, journal: &Journal, position: u64, left_bytes: u64) {
        let bound = left_bytes.saturating_add(self.max);
        self.allowed = self.allowed.min(bound);
        let newest_at = match left_bytes {
            0 => None,
            _ => journal.appended_at(position),
        };
        self.complete_to = newest_at.unwrap_or_else(Instant::now);
    }

    /// A wanted entry was told.
    pub(super) fn told(&mut self, position: u64, entry: &Entry) {
        if position <= self.counted_to {
            self.wanted_bytes = self.wanted_bytes.saturating_sub(entry.size() as u64);
        }
    }

    /// Counts what is wanted as far as it is not known, until it is too much; says whether it is.
    async fn is_exceeded(
        &mut self,
        journal: &Journal,
        filter: &EventFilter,
        position: u64,
    ) -> bool {
        if self.counted_to < position {
            (self.counted_to, self.wanted_bytes) = (position, 0);
        }
        let mut turn = Turn::new(filter);
        while self.wanted_bytes <= self.allowed {
            let found = journal.read(self.counted_to, READ_AHEAD, READ_AHEAD_BYTES);
            // What is gone by now is met when it is to be read.
            let Ok(found) = found else { return false };
            if found.entries.is_empty() {
                return false;
            }
            for (position, entry) in found.entries {
                if filter.wants_entry(&entry) {
                    self.wanted_bytes += entry.size() as u64;
                }
                self.counted_to = position;
                turn.pass().await;
            }
            tokio::task::consume_budget().await;
        }
        true
    }
}

// === impl Subscription ===

impl Subscription {
    /// Whether what is wanted and was not told yet is more than allowed.
    pub(super) async fn is_too_slow(&mut self) -> bool {
        let filter = self.sleeper.filter();
        self.lag
            .is_exceeded(&self.journal, filter, self.position)
            .await
    }

    /// Further behind than allowed: by policy the end, or what is ready now is left out.
    pub(super) async fn fell_behind(&mut self) -> Result<Option<Item>, Failure> {
        if self.policy == SlowPolicy::End {
            self.journal.delivered().ended_slow.one();
            let message = "the subscriber reads too slowly; subscribe again from the cursor";
            return Err(Failure::new(Reason::SlowConsumer, message).with("cursor", self.cursor()));
        }
        let (_, end) = self.journal.bounds();
        self.lag.skips_to = Some(end);
        self.leave_out(end).await
    }

    /// Leaves out the events up to `target`, counted; `None` when there is none. All else is told,
    /// so it goes only as far as there are events.
    pub(super) async fn leave_out(&mut self, target: u64) -> Result<Option<Item>, Failure> {
        let mut left_out = LeftOut::default();
        let mut reached = self.position;
        let mut turn = Turn::new(self.sleeper.filter());
        'read: while reached < target {
            let found = match self.journal.read(reached, READ_AHEAD, READ_AHEAD_BYTES) {
                Ok(found) => found,
                // What was counted is told first, and the overrun is met again.
                Err(_) if left_out.count > 0 => break,
                // How many were wanted cannot be known any longer.
                Err(overrun) => return self.fell_out(overrun).map(Some),
            };
            if found.entries.is_empty() {
                break;
            }
            for (position, entry) in found.entries {
                if position > target {
                    break 'read;
                }
                if self.sleeper.filter().wants_entry(&entry) {
                    match &*entry {
                        Entry::Event(_) => left_out.take(&self.journal, position),
                        _ => {
                            self.held_back = Some((position, entry));
                            break 'read;
                        }
                    }
                }
                reached = position;
                turn.pass().await;
            }
            tokio::task::consume_budget().await;
        }
        self.position = reached;
        if self.held_back.is_none() {
            self.lag.skips_to = None;
            self.lag.allowed = self.lag.max;
        }
        (self.lag.counted_to, self.lag.wanted_bytes) = (0, 0);
        Ok(left_out
            .gap(&self.journal, self.lag.complete_to)
            .map(Item::Gap))
    }

    /// What is next is no longer in the journal: by policy the end, or it is left out.
    pub(super) fn fell_out(&mut self, overrun: Overrun) -> Result<Item, Failure> {
        if self.policy == SlowPolicy::End {
            self.journal.delivered().ended_overrun.one();
            return Err(too_old(&self.journal));
        }
        let next_at = self.journal.appended_at(overrun.oldest + 1);
        // What is gone cannot be asked whether it was wanted.
        let count = overrun.events.filter(|_| self.sleeper.filter().wants_all());
        self.position = overrun.oldest;
        let began = system_time(self.lag.complete_to);
        // Who caught up once is bounded as before, else it would be told all that is left.
        let allowed = self.lag.allowed;
        self.lag = Lag {
            allowed,
            ..Lag::new(self.lag.max, &self.journal, self.position)
        };
        Ok(Item::Gap(Gap {
            node: None,
            count: count.unwrap_or(0),
            reason: GapReason::JournalOverrun,
            began,
            ended: Some(next_at.map_or_else(SystemTime::now, system_time)),
        }))
    }
}

// === impl LeftOut ===

impl LeftOut {
    fn take(&mut self, journal: &Journal, position: u64) {
        if self.count == 0 {
            self.began = journal.appended_at(position);
        }
        self.count += 1;
        self.last = position;
    }

    fn gap(self, journal: &Journal, complete_to: Instant) -> Option<Gap> {
        let ended = journal.appended_at(self.last);
        (self.count > 0).then(|| Gap {
            node: None,
            count: self.count,
            reason: GapReason::SlowConsumer,
            began: system_time(self.began.unwrap_or(complete_to)),
            ended: Some(ended.map_or_else(SystemTime::now, system_time)),
        })
    }
}

/// The same moment on the clock of the wall.
fn system_time(at: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}
