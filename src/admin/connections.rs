//! Connections of the admin port: a bounded number, of which the oldest goes when another comes.
//!
//! A probe is new and takes a moment. So whoever holds connections open, or opens many, holds up
//! only those that do likewise.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections that are open, oldest first. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    tokens: VecDeque<(u64, CancellationToken)>,
}

/// A connection's place among them.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    closed: CancellationToken,
    connections: Connections,
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            open: Arc::default(),
        }
    }

    /// Takes one in.
    pub(super) fn enter(&self) -> Place {
        let closed = CancellationToken::new();
        let mut open = self.lock();
        while open.tokens.len() >= self.max
            && let Some((_, oldest)) = open.tokens.pop_front()
        {
            oldest.cancel();
        }
        open.next += 1;
        let number = open.next;
        open.tokens.push_back((number, closed.clone()));
        Place {
            number,
            closed,
            connections: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// Resolves when it has to go for another one.
    pub(super) async fn given_away(&self) {
        self.closed.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        if let Ok(at) = open
            .tokens
            .binary_search_by_key(&self.number, |(number, _)| *number)
        {
            open.tokens.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_another_comes() {
        let connections = Connections::new(2);
        let (first, second) = (connections.enter(), connections.enter());
        let third = connections.enter();
        let gone = |place: &Place| place.closed.is_cancelled();
        assert_eq!([&first, &second, &third].map(gone), [true, false, false]);
        drop(third);
        drop(first);
        let fourth = connections.enter();
        assert_eq!([&second, &fourth].map(gone), [false, false]);
        assert_eq!(connections.lock().tokens.len(), 2);
    }
}
