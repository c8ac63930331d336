//! The journal and its subscribers.

use std::fmt;
use std::sync::Arc;

use super::{Family, Page, Theme};
use crate::events::{GAP_REASONS, Journal};

const APPENDED: Family = Family::counter(
    "switchgate_journal_appended_total",
    "Entries that came into the journal: events, gaps, states of nodes",
    &[],
);
const DROPPED: Family = Family::counter(
    "switchgate_journal_dropped_total",
    "Entries that had to leave the journal by age or for want of room",
    &[],
);
const ENTRIES: Family = Family::gauge("switchgate_journal_entries", "Entries that are held", &[]);
const BYTES: Family = Family::gauge(
    "switchgate_journal_bytes",
    "Bytes of the entries that are held (limit: events.journal_bytes)",
    &[],
);
const OLDEST: Family = Family::gauge(
    "switchgate_journal_oldest_seconds",
    "Age of the oldest entry that is held: so far back a cursor is good",
    &[],
);
const HISTORY_BYTES: Family = Family::gauge(
    "switchgate_history_bytes",
    "Bytes of events that are held for sessions (limit: sessions.history_bytes)",
    &[],
);
const HISTORY_SESSIONS: Family = Family::gauge(
    "switchgate_history_sessions",
    "Sessions of which events are held",
    &[],
);
const SUBSCRIBERS: Family = Family::gauge("switchgate_subscribers", "Subscribers", &[]);
const LAG_ENTRIES: Family = Family::gauge(
    "switchgate_subscriber_lag_entries",
    "Entries of the journal that the subscriber furthest behind has still to look at",
    &[],
);
const LAG_SECONDS: Family = Family::gauge(
    "switchgate_subscriber_lag_seconds",
    "Age of the first of these entries",
    &[],
);
const DELIVERED: Family = Family::counter(
    "switchgate_events_delivered_total",
    "Events that were told, once for each subscriber",
    &[],
);
const LEFT_OUT: Family = Family::counter(
    "switchgate_events_left_out_total",
    "Events that were left out for subscribers that were too slow, as far as they could be counted",
    &[],
);
const GAPS: Family = Family::counter(
    "switchgate_subscriber_gaps_total",
    "Gaps that subscribers were told",
    &["reason"],
);
const ENDED: Family = Family::counter(
    "switchgate_subscribers_ended_total",
    "Subscribers that were ended: slow (SLOW_CONSUMER), or overrun (CURSOR_LOST)",
    &["reason"],
);

/// The journal and its subscribers.
#[derive(Debug)]
pub struct EventMetrics(pub Arc<Journal>);

// === impl EventMetrics ===

impl Theme for EventMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let now = self.0.now();
        page.samples(&APPENDED, [([], now.appended)])?;
        page.samples(&DROPPED, [([], now.dropped)])?;
        page.samples(&ENTRIES, [([], now.appended - now.dropped)])?;
        page.samples(&BYTES, [([], now.held_bytes)])?;
        page.samples(&OLDEST, [([], now.oldest_seconds)])?;
        page.samples(&HISTORY_BYTES, [([], now.history.0)])?;
        page.samples(&HISTORY_SESSIONS, [([], now.history.1)])?;
        page.samples(&SUBSCRIBERS, [([], now.subscribers)])?;
        page.samples(&LAG_ENTRIES, [([], now.lag.0)])?;
        page.samples(&LAG_SECONDS, [([], now.lag.1)])?;
        let delivered = self.0.delivered();
        page.samples(&DELIVERED, [([], delivered.events.get())])?;
        page.samples(&LEFT_OUT, [([], delivered.left_out.get())])?;
        let gaps = GAP_REASONS.iter().zip(&delivered.gaps);
        page.samples(
            &GAPS,
            gaps.map(|(reason, count)| ([reason.name()], count.get())),
        )?;
        let ended = [
            (["slow"], delivered.ended_slow.get()),
            (["overrun"], delivered.ended_overrun.get()),
        ];
        page.samples(&ENDED, ended)
    }
}
