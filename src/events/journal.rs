//! The journal: every event of every node, in the order of arrival.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::counts::Delivered;
use super::cursor::Cursor;
use super::history::{History, HistoryConfig, SessionHistory};
use super::log::{Bounds, Log};
pub(super) use super::log::{Found, Overrun};
use super::ring::Ring;
use super::sleepers::{Sleepers, wake};
use super::subscription::check_cursor;
use super::wants::Asked;
use crate::access::Owners;
use crate::domain::{CallId, Failure, JobId, NodeId, NodeState, SessionId};
use crate::esl::Event;
use crate::shutdown::Drain;

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
    /// The tenants whose the session was then.
    pub owners: Owners,
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
    /// FreeSWITCH was not asked for some of them.
    NotSubscribed,
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
    /// From here on FreeSWITCH is asked for more events than before.
    Asked(Asked),
}

/// Appending never waits for a reader; readers that fall behind the oldest entry are told.
#[derive(Debug)]
pub struct Journal {
    log: Arc<dyn Log>,
    /// The same events by session, which stay longer.
    history: History,
    /// Subscriptions that have read all there was.
    sleepers: Arc<Sleepers>,
    /// Held while an entry goes into the log and the history, so that both have one order.
    appending: Mutex<()>,
    /// Position behind the newest entry that both have.
    end: AtomicU64,
    /// What subscribers got.
    delivered: Delivered,
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

// === impl Entry ===

impl Entry {
    /// Bytes that it counts for.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Event(record) => record.event.size(),
            Self::Gap(_) | Self::NodeState { .. } => 256,
            Self::Asked(asked) => asked.size(),
        }
    }
}

// === impl Journal ===

impl Journal {
    /// An empty journal of a new epoch. The task that wakes its subscriptions belongs to `drain`.
    pub fn start(config: JournalConfig, history: HistoryConfig, drain: &Drain) -> Arc<Self> {
        Self::start_over(Arc::new(Ring::new(config)), history, drain)
    }

    /// As [`Journal::start`], over a log of another kind.
    pub(super) fn start_over(
        log: Arc<dyn Log>,
        history: HistoryConfig,
        drain: &Drain,
    ) -> Arc<Self> {
        let sleepers = Arc::new(Sleepers::default());
        let (stopped, waking) = (
            drain.stopped(),
            wake(Arc::clone(&log), Arc::clone(&sleepers)),
        );
        drain.spawn(async move {
            tokio::select! {
                biased;
                () = stopped => {}
                () = waking => {}
            }
        });
        Arc::new(Self {
            end: AtomicU64::new(log.bounds().end),
            log,
            history: History::new(history),
            sleepers,
            appending: Mutex::new(()),
            delivered: Delivered::default(),
        })
    }

    /// Appends an entry.
    pub fn append(&self, entry: Entry) {
        let entry = Arc::new(entry);
        let _turn = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let end = self.log.append(Arc::clone(&entry));
        // Before the end moves: whoever follows from there finds the event here.
        self.history.push(end, &entry);
        self.end.store(end, Ordering::Release);
    }

    /// The position behind the newest entry. Read it before the state that it is to belong to:
    /// the tracker takes an event before the journal does.
    pub fn cursor(&self) -> Cursor {
        self.cursor_at(self.end.load(Ordering::Acquire))
    }

    /// The position before the oldest entry.
    pub fn oldest(&self) -> Cursor {
        self.cursor_at(self.log.bounds().oldest)
    }

    /// Whether everything behind a cursor is held.
    ///
    /// # Errors
    /// CURSOR_LOST when the cursor is of another journal or older than the oldest entry.
    pub fn check_reaches(&self, cursor: Cursor) -> Result<(), Failure> {
        check_cursor(self, cursor).map(drop)
    }

    /// Bytes of the events that are held, their indexes included.
    pub fn held_bytes(&self) -> usize {
        self.log.bounds().bytes
    }

    /// The events of a session, for as long as it can be read.
    pub fn of_session(&self, session: &SessionId) -> SessionHistory {
        self.history.of(session, self.log.epoch())
    }

    /// A session can no longer be read.
    pub fn forget_session(&self, session: &SessionId) {
        self.history.forget(session);
    }

    /// Bytes of events of sessions that are held, and the sessions that have any.
    pub fn history_held(&self) -> (usize, usize) {
        self.history.held()
    }

    pub(super) fn cursor_at(&self, position: u64) -> Cursor {
        Cursor {
            epoch: self.log.epoch(),
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
        self.log.read(position, max, max_bytes)
    }

    /// When the entry in front of `position` came, if it is still there.
    pub(super) fn appended_at(&self, position: u64) -> Option<Instant> {
        self.log.appended_at(position)
    }

    /// The position before the oldest entry, and the one behind all that anybody was told.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let bounds = self.log.bounds();
        // An entry can be read before it is in the history.
        (bounds.oldest, bounds.end.max(self.cursor().position))
    }

    /// What all subscribers got since the start.
    pub fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    pub(super) fn held(&self) -> Bounds {
        self.log.bounds()
    }

    pub(super) fn sleepers(&self) -> &Arc<Sleepers> {
        &self.sleepers
    }
}
