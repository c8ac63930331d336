//! CallService.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::{self, id, to_call, to_session};
use super::filter::ListFilter;
use super::page::{Wanted, page};
use super::status::respond;
use super::watch::{Watched, Watching};
use super::{Services, deadline};
use crate::domain::{CallId, Failure, HangupCause, SessionId};
use crate::events::Cursor;
use crate::pb;
use crate::pb::call_service_server::CallService;
use crate::tracker::{Call, CallFollow, Session};

#[tonic::async_trait]
impl CallService for Services {
    async fn get_call(
        &self,
        request: Request<pb::GetCallRequest>,
    ) -> Result<Response<pb::GetCallResponse>, Status> {
        let cursor = self.cursor();
        let answer = || {
            let id: CallId = id(&request.get_ref().call_id, "call_id")?;
            Ok(pb::GetCallResponse {
                call: Some(to_call(&self.control.call(&id)?)),
                cursor,
            })
        };
        respond(answer())
    }

    async fn list_calls(
        &self,
        request: Request<pb::ListCallsRequest>,
    ) -> Result<Response<pb::ListCallsResponse>, Status> {
        let request = request.into_inner();
        let cursor = self.cursor();
        let answer = || {
            let filter = ListFilter::of::<Call>(&request.filter)?;
            let mut calls = self.control.calls();
            calls.retain(|call| filter.fits(call));
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: &request.filter,
            };
            let key = |call: &Call| {
                let (created, id) = call.order();
                format!("{created:016x}{id}")
            };
            let page = page(calls, wanted, false, key)?;
            Ok(pb::ListCallsResponse {
                calls: page.items.iter().map(to_call).collect(),
                next_page_token: page.next_token,
                total_size: page.total,
                cursor,
            })
        };
        respond(answer())
    }

    async fn hangup_call(
        &self,
        request: Request<pb::HangupCallRequest>,
    ) -> Result<Response<pb::HangupCallResponse>, Status> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let identity = self.identify(&request, &request.request_id);
        let control = self.control.clone();
        let answer = async {
            let id: CallId = id(&request.call_id, "call_id")?;
            let cause = convert::cause(request.cause, HangupCause::NormalClearing)?;
            let action = async move { control.hangup_call(&id, cause, deadline).await };
            let (call, cursor) = self
                .once
                .run(&identity, deadline, self.counted(action))
                .await?;
            Ok(pb::HangupCallResponse {
                call: Some(to_call(&call)),
                cursor: cursor.to_string(),
            })
        };
        respond(answer.await)
    }

    async fn get_peer(
        &self,
        request: Request<pb::GetPeerRequest>,
    ) -> Result<Response<pb::GetPeerResponse>, Status> {
        let cursor = self.cursor();
        let answer = || {
            let call: CallId = id(&request.get_ref().call_id, "call_id")?;
            let session: SessionId = id(&request.get_ref().session_id, "session_id")?;
            let peer = self.control.peer(&call, &session)?;
            Ok(pb::GetPeerResponse {
                session: Some(to_session(&peer)),
                cursor,
            })
        };
        respond(answer())
    }

    type WatchCallStream = Watching<pb::WatchCallResponse>;

    async fn watch_call(
        &self,
        request: Request<pb::WatchCallRequest>,
    ) -> Result<Response<Self::WatchCallStream>, Status> {
        let answer = || {
            let id: CallId = id(&request.get_ref().call_id, "call_id")?;
            let cursor = self.control.cursor();
            let follow = self.control.watch_call(&id)?;
            let feed = Feed {
                services: self.clone(),
                follow,
                id,
                told: BTreeSet::new(),
                shown: Vec::new(),
                cursor,
                is_first: true,
                is_over: false,
            };
            Ok(self.stream(feed, Self::stream_deadline(&request)))
        };
        respond(answer())
    }

    async fn append_session(
        &self,
        request: Request<pb::AppendSessionRequest>,
    ) -> Result<Response<pb::AppendSessionResponse>, Status> {
        let (request, deadline) = self.open(request);
        let identity = self.identify(&request, &request.request_id);
        let control = self.control.clone();
        let answer = async {
            let call: CallId = id(&request.call_id, "call_id")?;
            let session: SessionId = id(&request.session_id, "session_id")?;
            let action = async move { control.append_session(&call, &session, deadline).await };
            let (call, seen) = self
                .once
                .run(&identity, deadline, self.counted(action))
                .await?;
            Ok(pb::AppendSessionResponse {
                call: Some(to_call(&call)),
                session: Some(to_session(&seen.session)),
                cursor: seen.cursor.to_string(),
            })
        };
        respond(answer.await)
    }
}

/// One watched call.
struct Feed {
    services: Services,
    follow: CallFollow,
    id: CallId,
    /// The sessions of the message before.
    told: BTreeSet<SessionId>,
    /// They themselves.
    shown: Vec<Arc<Session>>,
    /// What was told is not older.
    cursor: Cursor,
    is_first: bool,
    is_over: bool,
}

// === impl Feed ===

impl Watched for Feed {
    type Message = pb::WatchCallResponse;

    async fn next(&mut self) -> Result<Option<pb::WatchCallResponse>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_first) {
            return Ok(Some(self.tell()));
        }
        loop {
            self.follow.changed().await;
            // What others do in the call is not for a tenant to notice.
            if !self.services.control.is_tenants() || self.has_changed() {
                return Ok(Some(self.tell()));
            }
        }
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn about(&self, failure: Failure) -> Failure {
        failure.with("call_id", &self.id)
    }
}

impl Feed {
    fn has_changed(&self) -> bool {
        let call = self.services.control.call(&self.id);
        let sessions = call.map(|call| call.sessions).unwrap_or_default();
        let same = |(a, b): (&Arc<Session>, &Arc<Session>)| Arc::ptr_eq(a, b);
        sessions.len() != self.shown.len() || !sessions.iter().zip(&self.shown).all(same)
    }

    fn tell(&mut self) -> pb::WatchCallResponse {
        let control = &self.services.control;
        self.cursor = control.cursor();
        let call = control.call(&self.id).ok();
        let sessions = call.as_ref().map_or(&[][..], |call| &call.sessions);
        self.is_over = sessions.iter().all(|session| session.is_over());
        let now: BTreeSet<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
        // One that was forgotten after its end has not left.
        let has_left = |id: &&SessionId| control.session(id).is_ok();
        let left = self.told.difference(&now).filter(has_left);
        let message = pb::WatchCallResponse {
            joined_session_ids: texts(now.difference(&self.told)),
            left_session_ids: texts(left),
            call: Some(call.as_ref().map_or_else(|| self.gone(), to_call)),
            cursor: self.cursor.to_string(),
        };
        self.shown = call.map(|call| call.sessions).unwrap_or_default();
        self.told = now;
        message
    }

    /// The call when nobody is in it any more.
    fn gone(&self) -> pb::Call {
        pb::Call {
            call_id: self.id.to_string(),
            ..pb::Call::default()
        }
    }
}

fn texts<'a>(ids: impl Iterator<Item = &'a SessionId>) -> Vec<String> {
    ids.map(ToString::to_string).collect()
}
