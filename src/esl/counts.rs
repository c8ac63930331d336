//! What goes over links, for those who watch the gateway.

use std::sync::Arc;

use crate::domain::Count;

/// What went over all links that share it.
#[derive(Debug, Default)]
pub struct LinkCounts {
    /// Bytes read, without those of the login.
    pub bytes_read: Count,
    /// Bytes written, without those of the login.
    pub bytes_written: Count,
    /// Frames read: replies, events and notices.
    pub frames_read: Count,
    /// Commands put into the write buffer, probes included.
    pub commands: Count,
    /// Commands whose reply is due now.
    pub pending: Count,
}

/// One link's part in the number of replies that are due, which it takes away with it.
#[derive(Debug)]
pub(super) struct Due {
    counts: Arc<LinkCounts>,
    number: usize,
}

// === impl Due ===

impl Due {
    pub(super) fn new(counts: &Arc<LinkCounts>) -> Self {
        Self {
            counts: Arc::clone(counts),
            number: 0,
        }
    }

    pub(super) fn set(&mut self, number: usize) {
        let pending = &self.counts.pending;
        match number.checked_sub(self.number) {
            Some(more) => pending.add(more as u64),
            None => pending.take((self.number - number) as u64),
        }
        self.number = number;
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_ends_leaves_nothing_due() {
        let counts = Arc::new(LinkCounts::default());
        let (mut one, mut other) = (Due::new(&counts), Due::new(&counts));
        one.set(3);
        other.set(2);
        assert_eq!(counts.pending.get(), 5);
        one.set(1);
        drop(other);
        assert_eq!(counts.pending.get(), 1);
        drop(one);
        assert_eq!(counts.pending.get(), 0);
    }
}
