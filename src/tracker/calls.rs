//! Calls: which sessions are one, and who wants to know when it changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::index::{CallIndex, Move};
use super::session::Session;
use super::{Applied, Call, Tracker, lock};
use crate::domain::{CallId, NodeId, SessionId};
use crate::esl::Event;

/// All calls, and who follows which.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) index: Mutex<CallIndex>,
    follows: Mutex<HashMap<CallId, watch::Sender<()>>>,
    /// Number of entries in `follows`: mostly none, and then nobody needs its lock.
    followed: AtomicUsize,
}

/// Tells that a call has changed: a session of it, or which they are. It leaves nothing behind when
/// dropped.
#[derive(Debug)]
pub struct CallFollow {
    tracker: Arc<Tracker>,
    id: CallId,
    changes: watch::Receiver<()>,
}

// === impl Tracker ===

impl Tracker {
    /// The call, if one of its sessions is known.
    pub fn call(&self, id: &CallId) -> Option<Call> {
        let members = lock(&self.calls.index).members(id)?;
        let sessions = members.sessions.iter();
        let sessions = sessions.filter_map(|member| self.session(member)).collect();
        Call::new(id.clone(), sessions, members)
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        let ids = lock(&self.calls.index).ids();
        let mut calls: Vec<_> = ids.iter().filter_map(|id| self.call(id)).collect();
        calls.sort_by_cached_key(|call| {
            let (created, id) = call.order();
            (created, id.to_owned())
        });
        calls
    }

    /// Follows a call, which need not exist yet.
    pub fn follow_call(self: &Arc<Self>, id: &CallId) -> CallFollow {
        let mut follows = lock(&self.calls.follows);
        let changes = follows.entry(id.clone()).or_default().subscribe();
        self.calls.followed.store(follows.len(), Ordering::Release);
        CallFollow {
            tracker: Arc::clone(self),
            id: id.clone(),
            changes,
        }
    }

    /// Takes what asking for a session (`uuid_dump`) told of its call, and of nothing else. Those
    /// of its events that FreeSWITCH made before, and which may still be under way, do not count
    /// for that any more. What was taken is to be announced.
    pub fn take_call(&self, node: &NodeId, dump: &Event) -> Option<Applied> {
        let id: SessionId = dump.text("Unique-ID")?.parse().ok()?;
        let mut moves = Vec::new();
        let is_here = |session: &Session| session.node == *node && session.is_live();
        self.session(&id).filter(|session| is_here(session))?;
        let session = self.update(&id, |session| {
            if session.hear_answer(dump, &self.variable) {
                moves = self.settle(session);
            }
        })?;
        self.follow(moves);
        Some(Applied {
            session,
            peer: None,
        })
    }

    /// Number of calls that are followed, for tests that nothing is left behind.
    pub fn followed_calls(&self) -> usize {
        self.calls.followed.load(Ordering::Acquire)
    }

    /// Puts a session where its claim says. Its shard is locked, which orders the moves of one
    /// session; the index's lock is the last one taken. The moves are to be followed when the shard
    /// is free again.
    pub(super) fn settle(&self, session: &mut Session) -> Vec<Move> {
        let mut index = lock(&self.calls.index);
        let moves = index.settle(&session.id, session.order().0, session.claim.name());
        if let Some(call) = index.home(&session.id) {
            session.call = call.clone();
        }
        moves
    }

    /// A session has ended; its shard is locked.
    pub(super) fn rest(&self, session: &SessionId) {
        lock(&self.calls.index).rest(session);
    }

    /// A session is forgotten; its shard is locked.
    pub(super) fn forget_member(&self, session: &Session) {
        lock(&self.calls.index).remove(&session.id, session.times.created);
    }

    /// Tells sessions that went along with another one where they are now, and everyone who follows
    /// one of the calls. No shard is locked.
    pub(super) fn follow(&self, moves: Vec<Move>) {
        for moved in moves {
            self.go_along(&moved.session);
            for call in moved.from.iter().chain([&moved.to]) {
                self.call_changed(call);
            }
        }
    }

    /// The snapshot of a session follows the index, which is right whatever came in between.
    fn go_along(&self, id: &SessionId) {
        let mut shard = self.shard(id.as_str());
        let Some(session) = shard.sessions.get_mut(id.as_str()) else {
            return;
        };
        let home = lock(&self.calls.index).home(id).cloned();
        // That of the session which moved first knows already, and is told of with its event.
        let Some(call) = home.filter(|call| *call != session.call) else {
            return;
        };
        Arc::make_mut(session).call = call;
        let session = Arc::clone(session);
        shard.sighted(&session, None);
    }

    pub(super) fn call_changed(&self, call: &CallId) {
        if self.followed_calls() == 0 {
            return;
        }
        if let Some(changes) = lock(&self.calls.follows).get(call.as_str()) {
            changes.send_replace(());
        }
    }
}

// === impl CallFollow ===

impl CallFollow {
    /// Waits for a change since the last time; several are one. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The sender stays as long as somebody follows.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for CallFollow {
    fn drop(&mut self) {
        let calls = &self.tracker.calls;
        let mut follows = lock(&calls.follows);
        // This receiver is still one of them.
        let is_last = |changes: &watch::Sender<()>| changes.receiver_count() <= 1;
        if follows.get(self.id.as_str()).is_some_and(is_last) {
            follows.remove(self.id.as_str());
        }
        calls.followed.store(follows.len(), Ordering::Release);
    }
}
