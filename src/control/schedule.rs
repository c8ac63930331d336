//! What happens to a leg later.

use std::time::Duration;

use super::Control;
use super::verb::{in_field, whole_seconds};
use crate::domain::{Deadline, Failure, HangupCause, SessionId};
use crate::esl::Outcome;
use crate::esl::quote::ApiCommand;

// === impl Control ===

impl Control {
    /// `sched_hangup`; proof: its reply.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn schedule_hangup(
        &self,
        id: &SessionId,
        delay: Duration,
        cause: HangupCause,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (session, node) = self.live_session(id)?;
        let delay = format!("+{}", whole_seconds(delay).max(1));
        let command = ApiCommand::words("sched_hangup", &[&delay, id.as_str(), cause.name()])
            .map_err(in_field("delay"))?;
        self.until_replied(&node, &session, &command, deadline)
            .await
            .map(drop)
    }

    /// `sched_del` of the session's group; proof: its reply. Gives back how many were deleted.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn clear_tasks(&self, id: &SessionId, deadline: Deadline) -> Result<u32, Failure> {
        let (session, node) = self.live_session(id)?;
        let command = ApiCommand::new("sched_del", id.as_str()).map_err(in_field("session_id"))?;
        let (_, outcome) = self
            .until_replied(&node, &session, &command, deadline)
            .await?;
        Ok(match outcome {
            // `+OK Deleted: 2`
            Outcome::Ok(text) => text
                .rsplit(' ')
                .next()
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
            _ => 0,
        })
    }
}
