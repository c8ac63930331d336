//! Sessions, calls and requests that are remembered.

use std::fmt;
use std::sync::Arc;

use super::{Family, Page, Theme};
use crate::control::Once;
use crate::tracker::Tracker;

const SESSIONS: Family = Family::gauge(
    "switchgate_sessions",
    "Sessions that are known: live ones, and ended ones that can still be read",
    &["state"],
);
const CALLS: Family = Family::gauge(
    "switchgate_calls",
    "Calls that are known: live ones, and ended ones that can still be read",
    &["state"],
);
const WATCHES: Family = Family::gauge(
    "switchgate_watches",
    "Waits for something to be seen of a session",
    &[],
);
const REQUESTS: Family = Family::gauge(
    "switchgate_request_ids",
    "Requests that are remembered by their request_id: those that run, and those that are done",
    &["state"],
);

/// What is known and remembered.
#[derive(Debug)]
pub struct SessionMetrics {
    /// Sessions and calls.
    pub tracker: Arc<Tracker>,
    /// Requests with a `request_id`.
    pub once: Arc<Once>,
}

// === impl SessionMetrics ===

impl Theme for SessionMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let sizes = self.tracker.sizes();
        let sessions = [
            (["live"], sizes.live_sessions),
            (["ended"], sizes.ended_sessions),
        ];
        page.samples(&SESSIONS, sessions)?;
        let calls = [(["live"], sizes.live_calls), (["ended"], sizes.ended_calls)];
        page.samples(&CALLS, calls)?;
        page.samples(&WATCHES, [([], self.tracker.watches())])?;
        let running = self.once.running();
        let done = self.once.remembered().saturating_sub(running);
        page.samples(&REQUESTS, [(["running"], running), (["done"], done)])
    }
}
