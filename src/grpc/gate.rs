//! How many connections there may be, and how many of them may still shake hands.
//!
//! Whoever connects and says nothing costs a socket. Such connections are bounded apart from those
//! that are served, and the oldest goes when there are too many: a client that means it is through
//! its handshake in milliseconds, so a crowd that stands and waits pushes out itself. So it is with
//! those that are served and have not shown yet that anybody known is behind them, once there is no
//! place left; until then they may stay, as those do that only watch the health.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The same complaint is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How long a new connection waits for the place of one that was told to go.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lets connections in. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_connections: usize,
    max_handshakes: usize,
    places: Arc<Semaphore>,
    handshakes: Mutex<Queue>,
    /// Those that are served, and nobody knows for whom.
    unproven: Mutex<Queue>,
    counts: Counts,
    crowded: Seldom,
}

/// Those that may have to go, in the order in which they began.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    under_way: BTreeMap<u64, CancellationToken>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    displaced: AtomicU64,
    unproven: AtomicU64,
    failed: AtomicU64,
    aged: AtomicU64,
}

/// What an operator watches; the counts are since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// Connections that are served now.
    pub open: usize,
    /// Connections that shake hands now.
    pub handshaking: usize,
    /// Connections that came to be served.
    pub accepted: u64,
    /// Connections that were closed at once, since there were too many.
    pub refused: u64,
    /// Handshakes that were given up for newer ones, since there were too many.
    pub displaced: u64,
    /// Connections that had proven nothing and were closed for newer ones, since there were too many.
    pub unproven: u64,
    /// Handshakes that failed or took too long.
    pub failed_handshakes: u64,
    /// Connections that reached their age.
    pub aged: u64,
}

/// A connection that shakes hands; counts until it is dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    gate: Gate,
    number: u64,
    displaced: CancellationToken,
}

/// A connection that is served; counts until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    permit: Option<OwnedSemaphorePermit>,
    number: u64,
    displaced: CancellationToken,
}

/// Tells the gate that somebody known is behind a connection, which keeps its place then.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    gate: Gate,
    number: u64,
    is_told: Arc<AtomicBool>,
}

/// Tells when something was last logged, and how often it has happened since.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

// === impl Gate ===

impl Gate {
    pub(super) fn new(max_connections: usize, max_handshakes: usize) -> Self {
        let places = max_connections.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            max_connections,
            max_handshakes,
            places: Arc::new(Semaphore::new(places)),
            handshakes: Mutex::default(),
            unproven: Mutex::default(),
            counts: Counts::default(),
            crowded: Seldom::default(),
        }))
    }

    /// Begins a handshake; `None` when there are too many connections.
    pub(super) fn enter(&self) -> Option<Handshake> {
        if self.0.places.available_permits() == 0 && lock(&self.0.unproven).under_way.is_empty() {
            self.refuse();
            return None;
        }
        let mut handshakes = lock(&self.0.handshakes);
        if handshakes.under_way.len() >= self.0.max_handshakes && handshakes.displace() {
            self.0.counts.displaced.fetch_add(1, Ordering::Relaxed);
        }
        let (number, displaced) = handshakes.enter();
        drop(handshakes);
        Some(Handshake {
            gate: self.clone(),
            number,
            displaced,
        })
    }

    pub(super) fn figures(&self) -> ConnectionFigures {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.0.counts;
        ConnectionFigures {
            open: self.0.max_connections.min(Semaphore::MAX_PERMITS)
                - self.0.places.available_permits(),
            handshaking: lock(&self.0.handshakes).under_way.len(),
            accepted: count(&counts.accepted),
            refused: count(&counts.refused),
            displaced: count(&counts.displaced),
            unproven: count(&counts.unproven),
            failed_handshakes: count(&counts.failed),
            aged: count(&counts.aged),
        }
    }

    fn refuse(&self) {
        self.0.counts.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(refused) = self.0.crowded.due() {
            warn!(
                refused,
                max_connections = self.0.max_connections,
                "connections are closed at once, since there are grpc.max_connections"
            );
        }
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        self.0.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let (number, displaced) = lock(&self.0.unproven).enter();
        Place {
            gate: self.clone(),
            permit: Some(permit),
            number,
            displaced,
        }
    }
}

// === impl Queue ===

impl Queue {
    fn enter(&mut self) -> (u64, CancellationToken) {
        let (number, displaced) = (self.next, CancellationToken::new());
        self.next += 1;
        self.under_way.insert(number, displaced.clone());
        (number, displaced)
    }

    /// Tells the oldest to go; says whether there was one.
    fn displace(&mut self) -> bool {
        let oldest = self.under_way.pop_first();
        oldest.map(|(_, oldest)| oldest.cancel()).is_some()
    }
}

// === impl Handshake ===

impl Handshake {
    /// Resolves when it is given up for a newer one.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    /// It failed, or took too long.
    pub(super) fn failed(self) {
        self.gate.0.counts.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// It is done; `None` when there are too many connections by now. The oldest that has proven
    /// nothing makes room, in a moment.
    pub(super) async fn done(self) -> Option<Place> {
        let gate = &self.gate;
        let places = || Arc::clone(&gate.0.places);
        if let Ok(permit) = places().try_acquire_owned() {
            return Some(gate.place(permit));
        }
        if lock(&gate.0.unproven).displace() {
            gate.0.counts.unproven.fetch_add(1, Ordering::Relaxed);
            // Who waits is one of the handshakes still, and bounded with them.
            let permit = tokio::select! {
                biased;
                () = self.displaced() => return None,
                permit = timeout(PATIENCE, places().acquire_owned()) => permit,
            };
            if let Ok(Ok(permit)) = permit {
                return Some(gate.place(permit));
            }
        }
        gate.refuse();
        None
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        lock(&self.gate.0.handshakes).under_way.remove(&self.number);
    }
}

// === impl Place ===

impl Place {
    /// Resolves when the connection has to go for a newer one.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }

    /// What is told of the first proof that is good.
    pub(super) fn proven(&self) -> Proven {
        Proven {
            gate: self.gate.clone(),
            number: self.number,
            is_told: Arc::default(),
        }
    }

    /// The connection has reached its age.
    pub(super) fn aged(&self) {
        self.gate.0.counts.aged.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // First the place, so that nobody finds neither.
        drop(self.permit.take());
        lock(&self.gate.0.unproven).under_way.remove(&self.number);
    }
}

// === impl Proven ===

impl Proven {
    /// Somebody known has asked something. It comes too late for a connection that has to go.
    pub(super) fn tell(&self) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            lock(&self.gate.0.unproven).under_way.remove(&self.number);
        }
    }
}

// === impl Seldom ===

impl Seldom {
    /// Counts one; gives the count since the last line when another is due.
    pub(super) fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = &mut *state;
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

/// A panic while the lock was held leaves plain data behind.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_handshake_makes_room() {
        let gate = Gate::new(10, 2);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        let third = gate.enter().unwrap();
        first.displaced().await;
        assert!(!second.displaced.is_cancelled() && !third.displaced.is_cancelled());
        assert_eq!(gate.figures().handshaking, 2);
        drop(first);
        assert_eq!(gate.figures().handshaking, 2);
        second.failed();
        drop(third);
        let figures = gate.figures();
        assert_eq!((figures.handshaking, figures.displaced), (0, 1));
        assert_eq!(figures.failed_handshakes, 1);
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_are_refused() {
        let gate = Gate::new(1, 10);
        let (first, late) = (gate.enter().unwrap(), gate.enter().unwrap());
        let place = first.done().await.unwrap();
        place.proven().tell();
        assert!(late.done().await.is_none() && gate.enter().is_none());
        let figures = gate.figures();
        assert_eq!((figures.open, figures.accepted, figures.refused), (1, 1, 2));
        drop(place);
        assert!(gate.enter().unwrap().done().await.is_some());
        assert_eq!(gate.figures().open, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_proves_nothing_makes_room() {
        let gate = Gate::new(3, 10);
        let next = async || gate.enter().unwrap().done().await;
        let known = next().await.unwrap();
        let (oldest, other) = (next().await.unwrap(), next().await.unwrap());
        known.proven().tell();
        let stays = timeout(LOG_INTERVAL * 1000, oldest.displaced()).await;
        assert!(stays.is_err(), "there was room");
        let going = async {
            oldest.displaced().await;
            drop(oldest);
        };
        let (newest, ()) = tokio::join!(next(), going);
        assert_eq!((gate.figures().unproven, gate.figures().open), (1, 3));
        // One that does not go is waited for, but not for ever.
        let (late, ()) = tokio::join!(next(), other.displaced());
        assert!(late.is_none() && !known.displaced.is_cancelled());
        let newest = newest.unwrap();
        newest.proven().tell();
        assert!(gate.enter().is_none());
        assert_eq!((gate.figures().unproven, gate.figures().refused), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_for_a_place_are_bounded_with_the_handshakes() {
        let gate = Gate::new(2, 1);
        let _oldest = gate.enter().unwrap().done().await.unwrap();
        let _other = gate.enter().unwrap().done().await.unwrap();
        let waits = gate.enter().unwrap();
        let (waited, newer) = tokio::join!(waits.done(), async { gate.enter() });
        assert!(waited.is_none() && newer.is_some());
        let figures = gate.figures();
        assert_eq!((figures.handshaking, figures.displaced), (1, 1));
        assert_eq!((figures.unproven, figures.refused), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_complaint_comes_once_a_minute_with_its_count() {
        let seldom = Seldom::default();
        assert_eq!(seldom.due(), Some(1));
        assert_eq!((seldom.due(), seldom.due()), (None, None));
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(seldom.due(), Some(3));
    }
}
