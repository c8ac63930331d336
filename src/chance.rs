//! All that is left to chance: ids, jitter, choices among equals.
//!
//! A test that is to be repeated [`seed`]s the thread that it runs on; everything that is drawn on
//! that thread then comes from the seed.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore, SeedableRng as _};
use uuid::Uuid;

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Draws from the thread's seed where there is one, else from the operating system's randomness.
#[derive(Debug, Clone, Copy)]
pub struct Dice;

/// From now on this thread draws the same every time. For tests alone: ids can be foretold then.
pub fn seed(seed: u64) {
    SEEDED.set(Some(StdRng::seed_from_u64(seed)));
}

/// A number from 0 up to and without 1.
pub fn fraction() -> f64 {
    Dice.random()
}

/// A fresh id, version 4.
pub fn uuid() -> Uuid {
    seeded_uuid().unwrap_or_else(Uuid::new_v4)
}

/// A fresh id that sorts behind those before it, version 7.
pub fn ordered_uuid() -> Uuid {
    // The clock is chance, too.
    seeded_uuid().unwrap_or_else(Uuid::now_v7)
}

fn seeded_uuid() -> Option<Uuid> {
    SEEDED.with_borrow_mut(|seeded| {
        let random = seeded.as_mut()?.random();
        Some(uuid::Builder::from_random_bytes(random).into_uuid())
    })
}

/// Runs `draw` on the thread's generator.
fn with_generator<T>(draw: impl FnOnce(&mut dyn RngCore) -> T) -> T {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(generator) => draw(generator),
        None => draw(&mut rand::rng()),
    })
}

// === impl Dice ===

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        with_generator(|generator| generator.next_u32())
    }

    fn next_u64(&mut self) -> u64 {
        with_generator(|generator| generator.next_u64())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        with_generator(|generator| generator.fill_bytes(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_thread_draws_the_same_again_and_another_seed_something_else() {
        let draws = |number| {
            let thread = std::thread::spawn(move || {
                seed(number);
                (uuid(), ordered_uuid(), fraction().to_bits())
            });
            thread.join().unwrap()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn without_a_seed_nothing_is_drawn_twice() {
        assert_ne!(uuid(), uuid());
        assert_ne!(ordered_uuid(), ordered_uuid());
    }
}
