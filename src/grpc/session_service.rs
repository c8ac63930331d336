//! SessionService.

use std::collections::BTreeMap;

use tonic::{Request, Response, Status};

use super::convert::{self, id, labels, optional_duration, optional_text, selector, to_session};
use super::filter::ListFilter;
use super::page::{Wanted, page};
use super::session_verbs::{OriginateProgress, SessionStream};
use super::status::status;
use super::{Services, deadline};
use crate::control::{Execute, ExecuteWait, Originate, OriginateWait, Peer};
use crate::domain::{Failure, HangupCause, SessionId};
use crate::esl::quote::{LegStrategy, Target};
use crate::pb::session_service_server::SessionService;
use crate::pb::{self, bridge_request, originate_request};
use crate::tracker::Session;

/// Fields that filters of ListSessions know.
pub(super) const FIELDS: &[&str] = &[
    "state",
    "call_state",
    "node_id",
    "direction",
    "call_id",
    "answered",
    "label.",
];

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SessionService for Services {
    async fn originate(
        &self,
        request: Request<pb::OriginateRequest>,
    ) -> Answer<pb::OriginateResponse> {
        let deadline = deadline::of(&request, self.deadlines.originate, &self.deadlines);
        let request = request.into_inner();
        // What tells one request from another: all of its fields, maps in a fixed order.
        let identity = format!("{:?}", Fields(&request));
        let request_id = request.request_id.clone();
        let originate = originate(request).map_err(|failure| status(&failure))?;
        let control = self.control.clone();
        let action =
            move |left| async move { control.originate(&originate, deadline, &left).await };
        let originated = self
            .once
            .run_for(&request_id, &identity, deadline, action)
            .await
            .map_err(|failure| status(&failure))?;
        Ok(Response::new(pb::OriginateResponse {
            cursor: originated.seen.cursor.to_string(),
            session: Some(to_session(&originated.seen.session)),
            job_id: originated.job.to_string(),
        }))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Answer<pb::GetSessionResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let cursor = self.cursor();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let mut session = to_session(&*self.control.session(&id)?);
            if request.include_variables {
                session.variables = self
                    .control
                    .all_variables(&id, deadline)
                    .await?
                    .into_iter()
                    .collect();
            }
            Ok(pb::GetSessionResponse {
                session: Some(session),
                cursor,
            })
        };
        respond(answer.await)
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Answer<pb::ListSessionsResponse> {
        let request = request.into_inner();
        let cursor = self.cursor();
        let answer = || {
            let filter = ListFilter::parse(&request.filter, FIELDS)?;
            let mut sessions = self.control.tracker.sessions();
            sessions.retain(|session| filter.fits(|field| field_of(session, field)));
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: &request.filter,
            };
            let key = |session: &std::sync::Arc<Session>| {
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
        };
        respond(answer())
    }

    async fn answer(&self, request: Request<pb::AnswerRequest>) -> Answer<pb::AnswerResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let identity = id.clone();
            let action = async move { control.answer(&id, deadline).await };
            let seen = self
                .once
                .run(&request.request_id, &("Answer", identity), deadline, action)
                .await?;
            Ok(pb::AnswerResponse {
                cursor: seen.cursor.to_string(),
                session: Some(to_session(&seen.session)),
            })
        };
        respond(answer.await)
    }

    async fn hangup(&self, request: Request<pb::HangupRequest>) -> Answer<pb::HangupResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let cause = convert::cause(request.cause, HangupCause::NormalClearing)?;
            let identity = ("Hangup", id.clone(), cause);
            let action = async move { control.hangup(&id, cause, deadline).await };
            let seen = self
                .once
                .run(&request.request_id, &identity, deadline, action)
                .await?;
            Ok(pb::HangupResponse {
                cursor: seen.cursor.to_string(),
                session: Some(to_session(&seen.session)),
            })
        };
        respond(answer.await)
    }

    async fn park(&self, request: Request<pb::ParkRequest>) -> Answer<pb::ParkResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let identity = id.clone();
            let action = async move { control.park(&id, deadline).await };
            let seen = self
                .once
                .run(&request.request_id, &("Park", identity), deadline, action)
                .await?;
            Ok(pb::ParkResponse {
                cursor: seen.cursor.to_string(),
                session: Some(to_session(&seen.session)),
            })
        };
        respond(answer.await)
    }

    async fn bridge(&self, request: Request<pb::BridgeRequest>) -> Answer<pb::BridgeResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let peer = match request.peer {
                Some(bridge_request::Peer::PeerSessionId(peer)) => {
                    Peer::Session(convert::id(&peer, "peer_session_id")?)
                }
                Some(bridge_request::Peer::Endpoint(endpoint)) => Peer::Endpoint(endpoint),
                None => {
                    return Err(Failure::invalid(
                        "peer",
                        "is missing; set peer_session_id or endpoint",
                    ));
                }
            };
            let identity = ("Bridge", id.clone(), peer.clone());
            let action = async move { control.bridge(&id, &peer, deadline).await };
            let (session, peer) = self
                .once
                .run(&request.request_id, &identity, deadline, action)
                .await?;
            Ok(pb::BridgeResponse {
                // The peer was looked at later.
                cursor: session.cursor.to_string(),
                session: Some(to_session(&session.session)),
                peer: Some(to_session(&peer.session)),
            })
        };
        respond(answer.await)
    }

    async fn get_variables(
        &self,
        request: Request<pb::GetVariablesRequest>,
    ) -> Answer<pb::GetVariablesResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let variables = match request.names.as_slice() {
                [] => self.control.all_variables(&id, deadline).await?,
                names => self.control.variables(&id, names, deadline).await?,
            };
            Ok(pb::GetVariablesResponse {
                variables: variables.into_iter().collect(),
            })
        };
        respond(answer.await)
    }

    async fn set_variables(
        &self,
        request: Request<pb::SetVariablesRequest>,
    ) -> Answer<pb::SetVariablesResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            let variables: BTreeMap<String, String> = request.variables.into_iter().collect();
            if variables.is_empty() {
                return Err(Failure::invalid(
                    "variables",
                    "is empty; give one variable at least",
                ));
            }
            let identity = ("SetVariables", id.clone(), variables.clone());
            let set = variables.clone();
            let action = async move { control.set_variables(&id, &set, deadline).await };
            self.once
                .run(&request.request_id, &identity, deadline, action)
                .await?;
            Ok(pb::SetVariablesResponse {
                variables: variables.into_iter().collect(),
            })
        };
        respond(answer.await)
    }

    async fn unset_variables(
        &self,
        request: Request<pb::UnsetVariablesRequest>,
    ) -> Answer<pb::UnsetVariablesResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let id = session_id(&request.session_id)?;
            if request.names.is_empty() {
                return Err(Failure::invalid(
                    "names",
                    "is empty; give one name at least",
                ));
            }
            let identity = ("UnsetVariables", id.clone(), request.names.clone());
            let names = request.names;
            let action = async move { control.unset_variables(&id, &names, deadline).await };
            self.once
                .run(&request.request_id, &identity, deadline, action)
                .await?;
            Ok(pb::UnsetVariablesResponse {})
        };
        respond(answer.await)
    }

    async fn execute(&self, request: Request<pb::ExecuteRequest>) -> Answer<pb::ExecuteResponse> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let control = self.control.clone();
        let answer = async {
            let execute = Execute {
                session: session_id(&request.session_id)?,
                application: request.application,
                arguments: request.arguments,
                loops: request.loops,
                wait: execute_wait(request.wait_for)?,
            };
            let identity = execute.clone();
            let action = async move { control.execute(&execute, deadline).await };
            let executed = self
                .once
                .run(&request.request_id, &identity, deadline, action)
                .await?;
            Ok(pb::ExecuteResponse {
                cursor: executed.seen.cursor.to_string(),
                session: Some(to_session(&executed.seen.session)),
                response: executed.response,
            })
        };
        respond(answer.await)
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
        let deadline = deadline::of(&request, self.deadlines.originate, &self.deadlines);
        let inner = request.into_inner().originate;
        let answer = async {
            let inner = inner
                .ok_or_else(|| Failure::invalid("originate", "is missing; describe the call"))?;
            self.place(&originate(inner)?, deadline).await
        };
        respond(answer.await)
    }

    type WatchSessionStream = SessionStream;

    async fn watch_session(
        &self,
        request: Request<pb::WatchSessionRequest>,
    ) -> Answer<SessionStream> {
        respond(self.watch(request.get_ref()))
    }
}

impl Services {
    /// Cursor of the last event that any state read from now on includes.
    pub(super) fn cursor(&self) -> String {
        self.control.journal.cursor().to_string()
    }
}

/// A request whose maps are printed in a fixed order, so that equal requests print alike.
struct Fields<'a>(&'a pb::OriginateRequest);

impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request = self.0;
        let sorted = |map: &std::collections::HashMap<String, String>| {
            map.iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let selector = request
            .node_selector
            .as_ref()
            .map(|selector| (&selector.node_id, sorted(&selector.match_labels)));
        (
            &request.endpoints,
            request.strategy,
            sorted(&request.variables),
            &request.caller_id_name,
            &request.caller_id_number,
            &request.target,
            selector,
            (
                request.wait_for,
                request.detach,
                sorted(&request.labels),
                &request.ring_timeout,
            ),
        )
            .fmt(f)
    }
}

pub(super) fn respond<T>(answer: Result<T, Failure>) -> Answer<T> {
    answer
        .map(Response::new)
        .map_err(|failure| status(&failure))
}

fn session_id(text: &str) -> Result<SessionId, Failure> {
    id(text, "session_id")
}

fn originate(request: pb::OriginateRequest) -> Result<Originate, Failure> {
    let target = match request.target {
        Some(originate_request::Target::Application(application)) => Target::Application {
            name: application.name,
            arguments: application.arguments,
        },
        Some(originate_request::Target::Extension(extension)) => Target::Extension {
            number: extension.number,
            dialplan: extension.dialplan,
            context: extension.context,
        },
        None => Target::Application {
            name: "park".to_owned(),
            arguments: String::new(),
        },
    };
    let strategy = match pb::OriginateStrategy::try_from(request.strategy) {
        Ok(pb::OriginateStrategy::Unspecified | pb::OriginateStrategy::Failover) => {
            LegStrategy::Failover
        }
        Ok(pb::OriginateStrategy::Forked) => LegStrategy::Forked,
        Err(_) => return Err(unknown_value("strategy", request.strategy)),
    };
    let wait = match pb::OriginateWait::try_from(request.wait_for) {
        Ok(pb::OriginateWait::Unspecified | pb::OriginateWait::Answered) => OriginateWait::Answered,
        Ok(pb::OriginateWait::Progress) => OriginateWait::Progress,
        Ok(pb::OriginateWait::Started) => OriginateWait::Started,
        Err(_) => return Err(unknown_value("wait_for", request.wait_for)),
    };
    let mut variables: Vec<_> = request.variables.into_iter().collect();
    variables.sort();
    Ok(Originate {
        endpoints: request.endpoints,
        strategy,
        variables,
        caller_id_name: optional_text(request.caller_id_name),
        caller_id_number: optional_text(request.caller_id_number),
        target,
        selector: selector(request.node_selector)?,
        wait,
        detach: request.detach,
        labels: labels(request.labels)?,
        request_id: optional_text(request.request_id),
        ring_timeout: optional_duration(request.ring_timeout, "ring_timeout")?,
    })
}

fn execute_wait(wait_for: i32) -> Result<ExecuteWait, Failure> {
    match pb::ExecuteWait::try_from(wait_for) {
        Ok(pb::ExecuteWait::Unspecified | pb::ExecuteWait::Completed) => Ok(ExecuteWait::Completed),
        Ok(pb::ExecuteWait::Started) => Ok(ExecuteWait::Started),
        Ok(pb::ExecuteWait::Accepted) => Ok(ExecuteWait::Accepted),
        Err(_) => Err(unknown_value("wait_for", wait_for)),
    }
}

pub(super) fn unknown_value(field: &str, value: i32) -> Failure {
    Failure::invalid(
        field,
        format!("{value} is no value of this enum; update the server or use a known one"),
    )
}

pub(super) fn field_of(session: &Session, field: &str) -> Option<String> {
    Some(match field {
        "state" => convert::to_session_state(session.state)
            .as_str_name()
            .to_owned(),
        "call_state" => convert::to_call_state(session.call_state)
            .as_str_name()
            .to_owned(),
        "node_id" => session.node.to_string(),
        "direction" => session
            .direction
            .map(convert::to_direction)?
            .as_str_name()
            .to_owned(),
        "call_id" => session.call.to_string(),
        "answered" => session.answered.to_string(),
        label => session.labels.get(label.strip_prefix("label.")?)?.clone(),
    })
}
