//! SessionService: each RPC opens its request and hands it to its family in `session_verbs`.

use tonic::{Request, Response, Status};

use super::Services;
use super::session_verbs::{OriginateProgress, SessionStream};
use super::status::respond;
use crate::pb;
use crate::pb::session_service_server::SessionService;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionService for Services {
    async fn originate(
        &self,
        request: Request<pb::OriginateRequest>,
    ) -> Answer<pb::OriginateResponse> {
        let (request, deadline) = self.open_call(request);
        respond(self.place(request, deadline).await)
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Answer<pb::GetSessionResponse> {
        let (request, deadline) = self.open(request);
        respond(self.get(request, deadline).await)
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Answer<pb::ListSessionsResponse> {
        respond(self.list(request.get_ref()))
    }

    async fn answer(&self, request: Request<pb::AnswerRequest>) -> Answer<pb::AnswerResponse> {
        let (request, deadline) = self.open(request);
        respond(self.answer_leg(request, deadline).await)
    }

    async fn hangup(&self, request: Request<pb::HangupRequest>) -> Answer<pb::HangupResponse> {
        let (request, deadline) = self.open(request);
        respond(self.hang_up(request, deadline).await)
    }

    async fn park(&self, request: Request<pb::ParkRequest>) -> Answer<pb::ParkResponse> {
        let (request, deadline) = self.open(request);
        respond(self.park_leg(request, deadline).await)
    }

    async fn bridge(&self, request: Request<pb::BridgeRequest>) -> Answer<pb::BridgeResponse> {
        let (request, deadline) = self.open(request);
        respond(self.bridge_leg(request, deadline).await)
    }

    async fn get_variables(
        &self,
        request: Request<pb::GetVariablesRequest>,
    ) -> Answer<pb::GetVariablesResponse> {
        let (request, deadline) = self.open(request);
        respond(self.read_variables(request, deadline).await)
    }

    async fn set_variables(
        &self,
        request: Request<pb::SetVariablesRequest>,
    ) -> Answer<pb::SetVariablesResponse> {
        let (request, deadline) = self.open(request);
        respond(self.write_variables(request, deadline).await)
    }

    async fn unset_variables(
        &self,
        request: Request<pb::UnsetVariablesRequest>,
    ) -> Answer<pb::UnsetVariablesResponse> {
        let (request, deadline) = self.open(request);
        respond(self.remove_variables(request, deadline).await)
    }

    async fn execute(&self, request: Request<pb::ExecuteRequest>) -> Answer<pb::ExecuteResponse> {
        let (request, deadline) = self.open(request);
        respond(self.execute_on(request, deadline).await)
    }

    async fn pre_answer(
        &self,
        request: Request<pb::PreAnswerRequest>,
    ) -> Answer<pb::PreAnswerResponse> {
        let (request, deadline) = self.open(request);
        respond(self.pre_answer_leg(request, deadline).await)
    }

    async fn ring_ready(
        &self,
        request: Request<pb::RingReadyRequest>,
    ) -> Answer<pb::RingReadyResponse> {
        let (request, deadline) = self.open(request);
        respond(self.ring_leg(request, deadline).await)
    }

    async fn respond(&self, request: Request<pb::RespondRequest>) -> Answer<pb::RespondResponse> {
        let (request, deadline) = self.open(request);
        respond(self.respond_to(request, deadline).await)
    }

    async fn deflect(&self, request: Request<pb::DeflectRequest>) -> Answer<pb::DeflectResponse> {
        let (request, deadline) = self.open(request);
        respond(self.deflect_leg(request, deadline).await)
    }

    async fn hangup_many(
        &self,
        request: Request<pb::HangupManyRequest>,
    ) -> Answer<pb::HangupManyResponse> {
        let (request, deadline) = self.open(request);
        respond(self.hang_up_many(request, deadline).await)
    }

    async fn schedule_hangup(
        &self,
        request: Request<pb::ScheduleHangupRequest>,
    ) -> Answer<pb::ScheduleHangupResponse> {
        let (request, deadline) = self.open(request);
        respond(self.hang_up_later(request, deadline).await)
    }

    async fn clear_tasks(
        &self,
        request: Request<pb::ClearTasksRequest>,
    ) -> Answer<pb::ClearTasksResponse> {
        let (request, deadline) = self.open(request);
        respond(self.clear(request, deadline).await)
    }

    async fn hold(&self, request: Request<pb::HoldRequest>) -> Answer<pb::HoldResponse> {
        let (request, deadline) = self.open(request);
        respond(self.hold_leg(request, deadline).await)
    }

    async fn unhold(&self, request: Request<pb::UnholdRequest>) -> Answer<pb::UnholdResponse> {
        let (request, deadline) = self.open(request);
        respond(self.unhold_leg(request, deadline).await)
    }

    async fn mute(&self, request: Request<pb::MuteRequest>) -> Answer<pb::MuteResponse> {
        let (request, deadline) = self.open(request);
        respond(self.mute_leg(request, deadline).await)
    }

    async fn unmute(&self, request: Request<pb::UnmuteRequest>) -> Answer<pb::UnmuteResponse> {
        let (request, deadline) = self.open(request);
        respond(self.unmute_leg(request, deadline).await)
    }

    async fn playback(
        &self,
        request: Request<pb::PlaybackRequest>,
    ) -> Answer<pb::PlaybackResponse> {
        let (request, deadline) = self.open(request);
        respond(self.play(request, deadline).await)
    }

    async fn stop_playback(
        &self,
        request: Request<pb::StopPlaybackRequest>,
    ) -> Answer<pb::StopPlaybackResponse> {
        let (request, deadline) = self.open(request);
        respond(self.stop_playing(request, deadline).await)
    }

    async fn seek_playback(
        &self,
        request: Request<pb::SeekPlaybackRequest>,
    ) -> Answer<pb::SeekPlaybackResponse> {
        let (request, deadline) = self.open(request);
        respond(self.seek(request, deadline).await)
    }

    async fn speak(&self, request: Request<pb::SpeakRequest>) -> Answer<pb::SpeakResponse> {
        let (request, deadline) = self.open(request);
        respond(self.speak_to(request, deadline).await)
    }

    async fn broadcast(
        &self,
        request: Request<pb::BroadcastRequest>,
    ) -> Answer<pb::BroadcastResponse> {
        let (request, deadline) = self.open(request);
        respond(self.broadcast_to(request, deadline).await)
    }

    async fn start_recording(
        &self,
        request: Request<pb::StartRecordingRequest>,
    ) -> Answer<pb::StartRecordingResponse> {
        let (request, deadline) = self.open(request);
        respond(self.record(request, deadline).await)
    }

    async fn stop_recording(
        &self,
        request: Request<pb::StopRecordingRequest>,
    ) -> Answer<pb::StopRecordingResponse> {
        let (request, deadline) = self.open(request);
        respond(self.stop_record(request, deadline).await)
    }

    async fn mask_recording(
        &self,
        request: Request<pb::MaskRecordingRequest>,
    ) -> Answer<pb::MaskRecordingResponse> {
        let (request, deadline) = self.open(request);
        respond(self.mask_record(request, deadline).await)
    }

    async fn unmask_recording(
        &self,
        request: Request<pb::UnmaskRecordingRequest>,
    ) -> Answer<pb::UnmaskRecordingResponse> {
        let (request, deadline) = self.open(request);
        respond(self.unmask_record(request, deadline).await)
    }

    async fn send_dtmf(
        &self,
        request: Request<pb::SendDtmfRequest>,
    ) -> Answer<pb::SendDtmfResponse> {
        let (request, deadline) = self.open(request);
        respond(self.send_digits(request, deadline).await)
    }

    async fn schedule_dtmf(
        &self,
        request: Request<pb::ScheduleDtmfRequest>,
    ) -> Answer<pb::ScheduleDtmfResponse> {
        let (request, deadline) = self.open(request);
        respond(self.send_digits_later(request, deadline).await)
    }

    async fn collect_digits(
        &self,
        request: Request<pb::CollectDigitsRequest>,
    ) -> Answer<pb::CollectDigitsResponse> {
        let (request, deadline) = self.open(request);
        respond(self.collect(request, deadline).await)
    }

    async fn echo(&self, request: Request<pb::EchoRequest>) -> Answer<pb::EchoResponse> {
        let (request, deadline) = self.open(request);
        respond(self.echo_leg(request, deadline).await)
    }

    async fn transfer(
        &self,
        request: Request<pb::TransferRequest>,
    ) -> Answer<pb::TransferResponse> {
        let (request, deadline) = self.open(request);
        respond(self.transfer_leg(request, deadline).await)
    }

    async fn attended_transfer(
        &self,
        request: Request<pb::AttendedTransferRequest>,
    ) -> Answer<pb::AttendedTransferResponse> {
        let (request, deadline) = self.open(request);
        respond(self.transfer_attended(request, deadline).await)
    }

    async fn eavesdrop(
        &self,
        request: Request<pb::EavesdropRequest>,
    ) -> Answer<pb::EavesdropResponse> {
        let (request, deadline) = self.open(request);
        respond(self.eavesdrop_on(request, deadline).await)
    }

    async fn bypass_media(
        &self,
        request: Request<pb::BypassMediaRequest>,
    ) -> Answer<pb::BypassMediaResponse> {
        let (request, deadline) = self.open(request);
        respond(self.bypass(request, deadline).await)
    }

    async fn start_amd(
        &self,
        request: Request<pb::StartAmdRequest>,
    ) -> Answer<pb::StartAmdResponse> {
        let (request, deadline) = self.open(request);
        respond(self.begin_amd(request, deadline).await)
    }

    async fn stop_amd(&self, request: Request<pb::StopAmdRequest>) -> Answer<pb::StopAmdResponse> {
        let (request, deadline) = self.open(request);
        respond(self.end_amd(request, deadline).await)
    }

    async fn list_session_events(
        &self,
        request: Request<pb::ListSessionEventsRequest>,
    ) -> Answer<pb::ListSessionEventsResponse> {
        respond(self.list_events(request.get_ref()))
    }

    async fn wait_for_events(
        &self,
        request: Request<pb::WaitForEventsRequest>,
    ) -> Answer<pb::WaitForEventsResponse> {
        let (request, deadline) = self.open(request);
        respond(self.await_events(request, deadline).await)
    }

    type OriginateStreamStream = OriginateProgress;

    async fn originate_stream(
        &self,
        request: Request<pb::OriginateStreamRequest>,
    ) -> Answer<OriginateProgress> {
        let (request, deadline) = self.open_call(request);
        respond(self.place_stream(request, deadline).await)
    }

    type WatchSessionStream = SessionStream;

    async fn watch_session(
        &self,
        request: Request<pb::WatchSessionRequest>,
    ) -> Answer<SessionStream> {
        respond(self.watch(request.get_ref(), Self::stream_deadline(&request)))
    }
}
