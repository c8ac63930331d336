//! Recording a leg.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::verb::{in_field, is_event, whole_seconds};
use super::{Control, Seen};
use crate::domain::{Deadline, Failure, SessionId};
use crate::esl::quote::{ApiCommand, check_text};
use crate::tracker::Sighting;

/// What to record, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recording {
    /// The session.
    pub session: SessionId,
    /// File on FreeSWITCH's host.
    pub path: String,
    /// Longest recording.
    pub limit: Option<Duration>,
    /// Samples per second; 0 for those of the leg.
    pub sample_rate: u32,
    /// Whether the directions become the channels of the file.
    pub stereo: bool,
    /// Whether only what the leg says is recorded.
    pub read_only: bool,
}

// === impl Control ===

impl Control {
    /// `uuid_record start`; proof: RECORD_START with the path.
    ///
    /// # Errors
    /// SESSION_STATE when it has no media.
    pub async fn start_recording(
        &self,
        request: &Recording,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.media_session(&request.session)?;
        check_path(&request.path)?;
        let limit = request.limit.map_or(0, whole_seconds).to_string();
        let mut words = vec![
            session.id.as_str(),
            "start",
            request.path.as_str(),
            limit.as_str(),
        ];
        let variables = variables(request);
        if !variables.is_empty() {
            words.push(&variables);
        }
        let command = ApiCommand::words("uuid_record", &words).map_err(in_field("path"))?;
        let bug = ["session_record", request.path.as_str()];
        if self.has_bug(&node, &session, bug, deadline).await? {
            return self.look(&request.session);
        }
        let path = request.path.clone();
        self.until_seen(&node, &session, &command, deadline, move |sight| {
            is_about(sight, "RECORD_START", &path)
        })
        .await
    }

    /// `uuid_record stop`; proof: RECORD_STOP.
    ///
    /// # Errors
    /// COMMAND_REJECTED when there is no such recording.
    pub async fn stop_recording(
        &self,
        id: &SessionId,
        path: &str,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        let which = if path.is_empty() {
            "all"
        } else {
            check_path(path)?;
            path
        };
        let command = ApiCommand::words("uuid_record", &[id.as_str(), "stop", which])
            .map_err(in_field("path"))?;
        let path = path.to_owned();
        self.until_seen(&node, &session, &command, deadline, move |sight| {
            is_about(sight, "RECORD_STOP", &path)
        })
        .await
    }

    /// `uuid_record mask` and `unmask`; proof: the reply.
    ///
    /// # Errors
    /// COMMAND_REJECTED when there is no such recording.
    pub async fn mask_recording(
        &self,
        id: &SessionId,
        path: &str,
        is_masked: bool,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        check_path(path)?;
        let action = if is_masked { "mask" } else { "unmask" };
        let command = ApiCommand::words("uuid_record", &[id.as_str(), action, path])
            .map_err(in_field("path"))?;
        Ok(self
            .until_replied(&node, &session, &command, deadline)
            .await?
            .0)
    }
}

/// Variables of this one recording, which do not stay on the channel (`get_recording_var` in
/// `switch_ivr_async.c`).
fn variables(request: &Recording) -> String {
    let mut variables = Vec::new();
    if request.sample_rate > 0 {
        variables.push(format!("record_sample_rate={}", request.sample_rate));
    }
    if request.stereo {
        variables.push("RECORD_STEREO=true".to_owned());
    }
    if request.read_only {
        variables.push("RECORD_READ_ONLY=true".to_owned());
    }
    if variables.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", variables.join(","))
    }
}

fn check_path(path: &str) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(Failure::missing("path", "write /folder/file.wav"));
    }
    check_text(path).map_err(in_field("path"))?;
    // FreeSWITCH would put its own folder in front of a relative one, and tell that in its events.
    if !path.starts_with('/') && !path.contains("://") || path.starts_with(['{', '[']) {
        return Err(Failure::invalid(
            "path",
            "is not absolute, or has variables of its own; write /folder/file.wav",
        ));
    }
    Ok(())
}

/// An empty path stands for any. `%XX` of a path is not encoded again in an event, so it arrives
/// decoded (`switch_url_encode_opt` in `switch_utils.c`).
fn is_about(sight: &Sighting<'_>, name: &str, path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    is_event(sight, name)
        && sight
            .event
            .and_then(|event| event.text("Record-File-Path"))
            .is_some_and(|file| path.is_empty() || file == path || file == decoded)
}
