//! `CUSTOM` events that nobody asked for by their subclass.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::esl::Event;

/// Most subclasses that are remembered; more are left as they are.
const MAX_SUBCLASSES: usize = 1000;

/// FreeSWITCH goes on with all subclasses that it knew when it was asked for all events. They show
/// by their events, and are then taken back.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// Whether there may be any: while not, events pass without a look.
    is_on: AtomicBool,
    heard: Mutex<Heard>,
    noticed: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    known: HashSet<String>,
    fresh: Vec<String>,
}

// === impl Strays ===

impl Strays {
    /// There may be some from now on, or there are none.
    pub(super) fn set(&self, is_on: bool) {
        *self.lock() = Heard::default();
        self.is_on.store(is_on, Ordering::Release);
    }

    /// Takes note of a `CUSTOM` event.
    pub(super) fn heard(&self, event: &Event) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let Some(subclass) = event.subclass() else {
            return;
        };
        let mut heard = self.lock();
        if heard.known.len() < MAX_SUBCLASSES && !heard.known.contains(&*subclass) {
            heard.known.insert(subclass.clone().into_owned());
            heard.fresh.push(subclass.into_owned());
            self.noticed.notify_one();
        }
    }

    /// Waits for subclasses that were not heard before. Cancel-safe.
    pub(super) async fn noticed(&self) -> Vec<String> {
        loop {
            let fresh = std::mem::take(&mut self.lock().fresh);
            if !fresh.is_empty() {
                return fresh;
            }
            self.noticed.notified().await;
        }
    }

    /// A panic while the lock was held leaves plain data behind, which is better than none.
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
