//! A figure that one part of the program keeps and another one reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that whoever counts changes and anyone may read, at the cost of one relaxed atomic
/// operation. It orders nothing else.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

// === impl Count ===

impl Count {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Takes away what was added before.
    pub fn take(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// Puts another number into its place, for what is not counted but known.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
