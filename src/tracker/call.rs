//! A call: sessions that belong together.

use std::sync::Arc;
use std::time::SystemTime;

use super::index::Members;
use super::session::Session;
use crate::domain::{CallId, SessionId};

/// Sessions that together are a phone call, at one moment.
#[derive(Debug, Clone)]
pub struct Call {
    /// Identifier.
    pub id: CallId,
    /// The sessions, in the order in which they joined; never empty.
    pub sessions: Vec<Arc<Session>>,
    /// Age of the session with which it began, which may have left since.
    age: u64,
    /// The first session and when it was made, if it was forgotten before the call.
    first: Option<(SessionId, Option<SystemTime>)>,
}

// === impl Call ===

impl Call {
    /// A call of these sessions; `None` without any.
    pub(super) fn new(id: CallId, sessions: Vec<Arc<Session>>, members: Members) -> Option<Self> {
        (!sessions.is_empty()).then_some(Self {
            id,
            sessions,
            age: members.age,
            first: members.first,
        })
    }

    /// The session that came first.
    pub fn first(&self) -> Option<&SessionId> {
        let forgotten = self.first.as_ref().map(|(id, _)| id);
        forgotten.or_else(|| self.sessions.first().map(|session| &session.id))
    }

    /// The session that came last.
    pub fn last(&self) -> Option<&SessionId> {
        self.sessions.last().map(|session| &session.id)
    }

    /// The call as if it had no other sessions than these; `None` without any.
    pub(crate) fn only(self, keep: impl Fn(&Session) -> bool) -> Option<Self> {
        if self.first.is_none() && self.sessions.iter().all(|session| keep(session)) {
            return Some(self);
        }
        let mut sessions = self.sessions;
        sessions.retain(|session| keep(session));
        let age = sessions.first()?.order().0;
        Some(Self {
            id: self.id,
            sessions,
            age,
            first: None,
        })
    }

    /// Whether any session lives.
    pub fn is_live(&self) -> bool {
        self.sessions.iter().any(|session| session.is_live())
    }

    /// When the first session was made.
    pub fn started(&self) -> Option<SystemTime> {
        let known = self.sessions.iter().map(|session| session.times.created);
        let forgotten = self.first.iter().map(|(_, created)| *created);
        known.chain(forgotten).flatten().min()
    }

    /// When the last session ended; `None` while one lives.
    pub fn ended(&self) -> Option<SystemTime> {
        if self.is_live() {
            return None;
        }
        self.sessions
            .iter()
            .filter_map(|session| session.times.hung_up)
            .max()
    }

    /// Sorts calls by age, by id where the age is the same. Microseconds since 1970; never changes
    /// while the call has sessions.
    pub fn order(&self) -> (u64, &str) {
        (self.age, self.id.as_str())
    }
}
