//! What FreeSWITCH is to send: what is always needed, what somebody wants, and for a while what
//! somebody wanted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::base::base_events;
use super::event_set::{EventSet, Part};
use super::journal::{Entry, Gap, GapReason, Journal};

/// Most names and subclasses that stay in force though nobody wants them any more; beyond that the
/// oldest go.
const MAX_LINGERING: usize = 1000;

/// Most subclasses that FreeSWITCH is asked for one by one; for more than that it is asked for all
/// events.
const MAX_SUBCLASSES: usize = 2000;

/// Longest time that anybody waits for the nodes to confirm a want.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What is wanted, by whom it may be, and what the nodes have confirmed of it.
///
/// A want outlives its last holder by the age of the journal, so that a client that went away can
/// go on from its cursor. Where a want comes into force that was not, the journal says so
/// ([`Entry::Asked`]): whoever reads past that entry and wants it may have missed events before.
#[derive(Debug)]
pub struct Wants {
    /// The base and what the configuration asks for.
    always: EventSet,
    linger: Duration,
    journal: Arc<Journal>,
    began: SystemTime,
    state: Mutex<State>,
    /// Tells the nodes of another set, or of another time at which to look.
    changes: watch::Sender<()>,
    /// What all nodes have confirmed.
    confirmed: watch::Sender<Confirmed>,
}

#[derive(Debug, Default)]
struct State {
    /// Goes up when the set changes.
    version: u64,
    set: Arc<EventSet>,
    holdings: HashMap<Part, Holding>,
    /// Those without a holder, in the order in which they lost their last one.
    lingering: BTreeMap<u64, Part>,
    departures: u64,
    /// What each node that is listened to has confirmed.
    nodes: BTreeMap<u64, Option<u64>>,
    arrivals: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Confirmed {
    /// The version that all nodes have confirmed.
    version: u64,
    /// The first node that has confirmed nothing yet: it is being asked, and sends nothing at all.
    silent: Option<u64>,
}

/// Something that is wanted beside what always is.
#[derive(Debug)]
struct Holding {
    holders: usize,
    /// The version from which on it is in force, while not all nodes have confirmed that.
    pending: Option<u64>,
    /// Its place among those without a holder, and when it goes.
    leaves: Option<(u64, Instant)>,
}

/// Somebody wants these events. Dropping it leaves nothing behind once the time is over for which
/// wants stay in force.
#[derive(Debug)]
pub struct Want {
    wants: Arc<Wants>,
    set: EventSet,
    version: u64,
}

/// A node's view of what is wanted. While it is there, those who begin to want something wait for it
/// to confirm that, so it is to be made before the node is asked for anything.
#[derive(Debug)]
pub struct Follower {
    wants: Arc<Wants>,
    id: u64,
    seen: Option<u64>,
    changes: watch::Receiver<()>,
}

/// What a node is to send.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// To be confirmed.
    pub version: u64,
    /// Which events.
    pub set: Arc<EventSet>,
}

/// From here on all nodes are asked for more than before.
#[derive(Debug, Clone)]
pub struct Asked {
    set: EventSet,
    /// What was in force before, where `set` is everything.
    but: EventSet,
    /// Since when they may not have been asked for it.
    since: SystemTime,
    /// When they were.
    at: SystemTime,
}

// === impl Wants ===

impl Wants {
    /// Nothing is wanted but what is `always`, beside the base. Wants stay in force for `linger`
    /// after their last holder.
    pub fn new(always: &EventSet, linger: Duration, journal: &Arc<Journal>) -> Arc<Self> {
        let mut all = base_events();
        all.add_all(always);
        let state = State {
            set: Arc::new(all.clone()),
            ..State::default()
        };
        Arc::new(Self {
            always: all,
            linger,
            journal: Arc::clone(journal),
            began: SystemTime::now(),
            state: Mutex::new(state),
            changes: watch::Sender::new(()),
            confirmed: watch::Sender::default(),
        })
    }

    /// Wants these events from now on.
    pub fn want(self: &Arc<Self>, set: EventSet) -> Want {
        let mut state = self.lock();
        let mut is_changed = state.expire(Instant::now());
        let next = state.version + 1;
        let everything = state.holdings.get(&Part::Everything);
        let is_told_all = everything.is_some_and(|holding| holding.pending.is_none());
        let mut version = 0;
        for part in set.parts().filter(|part| !self.always.has(part)) {
            let State {
                holdings,
                lingering,
                ..
            } = &mut *state;
            let holding = holdings.entry(part).or_insert_with(|| {
                is_changed = true;
                Holding {
                    holders: 0,
                    pending: (!is_told_all).then_some(next),
                    leaves: None,
                }
            });
            holding.holders += 1;
            if let Some((place, _)) = holding.leaves.take() {
                lingering.remove(&place);
            }
            version = version.max(holding.pending.unwrap_or(0));
        }
        if is_changed {
            self.change(&mut state);
        }
        drop(state);
        Want {
            wants: Arc::clone(self),
            set,
            version,
        }
    }

    /// Begins to follow what is wanted, for one node's event link.
    pub fn follow(self: &Arc<Self>) -> Follower {
        let mut state = self.lock();
        let id = state.arrivals;
        state.arrivals += 1;
        state.nodes.insert(id, None);
        self.settle(&mut state);
        Follower {
            wants: Arc::clone(self),
            id,
            seen: None,
            changes: self.changes.subscribe(),
        }
    }

    /// What is in force now, or about to be.
    pub fn set(&self) -> Arc<EventSet> {
        let mut state = self.lock();
        if state.expire(Instant::now()) {
            self.change(&mut state);
        }
        Arc::clone(&state.set)
    }

    /// What whoever needs these events is told when not all nodes are asked for all of them now.
    pub fn gap(&self, needs: &EventSet) -> Option<Gap> {
        let is_in_force = {
            let state = self.lock();
            let has = |part: &Part| {
                let holding = state.holdings.get(part);
                holding.is_some_and(|holding| holding.pending.is_none())
            };
            needs
                .parts()
                .all(|part| self.always.has(&part) || has(&Part::Everything) || has(&part))
        };
        (!is_in_force).then_some(Gap {
            node: None,
            count: 0,
            reason: GapReason::NotSubscribed,
            began: self.began,
            ended: None,
        })
    }

    fn release(&self, set: &EventSet) {
        let mut state = self.lock();
        let mut is_changed = state.expire(Instant::now());
        let (until, departures) = (Instant::now() + self.linger, state.departures);
        for part in set.parts().filter(|part| !self.always.has(part)) {
            is_changed |= state.leave(part, until);
        }
        if is_changed {
            self.change(&mut state);
        } else if state.departures > departures {
            // There may be another time at which to look.
            self.changes.send_modify(|()| {});
        }
    }

    /// The set has changed.
    fn change(&self, state: &mut State) {
        state.version += 1;
        let mut set: EventSet = state.holdings.keys().cloned().collect();
        set.add_all(&self.always);
        if set.subclass_count() > MAX_SUBCLASSES {
            set.add_all(&EventSet::everything());
        }
        state.set = Arc::new(set);
        self.changes.send_modify(|()| {});
        self.settle(state);
    }

    /// Takes note of what all nodes have confirmed. The journal is told before anybody who waits.
    fn settle(&self, state: &mut State) {
        let mut nodes = state.nodes.iter();
        let silent = nodes.find_map(|(id, confirmed)| confirmed.is_none().then_some(*id));
        if silent.is_some() {
            self.confirmed.send_if_modified(|known| {
                let is_news = known.silent != silent;
                known.silent = silent;
                is_news
            });
            return;
        }
        let slowest = state.nodes.values().flatten().min();
        let version = slowest.copied().unwrap_or(state.version);
        let is_due = |holding: &Holding| holding.pending.is_some_and(|pending| pending <= version);
        let is_all = state.holdings.get(&Part::Everything).is_some_and(is_due);
        let mut before = EventSet::default();
        if is_all {
            let parts = state.holdings.iter();
            let old = parts.filter(|(_, holding)| holding.pending.is_none());
            before = old.map(|(part, _)| part.clone()).collect();
            before.add_all(&self.always);
        }
        let parts = state.holdings.iter_mut();
        let new =
            parts.filter(|(_, holding)| is_due(holding) || is_all && holding.pending.is_some());
        let begun: EventSet = new
            .map(|(part, holding)| {
                holding.pending = None;
                part.clone()
            })
            .collect();
        if !begun.is_empty() {
            self.journal.append(Entry::Asked(Asked {
                set: begun,
                but: before,
                since: self.began,
                at: SystemTime::now(),
            }));
        }
        self.confirmed.send_if_modified(|known| {
            let now = Confirmed {
                version: version.max(known.version),
                silent: None,
            };
            std::mem::replace(known, now) != now
        });
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// One holder of this part has left; says whether the set has changed.
    fn leave(&mut self, part: Part, until: Instant) -> bool {
        let Some(holding) = self.holdings.get_mut(&part) else {
            return false;
        };
        holding.holders = holding.holders.saturating_sub(1);
        if holding.holders > 0 {
            return false;
        }
        let place = self.departures;
        self.departures += 1;
        holding.leaves = Some((place, until));
        self.lingering.insert(place, part);
        let is_full = self.lingering.len() > MAX_LINGERING;
        if is_full && let Some((_, oldest)) = self.lingering.pop_first() {
            self.holdings.remove(&oldest);
        }
        is_full
    }

    /// Lets go what has stayed in force long enough; says whether the set has changed.
    fn expire(&mut self, now: Instant) -> bool {
        let mut is_changed = false;
        while self.next_departure().is_some_and(|due| due <= now) {
            if let Some((_, part)) = self.lingering.pop_first() {
                is_changed |= self.holdings.remove(&part).is_some();
            }
        }
        is_changed
    }

    fn next_departure(&self) -> Option<Instant> {
        let (_, part) = self.lingering.first_key_value()?;
        self.holdings.get(part)?.leaves.map(|(_, until)| until)
    }
}

// === impl Want ===

impl Want {
    /// Waits until every node that is listened to sends what is wanted, but no longer than 2 s: a
    /// node that does not answer delays nobody. Says whether they do; if not, the journal tells when.
    ///
    /// A node that is being asked on a fresh link is waited for even for what is always wanted: what
    /// was lost in front of that is told already.
    pub async fn in_force(&self) -> bool {
        let arrivals = self.wants.lock().arrivals;
        let mut confirmed = self.wants.confirmed.subscribe();
        let all = confirmed.wait_for(|confirmed| {
            confirmed.version >= self.version && confirmed.silent.is_none_or(|id| id >= arrivals)
        });
        tokio::time::timeout(LONGEST_WAIT, all).await.is_ok()
    }

    /// Which events.
    pub fn set(&self) -> &EventSet {
        &self.set
    }
}

impl Drop for Want {
    fn drop(&mut self) {
        self.wants.release(&self.set);
    }
}

// === impl Follower ===

impl Follower {
    /// What the node is to send, once it is something else than before; the first time at once.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Wanted {
        loop {
            self.changes.mark_unchanged();
            let due = {
                let mut state = self.wants.lock();
                if state.expire(Instant::now()) {
                    self.wants.change(&mut state);
                }
                if self.seen.is_none_or(|seen| seen < state.version) {
                    self.seen = Some(state.version);
                    return Wanted {
                        version: state.version,
                        set: Arc::clone(&state.set),
                    };
                }
                state.next_departure()
            };
            let departure = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender is ours.
                _ = self.changes.changed() => {}
                () = departure => {}
            }
        }
    }

    /// The node sends all that was wanted in this version.
    pub fn confirm(&self, version: u64) {
        let mut state = self.wants.lock();
        state.nodes.insert(self.id, Some(version));
        self.wants.settle(&mut state);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.wants.lock();
        state.nodes.remove(&self.id);
        self.wants.settle(&mut state);
    }
}

// === impl Asked ===

impl Asked {
    /// Whether somebody who wants `set` may have missed events before.
    pub fn is_news_to(&self, set: &EventSet) -> bool {
        self.set.overlaps(&set.without(&self.but))
    }

    /// What such a one is told.
    pub fn gap(&self) -> Gap {
        Gap {
            node: None,
            count: 0,
            reason: GapReason::NotSubscribed,
            began: self.since,
            ended: Some(self.at),
        }
    }

    /// Bytes that it takes in the journal.
    pub(super) fn size(&self) -> usize {
        256 + self.set.subclass_bytes() + self.but.subclass_bytes()
    }
}

#[cfg(test)]
mod tests;
