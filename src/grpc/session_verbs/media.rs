//! What a leg hears, says and records.

use super::super::Services;
use super::super::convert::unknown_value;
use super::super::convert::{id, optional_duration, to_session};
use super::{legs, session_id};
use crate::control::{MuteDirection, Playback, Recording, Seek};
use crate::domain::{Deadline, Failure, SessionId};
use crate::pb::{self, seek_playback_request};

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn hold_leg(
        &self,
        request: pb::HoldRequest,
        deadline: Deadline,
    ) -> Result<pb::HoldResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.hold(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::HoldResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn unhold_leg(
        &self,
        request: pb::UnholdRequest,
        deadline: Deadline,
    ) -> Result<pb::UnholdResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.unhold(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::UnholdResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn unmute_leg(
        &self,
        request: pb::UnmuteRequest,
        deadline: Deadline,
    ) -> Result<pb::UnmuteResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.unmute(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::UnmuteResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn echo_leg(
        &self,
        request: pb::EchoRequest,
        deadline: Deadline,
    ) -> Result<pb::EchoResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.echo(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::EchoResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn mute_leg(
        &self,
        request: pb::MuteRequest,
        deadline: Deadline,
    ) -> Result<pb::MuteResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let direction = match pb::MuteDirection::try_from(request.direction) {
            Ok(pb::MuteDirection::Unspecified | pb::MuteDirection::Read) => MuteDirection::Read,
            Ok(pb::MuteDirection::Write) => MuteDirection::Write,
            Ok(pb::MuteDirection::Both) => MuteDirection::Both,
            Err(_) => return Err(unknown_value("direction", request.direction)),
        };
        let noise = request.noise_level;
        let control = self.control.clone();
        let action = async move { control.mute(&id, direction, noise, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::MuteResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn play(
        &self,
        request: pb::PlaybackRequest,
        deadline: Deadline,
    ) -> Result<pb::PlaybackResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let playback = Playback {
            session: session_id(&request.session_id)?,
            files: request.files,
            start_offset: request.start_offset_samples,
            endless: request.endless,
            legs: legs(request.leg)?,
            variables: request.variables.into_iter().collect(),
            to_end: to_end(request.wait_for)?,
        };
        let control = self.control.clone();
        let action = async move { control.play(&playback, deadline).await };
        let played = self.once(&identity, deadline, action).await?;
        Ok(pb::PlaybackResponse {
            cursor: played.seen.cursor.to_string(),
            session: Some(to_session(&played.seen.session)),
            response: played.response,
        })
    }

    pub(in crate::grpc) async fn stop_playing(
        &self,
        request: pb::StopPlaybackRequest,
        deadline: Deadline,
    ) -> Result<pb::StopPlaybackResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let all = request.all;
        let control = self.control.clone();
        let action = async move { control.stop_playback(&id, all, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::StopPlaybackResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn seek(
        &self,
        request: pb::SeekPlaybackRequest,
        deadline: Deadline,
    ) -> Result<pb::SeekPlaybackResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        use seek_playback_request::Action;
        let id = session_id(&request.session_id)?;
        let seek = match request.action {
            Some(Action::Relative(span)) => {
                Seek::Relative(i32::try_from(millis(&span)).map_err(|_| out_of_range("relative"))?)
            }
            Some(Action::Position(span)) => {
                Seek::Absolute(u32::try_from(millis(&span)).map_err(|_| out_of_range("position"))?)
            }
            Some(Action::TogglePause(true)) => Seek::TogglePause,
            Some(Action::Restart(true)) => Seek::Restart,
            Some(Action::TogglePause(false) | Action::Restart(false)) | None => {
                return Err(Failure::invalid(
                    "action",
                    "is missing; set relative, position, toggle_pause or restart",
                ));
            }
        };
        let control = self.control.clone();
        let action = async move { control.seek_playback(&id, seek, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::SeekPlaybackResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn speak_to(
        &self,
        request: pb::SpeakRequest,
        deadline: Deadline,
    ) -> Result<pb::SpeakResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let to_end = to_end(request.wait_for)?;
        let words = [request.engine, request.voice, request.text];
        let control = self.control.clone();
        let action = async move {
            let [engine, voice, text] = &words;
            control
                .speak(&id, [engine, voice, text], to_end, deadline)
                .await
        };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::SpeakResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn broadcast_to(
        &self,
        request: pb::BroadcastRequest,
        deadline: Deadline,
    ) -> Result<pb::BroadcastResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let legs = legs(request.leg)?;
        let words = [request.application, request.arguments];
        let control = self.control.clone();
        let action = async move {
            let [application, arguments] = &words;
            control
                .broadcast(&id, [application, arguments], legs, deadline)
                .await
        };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::BroadcastResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn eavesdrop_on(
        &self,
        request: pb::EavesdropRequest,
        deadline: Deadline,
    ) -> Result<pb::EavesdropResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let session = session_id(&request.session_id)?;
        let target: SessionId = id(&request.target_session_id, "target_session_id")?;
        let control = self.control.clone();
        let action = async move { control.eavesdrop(&session, &target, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::EavesdropResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn record(
        &self,
        request: pb::StartRecordingRequest,
        deadline: Deadline,
    ) -> Result<pb::StartRecordingResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let recording = Recording {
            session: session_id(&request.session_id)?,
            path: request.path,
            limit: optional_duration(request.limit, "limit")?,
            sample_rate: request.sample_rate,
            stereo: request.stereo,
            read_only: request.read_only,
        };
        let control = self.control.clone();
        let action = async move { control.start_recording(&recording, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::StartRecordingResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn stop_record(
        &self,
        request: pb::StopRecordingRequest,
        deadline: Deadline,
    ) -> Result<pb::StopRecordingResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let path = request.path;
        let control = self.control.clone();
        let action = async move { control.stop_recording(&id, &path, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::StopRecordingResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn mask_record(
        &self,
        request: pb::MaskRecordingRequest,
        deadline: Deadline,
    ) -> Result<pb::MaskRecordingResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let path = request.path;
        let control = self.control.clone();
        let action = async move { control.mask_recording(&id, &path, true, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::MaskRecordingResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn unmask_record(
        &self,
        request: pb::UnmaskRecordingRequest,
        deadline: Deadline,
    ) -> Result<pb::UnmaskRecordingResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let path = request.path;
        let control = self.control.clone();
        let action = async move { control.mask_recording(&id, &path, false, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::UnmaskRecordingResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }
}

/// Milliseconds of a duration, which may be negative.
fn millis(span: &prost_types::Duration) -> i64 {
    span.seconds
        .saturating_mul(1000)
        .saturating_add(i64::from(span.nanos) / 1_000_000)
}

fn out_of_range(field: &str) -> Failure {
    Failure::invalid(
        field,
        "is out of range; FreeSWITCH counts in milliseconds, up to 24 days",
    )
}

fn to_end(wait_for: i32) -> Result<bool, Failure> {
    match pb::PlaybackWait::try_from(wait_for) {
        Ok(pb::PlaybackWait::Unspecified | pb::PlaybackWait::Started) => Ok(false),
        Ok(pb::PlaybackWait::Completed) => Ok(true),
        Err(_) => Err(unknown_value("wait_for", wait_for)),
    }
}
