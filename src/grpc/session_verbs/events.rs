//! The events of a session: listed and waited for.

use std::sync::Arc;
use std::time::Duration;

use super::super::Services;
use super::super::convert::{optional_duration, to_event, unknown_value};
use super::super::event_service::Selection;
use super::super::page::{Wanted, page_of_bytes};
use super::super::watch::shutting_down;
use super::hearing::{Heard, Hearing, is_last, record};
use super::session_id;
use crate::domain::{Deadline, Failure, SessionId, check_event_name};
use crate::events::{Cursor, Entry, EventSet, Record, SessionHistory, Start};
use crate::pb;

/// Most names that one wait may have.
const MAX_NAMES: usize = 64;

// === impl Services ===

impl Services {
    pub(in crate::grpc) fn list_events(
        &self,
        request: &pb::ListSessionEventsRequest,
    ) -> Result<pb::ListSessionEventsResponse, Failure> {
        let id = session_id(&request.session_id)?;
        self.control.session(&id)?;
        let cursor = self.control.cursor();
        let SessionHistory {
            mut events,
            left_out,
        } = self.control.history(&id)?;
        if request.newest_first {
            events.reverse();
        }
        // The epoch, since positions of another journal mean other events.
        let filter = format!("{id} {} {}", request.newest_first, cursor.epoch);
        let wanted = Wanted {
            size: request.page_size,
            token: &request.page_token,
            filter: &filter,
        };
        let key = |(cursor, _): &(Cursor, Arc<Entry>)| format!("{:016x}", cursor.position);
        let bytes = |(_, entry): &(Cursor, Arc<Entry>)| {
            record(entry).map_or(0, |record| record.event.size())
        };
        let page = page_of_bytes(events, wanted, request.newest_first, key, bytes)?;
        let events = page
            .items
            .iter()
            .filter_map(|(cursor, entry)| Some(to_event(record(entry)?, *cursor, &Selection::All)));
        Ok(pb::ListSessionEventsResponse {
            events: events.collect(),
            next_page_token: page.next_token,
            total_size: page.total,
            left_out,
            cursor: cursor.to_string(),
        })
    }

    pub(in crate::grpc) async fn await_events(
        &self,
        request: pb::WaitForEventsRequest,
        deadline: Deadline,
    ) -> Result<pb::WaitForEventsResponse, Failure> {
        let id = session_id(&request.session_id)?;
        let until_all = match pb::ReturnWhen::try_from(request.return_when) {
            Ok(pb::ReturnWhen::Unspecified | pb::ReturnWhen::First) => false,
            Ok(pb::ReturnWhen::All) => true,
            Err(_) => return Err(unknown_value("return_when", request.return_when)),
        };
        let mut pending = request.event_names;
        if pending.is_empty() || pending.len() > MAX_NAMES {
            return Err(Failure::invalid(
                "event_names",
                format!("must be 1 to {MAX_NAMES} names"),
            ));
        }
        for (at, name) in pending.iter().enumerate() {
            check_event_name(name).map_err(|error| {
                Failure::invalid(format!("event_names[{at}]"), error.to_string())
            })?;
        }
        let timeout = optional_duration(request.timeout, "timeout")?;
        let start = match request.cursor.is_empty() {
            true => Start::Now,
            false => Start::After(
                request
                    .cursor
                    .parse()
                    .map_err(|error| Failure::invalid("cursor", format!("{error}")))?,
            ),
        };
        self.control.session(&id)?;
        let set = EventSet::named(pending.iter().map(String::as_str));
        let want = self.control.want(set);
        // The time for it is not that of the wait, which may be as short as a look at what is there.
        deadline.bound(want.in_force()).await;
        let mut deadline = match timeout {
            Some(timeout) => deadline.min(Deadline::after(timeout)),
            None => deadline,
        };
        // Begun first, so that nothing falls between.
        let mut hearing = Hearing::begin(self, &id, start, want.set())?;
        if matches!(start, Start::Now) {
            self.control.live_session(&id)?;
        } else if self.is_over(&id) {
            // What came behind the cursor is there; nothing more will come.
            deadline = Deadline::after(Duration::ZERO);
        }
        let mut events = Vec::new();
        let cursor = loop {
            let heard = tokio::select! {
                biased;
                () = self.drain.stopped() => {
                    return Err(shutting_down().session(&id).with("cursor", hearing.cursor()));
                }
                heard = deadline.bound(hearing.next()) => heard,
            };
            let Some(heard) = heard else {
                break hearing.cursor();
            };
            let is_over = match heard? {
                Heard::Events(entries) => {
                    let found = self.pick(&entries, &mut pending, until_all, &mut events);
                    if let Some(cursor) = found {
                        break cursor;
                    }
                    entries
                        .iter()
                        .filter_map(|(_, entry)| record(entry))
                        .any(is_last)
                }
                // What comes when the link is back can still be waited for.
                Heard::Lost => false,
                Heard::Skipped => true,
                Heard::Back => hearing.has_missed() || self.has_ended(&id),
                Heard::Silence => self.is_over(&id),
            };
            if is_over {
                break hearing.cursor();
            }
        };
        Ok(pb::WaitForEventsResponse {
            events,
            pending_names: pending,
            cursor: cursor.to_string(),
            gap: hearing.gap(),
        })
    }

    /// Takes the events that are waited for; gives back the cursor behind the one that ended the
    /// wait.
    fn pick(
        &self,
        entries: &[(Cursor, Arc<Entry>)],
        pending: &mut Vec<String>,
        until_all: bool,
        events: &mut Vec<pb::Event>,
    ) -> Option<Cursor> {
        for (cursor, entry) in entries {
            let Some(record) = record(entry) else {
                continue;
            };
            if let Some(at) = place_of(record, pending) {
                pending.remove(at);
                events.push(to_event(record, *cursor, &Selection::All));
                if !until_all || pending.is_empty() {
                    return Some(*cursor);
                }
            }
        }
        None
    }

    pub(super) fn has_ended(&self, id: &SessionId) -> bool {
        let session = self.control.session(id);
        session.map_or(true, |session| !session.is_live())
    }

    /// Whether the session has ended and its last event has come, or need not be waited for.
    pub(super) fn is_over(&self, id: &SessionId) -> bool {
        let session = self.control.session(id);
        session.map_or(true, |session| session.is_over())
    }
}

/// Which of the names the event has: a custom one its subclass before `CUSTOM`.
fn place_of(record: &Record, names: &[String]) -> Option<usize> {
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let subclass = record.event.subclass();
    subclass
        .and_then(|subclass| place(&subclass))
        .or_else(|| place(&record.event.name()))
}
