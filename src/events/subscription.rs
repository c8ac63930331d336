//! One subscriber's way through the journal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::filter::EventFilter;
use super::journal::{Entry, Gap, GapReason, Journal};
use crate::domain::{Failure, Reason};

/// Entries looked at in one go; a batch holds no more events than this.
const READ_AHEAD: usize = 256;
/// Bytes of events looked at in one go, so that a batch stays well below the 4 MiB that gRPC clients
/// take by default.
const READ_AHEAD_BYTES: usize = 512 * 1024;

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
    filter: EventFilter,
    policy: SlowPolicy,
    max_lag: u64,
    /// The bound at present: `max_lag` behind the closest to the end that it has been, so that one
    /// that begins far behind may catch up.
    allowed_lag: u64,
    silence: Duration,
    position: u64,
    ends: watch::Receiver<u64>,
    spoke_at: Option<Instant>,
    /// Found in the journal behind events that had to leave first.
    held_back: Option<(u64, Arc<Entry>)>,
}

// === impl Subscription ===

impl Subscription {
    /// Begins at `start`. `max_lag` is in bytes of the journal; `silence` is the time after which
    /// a checkpoint is due.
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
        let ends = journal.ends();
        let position = match start {
            Start::Now => journal.cursor().position,
            Start::Earliest => journal.oldest().position,
            Start::After(cursor) => check_cursor(journal, cursor)?,
        };
        Ok(Self {
            journal: Arc::clone(journal),
            filter,
            policy,
            max_lag,
            allowed_lag: u64::MAX,
            silence,
            position,
            ends,
            spoke_at: None,
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
    /// SLOW_CONSUMER, after which the subscription is over.
    pub async fn next(&mut self) -> Result<Item, Failure> {
        if self.spoke_at.is_none() {
            return Ok(self.speak(Item::Checkpoint));
        }
        loop {
            if let Some((position, entry)) = self.held_back.take() {
                self.position = position;
                return Ok(self.speak(Item::Other(entry)));
            }
            self.ends.mark_unchanged();
            if let Some(item) = self.look()? {
                return Ok(self.speak(item));
            }
            let due_at = self.spoke_at.unwrap_or_else(Instant::now) + self.silence;
            tokio::select! {
                biased;
                changed = self.ends.changed() => {
                    if changed.is_err() {
                        // The journal outlives its subscriptions, which hold it.
                        std::future::pending::<()>().await;
                    }
                }
                () = tokio::time::sleep_until(due_at) => return Ok(self.speak(Item::Checkpoint)),
            }
        }
    }

    fn speak(&mut self, item: Item) -> Item {
        self.spoke_at = Some(Instant::now());
        item
    }

    /// Reads on until something is wanted or the end is reached.
    fn look(&mut self) -> Result<Option<Item>, Failure> {
        loop {
            let found = self
                .journal
                .read(self.position, READ_AHEAD, READ_AHEAD_BYTES);
            let found = match found {
                Ok(found) if found.lag_bytes <= self.allowed_lag => found,
                Ok(_) => return self.fell_behind(self.journal.cursor().position).map(Some),
                Err(overrun) => return self.fell_behind(overrun.oldest).map(Some),
            };
            let bound = found.left_bytes.saturating_add(self.max_lag);
            self.allowed_lag = self.allowed_lag.min(bound);
            if found.entries.is_empty() {
                return Ok(None);
            }
            let mut events = Vec::new();
            for (position, entry) in found.entries {
                match &*entry {
                    Entry::Event(record) if self.filter.wants(record) => {
                        events.push((self.journal.cursor_at(position), entry));
                    }
                    Entry::Event(_) => {}
                    other if !self.wants_other(other) => {}
                    _ if events.is_empty() => {
                        self.position = position;
                        return Ok(Some(Item::Other(entry)));
                    }
                    _ => {
                        self.position = position - 1;
                        self.held_back = Some((position, entry));
                        return Ok(Some(Item::Events(events)));
                    }
                }
                self.position = position;
            }
            if !events.is_empty() {
                return Ok(Some(Item::Events(events)));
            }
        }
    }

    fn wants_other(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Gap(gap) => gap
                .node
                .as_ref()
                .is_none_or(|node| self.filter.wants_node(node)),
            Entry::NodeState { node, .. } => self.filter.wants_node(node),
            Entry::Event(record) => self.filter.wants(record),
        }
    }

    /// Further behind than allowed: by policy the end, or a jump to `next`.
    fn fell_behind(&mut self, next: u64) -> Result<Item, Failure> {
        if self.policy == SlowPolicy::End {
            let message = "the subscriber reads too slowly; subscribe again from the cursor";
            return Err(Failure::new(Reason::SlowConsumer, message).with("cursor", self.cursor()));
        }
        // Entries that the filter does not want count too: what is gone cannot be asked.
        let count = next - self.position;
        self.position = next;
        self.allowed_lag = u64::MAX;
        let now = SystemTime::now();
        Ok(Item::Gap(Gap {
            node: None,
            count,
            reason: GapReason::SlowConsumer,
            began: now,
            ended: Some(now),
        }))
    }
}

fn check_cursor(journal: &Journal, cursor: Cursor) -> Result<u64, Failure> {
    let (oldest, newest) = (journal.oldest(), journal.cursor());
    let problem = if cursor.epoch != newest.epoch || cursor.position > newest.position {
        "the cursor is of another journal: the gateway was restarted since"
    } else if cursor.position < oldest.position {
        "the cursor is older than the journal"
    } else {
        return Ok(cursor.position);
    };
    Err(Failure::new(Reason::CursorLost, problem).with("oldest_cursor", oldest))
}

#[cfg(test)]
mod tests {
    use super::super::journal::{JournalConfig, Record};
    use super::*;
    use crate::esl::Event;

    const KIB: usize = 1024;

    fn event(bytes: usize) -> Entry {
        let filler = "x".repeat(bytes);
        let headers = [("Event-Name", "CUSTOM".into()), ("Filler", filler.into())];
        Entry::Event(Record {
            node: "a".parse().unwrap(),
            event: Event::from_headers(headers).unwrap(),
            session: None,
            call: None,
            job: None,
            synthetic: false,
        })
    }

    fn subscribe(journal: &Arc<Journal>, start: Start, policy: SlowPolicy) -> Subscription {
        let max_lag = 16 * KIB as u64;
        let silence = Duration::from_secs(15);
        let filter = EventFilter::default();
        Subscription::begin(journal, filter, start, policy, max_lag, silence).unwrap()
    }

    async fn events(subscription: &mut Subscription) -> usize {
        loop {
            match subscription.next().await.unwrap() {
                Item::Events(events) => return events.len(),
                Item::Checkpoint => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_begins_far_behind_may_catch_up_and_is_bounded_from_then_on() {
        let journal = Arc::new(Journal::new(JournalConfig::default()));
        for _ in 0..1000 {
            journal.append(event(KIB));
        }
        let mut subscription = subscribe(&journal, Start::Earliest, SlowPolicy::End);
        let mut seen = 0;
        while seen < 1000 {
            seen += events(&mut subscription).await;
        }
        for _ in 0..32 {
            journal.append(event(KIB));
        }
        let failure = subscription.next().await.unwrap_err();
        assert_eq!(failure.reason(), Reason::SlowConsumer);
        // The cursor that it is told is good for going on.
        let cursor = failure.metadata()["cursor"].parse().unwrap();
        let mut again = subscribe(&journal, Start::After(cursor), SlowPolicy::End);
        assert_eq!(events(&mut again).await, 32);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_is_told_of_the_gap_and_goes_on() {
        let journal = Arc::new(Journal::new(JournalConfig::default()));
        let mut subscription = subscribe(&journal, Start::Now, SlowPolicy::Gap);
        journal.append(event(1));
        assert_eq!(events(&mut subscription).await, 1);
        for _ in 0..32 {
            journal.append(event(KIB));
        }
        match subscription.next().await.unwrap() {
            Item::Gap(gap) => assert_eq!(gap.count, 32),
            other => panic!("{other:?}"),
        }
        journal.append(event(1));
        assert_eq!(events(&mut subscription).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_bounded_in_bytes_too() {
        let journal = Arc::new(Journal::new(JournalConfig::default()));
        for _ in 0..3 {
            journal.append(event(400 * KIB));
        }
        journal.append(event(8000 * KIB));
        let mut subscription = subscribe(&journal, Start::Earliest, SlowPolicy::End);
        for _ in 0..4 {
            assert_eq!(events(&mut subscription).await, 1);
        }
    }
}
