//! Who is told when a session can no longer be read.

use std::fmt;
use std::sync::OnceLock;

use crate::domain::SessionId;

type Forget = Box<dyn Fn(&SessionId) + Send + Sync>;

/// What the floors above keep of sessions goes with them.
#[derive(Default)]
pub(super) struct OnForget(OnceLock<Forget>);

// === impl OnForget ===

impl OnForget {
    pub(super) fn set(&self, forget: impl Fn(&SessionId) + Send + Sync + 'static) {
        // A second one is dropped.
        let _ = self.0.set(Box::new(forget));
    }

    pub(super) fn tell(&self, session: &SessionId) {
        if let Some(forget) = self.0.get() {
            forget(session);
        }
    }
}

impl fmt::Debug for OnForget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnForget").finish_non_exhaustive()
    }
}
