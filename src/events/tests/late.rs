//! A log of another kind: what was appended can be read only later, and a few entries at a time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::super::log::{Bounds, Found, Log, Overrun};
use super::super::ring::Ring;
use super::*;

/// Entries that one read gives at most.
const AT_ONCE: usize = 3;

/// Which log a journal stands in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Ring,
    Late,
}

/// Shows what was appended when told to.
#[derive(Debug)]
pub(super) struct Late {
    ring: Ring,
    shown: AtomicU64,
    grown: Notify,
}

/// What shows more of a log, if it is a late one.
pub(super) struct Shows(Option<Arc<Late>>);

pub(super) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Ring), Just(Kind::Late)]
}

// === impl Kind ===

impl Kind {
    pub(super) fn start(self, max_bytes: usize) -> (Arc<Journal>, Shows) {
        let config = JournalConfig {
            max_bytes,
            max_age: Duration::from_secs(600),
        };
        let late = Arc::new(Late {
            ring: Ring::new(config),
            shown: AtomicU64::new(0),
            grown: Notify::new(),
        });
        match self {
            Self::Ring => (super::start(config), Shows(None)),
            Self::Late => {
                let log = Arc::clone(&late) as Arc<dyn Log>;
                let journal = Journal::start_over(log, HistoryConfig::default(), &Drain::new());
                (journal, Shows(Some(late)))
            }
        }
    }
}

// === impl Shows ===

impl Shows {
    /// Shows this many entries more.
    pub(super) fn show(&self, count: usize) {
        let Some(late) = &self.0 else { return };
        let shown = late.shown().saturating_add(count as u64);
        let end = late.ring.bounds().end;
        late.shown.store(shown.min(end), Ordering::Release);
        late.grown.notify_one();
    }
}

// === impl Late ===

impl Late {
    fn shown(&self) -> u64 {
        let oldest = self.ring.bounds().oldest;
        self.shown.load(Ordering::Acquire).max(oldest)
    }
}

impl Log for Late {
    fn epoch(&self) -> u64 {
        self.ring.epoch()
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            end: self.shown(),
            ..self.ring.bounds()
        }
    }

    fn append(&self, entry: Arc<Entry>) -> u64 {
        self.ring.append(entry)
    }

    fn read(&self, position: u64, max: usize, max_bytes: usize) -> Result<Found, Overrun> {
        let shown = self.shown();
        let all = self.ring.read(position, usize::MAX, usize::MAX)?;
        let mut found = Found {
            entries: Vec::new(),
            lag_bytes: 0,
            left_bytes: 0,
        };
        let mut taken_bytes = 0;
        for (at, entry) in all.entries.into_iter().filter(|(at, _)| *at <= shown) {
            let size = entry.size();
            found.lag_bytes += size as u64;
            let fits = found.entries.is_empty() || taken_bytes + size <= max_bytes;
            if found.left_bytes > 0 || found.entries.len() == max.min(AT_ONCE) || !fits {
                found.left_bytes += size as u64;
            } else {
                taken_bytes += size;
                found.entries.push((at, entry));
            }
        }
        Ok(found)
    }

    fn appended_at(&self, position: u64) -> Option<Instant> {
        self.ring.appended_at(position)
    }

    fn grown(&self) -> &Notify {
        &self.grown
    }
}
