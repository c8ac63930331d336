//! What subscribers have seen, counted for each of them.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// On a cache line of its own, since another thread writes its neighbours.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Seen(AtomicU64);

/// Shared by all subscribers of one run, who read until it is over.
#[derive(Debug)]
pub(crate) struct Counters {
    seen: Vec<Seen>,
    bytes: AtomicU64,
    messages: AtomicU64,
    started: AtomicUsize,
    over: AtomicBool,
    lateness: Mutex<Vec<Duration>>,
    failure: Mutex<Option<String>>,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn new(subscribers: usize) -> Self {
        Self {
            seen: (0..subscribers).map(|_| Seen::default()).collect(),
            bytes: AtomicU64::default(),
            messages: AtomicU64::default(),
            started: AtomicUsize::default(),
            over: AtomicBool::default(),
            lateness: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.seen.len()
    }

    pub(crate) fn set(&self, at: usize, events: u64) {
        self.seen[at].0.store(events, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: u32, messages: u64, lateness: &mut Vec<Duration>) {
        self.bytes.fetch_add(bytes.into(), Ordering::Relaxed);
        if messages > 0 {
            self.messages.fetch_add(messages, Ordering::Relaxed);
        }
        if !lateness.is_empty() {
            let mut all = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
            all.append(lateness);
        }
    }

    /// One more subscriber has had its first message.
    pub(crate) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn have_all_started(&self) -> bool {
        self.started.load(Ordering::Relaxed) == self.seen.len()
    }

    /// What the slowest has seen, and all together.
    pub(crate) fn least(&self) -> u64 {
        let seen = self.seen.iter().map(|seen| seen.0.load(Ordering::Relaxed));
        seen.min().unwrap_or(0)
    }

    pub(crate) fn deliveries(&self) -> u64 {
        let seen = self.seen.iter().map(|seen| seen.0.load(Ordering::Relaxed));
        seen.sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn take_lateness(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.lateness.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The first failure counts.
    pub(crate) fn fail(&self, what: &str) {
        if self.is_over() {
            return;
        }
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| what.to_owned());
    }

    pub(crate) fn failure(&self) -> Option<String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }
}
