//! A session as it changes, as a stream.

use std::sync::Arc;

use super::super::Services;
use super::super::convert::to_session;
use super::super::watch::{Watched, Watching};
use super::hearing::{Heard, Hearing, is_last, record};
use super::session_id;
use crate::domain::{Deadline, Failure, SessionId};
use crate::events::{Cursor, Entry, EventSet, Start};
use crate::pb;

pub(in crate::grpc) type SessionStream = Watching<pb::WatchSessionResponse>;

/// One watched session.
struct Feed {
    services: Services,
    hearing: Hearing,
    session: SessionId,
    is_first: bool,
    is_over: bool,
}

// === impl Services ===

impl Services {
    pub(in crate::grpc) fn watch(
        &self,
        request: &pb::WatchSessionRequest,
        deadline: Option<Deadline>,
    ) -> Result<SessionStream, Failure> {
        let session = session_id(&request.session_id)?;
        let feed = Feed {
            services: self.clone(),
            hearing: Hearing::begin(self, &session, Start::Now, &EventSet::default())?,
            session,
            is_first: true,
            is_over: false,
        };
        Ok(self.stream(feed, deadline))
    }
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::WatchSessionResponse;

    async fn next(&mut self) -> Result<Option<pb::WatchSessionResponse>, Failure> {
        while !self.is_over {
            if std::mem::take(&mut self.is_first) {
                self.is_over = self.services.is_over(&self.session);
                return Ok(self.tell(Vec::new()));
            }
            let heard = self.hearing.next().await?;
            let message = match heard {
                Heard::Events(entries) => {
                    let mut records = entries.iter().filter_map(|(_, entry)| record(entry));
                    self.is_over = records.any(is_last);
                    self.tell(names(&entries))
                }
                Heard::Lost => self.tell(Vec::new()),
                Heard::Skipped | Heard::Back => {
                    // Its last event may be among those that were missed.
                    self.is_over = match heard {
                        Heard::Back => self.services.has_ended(&self.session),
                        _ => self.services.is_over(&self.session),
                    };
                    let message = self.tell(Vec::new());
                    self.hearing.gap_is_over();
                    message
                }
                Heard::Silence => {
                    self.is_over = self.services.is_over(&self.session);
                    continue;
                }
            };
            return Ok(message);
        }
        Ok(None)
    }

    fn cursor(&self) -> Cursor {
        self.hearing.cursor()
    }

    fn about(&self, failure: Failure) -> Failure {
        failure.session(&self.session)
    }
}

impl Feed {
    /// The session as it is; none when its retention is over.
    fn tell(&self, event_names: Vec<String>) -> Option<pb::WatchSessionResponse> {
        let session = self.services.control.session(&self.session).ok()?;
        Some(pb::WatchSessionResponse {
            session: Some(to_session(&session)),
            event_names,
            cursor: self.hearing.cursor().to_string(),
            gap: self.hearing.gap(),
        })
    }
}

fn names(entries: &[(Cursor, Arc<Entry>)]) -> Vec<String> {
    entries
        .iter()
        .filter_map(|(_, entry)| Some(record(entry)?.event.name().into_owned()))
        .collect()
}
