//! The events of a session: listed, waited for, watched.

use std::sync::Arc;
use std::time::Duration;

use super::super::Services;
use super::super::convert::unknown_value;
use super::super::convert::{HeaderChoice, optional_duration, to_event, to_session};
use super::super::page::{Wanted, page_of_bytes};
use super::super::watch::{Watched, Watching};
use super::session_id;
use crate::domain::{Deadline, Failure, SessionId};
use crate::events::{
    Cursor, Entry, EventFilter, Item, Record, SessionHistory, SlowPolicy, Start, Subscription,
};
use crate::pb;

/// Most names that one wait may have.
const MAX_NAMES: usize = 64;

pub(in crate::grpc) type SessionStream = Watching<pb::WatchSessionResponse>;

/// One watched session.
struct Feed {
    services: Services,
    subscription: Subscription,
    session: SessionId,
    is_first: bool,
    is_over: bool,
}

// === impl Services ===

impl Services {
    pub(in crate::grpc) fn list_events(
        &self,
        request: &pb::ListSessionEventsRequest,
    ) -> Result<pb::ListSessionEventsResponse, Failure> {
        let id = session_id(&request.session_id)?;
        self.control.session(&id)?;
        let cursor = self.control.journal.cursor();
        let SessionHistory {
            mut events,
            left_out,
        } = self.control.journal.of_session(&id);
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
        let events = page.items.iter().filter_map(|(cursor, entry)| {
            Some(to_event(record(entry)?, *cursor, &HeaderChoice::All))
        });
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
        let deadline = match optional_duration(request.timeout, "timeout")? {
            Some(timeout) => deadline.min(Deadline::after(timeout)),
            None => deadline,
        };
        // Subscribed first, so that nothing falls between.
        let mut subscription = self.follow(&id)?;
        self.control.live_session(&id)?;
        let mut events = Vec::new();
        while let Some(item) = deadline.bound(subscription.next()).await {
            let Item::Events(entries) = item? else {
                continue;
            };
            for (cursor, entry) in &entries {
                let Some(record) = record(entry) else {
                    continue;
                };
                let name = record
                    .event
                    .subclass()
                    .unwrap_or_else(|| record.event.name());
                if let Some(at) = pending.iter().position(|pending| *pending == *name) {
                    pending.remove(at);
                    events.push(to_event(record, *cursor, &HeaderChoice::All));
                    if !until_all {
                        break;
                    }
                }
            }
            let is_done = pending.is_empty() || (!until_all && !events.is_empty());
            if is_done || self.is_over(&id) {
                break;
            }
        }
        Ok(pb::WaitForEventsResponse {
            events,
            pending_names: pending,
            cursor: subscription.cursor().to_string(),
        })
    }

    pub(in crate::grpc) fn watch(
        &self,
        request: &pb::WatchSessionRequest,
        deadline: Option<Deadline>,
    ) -> Result<SessionStream, Failure> {
        let session = session_id(&request.session_id)?;
        let subscription = self.follow(&session)?;
        self.control.session(&session)?;
        let feed = Feed {
            services: self.clone(),
            subscription,
            session,
            is_first: true,
            is_over: false,
        };
        Ok(self.stream(feed, deadline))
    }

    fn follow(&self, session: &SessionId) -> Result<Subscription, Failure> {
        let filter = EventFilter {
            sessions: [session.clone()].into(),
            ..EventFilter::default()
        };
        let silence = Duration::from_secs(3600);
        let journal = &self.control.journal;
        Subscription::begin(
            journal,
            filter,
            Start::Now,
            SlowPolicy::End,
            self.subscriber_bytes,
            silence,
        )
    }

    /// Whether the session has ended and its last event has come.
    fn is_over(&self, id: &SessionId) -> bool {
        let session = self.control.tracker.session(id);
        session.is_none_or(|session| session.is_over())
    }
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::WatchSessionResponse;

    async fn next(&mut self) -> Result<Option<pb::WatchSessionResponse>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        if self.is_first {
            self.is_first = false;
            return self.tell(Vec::new()).map(Some);
        }
        loop {
            if let Item::Events(entries) = self.subscription.next().await? {
                return self.tell(names(&entries)).map(Some);
            }
        }
    }

    fn about(&self, failure: Failure) -> Failure {
        failure.session(&self.session)
    }
}

impl Feed {
    fn tell(&mut self, event_names: Vec<String>) -> Result<pb::WatchSessionResponse, Failure> {
        let cursor = self.subscription.cursor().to_string();
        let session = self.services.control.session(&self.session)?;
        self.is_over = self.services.is_over(&self.session);
        Ok(pb::WatchSessionResponse {
            session: Some(to_session(&session)),
            event_names,
            cursor,
        })
    }
}

fn names(entries: &[(Cursor, Arc<Entry>)]) -> Vec<String> {
    entries
        .iter()
        .filter_map(|(_, entry)| Some(record(entry)?.event.name().into_owned()))
        .collect()
}

fn record(entry: &Entry) -> Option<&Record> {
    match entry {
        Entry::Event(record) => Some(record),
        Entry::Gap(_) | Entry::NodeState { .. } => None,
    }
}
