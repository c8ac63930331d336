//! How many lines those may make of whom nobody knows who they are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines in a window.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Bounds the lines of requests that anybody can make, and counts those left out.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

// === impl Strangers ===

impl Strangers {
    /// Whether there is room for one more line; counts it.
    pub(super) fn may_write(&self) -> bool {
        let mut state = self.lock();
        if state.is_past() {
            state.began = Some(Instant::now());
            state.written = 0;
        }
        state.written += u32::from(state.written < MOST + 1);
        state.written <= MOST
    }

    /// A line was left out.
    pub(super) fn left_out(&self) {
        self.lock().left_out += 1;
    }

    /// How many were left out, when that is to be told: once a window.
    pub(super) fn due(&self, at_once: bool) -> Option<u64> {
        let mut state = self.lock();
        if state.left_out == 0 || !(at_once || state.is_past()) {
            return None;
        }
        Some(std::mem::take(&mut state.left_out))
    }

    /// That so many were left out, could not be told.
    pub(super) fn not_told(&self, left_out: u64) {
        self.lock().left_out += left_out;
    }

    /// A panic while the lock was held leaves plain data behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn is_past(&self) -> bool {
        self.began.is_none_or(|began| began.elapsed() >= WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_are_written_in_a_window_and_the_others_are_counted() {
        let strangers = Strangers::default();
        let mut written = 0;
        for _ in 0..50 {
            match strangers.may_write() {
                true => written += 1,
                false => strangers.left_out(),
            }
        }
        assert_eq!((written, strangers.due(false)), (MOST, None));
        tokio::time::advance(WINDOW).await;
        assert_eq!(strangers.due(false), Some(40));
        assert!(strangers.may_write());
        assert_eq!(strangers.due(true), None);
    }
}
