//! A call: sessions that belong together.

use std::sync::Arc;
use std::time::SystemTime;

use super::session::Session;
use crate::domain::CallId;

/// Sessions that together are a phone call, at one moment.
#[derive(Debug, Clone)]
pub struct Call {
    /// Identifier.
    pub id: CallId,
    /// The sessions, in the order in which they joined; never empty.
    pub sessions: Vec<Arc<Session>>,
}

// === impl Call ===

impl Call {
    /// A call of these sessions; `None` without any.
    pub(super) fn new(id: CallId, sessions: Vec<Arc<Session>>) -> Option<Self> {
        (!sessions.is_empty()).then_some(Self { id, sessions })
    }

    /// Whether any session lives.
    pub fn is_live(&self) -> bool {
        self.sessions.iter().any(|session| session.is_live())
    }

    /// When the first session was made.
    pub fn started(&self) -> Option<SystemTime> {
        self.sessions
            .iter()
            .filter_map(|session| session.times.created)
            .min()
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

    /// Sorts calls by age, by id where the age is the same. Microseconds since 1970.
    pub fn order(&self) -> (u64, &str) {
        let ages = self.sessions.iter().map(|session| session.order().0);
        (ages.min().unwrap_or(0), self.id.as_str())
    }
}
