//! Waiting for something to be seen of a session.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::session::Session;
use super::{Labels, Tracker};
use crate::domain::{NodeId, SessionId};
use crate::esl::Event;

/// What a watch is asked about: the session, and the event that made it so if there was one.
#[derive(Debug)]
pub struct Sighting<'a> {
    /// The session after the event.
    pub session: &'a Arc<Session>,
    /// The event; absent when the session is shown as it is.
    pub event: Option<&'a Event>,
}

/// The link to the session's node was lost, so nothing more can be seen for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link to the session's node was lost")]
pub struct WatchLost;

/// A wait for something to be seen. It leaves nothing behind when dropped.
pub struct Watch<T> {
    tracker: Arc<Tracker>,
    session: SessionId,
    ticket: u64,
    seen: oneshot::Receiver<T>,
}

type Ask = Box<dyn FnMut(&Sighting<'_>) -> bool + Send>;

/// Asked until it is content.
struct Watcher {
    ticket: u64,
    node: NodeId,
    ask: Ask,
}

/// A part of the tracker: sessions, and who watches them.
#[derive(Default)]
pub(super) struct Shard {
    pub(super) sessions: HashMap<SessionId, Arc<Session>, foldhash::fast::RandomState>,
    /// Labels of sessions that are about to begin.
    pub(super) expected: HashMap<SessionId, Labels, foldhash::fast::RandomState>,
    /// In order, so that those who lose their node are told in the same order each time.
    watchers: BTreeMap<SessionId, Vec<Watcher>>,
}

// === impl Watch ===

impl<T: Send + 'static> Watch<T> {
    pub(super) fn register(
        tracker: &Arc<Tracker>,
        node: &NodeId,
        id: &SessionId,
        mut matcher: impl FnMut(&Sighting<'_>) -> Option<T> + Send + 'static,
    ) -> Self {
        static TICKETS: AtomicU64 = AtomicU64::new(0);
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
        let (seen_tx, seen_rx) = oneshot::channel();
        let mut seen_tx = Some(seen_tx);
        let mut ask: Ask = Box::new(move |sighting| {
            let Some(sight) = matcher(sighting) else {
                return false;
            };
            if let Some(seen_tx) = seen_tx.take() {
                // Whoever waited may be gone.
                let _ = seen_tx.send(sight);
            }
            true
        });
        let mut shard = tracker.shard(id.as_str());
        let content = match shard.sessions.get(id.as_str()) {
            Some(session) => ask(&Sighting {
                session,
                event: None,
            }),
            None => false,
        };
        if !content {
            let watcher = Watcher {
                ticket,
                node: node.clone(),
                ask,
            };
            shard.watchers.entry(id.clone()).or_default().push(watcher);
        }
        drop(shard);
        Self {
            tracker: Arc::clone(tracker),
            session: id.clone(),
            ticket,
            seen: seen_rx,
        }
    }

    /// Waits for the sighting.
    ///
    /// # Errors
    /// When the link to the node was lost meanwhile.
    pub async fn seen(&mut self) -> Result<T, WatchLost> {
        (&mut self.seen).await.map_err(|_| WatchLost)
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        self.tracker
            .shard(self.session.as_str())
            .forget(&self.session, self.ticket);
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

// === impl Shard ===

impl Shard {
    /// Asks everyone who watches this session.
    pub(super) fn sighted(&mut self, session: &Arc<Session>, event: Option<&Event>) {
        let Some(watchers) = self.watchers.get_mut(session.id.as_str()) else {
            return;
        };
        let sighting = Sighting { session, event };
        watchers.retain_mut(|watcher| !(watcher.ask)(&sighting));
        if watchers.is_empty() {
            self.watchers.remove(session.id.as_str());
        }
    }

    /// Lets go of everyone who watches a session of this node; their waits end.
    pub(super) fn fail_watches(&mut self, node: &NodeId) {
        self.watchers.retain(|_, watchers| {
            watchers.retain(|watcher| watcher.node != *node);
            !watchers.is_empty()
        });
    }

    pub(super) fn watches(&self) -> usize {
        self.watchers.values().map(Vec::len).sum()
    }

    /// Takes out the sessions that ended longer ago than the retention.
    pub(super) fn sweep(&mut self, now: Instant, retention: Duration) -> Vec<Arc<Session>> {
        let is_past = |session: &Arc<Session>| {
            session
                .ended_at
                .is_some_and(|ended_at| now.saturating_duration_since(ended_at) >= retention)
        };
        self.sessions
            .extract_if(|_, session| is_past(session))
            .map(|(_, session)| session)
            .collect()
    }

    fn forget(&mut self, session: &SessionId, ticket: u64) {
        let Some(watchers) = self.watchers.get_mut(session.as_str()) else {
            return;
        };
        watchers.retain(|watcher| watcher.ticket != ticket);
        if watchers.is_empty() {
            self.watchers.remove(session.as_str());
        }
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("sessions", &self.sessions.len())
            .field("watches", &self.watches())
            .finish()
    }
}
