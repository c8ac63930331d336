//! The journal: every event of every node, in the order of arrival, bounded by bytes and age.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::history::{History, HistoryConfig, SessionHistory};
use crate::domain::{CallId, JobId, NodeId, NodeState, SessionId};
use crate::esl::Event;

/// How much the journal remembers.
#[derive(Debug, Clone, Copy)]
pub struct JournalConfig {
    /// Bytes of events, their indexes included.
    pub max_bytes: usize,
    /// Age of the oldest event.
    pub max_age: Duration,
}

/// An event and what it is about.
#[derive(Debug, Clone)]
pub struct Record {
    /// Who sent it.
    pub node: NodeId,
    /// The event.
    pub event: Event,
    /// The session that it is about.
    pub session: Option<SessionId>,
    /// The call of that session, at that moment.
    pub call: Option<CallId>,
    /// The job that it is about.
    pub job: Option<JobId>,
    /// Whether the gateway made it.
    pub synthetic: bool,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The link to the node was lost.
    LinkLost,
    /// They did not come though there was a link.
    EventsLost,
    /// The subscriber was too slow.
    SlowConsumer,
    /// The journal had no room for them any longer.
    JournalOverrun,
}

/// Events are missing.
#[derive(Debug, Clone)]
pub struct Gap {
    /// Whose; absent for any node's.
    pub node: Option<NodeId>,
    /// How many; 0 when nobody knows.
    pub count: u64,
    /// Why.
    pub reason: GapReason,
    /// From when on.
    pub began: SystemTime,
    /// Until when; absent while it goes on.
    pub ended: Option<SystemTime>,
}

/// One entry of the journal.
#[derive(Debug, Clone)]
pub enum Entry {
    /// An event.
    Event(Record),
    /// Events of a node are missing here.
    Gap(Gap),
    /// A node changed its state.
    NodeState {
        /// Which.
        node: NodeId,
        /// To what.
        state: NodeState,
    },
}

/// An in-process ring. Appending never waits for a reader; readers that fall behind its oldest
/// entry are told.
#[derive(Debug)]
pub struct Journal {
    config: JournalConfig,
    epoch: u64,
    ring: Mutex<Ring>,
    /// The same events by session, which stay longer.
    history: History,
    /// Position behind the newest entry, for readers that wait.
    end: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    slots: VecDeque<Slot>,
    /// Entries that were dropped from the front.
    dropped: u64,
    /// Bytes of the entries that are held, and of all that ever were.
    held_bytes: usize,
    total_bytes: u64,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    at: Instant,
    size: usize,
    /// `total_bytes` before this entry.
    offset: u64,
}

/// What a reader found.
#[derive(Debug)]
pub(super) struct Found {
    /// Entries with the position behind each.
    pub(super) entries: Vec<(u64, Arc<Entry>)>,
    /// Bytes between the reader's position and the end.
    pub(super) lag_bytes: u64,
    /// Those that lie behind the entries found.
    pub(super) left_bytes: u64,
}

/// The reader's position is no longer in the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overrun {
    pub(super) oldest: u64,
}

// === impl JournalConfig ===

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_age: Duration::from_secs(600),
        }
    }
}

// === impl Journal ===

impl Journal {
    /// An empty journal of a new epoch.
    pub fn new(config: JournalConfig) -> Self {
        Self::with_history(config, HistoryConfig::default())
    }

    /// As [`Journal::new`], with other bounds for what is remembered of sessions.
    pub fn with_history(config: JournalConfig, history: HistoryConfig) -> Self {
        Self {
            config,
            epoch: rand::random(),
            ring: Mutex::default(),
            history: History::new(history),
            end: watch::Sender::new(0),
        }
    }

    /// Appends an entry.
    pub fn append(&self, entry: Entry) {
        let entry = Arc::new(entry);
        let end = {
            let mut ring = self.lock();
            ring.push(Arc::clone(&entry));
            ring.trim(self.config);
            ring.end()
        };
        // Before the end moves: whoever waits for it finds the event here too.
        self.history.push(end, &entry);
        // Two nodes append at a time and may come here in the other order; the end never goes back.
        self.end.send_modify(|known| *known = end.max(*known));
    }

    /// The position behind the newest entry. Read it before the state that it is to belong to:
    /// the tracker takes an event before the journal does.
    pub fn cursor(&self) -> Cursor {
        self.cursor_at(*self.end.borrow())
    }

    /// The position before the oldest entry.
    pub fn oldest(&self) -> Cursor {
        self.cursor_at(self.lock().dropped)
    }

    /// Bytes of the events that are held, their indexes included.
    pub fn held_bytes(&self) -> usize {
        self.lock().held_bytes
    }

    /// The events of a session, for as long as it can be read.
    pub fn of_session(&self, session: &SessionId) -> SessionHistory {
        self.history.of(session, self.epoch)
    }

    /// A session can no longer be read.
    pub fn forget_session(&self, session: &SessionId) {
        self.history.forget(session);
    }

    /// Bytes of events of sessions that are held, and the sessions that have any, for tests.
    pub fn history_held(&self) -> (usize, usize) {
        self.history.held()
    }

    pub(super) fn cursor_at(&self, position: u64) -> Cursor {
        Cursor {
            epoch: self.epoch,
            position,
        }
    }

    /// Up to `max` entries behind `position`, and no more bytes of events than `max_bytes` unless
    /// the first one alone has more.
    pub(super) fn read(
        &self,
        position: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Found, Overrun> {
        let ring = self.lock();
        let Some(skip) = position.checked_sub(ring.dropped) else {
            return Err(Overrun {
                oldest: ring.dropped,
            });
        };
        let skip = usize::try_from(skip)
            .unwrap_or(usize::MAX)
            .min(ring.slots.len());
        let lag_bytes = ring
            .slots
            .get(skip)
            .map_or(0, |slot| ring.total_bytes - slot.offset);
        let mut taken_bytes = 0;
        let mut entries = Vec::new();
        for (slot, at) in ring.slots.range(skip..).take(max).zip(position + 1..) {
            if !entries.is_empty() && taken_bytes + slot.size > max_bytes {
                break;
            }
            taken_bytes += slot.size;
            entries.push((at, Arc::clone(&slot.entry)));
        }
        Ok(Found {
            entries,
            lag_bytes,
            left_bytes: lag_bytes - taken_bytes as u64,
        })
    }

    pub(super) fn ends(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    fn end(&self) -> u64 {
        self.dropped + self.slots.len() as u64
    }

    fn push(&mut self, entry: Arc<Entry>) {
        let size = match &*entry {
            Entry::Event(record) => record.event.size(),
            Entry::Gap(_) | Entry::NodeState { .. } => 256,
        };
        self.slots.push_back(Slot {
            entry,
            at: Instant::now(),
            size,
            offset: self.total_bytes,
        });
        self.held_bytes += size;
        self.total_bytes += size as u64;
    }

    fn trim(&mut self, config: JournalConfig) {
        let now = Instant::now();
        while let Some(oldest) = self.slots.front() {
            let is_past = now.saturating_duration_since(oldest.at) > config.max_age;
            if !is_past && self.held_bytes <= config.max_bytes {
                return;
            }
            self.held_bytes -= oldest.size;
            self.dropped += 1;
            self.slots.pop_front();
        }
    }
}
