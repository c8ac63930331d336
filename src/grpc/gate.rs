//! How many connections there may be, and how many of them may still shake hands.
//!
//! Whoever connects and says nothing costs a socket. Such connections are bounded apart from those
//! that are served, and the oldest goes when there are too many: a client that means it is through
//! its handshake in milliseconds, so a crowd that stands and waits pushes out itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The same complaint is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Lets connections in. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_connections: usize,
    max_handshakes: usize,
    places: Arc<Semaphore>,
    handshakes: Mutex<Handshakes>,
    counts: Counts,
    crowded: Seldom,
}

/// Those under way, in the order in which they began.
#[derive(Debug, Default)]
struct Handshakes {
    next: u64,
    under_way: BTreeMap<u64, CancellationToken>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    displaced: AtomicU64,
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
    _permit: OwnedSemaphorePermit,
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
            counts: Counts::default(),
            crowded: Seldom::default(),
        }))
    }

    /// Begins a handshake; `None` when there are too many connections.
    pub(super) fn enter(&self) -> Option<Handshake> {
        if self.0.places.available_permits() == 0 {
            self.refuse();
            return None;
        }
        let displaced = CancellationToken::new();
        let mut handshakes = self.lock();
        if handshakes.under_way.len() >= self.0.max_handshakes
            && let Some((_, oldest)) = handshakes.under_way.pop_first()
        {
            self.0.counts.displaced.fetch_add(1, Ordering::Relaxed);
            oldest.cancel();
        }
        let number = handshakes.next;
        handshakes.next += 1;
        handshakes.under_way.insert(number, displaced.clone());
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
            handshaking: self.lock().under_way.len(),
            accepted: count(&counts.accepted),
            refused: count(&counts.refused),
            displaced: count(&counts.displaced),
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

    fn lock(&self) -> MutexGuard<'_, Handshakes> {
        let handshakes = &self.0.handshakes;
        handshakes.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// It is done; `None` when there are too many connections by now.
    pub(super) fn done(self) -> Option<Place> {
        let gate = self.gate.clone();
        match Arc::clone(&gate.0.places).try_acquire_owned() {
            Ok(permit) => {
                gate.0.counts.accepted.fetch_add(1, Ordering::Relaxed);
                Some(Place {
                    gate,
                    _permit: permit,
                })
            }
            Err(_) => {
                gate.refuse();
                None
            }
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.gate.lock().under_way.remove(&self.number);
    }
}

// === impl Place ===

impl Place {
    /// The connection has reached its age.
    pub(super) fn aged(&self) {
        self.gate.0.counts.aged.fetch_add(1, Ordering::Relaxed);
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
        let place = first.done().unwrap();
        assert!(late.done().is_none() && gate.enter().is_none());
        let figures = gate.figures();
        assert_eq!((figures.open, figures.accepted, figures.refused), (1, 1, 2));
        drop(place);
        assert!(gate.enter().unwrap().done().is_some());
        assert_eq!(gate.figures().open, 0);
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
