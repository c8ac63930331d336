//! What most verbs have in common: an api command on a live session, and its proof.

use std::sync::Arc;

use super::applications::unsent;
use super::{Control, Seen, accepted, api, wrong_state};
use crate::domain::{Deadline, Failure, SessionId};
use crate::esl::Outcome;
use crate::esl::quote::{ApiCommand, Unquotable};
use crate::fleet::Node;
use crate::tracker::{Session, Sighting};

// === impl Control ===

impl Control {
    /// Sends an api command about a session; proof: what `seen` looks for in its events.
    pub(super) async fn until_seen(
        &self,
        node: &Node,
        session: &Session,
        command: &ApiCommand,
        deadline: Deadline,
        mut seen: impl FnMut(&Sighting<'_>) -> bool + Send + 'static,
    ) -> Result<Seen, Failure> {
        let witness = self.witness();
        let watch = self.watch_effect(node, &session.id, move |sight| {
            seen(sight).then(|| witness(sight.session))
        });
        self.effect(
            node,
            session,
            command.command(),
            api(command),
            watch,
            deadline,
        )
        .await
    }

    /// Sends an api command about a session; proof: its reply.
    pub(super) async fn until_replied(
        &self,
        node: &Node,
        session: &Session,
        command: &ApiCommand,
        deadline: Deadline,
    ) -> Result<(Seen, Outcome), Failure> {
        let reply = node.send(api(command), Some(&session.id), deadline).await?;
        match accepted(&reply, command.command(), session) {
            Ok(outcome) => Ok((self.look(&session.id)?, outcome)),
            Err(refusal) => Err(self.explained(node, session, refusal, deadline).await),
        }
    }

    /// Whether a session has a media bug of this function on this target. Starting one that is
    /// there already succeeds, but gives no event. Asked before the verb's own command, which was
    /// not sent when this fails.
    pub(super) async fn has_bug(
        &self,
        node: &Node,
        session: &Session,
        [function, target]: [&str; 2],
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        let command = ApiCommand::words("uuid_buglist", &[session.id.as_str()])
            .map_err(in_field("session_id"))?;
        let reply = node
            .send(api(&command), Some(&session.id), deadline)
            .await
            .map_err(unsent)?;
        let answer = reply.answer();
        let list = String::from_utf8_lossy(&answer);
        let function = format!("<function>{function}</function>");
        let target = format!("<target>{target}</target>");
        // FreeSWITCH escapes nothing here, so the texts are compared as they are.
        Ok(list
            .split("<media-bug>")
            .any(|bug| bug.contains(&function) && bug.contains(&target)))
    }

    /// A live session that has media, and its node.
    pub(super) fn media_session(
        &self,
        id: &SessionId,
    ) -> Result<(Arc<Session>, Arc<Node>), Failure> {
        let (session, node) = self.live_session(id)?;
        if !session.has_media() {
            return Err(wrong_state(
                &session,
                "is not answered and has no early media",
            ));
        }
        Ok((session, node))
    }
}

/// Whether an event has this name.
pub(super) fn is_event(sight: &Sighting<'_>, name: &str) -> bool {
    sight
        .event
        .is_some_and(|event| event.headers().raw("Event-Name") == Some(name.as_bytes()))
}

/// Names the field that FreeSWITCH cannot be given.
pub(super) fn in_field(field: &str) -> impl Fn(Unquotable) -> Failure + '_ {
    move |error| Failure::invalid(field, error.to_string())
}

/// Whole seconds, never less than asked for; FreeSWITCH's schedules know no fractions.
pub(super) fn whole_seconds(span: std::time::Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
