//! CallService.

use tonic::{Request, Response, Status};

use super::convert::{self, id, to_call, to_session};
use super::identity::identify;
use super::page::{Wanted, page};
use super::status::respond;
use super::{Services, deadline};
use crate::domain::{CallId, HangupCause, SessionId};
use crate::pb;
use crate::pb::call_service_server::CallService;
use crate::tracker::Call;

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
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: "",
            };
            let key = |call: &Call| {
                let (created, id) = call.order();
                format!("{created:016x}{id}")
            };
            let page = page(self.control.tracker.calls(), wanted, false, key)?;
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
        let identity = identify(&request, &request.request_id);
        let control = self.control.clone();
        let answer = async {
            let id: CallId = id(&request.call_id, "call_id")?;
            let cause = convert::cause(request.cause, HangupCause::NormalClearing)?;
            let action = async move { control.hangup_call(&id, cause, deadline).await };
            let (call, cursor) = self.once.run(&identity, deadline, action).await?;
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
}
