//! Sessions as they are.

use std::sync::Arc;

use super::super::Services;
use super::super::convert::to_session;
use super::super::filter::ListFilter;
use super::super::page::{Wanted, page};
use super::session_id;
use crate::domain::{Deadline, Failure, Reason};
use crate::pb;
use crate::tracker::Session;

// === impl Services ===

impl Services {
    /// Cursor of the last event that any state read from now on includes.
    pub(in crate::grpc) fn cursor(&self) -> String {
        self.control.cursor().to_string()
    }

    pub(in crate::grpc) async fn get(
        &self,
        request: pb::GetSessionRequest,
        deadline: Deadline,
    ) -> Result<pb::GetSessionResponse, Failure> {
        let cursor = self.cursor();
        let id = session_id(&request.session_id)?;
        let mut session = to_session(&*self.control.session(&id)?);
        if request.include_variables {
            match self.control.all_variables(&id, deadline).await {
                Ok(variables) => session.variables = variables.into_iter().collect(),
                // It is the session that was asked for, and that is known.
                Err(failure) if failure.reason() == Reason::SessionEnded => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(pb::GetSessionResponse {
            session: Some(session),
            cursor,
        })
    }

    pub(in crate::grpc) fn list(
        &self,
        request: &pb::ListSessionsRequest,
    ) -> Result<pb::ListSessionsResponse, Failure> {
        let cursor = self.cursor();
        let filter = ListFilter::of::<Session>(&request.filter)?;
        let mut sessions = self.control.sessions();
        sessions.retain(|session| filter.fits(&**session));
        let wanted = Wanted {
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let key = |session: &Arc<Session>| {
            let (created, id) = session.order();
            format!("{created:016x}{id}")
        };
        let page = page(sessions, wanted, false, key)?;
        Ok(pb::ListSessionsResponse {
            sessions: page
                .items
                .iter()
                .map(|session| to_session(session))
                .collect(),
            next_page_token: page.next_token,
            total_size: page.total,
            cursor,
        })
    }
}
