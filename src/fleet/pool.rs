//! The command links of a node.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use tokio::sync::watch;

use crate::domain::{Deadline, SessionId};
use crate::esl::{Command, Link, LinkError, Lost, Reply};
use crate::shutdown::Drain;

/// A fixed number of places for links, some of which may be empty while their link is away.
#[derive(Debug)]
pub(super) struct Pool {
    places: Mutex<Box<[Option<Place>]>>,
    live: watch::Sender<usize>,
    turn: AtomicUsize,
    /// For queries that take long; no verb ever waits behind them.
    aside: watch::Sender<Option<Aside>>,
}

/// A link apart, and what stops it.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    pub(super) link: Link,
    pub(super) life: Drain,
}

#[derive(Debug, Clone)]
struct Place {
    link: Link,
    /// Exchanges under way.
    load: Arc<AtomicUsize>,
}

/// Counts an exchange for as long as it is under way.
struct Busy(Arc<AtomicUsize>);

// === impl Pool ===

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            places: Mutex::new(vec![None; size].into_boxed_slice()),
            live: watch::Sender::new(0),
            turn: AtomicUsize::new(0),
            aside: watch::Sender::new(None),
        }
    }

    /// Puts the link apart into its place, or takes it out.
    pub(super) fn set_aside(&self, aside: Option<Aside>) {
        self.aside.send_replace(aside);
    }

    /// Puts a link into its place, or takes it out.
    pub(super) fn set(&self, place: usize, link: Option<Link>) {
        let mut places = self.lock();
        if let Some(slot) = places.get_mut(place) {
            *slot = link.map(|link| Place {
                link,
                load: Arc::default(),
            });
        }
        // Told while the places are locked: of two who come at the same time the later one counts.
        self.live.send_replace(places.iter().flatten().count());
    }

    /// Number of places.
    pub(super) fn size(&self) -> usize {
        self.lock().len()
    }

    /// Number of links that live.
    pub(super) fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Commands that wait to be written.
    pub(super) fn queued(&self) -> usize {
        let places = self.lock();
        places
            .iter()
            .flatten()
            .map(|place| place.link.queued())
            .sum()
    }

    /// The same of the link apart; `None` while it is away.
    pub(super) fn aside_queued(&self) -> Option<usize> {
        self.aside
            .borrow()
            .as_ref()
            .map(|aside| aside.link.queued())
    }

    /// Waits until one link at least lives.
    pub(super) async fn any_live(&self) {
        let mut live = self.live.subscribe();
        // The sender is ours, so the wait ends only when it is fulfilled.
        let _ = live.wait_for(|live| *live > 0).await;
    }

    /// Commands under way.
    pub(super) fn load(&self) -> usize {
        self.lock()
            .iter()
            .flatten()
            .map(|place| place.load.load(Ordering::Relaxed))
            .sum()
    }

    /// Sends a command over one of the links and waits for its reply. Commands for the same
    /// session go over the same link while it lives, so that they keep their order. A command that
    /// was not sent is tried on another link; one that was is never repeated.
    pub(super) async fn send(
        &self,
        command: Command,
        session: Option<&SessionId>,
        deadline: Deadline,
    ) -> Result<Reply, LinkError> {
        let mut last = LinkError::NotSent(Lost::Stopped);
        for _ in 0..self.size() {
            let Some(place) = self.pick(session) else {
                break;
            };
            let _busy = Busy::count(&place.load);
            match place.link.send_by(command.clone(), deadline).await {
                Err(error @ LinkError::NotSent(_)) => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    /// Sends a query that may take long, once its link is up. One that took too long has clogged the
    /// link, which is made anew.
    pub(super) async fn send_aside(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, LinkError> {
        let mut places = self.aside.subscribe();
        let is_live =
            |place: &Option<Aside>| place.as_ref().is_some_and(|aside| aside.link.is_live());
        let aside = match deadline.bound(places.wait_for(is_live)).await {
            Some(Ok(place)) => place.clone(),
            Some(Err(_)) | None => None,
        };
        let Some(aside) = aside else {
            return Err(LinkError::NotSent(Lost::Stopped));
        };
        let result = aside.link.send_by(command, deadline).await;
        if matches!(result, Err(LinkError::TimedOut { sent: true })) {
            aside.life.stop();
        }
        result
    }

    fn pick(&self, session: Option<&SessionId>) -> Option<Place> {
        let places = self.lock();
        let is_live = |place: &&Place| place.link.is_live();
        if let Some(session) = session {
            let home = usize::try_from(FixedState::default().hash_one(session) >> 1).unwrap_or(0)
                % places.len();
            let (before, after) = places.split_at(home);
            return after.iter().chain(before).flatten().find(is_live).cloned();
        }
        // The least busy one; among equals they take turns.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % places.len();
        let (before, after) = places.split_at(turn);
        after
            .iter()
            .chain(before)
            .flatten()
            .filter(is_live)
            .min_by_key(|place| place.load.load(Ordering::Relaxed))
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Option<Place>]>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Busy ===

impl Busy {
    fn count(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::esl::{Connection, ConnectionConfig, Limits, NoEvents};

    #[tokio::test]
    async fn links_that_come_up_together_all_count() {
        const PLACES: usize = 4;
        let drain = Drain::new();
        let (near, _far) = tokio::io::duplex(64);
        let connection = Connection::new(Box::new(near), Limits::default());
        let link = connection.start(ConnectionConfig::default(), NoEvents, &drain);
        for round in 0..5000 {
            let pool = Pool::new(PLACES);
            let start = Barrier::new(PLACES);
            std::thread::scope(|scope| {
                for place in 0..PLACES {
                    let (pool, start, link) = (&pool, &start, link.clone());
                    scope.spawn(move || {
                        start.wait();
                        pool.set(place, Some(link));
                    });
                }
            });
            assert_eq!(pool.live(), PLACES, "in round {round}");
        }
    }
}
