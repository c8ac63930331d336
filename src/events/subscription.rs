//! One subscriber's way through the journal.

mod slow;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::cursor::Cursor;
use super::filter::EventFilter;
use super::journal::{Entry, Gap, Journal};
use super::sleepers::Sleeper;
use super::turn::Turn;
use crate::domain::{Failure, Reason};
use slow::Lag;

/// Entries looked at in one go; a batch holds no more events than this.
const READ_AHEAD: usize = 256;
/// Bytes of events looked at in one go: enough that a batch costs little beside its events, little
/// enough that it is on its way while the next one is encoded. gRPC clients take 4 MiB by default.
const READ_AHEAD_BYTES: usize = 128 * 1024;
/// Longest silence. Whatever is longer is never over either, and a moment so far away can be told.
const MAX_SILENCE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Where a subscription begins.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// With the next event.
    Now,
    /// With the oldest entry that is left.
    Earliest,
    /// Behind this cursor.
    After(Cursor),
}

/// What happens to a subscriber that is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowPolicy {
    /// Its stream ends.
    End,
    /// Events are left out, and it is told how many.
    Gap,
}

/// What a subscription has to tell next.
#[derive(Debug, Clone)]
pub enum Item {
    /// Events that were ready together, each with the position behind it.
    Events(Vec<(Cursor, Arc<Entry>)>),
    /// Something else that is in the journal.
    Other(Arc<Entry>),
    /// Events were left out.
    Gap(Gap),
    /// Nothing but the cursor.
    Checkpoint,
}

/// Reads the journal from a position on, as far as a filter wants it.
#[derive(Debug)]
pub struct Subscription {
    journal: Arc<Journal>,
    sleeper: Sleeper,
    policy: SlowPolicy,
    lag: Lag,
    silence: Duration,
    /// All in front of it was told or is not wanted.
    position: u64,
    spoke_at: Option<Instant>,
    checkpoint: Option<Pin<Box<time::Sleep>>>,
    /// Found in the journal behind events that had to leave first.
    held_back: Option<(u64, Arc<Entry>)>,
    turn: Turn,
}

// === impl Subscription ===

impl Subscription {
    /// Begins at `start`. `max_lag` is in bytes of wanted entries that were not told yet; `silence`
    /// is the time after which a checkpoint is due.
    ///
    /// # Errors
    /// CURSOR_LOST when the cursor is of another journal or older than its oldest entry.
    pub fn begin(
        journal: &Arc<Journal>,
        filter: EventFilter,
        start: Start,
        policy: SlowPolicy,
        max_lag: u64,
        silence: Duration,
    ) -> Result<Self, Failure> {
        let position = match start {
            Start::Now => journal.cursor().position,
            Start::Earliest => journal.oldest().position,
            Start::After(cursor) => check_cursor(journal, cursor)?,
        };
        Ok(Self {
            turn: Turn::new(&filter),
            journal: Arc::clone(journal),
            sleeper: Sleeper::new(journal.sleepers(), filter, position),
            policy,
            lag: Lag::new(max_lag, journal, position),
            silence: silence.min(MAX_SILENCE),
            position,
            spoke_at: None,
            checkpoint: None,
            held_back: None,
        })
    }

    /// Cursor behind everything that was told.
    pub fn cursor(&self) -> Cursor {
        self.journal.cursor_at(self.position)
    }

    /// The next thing to tell; the first one comes at once. Cancel-safe.
    ///
    /// # Errors
    /// SLOW_CONSUMER, or CURSOR_LOST when the journal has not kept what is next; both after
    /// [`SlowPolicy::End`], and then the subscription is over.
    pub async fn next(&mut self) -> Result<Item, Failure> {
        let item = loop {
            if self.spoke_at.is_none() {
                break Item::Checkpoint;
            }
            if let Some((position, entry)) = self.held_back.take() {
                self.position = position;
                break other(entry);
            }
            let item = match self.lag.skips_to() {
                Some(target) => self.leave_out(target).await?,
                None => self.look().await?,
            };
            if let Some(item) = item {
                break item;
            }
            if self.lag.skips_to().is_none() && self.held_back.is_none() && !self.sleep().await {
                break Item::Checkpoint;
            }
        };
        self.sleeper.told(self.position);
        self.journal.delivered().tell(&item);
        self.spoke_at = Some(Instant::now());
        Ok(item)
    }

    /// Reads on until something is wanted or the end is reached.
    async fn look(&mut self) -> Result<Option<Item>, Failure> {
        loop {
            let found = self
                .journal
                .read(self.position, READ_AHEAD, READ_AHEAD_BYTES);
            let found = match found {
                Ok(found) => found,
                Err(overrun) => return self.fell_out(overrun).map(Some),
            };
            let mut first = None;
            for (at, (position, entry)) in found.entries.iter().enumerate() {
                if self.turn.is_over() {
                    self.turn.pass().await;
                    if Instant::now() >= self.due_at() {
                        return Ok(Some(Item::Checkpoint));
                    }
                }
                if self.sleeper.filter().wants_entry(entry) {
                    first = Some(at);
                    break;
                }
                self.position = *position;
            }
            if let Some(first) = first {
                if found.lag_bytes > self.lag.allowed() && self.is_too_slow().await {
                    return self.fell_behind().await;
                }
                let (item, untaken) = self.take(found.entries.into_iter().skip(first));
                let left_bytes = found.left_bytes + untaken;
                self.lag.saw(&self.journal, self.position, left_bytes);
                return Ok(Some(item));
            }
            self.lag.saw(&self.journal, self.position, found.left_bytes);
            if found.entries.is_empty() {
                return Ok(None);
            }
            if Instant::now() >= self.due_at() {
                return Ok(Some(Item::Checkpoint));
            }
            tokio::task::consume_budget().await;
        }
    }

    /// The events in front of the first entry of another kind, or that entry. The first of these
    /// entries is wanted. With it come the bytes that there was no time for.
    fn take(&mut self, mut entries: impl Iterator<Item = (u64, Arc<Entry>)>) -> (Item, u64) {
        let mut events = Vec::with_capacity(entries.size_hint().0);
        let epoch = self.cursor().epoch;
        let mut untaken = 0;
        for (position, entry) in entries.by_ref() {
            if self.sleeper.filter().wants_entry(&entry) {
                match &*entry {
                    Entry::Event(_) => events.push((Cursor { epoch, position }, entry)),
                    _ if events.is_empty() => {
                        self.lag.told(position, &entry);
                        self.position = position;
                        return (other(entry), 0);
                    }
                    _ => {
                        self.lag.told(position, &entry);
                        self.held_back = Some((position, entry));
                        break;
                    }
                }
            }
            self.position = position;
            // What is told by now need not wait for the rest.
            if self.turn.is_over() {
                untaken = entries.map(|(_, entry)| entry.size() as u64).sum();
                break;
            }
        }
        for (cursor, entry) in &events {
            self.lag.told(cursor.position, entry);
        }
        (Item::Events(events), untaken)
    }

    /// Sleeps until something may be wanted; false when a checkpoint is due.
    async fn sleep(&mut self) -> bool {
        let due_at = self.due_at();
        let Some(sleep) = self.sleeper.sleep(&mut self.position) else {
            return true;
        };
        // The same timer each time: to set it to a later time costs next to nothing.
        let checkpoint = self
            .checkpoint
            .get_or_insert_with(|| Box::pin(time::sleep_until(due_at)));
        checkpoint.as_mut().reset(due_at);
        tokio::select! {
            biased;
            () = sleep.woken() => true,
            () = checkpoint => false,
        }
    }

    fn due_at(&self) -> Instant {
        self.spoke_at.unwrap_or_else(Instant::now) + self.silence
    }
}

fn other(entry: Arc<Entry>) -> Item {
    match &*entry {
        Entry::Asked(asked) => Item::Gap(asked.gap()),
        _ => Item::Other(entry),
    }
}

pub(super) fn check_cursor(journal: &Journal, cursor: Cursor) -> Result<u64, Failure> {
    let (oldest, newest) = journal.bounds();
    let is_foreign = cursor.epoch != journal.cursor().epoch || cursor.position > newest;
    match is_foreign {
        true => Err(lost(
            journal,
            "the cursor is of another journal: the gateway was restarted since",
            "other_epoch",
        )),
        false if cursor.position < oldest => Err(too_old(journal)),
        false => Ok(cursor.position),
    }
}

pub(super) fn too_old(journal: &Journal) -> Failure {
    let message = "the cursor is older than the journal, which has not kept what is next";
    lost(journal, message, "too_old")
}

fn lost(journal: &Journal, message: &str, why: &str) -> Failure {
    Failure::new(Reason::CursorLost, message)
        .with("oldest_cursor", journal.oldest())
        .with("why", why)
}

#[cfg(test)]
mod tests;
