//! Subscriptions that have read all there was, and who wakes them.
//!
//! One task looks at each new entry once while anybody sleeps. It wakes those who want it, and
//! nobody else: an index leads from what an event has to who might want it. Regular expressions
//! are left to those who brought them, who are woken if all else fits: everybody waits for this
//! task.

mod index;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::filter::{EventFilter, Key};
use super::journal::Entry;
use super::log::Log;
use index::{Index, Place};

/// Entries that are looked at in one go, and their bytes.
const LOOK_AHEAD: usize = 64;
const LOOK_AHEAD_BYTES: usize = usize::MAX;

/// Everyone who sleeps or may.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    state: Mutex<State>,
    /// Told when the first one falls asleep.
    somebody: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// All in front of this position was looked at for whoever sleeps. It never goes back.
    looked_to: u64,
    asleep: usize,
    beds: Vec<Option<Bed>>,
    free: Vec<usize>,
    index: Index,
    /// How often one was woken.
    wake_ups: u64,
}

/// One subscription's place.
#[derive(Debug)]
struct Bed {
    filter: Arc<EventFilter>,
    bell: Arc<Notify>,
    keys: Vec<Key>,
    /// Which of the keys are not in the index. One is taken out when it is come across and its
    /// subscription is awake, so neither to wake nor to sleep has to search for it.
    out: Vec<usize>,
    is_asleep: bool,
    /// All in front of this position was read, or looked at and not wanted.
    position: u64,
    /// As far as its subscription has told while it is awake.
    told: Arc<AtomicU64>,
}

/// A subscription's place, as the subscription holds it.
#[derive(Debug)]
pub(super) struct Sleeper {
    sleepers: Arc<Sleepers>,
    filter: Arc<EventFilter>,
    bell: Arc<Notify>,
    bed: usize,
    told: Arc<AtomicU64>,
}

/// A subscription sleeps. When this is dropped it is awake again, and its position is behind all
/// that was looked at for it and not wanted.
#[derive(Debug)]
pub(super) struct Sleep<'a> {
    sleeper: &'a Sleeper,
    position: &'a mut u64,
}

/// Looks at what is new and wakes those who want it.
pub(super) async fn wake(log: Arc<dyn Log>, sleepers: Arc<Sleepers>) {
    loop {
        let Some(from) = sleepers.looked_to() else {
            sleepers.somebody.notified().await;
            continue;
        };
        match log.read(from, LOOK_AHEAD, LOOK_AHEAD_BYTES) {
            Ok(found) if found.entries.is_empty() => log.grown().notified().await,
            Ok(found) => {
                sleepers.show(from, &found.entries);
                tokio::task::consume_budget().await;
            }
            // What went by unseen might have been wanted by anyone.
            Err(overrun) => sleepers.wake_all(from, overrun.oldest),
        }
    }
}

// === impl Sleepers ===

impl Sleepers {
    /// How often a subscription was woken, for tests.
    #[cfg(test)]
    pub(super) fn wake_ups(&self) -> u64 {
        self.lock().wake_ups
    }

    /// How many sleep, for tests.
    #[cfg(test)]
    pub(super) fn asleep(&self) -> usize {
        self.lock().asleep
    }

    /// How many there are, and as far as the one is that is furthest behind; `None` when all have
    /// read what there was.
    pub(super) fn furthest_behind(&self) -> (usize, Option<u64>) {
        let state = self.lock();
        let beds = state.beds.iter().flatten();
        let awake = beds.clone().filter(|bed| !bed.is_asleep);
        let furthest = awake.map(|bed| bed.told.load(Ordering::Relaxed)).min();
        (beds.count(), furthest)
    }

    /// From where on is to be looked; `None` when nobody sleeps.
    fn looked_to(&self) -> Option<u64> {
        let state = self.lock();
        (state.asleep > 0).then_some(state.looked_to)
    }

    /// Shows the entries behind `from` to those who sleep.
    fn show(&self, from: u64, entries: &[(u64, Arc<Entry>)]) {
        let mut bells = Vec::new();
        let mut state = self.lock();
        // Nobody slept meanwhile, and then somebody who had read on.
        if state.looked_to != from {
            return;
        }
        for (position, entry) in entries {
            if state.asleep == 0 {
                break;
            }
            state.show(*position, entry, &mut bells);
            state.looked_to = *position;
        }
        drop(state);
        for bell in bells {
            bell.notify_one();
        }
    }

    /// Wakes everyone, since what stood between `from` and `oldest` is gone.
    fn wake_all(&self, from: u64, oldest: u64) {
        let mut bells = Vec::new();
        let mut state = self.lock();
        if state.looked_to != from {
            return;
        }
        for bed in state.beds.iter_mut().flatten().filter(|bed| bed.is_asleep) {
            bed.wake(from, &mut bells);
        }
        state.asleep = 0;
        state.wake_ups += bells.len() as u64;
        state.looked_to = oldest;
        drop(state);
        for bell in bells {
            bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn show(&mut self, position: u64, entry: &Entry, bells: &mut Vec<Arc<Notify>>) {
        let known = bells.len();
        let beds = &mut self.beds;
        match entry {
            Entry::Event(record) => self.index.visit(record, |place| {
                let Some(bed) = beds.get_mut(place.bed).and_then(Option::as_mut) else {
                    return false;
                };
                let is_wanted = position > bed.position && bed.filter.might_want(record);
                if bed.is_asleep && is_wanted {
                    bed.wake(position - 1, bells);
                }
                if !bed.is_asleep {
                    bed.out.push(place.key);
                }
                bed.is_asleep
            }),
            // Rare, so that all can be asked.
            Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => {
                let asleep = beds.iter_mut().flatten().filter(|bed| bed.is_asleep);
                for bed in asleep.filter(|bed| position > bed.position) {
                    if bed.filter.wants_entry(entry) {
                        bed.wake(position - 1, bells);
                    }
                }
            }
        }
        let woken = bells.len() - known;
        self.asleep -= woken;
        self.wake_ups += woken as u64;
    }

    fn bed(&mut self, bed: usize) -> Option<&mut Bed> {
        self.beds.get_mut(bed).and_then(Option::as_mut)
    }
}

// === impl Bed ===

impl Bed {
    fn wake(&mut self, position: u64, bells: &mut Vec<Arc<Notify>>) {
        self.is_asleep = false;
        self.position = self.position.max(position);
        // What it slept through it need not look at.
        self.told.store(self.position, Ordering::Relaxed);
        bells.push(Arc::clone(&self.bell));
    }
}

// === impl Sleeper ===

impl Sleeper {
    /// A place for a subscription with this filter.
    /// Its subscription begins at `position`.
    pub(super) fn new(sleepers: &Arc<Sleepers>, filter: EventFilter, position: u64) -> Self {
        let (filter, bell) = (Arc::new(filter), Arc::new(Notify::new()));
        let told = Arc::new(AtomicU64::new(position));
        let keys = filter.keys();
        let new = Bed {
            filter: Arc::clone(&filter),
            bell: Arc::clone(&bell),
            out: (0..keys.len()).collect(),
            keys,
            is_asleep: false,
            position: 0,
            told: Arc::clone(&told),
        };
        let mut state = sleepers.lock();
        let bed = match state.free.pop() {
            Some(bed) => bed,
            None => {
                state.beds.push(None);
                state.beds.len() - 1
            }
        };
        if let Some(place) = state.beds.get_mut(bed) {
            *place = Some(new);
        }
        drop(state);
        Self {
            sleepers: Arc::clone(sleepers),
            filter,
            bell,
            bed,
            told,
        }
    }

    /// All in front of `position` was told.
    pub(super) fn told(&self, position: u64) {
        self.told.store(position, Ordering::Relaxed);
    }

    /// What it wants.
    pub(super) fn filter(&self) -> &EventFilter {
        &self.filter
    }

    /// Falls asleep when all in front of `position` was read; `None` when more was looked at for
    /// others meanwhile, so that it has to be read.
    pub(super) fn sleep<'a>(&'a self, position: &'a mut u64) -> Option<Sleep<'a>> {
        let mut state = self.sleepers.lock();
        let state = &mut *state;
        if *position < state.looked_to {
            return None;
        }
        let bed = state.beds.get_mut(self.bed)?.as_mut()?;
        bed.is_asleep = true;
        bed.position = *position;
        for key in bed.out.drain(..) {
            let place = Place { bed: self.bed, key };
            state.index.add(&bed.keys[key], place);
        }
        if state.asleep == 0 {
            state.looked_to = *position;
            self.sleepers.somebody.notify_one();
        }
        state.asleep += 1;
        Some(Sleep {
            sleeper: self,
            position,
        })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let mut state = self.sleepers.lock();
        let Some(bed) = state.beds.get_mut(self.bed).and_then(Option::take) else {
            return;
        };
        for key in &bed.keys {
            state.index.remove(key, self.bed);
        }
        state.free.push(self.bed);
    }
}

// === impl Sleep ===

impl Sleep<'_> {
    /// Resolves when something may be wanted.
    pub(super) async fn woken(&self) {
        self.sleeper.bell.notified().await;
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        let mut state = self.sleeper.sleepers.lock();
        let looked_to = state.looked_to;
        let Some(bed) = state.bed(self.sleeper.bed) else {
            return;
        };
        let was_asleep = std::mem::replace(&mut bed.is_asleep, false);
        *self.position = match was_asleep {
            true => bed.position.max(looked_to),
            false => bed.position,
        };
        bed.told.store(*self.position, Ordering::Relaxed);
        state.asleep -= usize::from(was_asleep);
    }
}

#[cfg(test)]
mod tests;
