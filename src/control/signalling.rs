//! What an inbound leg is told before it is answered: ringing, early media, a SIP status, another
//! address.

use std::sync::Arc;

use super::verb::{in_field, is_event};
use super::{Control, Execute, ExecuteWait, Seen, wrong_state};
use crate::chance;
use crate::domain::{Deadline, Direction, Failure, SessionId};
use crate::esl::quote::{ApiCommand, check_text, sendmsg_execute};
use crate::esl::{Command, Outcome};
use crate::fleet::Node;
use crate::tracker::Session;

// === impl Control ===

impl Control {
    /// `uuid_pre_answer`; proof: CHANNEL_PROGRESS_MEDIA.
    ///
    /// # Errors
    /// SESSION_STATE for an outbound leg.
    pub async fn pre_answer(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.has_media() {
            return self.look(id);
        }
        check_inbound(&session)?;
        let command =
            ApiCommand::words("uuid_pre_answer", &[id.as_str()]).map_err(in_field("session_id"))?;
        self.until_seen(&node, &session, &command, deadline, |sight| {
            sight.session.has_media()
        })
        .await
    }

    /// `uuid_ring_ready`; proof: CHANNEL_PROGRESS.
    ///
    /// # Errors
    /// SESSION_STATE for an outbound leg.
    pub async fn ring_ready(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.has_media() || session.times.progress.is_some() {
            return self.look(id);
        }
        check_inbound(&session)?;
        let command =
            ApiCommand::words("uuid_ring_ready", &[id.as_str()]).map_err(in_field("session_id"))?;
        self.until_seen(&node, &session, &command, deadline, |sight| {
            is_event(sight, "CHANNEL_PROGRESS") || sight.session.has_media()
        })
        .await
    }

    /// `sendmsg` execute `respond`; proof: CHANNEL_EXECUTE_COMPLETE.
    ///
    /// # Errors
    /// SESSION_STATE for a leg that is answered, or outbound.
    pub async fn respond(
        &self,
        id: &SessionId,
        status: u32,
        phrase: &str,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        // A 2xx would go out without media and FreeSWITCH would not know; of a 302 it loses the
        // address (`SWITCH_MESSAGE_INDICATE_RESPOND` in `mod_sofia.c`).
        if !matches!(status, 100..200 | 400..700) {
            return Err(Failure::invalid(
                "status",
                format!(
                    "{status} is no provisional or refusing SIP status; use 100 to 199 or 400 to 699, Answer to answer, Deflect to redirect"
                ),
            ));
        }
        let (session, _) = self.unanswered(id)?;
        check_text(phrase).map_err(in_field("reason"))?;
        let request = Execute {
            session: session.id.clone(),
            application: "respond".to_owned(),
            arguments: format!("{status} {phrase}").trim_end().to_owned(),
            loops: 1,
            wait: ExecuteWait::Completed,
        };
        Ok(self.execute_own(&request, deadline).await?.seen)
    }

    /// `uuid_deflect`, or `sendmsg` execute `redirect` for an inbound leg that is not answered;
    /// proof: CHANNEL_HANGUP. Gives back what the far end answered, too.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what is no URI.
    pub async fn deflect(
        &self,
        id: &SessionId,
        uri: &str,
        deadline: Deadline,
    ) -> Result<(Seen, String), Failure> {
        let (session, node) = self.live_session(id)?;
        if uri.is_empty() {
            return Err(Failure::missing("uri", "write sip:USER@HOST"));
        }
        if !(uri.starts_with("sip:") || uri.starts_with("sips:") || uri.starts_with("tel:"))
            || uri.contains(' ')
        {
            return Err(Failure::invalid(
                "uri",
                "is no SIP URI; write sip:USER@HOST",
            ));
        }
        check_text(uri).map_err(in_field("uri"))?;
        if !session.answered && session.direction != Some(Direction::Outbound) {
            return self.redirect(&session, &node, uri, deadline).await;
        }
        // The api takes what follows the first space as it is (`uuid_deflect` in mod_commands.c).
        let command =
            ApiCommand::new("uuid_deflect", &format!("{id} {uri}")).map_err(in_field("uri"))?;
        let witness = self.witness();
        let mut down = self.watch_effect(&node, id, move |sight| {
            (!sight.session.is_live()).then(|| witness(sight.session))
        });
        let (_, outcome) = self
            .until_replied(&node, &session, &command, deadline)
            .await?;
        let answer = match outcome {
            Outcome::Ok(answer) => answer,
            _ => String::new(),
        };
        match deadline.bound(down.seen()).await {
            Some(Ok(seen)) => Ok((seen?, answer)),
            // Not every far end lets go: the answer says why.
            _ => Err(
                wrong_state(&session, "was asked to go elsewhere, but stayed")
                    .with("answer", answer)
                    .with("command_sent", true),
            ),
        }
    }

    /// The far end is not asked, so it has no answer.
    async fn redirect(
        &self,
        session: &Session,
        node: &Node,
        uri: &str,
        deadline: Deadline,
    ) -> Result<(Seen, String), Failure> {
        let ticket = chance::uuid();
        let text = sendmsg_execute(&session.id, "redirect", uri, &ticket, true, None)
            .map_err(in_field("uri"))?;
        self.check_own_application(node, "redirect", deadline)
            .await
            .map_err(|failure| failure.session(&session.id))?;
        let witness = self.witness();
        let down = self.watch_effect(node, &session.id, move |sight| {
            (!sight.session.is_live()).then(|| witness(sight.session))
        });
        let command = Command::rendered(text);
        let seen = self
            .effect(node, session, "redirect", command, down, deadline)
            .await?;
        Ok((seen, String::new()))
    }

    fn unanswered(&self, id: &SessionId) -> Result<(Arc<Session>, Arc<Node>), Failure> {
        let (session, node) = self.live_session(id)?;
        check_inbound(&session)?;
        if session.answered {
            return Err(wrong_state(&session, "is answered already"));
        }
        Ok((session, node))
    }
}

fn check_inbound(session: &Session) -> Result<(), Failure> {
    match session.direction {
        Some(Direction::Outbound) => Err(wrong_state(
            session,
            "is outbound: its far end decides this",
        )),
        _ => Ok(()),
    }
}
