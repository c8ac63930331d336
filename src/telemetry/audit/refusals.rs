//! How many lines those may make who are refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of one in the mean: 10 a second.
const INTERVAL: Duration = Duration::from_millis(100);
/// Lines at once of all together of whom nobody knows who they are.
const BURST_OF_STRANGERS: u32 = 10;
/// Lines at once of one caller.
const BURST: u32 = 100;
/// After which time it is told how many were left out.
const WINDOW: Duration = Duration::from_secs(1);
/// Callers that are remembered; past it those are forgotten that made no lines of late.
const MOST_CALLERS: usize = 10_000;

/// Bounds the lines of requests that were not let in, and counts those left out.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

/// A caller, or `None` for all together of whom nobody knows who they are.
type Who = Option<String>;

#[derive(Debug, Default)]
struct State {
    bounds: HashMap<Who, Bound>,
    /// When it is to be told how many were left out.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Bound {
    burst: u32,
    /// When all that was written is paid for, at a line each interval.
    paid: Instant,
    left_out: u64,
}

// === impl Refusals ===

impl Refusals {
    /// Whether there is room for one more line of this caller, or of a stranger; counts it.
    pub(super) fn may_write(&self, caller: Option<&str>) -> bool {
        self.lock().bound(caller).may_write()
    }

    /// A line was left out.
    pub(super) fn left_out(&self, caller: Option<&str>) {
        self.add_left_out(caller, 1);
    }

    /// How many were left out of whom, when that is to be told: once a window.
    pub(super) fn due(&self, at_once: bool) -> Vec<(Who, u64)> {
        let mut state = self.lock();
        let is_due = |due: Instant| at_once || due <= Instant::now();
        if !state.due.is_some_and(is_due) {
            return Vec::new();
        }
        state.due = None;
        let told = state
            .bounds
            .iter_mut()
            .filter(|(_, bound)| bound.left_out > 0);
        told.map(|(who, bound)| (who.clone(), std::mem::take(&mut bound.left_out)))
            .collect()
    }

    /// That so many were left out, could not be told.
    pub(super) fn not_told(&self, caller: Option<&str>, left_out: u64) {
        self.add_left_out(caller, left_out);
    }

    fn add_left_out(&self, caller: Option<&str>, left_out: u64) {
        let mut state = self.lock();
        state.bound(caller).left_out += left_out;
        state.due.get_or_insert_with(|| Instant::now() + WINDOW);
    }

    /// A panic while the lock was held leaves plain data behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn bound(&mut self, caller: Option<&str>) -> &mut Bound {
        let now = Instant::now();
        let mut who = caller.map(str::to_owned);
        if self.bounds.len() >= MOST_CALLERS && !self.bounds.contains_key(&who) {
            self.bounds
                .retain(|_, bound| bound.left_out > 0 || bound.paid > now);
            // So many at once are as good as strangers.
            if self.bounds.len() >= MOST_CALLERS {
                who = None;
            }
        }
        let burst = match who {
            Some(_) => BURST,
            None => BURST_OF_STRANGERS,
        };
        self.bounds.entry(who).or_insert(Bound {
            burst,
            paid: now,
            left_out: 0,
        })
    }
}

// === impl Bound ===

impl Bound {
    fn may_write(&mut self) -> bool {
        let now = Instant::now();
        let paid = self.paid.max(now);
        let has_room = paid - now <= INTERVAL * (self.burst - 1);
        if has_room {
            self.paid = paid + INTERVAL;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(refusals: &Refusals, caller: Option<&str>, count: usize) -> usize {
        let write = |_: &usize| {
            let may_write = refusals.may_write(caller);
            if !may_write {
                refusals.left_out(caller);
            }
            may_write
        };
        (0..count).filter(write).count()
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_written_and_the_others_are_counted() {
        let refusals = Refusals::default();
        assert_eq!(written(&refusals, None, 50), 10);
        assert_eq!(written(&refusals, Some("a"), 150), 100);
        assert_eq!(written(&refusals, Some("b"), 1), 1);
        assert_eq!(refusals.due(false), []);
        tokio::time::advance(WINDOW).await;
        let mut due = refusals.due(false);
        due.sort();
        assert_eq!(due, [(None, 40), (Some("a".to_owned()), 50)]);
        assert_eq!(written(&refusals, None, 10), 10);
        assert_eq!(written(&refusals, Some("a"), 10), 10);
        assert_eq!(refusals.due(true), []);
        refusals.left_out(Some("a"));
        assert_eq!(refusals.due(true), [(Some("a".to_owned()), 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_forgotten_that_have_been_quiet() {
        let refusals = Refusals::default();
        for at in 0..MOST_CALLERS {
            assert!(refusals.may_write(Some(&at.to_string())));
        }
        // Together with the strangers.
        assert_eq!(written(&refusals, Some("one more"), 50), 10);
        assert_eq!(refusals.due(true), [(None, 40)]);
        tokio::time::advance(WINDOW).await;
        assert_eq!(written(&refusals, Some("one more"), 50), 50);
        assert_eq!(refusals.lock().bounds.len(), 1);
    }
}
