//! Waits between attempts: exponential, capped, jittered.

use std::time::Duration;

use crate::chance;

/// The waits before one attempt after another. Each lies between `min` and `max`; the ceiling
/// doubles with every attempt from `2 * min` on, and the wait is drawn from the upper half below
/// it, so that many clients of one restarted server do not come back in step.
///
/// It never ends: whoever counts attempts does so beside it.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Waits from `min` up to `max`; a `max` below `min` counts as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            attempt: 0,
        }
    }

    /// The wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = delay(self.min, self.max, self.attempt, chance::fraction());
        self.attempt = self.attempt.saturating_add(1);
        delay
    }

    /// Starts over from `min`: call it once an attempt has proved good.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// The highest wait before attempt number `attempt`, counted from zero.
fn ceiling(min: Duration, max: Duration, attempt: u32) -> Duration {
    let factor = 2u32.checked_pow(attempt.saturating_add(1));
    min.saturating_mul(factor.unwrap_or(u32::MAX)).min(max)
}

/// The wait for a `dice` of 0.0 to 1.0.
fn delay(min: Duration, max: Duration, attempt: u32, dice: f64) -> Duration {
    let top = ceiling(min, max, attempt);
    let bottom = (top / 2).max(min);
    // `top` is at least `min` and at least its own half; the cap undoes rounding of the product.
    (bottom + (top - bottom).mul_f64(dice)).min(top)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_wait_lies_within_its_bounds(
            min in 0u64..100_000_000_000,
            max in 0u64..10_000_000_000_000,
            attempt: u32,
            dice in 0.0f64..=1.0,
        ) {
            let min = Duration::from_nanos(min);
            let max = Duration::from_nanos(max).max(min);
            let wait = delay(min, max, attempt, dice);
            prop_assert!(min <= wait && wait <= max, "{min:?} <= {wait:?} <= {max:?}");
            prop_assert!(wait >= ceiling(min, max, attempt) / 2);
        }

        #[test]
        fn the_ceiling_never_falls_and_reaches_the_maximum(
            min in 1u64..1_000_000_000,
            max in 1u64..100_000_000_000,
            attempt in 0u32..70,
        ) {
            let min = Duration::from_nanos(min);
            let max = Duration::from_nanos(max).max(min);
            prop_assert!(ceiling(min, max, attempt) <= ceiling(min, max, attempt + 1));
            prop_assert_eq!(ceiling(min, max, 70), max);
        }
    }

    #[test]
    fn waits_double_until_reset() {
        let (min, max) = (Duration::from_millis(250), Duration::from_secs(15));
        let ceilings: Vec<u128> = (0..7)
            .map(|attempt| ceiling(min, max, attempt).as_millis())
            .collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);

        let mut backoff = Backoff::new(min, max);
        for _ in 0..20 {
            backoff.next_delay();
        }
        assert!(backoff.next_delay() >= max / 2);
        backoff.reset();
        assert!(backoff.next_delay() <= 2 * min);
    }

    #[test]
    fn a_maximum_below_the_minimum_counts_as_the_minimum() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(backoff.next_delay(), Duration::from_secs(2));
    }
}
