//! The media of a leg: hold, mute, echo, listening.

use super::verb::{in_field, is_event};
use super::{Control, Execute, ExecuteWait, Seen, wrong_state};
use crate::domain::{CallState, Deadline, Failure, SessionId};
use crate::esl::quote::ApiCommand;

/// What of a leg is muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MuteDirection {
    /// What it says.
    Read,
    /// What it hears.
    Write,
    /// Both.
    Both,
}

// === impl Control ===

impl Control {
    /// `uuid_hold`; proof: CHANNEL_HOLD.
    ///
    /// # Errors
    /// SESSION_STATE when it is not answered.
    pub async fn hold(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.call_state == CallState::Held {
            return self.look(id);
        }
        if !session.answered {
            return Err(wrong_state(
                &session,
                "is not answered, so it cannot be held",
            ));
        }
        let command =
            ApiCommand::words("uuid_hold", &[id.as_str()]).map_err(in_field("session_id"))?;
        self.until_seen(&node, &session, &command, deadline, |sight| {
            is_event(sight, "CHANNEL_HOLD")
        })
        .await
    }

    /// `uuid_hold off`; proof: CHANNEL_UNHOLD.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn unhold(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.call_state != CallState::Held {
            return self.look(id);
        }
        let command = ApiCommand::words("uuid_hold", &["off", id.as_str()])
            .map_err(in_field("session_id"))?;
        self.until_seen(&node, &session, &command, deadline, |sight| {
            is_event(sight, "CHANNEL_UNHOLD")
        })
        .await
    }

    /// `uuid_audio start ... mute`; proof: MEDIA_BUG_START, or the reply on a leg that is muted.
    ///
    /// # Errors
    /// SESSION_STATE when it has no media.
    pub async fn mute(
        &self,
        id: &SessionId,
        direction: MuteDirection,
        noise_level: u32,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.media_session(id)?;
        if noise_level > 10_000 {
            return Err(Failure::invalid(
                "noise_level",
                "is above 10000, FreeSWITCH's loudest comfort noise",
            ));
        }
        // For `mute` the level is that of the noise, and 0 would switch muting off
        // (`switch_ivr_session_audio` in `switch_ivr_async.c`).
        let level = noise_level.max(1).to_string();
        let directions: &[&str] = match direction {
            MuteDirection::Read => &["read"],
            MuteDirection::Write => &["write"],
            MuteDirection::Both => &["read", "write"],
        };
        // One bug serves both directions, so only the first command on the leg starts it.
        let mut is_muted = self
            .has_bug(&node, &session, ["audio", "mute"], deadline)
            .await?;
        let mut seen = self.look(id)?;
        for direction in directions {
            let words = [id.as_str(), "start", direction, "mute", &level];
            let command =
                ApiCommand::words("uuid_audio", &words).map_err(in_field("session_id"))?;
            seen = if is_muted {
                self.until_replied(&node, &session, &command, deadline)
                    .await?
                    .0
            } else {
                self.until_seen(&node, &session, &command, deadline, |sight| {
                    is_event(sight, "MEDIA_BUG_START")
                        && sight.event.is_some_and(|event| {
                            event.headers().raw("Media-Bug-Function") == Some(b"audio")
                        })
                })
                .await?
            };
            is_muted = true;
        }
        Ok(seen)
    }

    /// `uuid_audio stop`; proof: its reply.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn unmute(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        let command = ApiCommand::words("uuid_audio", &[id.as_str(), "stop"])
            .map_err(in_field("session_id"))?;
        Ok(self
            .until_replied(&node, &session, &command, deadline)
            .await?
            .0)
    }

    /// `sendmsg` execute `echo`; proof: CHANNEL_EXECUTE.
    ///
    /// # Errors
    /// SESSION_STATE when it has no media.
    pub async fn echo(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        self.media_session(id)?;
        self.begin(id, "echo", "", deadline).await
    }

    /// `sendmsg` execute `eavesdrop`; proof: CHANNEL_EXECUTE.
    ///
    /// # Errors
    /// SESSION_STATE when one of the legs has no media, or they are on different nodes.
    pub async fn eavesdrop(
        &self,
        id: &SessionId,
        target_id: &SessionId,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, _) = self.media_session(id)?;
        if id == target_id {
            return Err(Failure::invalid(
                "target_session_id",
                "is the session itself; name another one",
            ));
        }
        let (target, _) = self.media_session(target_id)?;
        if target.node != session.node {
            let why = format!(
                "is on node {}, its target on node {}",
                session.node, target.node
            );
            return Err(wrong_state(&session, &why));
        }
        self.begin(id, "eavesdrop", target_id.as_str(), deadline)
            .await
    }

    async fn begin(
        &self,
        id: &SessionId,
        application: &str,
        arguments: &str,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let request = Execute {
            session: id.clone(),
            application: application.to_owned(),
            arguments: arguments.to_owned(),
            loops: 1,
            wait: ExecuteWait::Started,
        };
        Ok(self.execute_own(&request, deadline).await?.seen)
    }
}
