//! How much of the gateway one caller may use, so that the others have the rest.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};

use crate::domain::{Failure, Reason};

/// Callers that are remembered; past it those that have nothing under way are forgotten, and with
/// them how much of their rate they have used.
const MOST_CALLERS: usize = 10_000;
/// After which time it makes sense to try again when too much is under way.
const PAUSE: Duration = Duration::from_secs(1);

/// How much may be used. 0 stands for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsConfig {
    /// Requests a second of one caller, in the long run.
    pub requests_per_second: u32,
    /// Requests of one caller at once after a pause; the same as `requests_per_second` when 0.
    pub burst: u32,
    /// Unary RPCs of one caller under way.
    pub in_flight: usize,
    /// Open streams of one caller.
    pub streams: usize,
    /// Unary RPCs of all callers under way.
    pub total_in_flight: usize,
}

/// What a request holds as long as it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Until its answer.
    Unary,
    /// Until its stream ends.
    Stream,
}

/// Counts what is used. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Limits(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    config: LimitsConfig,
    callers: Mutex<HashMap<String, Arc<Usage>>>,
    total: Arc<AtomicUsize>,
    refused: AtomicUsize,
}

/// What one caller uses.
#[derive(Debug, Default)]
struct Usage {
    rate: Option<DefaultDirectRateLimiter>,
    unary: AtomicUsize,
    streams: AtomicUsize,
}

/// A request is under way as long as this lives.
#[derive(Debug)]
pub struct Permit {
    usage: Arc<Usage>,
    holds: Holds,
    total: Arc<AtomicUsize>,
}

// === impl Limits ===

impl Limits {
    /// Nothing is used yet.
    pub fn new(config: LimitsConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            ..Inner::default()
        }))
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// RATE_LIMITED when it asks too fast or has too much under way, OVERLOADED when all callers
    /// together have; both with the time after which to try again.
    pub fn enter(&self, caller: &str, holds: Holds) -> Result<Permit, Failure> {
        let entered = self.try_enter(caller, holds);
        if entered.is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    /// Requests that were refused so far.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Unary RPCs under way.
    pub fn in_flight(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }

    fn try_enter(&self, caller: &str, holds: Holds) -> Result<Permit, Failure> {
        let config = self.0.config;
        let usage = self.usage(caller);
        if let Some(rate) = &usage.rate
            && let Err(until) = rate.check()
        {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let what = format!(
                "makes more than {} requests a second",
                config.requests_per_second
            );
            return Err(limited(caller, "requests_per_second", &what, wait));
        }
        let (count, bound, name) = match holds {
            Holds::Unary => (&usage.unary, config.in_flight, "in_flight"),
            Holds::Stream => (&usage.streams, config.streams, "streams"),
        };
        if !take(count, bound) {
            let what = format!("has {bound} requests of this kind under way already");
            return Err(limited(caller, name, &what, PAUSE));
        }
        let permit = Permit {
            usage: Arc::clone(&usage),
            holds,
            total: Arc::clone(&self.0.total),
        };
        // From here on the permit gives back what was taken.
        if holds == Holds::Unary && !take(&self.0.total, config.total_in_flight) {
            self.0.total.fetch_add(1, Ordering::Relaxed);
            let message = format!(
                "the gateway has {} requests under way already; try again later",
                config.total_in_flight
            );
            return Err(Failure::new(Reason::Overloaded, message).retry_after(PAUSE));
        }
        Ok(permit)
    }

    fn usage(&self, caller: &str) -> Arc<Usage> {
        let mut callers = self
            .0
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = callers.get(caller) {
            return Arc::clone(usage);
        }
        if callers.len() >= MOST_CALLERS {
            callers.retain(|_, usage| Arc::strong_count(usage) > 1);
        }
        let usage = Arc::new(Usage {
            rate: self.0.config.quota().map(DefaultDirectRateLimiter::direct),
            ..Usage::default()
        });
        callers.insert(caller.to_owned(), Arc::clone(&usage));
        usage
    }
}

// === impl LimitsConfig ===

impl LimitsConfig {
    fn quota(&self) -> Option<Quota> {
        let rate = NonZeroU32::new(self.requests_per_second)?;
        let burst = NonZeroU32::new(self.burst).unwrap_or(rate);
        Some(Quota::per_second(rate).allow_burst(burst))
    }
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        match self.holds {
            Holds::Unary => {
                self.usage.unary.fetch_sub(1, Ordering::Relaxed);
                self.total.fetch_sub(1, Ordering::Relaxed);
            }
            Holds::Stream => {
                self.usage.streams.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// Counts one more, unless the bound is reached.
fn take(count: &AtomicUsize, bound: usize) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < bound || bound == 0 {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

fn limited(caller: &str, limit: &str, what: &str, wait: Duration) -> Failure {
    Failure::new(
        Reason::RateLimited,
        format!("{caller} {what}; try again later"),
    )
    .with("caller", caller)
    .with("limit", limit)
    .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(config: LimitsConfig) -> Limits {
        Limits::new(config)
    }

    fn why(entered: Result<Permit, Failure>) -> (Reason, Option<String>, bool) {
        let failure = entered.expect_err("is let in");
        let limit = failure.metadata().get("limit").cloned();
        (failure.reason(), limit, failure.retry_delay().is_some())
    }

    #[test]
    fn without_bounds_everything_is_let_in() {
        let limits = limits(LimitsConfig::default());
        let held: Vec<_> = (0..1000)
            .map(|_| limits.enter("a", Holds::Unary).unwrap())
            .collect();
        assert_eq!((limits.in_flight(), limits.refused()), (1000, 0));
        drop(held);
        assert_eq!(limits.in_flight(), 0);
    }

    #[test]
    fn who_asks_too_fast_is_told_when_to_come_back_and_others_are_not_slowed() {
        let limits = limits(LimitsConfig {
            requests_per_second: 1,
            burst: 3,
            ..LimitsConfig::default()
        });
        for _ in 0..3 {
            limits.enter("a", Holds::Unary).unwrap();
        }
        let limit = Some("requests_per_second".to_owned());
        let refused = (Reason::RateLimited, limit, true);
        assert_eq!(why(limits.enter("a", Holds::Stream)), refused);
        assert!(limits.enter("b", Holds::Unary).is_ok());
        assert_eq!(limits.refused(), 1);
    }

    #[test]
    fn what_is_under_way_is_bounded_by_caller_and_kind() {
        let limits = limits(LimitsConfig {
            in_flight: 2,
            streams: 1,
            ..LimitsConfig::default()
        });
        let first = limits.enter("a", Holds::Unary).unwrap();
        let _second = limits.enter("a", Holds::Unary).unwrap();
        let _stream = limits.enter("a", Holds::Stream).unwrap();
        let refused = |limit: &str| (Reason::RateLimited, Some(limit.to_owned()), true);
        assert_eq!(why(limits.enter("a", Holds::Unary)), refused("in_flight"));
        assert_eq!(why(limits.enter("a", Holds::Stream)), refused("streams"));
        assert!(limits.enter("b", Holds::Unary).is_ok());
        drop(first);
        assert!(limits.enter("a", Holds::Unary).is_ok());
    }

    #[test]
    fn all_together_are_bounded_too() {
        let limits = limits(LimitsConfig {
            total_in_flight: 2,
            ..LimitsConfig::default()
        });
        let held = [
            limits.enter("a", Holds::Unary),
            limits.enter("b", Holds::Unary),
        ];
        for _ in 0..3 {
            let refused = why(limits.enter("c", Holds::Unary));
            assert_eq!(refused, (Reason::Overloaded, None, true));
        }
        assert!(limits.enter("c", Holds::Stream).is_ok());
        assert_eq!(limits.in_flight(), 2);
        drop(held);
        assert_eq!(limits.in_flight(), 0);
        assert!(limits.enter("c", Holds::Unary).is_ok());
    }

    #[test]
    fn callers_without_anything_under_way_are_forgotten_when_they_are_many() {
        let limits = limits(LimitsConfig::default());
        let _held = limits.enter("stays", Holds::Unary).unwrap();
        for number in 0..2 * MOST_CALLERS {
            limits.enter(&number.to_string(), Holds::Unary).unwrap();
        }
        let callers = limits.0.callers.lock().unwrap();
        assert!(callers.len() <= MOST_CALLERS && callers.contains_key("stays"));
    }
}
