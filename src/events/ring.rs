//! A log in memory, bounded by bytes and age. What is too old goes when something comes and when
//! anybody looks, so that nobody ever finds it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::journal::{Entry, JournalConfig};
use super::log::{Bounds, Found, Log, Overrun};

/// How many positions of entries that are no events are remembered, so that the events that went
/// can be counted. Such entries are rare.
const MAX_OTHERS: usize = 4096;

/// Appending takes a short lock, which readers take too to copy references.
#[derive(Debug)]
pub(super) struct Ring {
    config: JournalConfig,
    epoch: u64,
    held: Mutex<Held>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Held {
    slots: VecDeque<Slot>,
    /// Entries that were dropped from the front.
    dropped: u64,
    /// Bytes of the entries that are held, and of all that ever were.
    held_bytes: usize,
    total_bytes: u64,
    others: Others,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    at: Instant,
    size: usize,
    /// `total_bytes` before this entry.
    offset: u64,
}

/// Where the newest entries stand that are no events; they may be gone.
#[derive(Debug, Default)]
struct Others {
    positions: VecDeque<u64>,
    /// Those behind this position are all known.
    known_from: u64,
}

/// What had to go to make room. It is dropped outside the lock, which may free large buffers.
#[derive(Default)]
struct Gone {
    /// Mostly one goes for each that comes.
    first: Option<Slot>,
    rest: Vec<Slot>,
}

// === impl Ring ===

impl Ring {
    /// An empty one of a new epoch.
    pub(super) fn new(config: JournalConfig) -> Self {
        Self {
            config,
            epoch: rand::random(),
            held: Mutex::default(),
            grown: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what is held, without what is too old by now.
    fn ask<T>(&self, ask: impl FnOnce(&Held) -> T) -> T {
        let now = Instant::now();
        let mut held = self.lock();
        let gone = held.trim(self.config, now);
        let answer = ask(&held);
        drop(held);
        drop(gone);
        answer
    }
}

impl Log for Ring {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn bounds(&self) -> Bounds {
        self.ask(|held| Bounds {
            oldest: held.dropped,
            end: held.end(),
            bytes: held.held_bytes,
        })
    }

    fn append(&self, entry: Arc<Entry>) -> u64 {
        let size = entry.size();
        let now = Instant::now();
        let mut held = self.lock();
        held.push(entry, size, now);
        let gone = held.trim(self.config, now);
        let end = held.end();
        drop(held);
        self.grown.notify_one();
        drop(gone);
        end
    }

    fn read(&self, position: u64, max: usize, max_bytes: usize) -> Result<Found, Overrun> {
        self.ask(|held| held.read(position, max, max_bytes))
    }

    fn appended_at(&self, position: u64) -> Option<Instant> {
        let held = self.lock();
        let at = position.checked_sub(held.dropped + 1)?;
        Some(held.slots.get(usize::try_from(at).ok()?)?.at)
    }

    fn grown(&self) -> &Notify {
        &self.grown
    }
}

// === impl Held ===

impl Held {
    fn end(&self) -> u64 {
        self.dropped + self.slots.len() as u64
    }

    fn push(&mut self, entry: Arc<Entry>, size: usize, at: Instant) {
        if !matches!(&*entry, Entry::Event(_)) {
            let position = self.end() + 1;
            self.others.push(position);
        }
        self.slots.push_back(Slot {
            entry,
            at,
            size,
            offset: self.total_bytes,
        });
        self.held_bytes += size;
        self.total_bytes += size as u64;
    }

    fn trim(&mut self, config: JournalConfig, now: Instant) -> Gone {
        let mut gone = Gone::default();
        while let Some(oldest) = self.slots.front() {
            let is_past = now.saturating_duration_since(oldest.at) > config.max_age;
            if !is_past && self.held_bytes <= config.max_bytes {
                break;
            }
            self.held_bytes -= oldest.size;
            self.dropped += 1;
            gone.take(self.slots.pop_front());
        }
        gone
    }

    fn read(&self, position: u64, max: usize, max_bytes: usize) -> Result<Found, Overrun> {
        let Some(skip) = position.checked_sub(self.dropped) else {
            return Err(Overrun {
                oldest: self.dropped,
                events: self.others.events_between(position, self.dropped),
            });
        };
        let skip = usize::try_from(skip)
            .unwrap_or(usize::MAX)
            .min(self.slots.len());
        let lag_bytes = self
            .slots
            .get(skip)
            .map_or(0, |slot| self.total_bytes - slot.offset);
        let mut taken_bytes = 0;
        let mut entries = Vec::with_capacity(max.min(self.slots.len() - skip));
        for (slot, at) in self.slots.range(skip..).take(max).zip(position + 1..) {
            if !entries.is_empty() && taken_bytes + slot.size > max_bytes {
                break;
            }
            taken_bytes += slot.size;
            entries.push((at, Arc::clone(&slot.entry)));
        }
        Ok(Found {
            entries,
            lag_bytes,
            left_bytes: lag_bytes - taken_bytes as u64,
        })
    }
}

// === impl Others ===

impl Others {
    fn push(&mut self, position: u64) {
        if self.positions.len() == MAX_OTHERS
            && let Some(oldest) = self.positions.pop_front()
        {
            self.known_from = oldest;
        }
        self.positions.push_back(position);
    }

    fn events_between(&self, position: u64, end: u64) -> Option<u64> {
        if position < self.known_from {
            return None;
        }
        let up_to = |position: u64| self.positions.partition_point(|at| *at <= position) as u64;
        Some(end - position - (up_to(end) - up_to(position)))
    }
}

// === impl Gone ===

impl Gone {
    fn take(&mut self, slot: Option<Slot>) {
        match self.first {
            None => self.first = slot,
            Some(_) => self.rest.extend(slot),
        }
    }
}
