//! Who is told when a session can no longer be read.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use super::lock;
use crate::domain::SessionId;

type Forget = Box<dyn Fn(&SessionId) + Send + Sync>;

/// What the floors above keep of sessions goes after them: one sweep later, since an event that was
/// taken just before may still be on its way there.
#[derive(Default)]
pub(super) struct OnForget {
    forget: OnceLock<Forget>,
    /// Forgotten since the sweep before.
    due: Mutex<Vec<SessionId>>,
}

// === impl OnForget ===

impl OnForget {
    pub(super) fn set(&self, forget: impl Fn(&SessionId) + Send + Sync + 'static) {
        // A second one is dropped.
        let _ = self.forget.set(Box::new(forget));
    }

    /// The session can no longer be read; that is told at the next sweep.
    pub(super) fn later(&self, session: &SessionId) {
        lock(&self.due).push(session.clone());
    }

    /// Those of whom it is to be told now.
    pub(super) fn take_due(&self) -> Vec<SessionId> {
        std::mem::take(&mut *lock(&self.due))
    }

    pub(super) fn tell(&self, session: &SessionId) {
        if let Some(forget) = self.forget.get() {
            forget(session);
        }
    }
}

impl fmt::Debug for OnForget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnForget").finish_non_exhaustive()
    }
}
