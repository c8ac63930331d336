//! Where the media of a leg flow, and who listens for a beep in them.

use super::super::Services;
use super::super::convert::{to_session, unknown_value};
use super::session_id;
use crate::control::{Amd, AmdDetection, BypassMode};
use crate::domain::{Deadline, Failure};
use crate::pb;

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn bypass(
        &self,
        request: pb::BypassMediaRequest,
        deadline: Deadline,
    ) -> Result<pb::BypassMediaResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let mode = match pb::BypassMode::try_from(request.mode) {
            Ok(pb::BypassMode::On) => BypassMode::On,
            Ok(pb::BypassMode::Off) => BypassMode::Off,
            Ok(pb::BypassMode::Unspecified) => {
                return Err(Failure::invalid(
                    "mode",
                    "is missing; set BYPASS_MODE_ON or BYPASS_MODE_OFF",
                ));
            }
            Err(_) => return Err(unknown_value("mode", request.mode)),
        };
        let control = self.control.clone();
        let action = async move { control.bypass_media(&id, mode, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::BypassMediaResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn begin_amd(
        &self,
        request: pb::StartAmdRequest,
        deadline: Deadline,
    ) -> Result<pb::StartAmdResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let detection = match pb::AmdDetection::try_from(request.detection) {
            Ok(pb::AmdDetection::Unspecified) => None,
            Ok(pb::AmdDetection::Amplitude) => Some(AmdDetection::Amplitude),
            Ok(pb::AmdDetection::Frequency) => Some(AmdDetection::Frequency),
            Ok(pb::AmdDetection::Both) => Some(AmdDetection::Both),
            Err(_) => return Err(unknown_value("detection", request.detection)),
        };
        let amd = Amd {
            detection,
            frequency_streak: small(request.frequency_streak, "frequency_streak")?,
            amplitude_streak: small(request.amplitude_streak, "amplitude_streak")?,
        };
        let control = self.control.clone();
        let action = async move { control.start_amd(&id, amd, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::StartAmdResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }

    pub(in crate::grpc) async fn end_amd(
        &self,
        request: pb::StopAmdRequest,
        deadline: Deadline,
    ) -> Result<pb::StopAmdResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let control = self.control.clone();
        let action = async move { control.stop_amd(&id, deadline).await };
        let seen = self.once(&identity, deadline, action).await?;
        Ok(pb::StopAmdResponse {
            cursor: seen.cursor.to_string(),
            session: Some(to_session(&seen.session)),
        })
    }
}

/// FreeSWITCH counts these in 16 bits.
fn small(count: Option<u32>, field: &str) -> Result<Option<u16>, Failure> {
    count
        .map(|count| {
            u16::try_from(count).map_err(|_| Failure::invalid(field, "is above 65535; give less"))
        })
        .transpose()
}
