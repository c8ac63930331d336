//! Whether events are lost though there is a link.
//!
//! FreeSWITCH drops events when its queue for a listener is full and tells nobody
//! (`mod_event_socket.c`, `event_handler`). What stays of it is a difference between the sessions
//! that it counts in HEARTBEAT and those that are tracked. Sessions that come and go at that moment
//! make one too, so it must last, and is looked into at a measured pace.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::Instant;

/// Shortest and longest time between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// Compares the counts, heartbeat by heartbeat.
#[derive(Debug)]
pub(super) struct Census {
    /// To which side the last heartbeat differed.
    last: Ordering,
    not_before: Option<Instant>,
    pause: Duration,
}

// === impl Census ===

impl Census {
    /// Begins when everything was compared.
    pub(super) fn new() -> Self {
        Self {
            last: Ordering::Equal,
            not_before: None,
            pause: PAUSE.0,
        }
    }

    /// Takes a heartbeat; says whether it is time to look: the counts have differed to the same
    /// side twice in a row.
    pub(super) fn heard(&mut self, counted: usize, tracked: usize) -> bool {
        let side = counted.cmp(&tracked);
        let lasts = side != Ordering::Equal && side == self.last;
        self.last = side;
        lasts && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    /// A look is done. When it found nothing, the next one has more time.
    pub(super) fn looked(&mut self, has_found: bool) {
        self.pause = match has_found {
            true => PAUSE.0,
            false => (self.pause * 2).min(PAUSE.1),
        };
        self.not_before = Some(Instant::now() + self.pause);
        self.last = Ordering::Equal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_difference_that_lasts_is_looked_into_at_a_measured_pace() {
        let mut census = Census::new();
        assert!(!census.heard(3, 2));
        assert!(!census.heard(2, 2), "a session that was just beginning");
        assert!(!census.heard(3, 2));
        assert!(!census.heard(2, 3), "busy, not lost");
        assert!(census.heard(2, 3));
        census.looked(false);
        assert!(!census.heard(2, 3) && !census.heard(2, 3));
        tokio::time::advance(PAUSE.0).await;
        assert!(!census.heard(2, 3), "nothing was found, so it waits longer");
        tokio::time::advance(PAUSE.0).await;
        assert!(census.heard(2, 3));
        census.looked(true);
        tokio::time::advance(PAUSE.0).await;
        assert!(!census.heard(2, 3) && census.heard(2, 3));
    }
}
