//! Signalling, digits, transfers and what is scheduled.

use std::time::Duration;

use futures_util::future::join_all;

use super::super::Services;
use super::super::convert::unknown_value;
use super::super::convert::{cause, optional_duration, to_session};
use super::super::filter::ListFilter;
use super::{delay, session_id};
use crate::control::{Collect, Extension, Legs};
use crate::domain::{Deadline, Failure, HangupCause, Reason, SessionId};
use crate::pb;
use crate::tracker::Session;

/// How long to wait for the first digit where the client does not say.
const DIGITS_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn pre_answer_leg(
        &self,
        request: pb::PreAnswerRequest,
        deadline: Deadline,
    ) -> Result<pb::PreAnswerResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.pre_answer(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::PreAnswerResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn ring_leg(
        &self,
        request: pb::RingReadyRequest,
        deadline: Deadline,
    ) -> Result<pb::RingReadyResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.ring_ready(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::RingReadyResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn respond_to(
        &self,
        request: pb::RespondRequest,
        deadline: Deadline,
    ) -> Result<pb::RespondResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let (status, phrase) = (request.status, request.reason);
        let control = self.control.clone();
        let action = async move { control.respond(&id, status, &phrase, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::RespondResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn deflect_leg(
        &self,
        request: pb::DeflectRequest,
        deadline: Deadline,
    ) -> Result<pb::DeflectResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let uri = request.uri;
        let control = self.control.clone();
        let action = async move { control.deflect(&id, &uri, deadline).await };
        let (seen, answer) = self.once(&identity, deadline, action).await?;
        Ok(pb::DeflectResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
            answer,
        })
    }

    pub(in crate::grpc) async fn hang_up_many(
        &self,
        request: pb::HangupManyRequest,
        deadline: Deadline,
    ) -> Result<pb::HangupManyResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let filter = ListFilter::of::<Session>(&request.filter)?;
        if request.filter.trim().is_empty() {
            return Err(Failure::invalid(
                "filter",
                "is empty, which would hang up everything; say what, such as node_id = \"a\"",
            ));
        }
        let cause = cause(request.cause, HangupCause::NormalClearing)?;
        let control = self.control.clone();
        let action = async move {
            let mut sessions = control.sessions();
            sessions.retain(|session| session.is_live() && filter.fits(&**session));
            let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
            let ends = join_all(ids.iter().map(|id| control.hangup(id, cause, deadline))).await;
            // One that ended by itself meanwhile is down too.
            match ends
                .into_iter()
                .filter_map(Result::err)
                .find(|failure| failure.reason() != Reason::SessionEnded)
            {
                Some(failure) => Err(failure),
                None => Ok(ids),
            }
        };
        let ids = self.once(&identity, deadline, action).await?;
        Ok(pb::HangupManyResponse {
            session_ids: ids.iter().map(ToString::to_string).collect(),
        })
    }

    pub(in crate::grpc) async fn hang_up_later(
        &self,
        request: pb::ScheduleHangupRequest,
        deadline: Deadline,
    ) -> Result<pb::ScheduleHangupResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let delay = delay(request.delay)?;
        let cause = cause(request.cause, HangupCause::AllottedTimeout)?;
        let control = self.control.clone();
        let action = async move { control.schedule_hangup(&id, delay, cause, deadline).await };
        self.once(&identity, deadline, action).await?;
        Ok(pb::ScheduleHangupResponse {})
    }

    pub(in crate::grpc) async fn clear(
        &self,
        request: pb::ClearTasksRequest,
        deadline: Deadline,
    ) -> Result<pb::ClearTasksResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.clear_tasks(&id, deadline).await };
        let deleted = self.once(&identity, deadline, action).await?;
        Ok(pb::ClearTasksResponse { deleted })
    }

    pub(in crate::grpc) async fn send_digits(
        &self,
        request: pb::SendDtmfRequest,
        deadline: Deadline,
    ) -> Result<pb::SendDtmfResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let tone = optional_duration(request.tone_duration, "tone_duration")?;
        let digits = request.digits;
        let control = self.control.clone();
        let action = async move { control.send_dtmf(&id, &digits, tone, deadline).await };
        self.once(&identity, deadline, action).await?;
        Ok(pb::SendDtmfResponse {})
    }

    pub(in crate::grpc) async fn send_digits_later(
        &self,
        request: pb::ScheduleDtmfRequest,
        deadline: Deadline,
    ) -> Result<pb::ScheduleDtmfResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let tone = optional_duration(request.tone_duration, "tone_duration")?;
        let delay = delay(request.delay)?;
        let digits = request.digits;
        let control = self.control.clone();
        let action = async move {
            control
                .schedule_dtmf(&id, &digits, tone, delay, deadline)
                .await
        };
        self.once(&identity, deadline, action).await?;
        Ok(pb::ScheduleDtmfResponse {})
    }

    pub(in crate::grpc) async fn collect(
        &self,
        request: pb::CollectDigitsRequest,
        deadline: Deadline,
    ) -> Result<pb::CollectDigitsResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let timeout = optional_duration(request.timeout, "timeout")?.unwrap_or(DIGITS_TIMEOUT);
        let collect = Collect {
            session: session_id(&request.session_id)?,
            min: request.min_digits,
            max: request.max_digits,
            tries: request.tries,
            timeout,
            digit_timeout: optional_duration(request.digit_timeout, "digit_timeout")?
                .unwrap_or(timeout),
            terminators: request.terminators,
            prompt: request.prompt,
            invalid_prompt: request.invalid_prompt,
            pattern: request.pattern,
        };
        let control = self.control.clone();
        let action = async move { control.collect_digits(&collect, deadline).await };
        let collected = self.once(&identity, deadline, action).await?;
        Ok(pb::CollectDigitsResponse {
            cursor: collected.seen.cursor.to_string(),
            session: Some(to_session(&collected.seen.session)),
            digits: collected.digits,
            matched: collected.is_match,
            terminator: collected.terminator,
        })
    }

    pub(in crate::grpc) async fn transfer_leg(
        &self,
        request: pb::TransferRequest,
        deadline: Deadline,
    ) -> Result<pb::TransferResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let legs = match pb::TransferLeg::try_from(request.leg) {
            Ok(pb::TransferLeg::Unspecified | pb::TransferLeg::Self_) => Legs::Own,
            Ok(pb::TransferLeg::Peer) => Legs::Peer,
            Ok(pb::TransferLeg::Both) => Legs::Both,
            Err(_) => return Err(unknown_value("leg", request.leg)),
        };
        let target = request
            .extension
            .ok_or_else(|| Failure::missing("extension", "give a number of the dialplan"))?;
        let extension = Extension {
            number: target.number,
            dialplan: target.dialplan,
            context: target.context,
        };
        let control = self.control.clone();
        let action = async move { control.transfer(&id, &extension, legs, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::TransferResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn transfer_attended(
        &self,
        request: pb::AttendedTransferRequest,
        deadline: Deadline,
    ) -> Result<pb::AttendedTransferResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let endpoint = request.endpoint;
        let control = self.control.clone();
        let action = async move { control.attended_transfer(&id, &endpoint, deadline).await };
        let (seen, peer) = self.once(&identity, deadline, action).await?;
        Ok(pb::AttendedTransferResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
            peer: Some(to_session(&peer.session)),
        })
    }
}
