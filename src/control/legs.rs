//! Answer, park, hang up.

use std::sync::Arc;

use futures_util::future::join_all;

use super::effect::await_effect;
use super::{Control, Seen, api, wrong_state};
use crate::domain::{CallId, Deadline, Direction, Failure, HangupCause, Reason, SessionId};
use crate::esl::quote::{ApiCommand, uuid_kill};
use crate::events::Cursor;
use crate::tracker::{Call, Session};

// === impl Control ===

impl Control {
    /// `uuid_answer`; proof: CHANNEL_ANSWER.
    ///
    /// # Errors
    /// SESSION_STATE for an outbound leg, which only its far end can answer.
    pub async fn answer(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.answered {
            return self.look(id);
        }
        if session.direction == Some(Direction::Outbound) {
            return Err(wrong_state(
                &session,
                "is outbound: only its far end can answer it",
            ));
        }
        let witness = self.witness();
        let watch = self.watch_effect(&node, id, move |sight| {
            sight.session.answered.then(|| witness(sight.session))
        });
        let command = on_session("uuid_answer", id)?;
        self.effect(
            &node,
            &session,
            "uuid_answer",
            api(&command),
            watch,
            deadline,
        )
        .await
    }

    /// `uuid_park`; proof: CHANNEL_PARK.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn park(&self, id: &SessionId, deadline: Deadline) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        if session.parked {
            return self.look(id);
        }
        let witness = self.witness();
        let watch = self.watch_effect(&node, id, move |sight| {
            sight.session.parked.then(|| witness(sight.session))
        });
        let command = on_session("uuid_park", id)?;
        self.effect(&node, &session, "uuid_park", api(&command), watch, deadline)
            .await
    }

    /// `uuid_kill`; proof: CHANNEL_HANGUP.
    ///
    /// # Errors
    /// SESSION_ENDED when it has ended before.
    pub async fn hangup(
        &self,
        id: &SessionId,
        cause: HangupCause,
        deadline: Deadline,
    ) -> Result<Seen, Failure> {
        let (session, node) = self.live_session(id)?;
        let witness = self.witness();
        let watch = self.watch_effect(&node, id, move |sight| {
            (!sight.session.is_live()).then(|| witness(sight.session))
        });
        let command = uuid_kill(id, cause);
        self.effect(&node, &session, "uuid_kill", api(&command), watch, deadline)
            .await
    }

    /// Hangs up all legs of a call, those that join it meanwhile too; returns when all are down.
    ///
    /// # Errors
    /// CALL_NOT_FOUND; SESSION_ENDED when none lives; the first failure of a leg that stays up.
    pub async fn hangup_call(
        &self,
        id: &CallId,
        cause: HangupCause,
        deadline: Deadline,
    ) -> Result<(Call, Cursor), Failure> {
        let mut call = self.call(id)?;
        if !call.is_live() {
            return Err(
                Failure::new(Reason::SessionEnded, format!("call {id} has ended"))
                    .with("call_id", id),
            );
        }
        loop {
            let live = call.sessions.iter().filter(|session| session.is_live());
            let ends = live.map(|session| self.bring_down(session, cause, deadline));
            let failed = join_all(ends).await.into_iter().find_map(Result::err);
            if let Some(failure) = failed {
                return Err(failure.with("call_id", id));
            }
            let cursor = self.journal.cursor();
            // While its legs went down the call may have lost its last one to another call.
            match self.call(id) {
                Ok(now) if now.is_live() => call = now,
                Ok(now) => return Ok((now, cursor)),
                Err(_) => return Ok((call, cursor)),
            }
        }
    }

    /// Hangs a leg up, or waits until it is seen to be down if FreeSWITCH knows it no more: a leg
    /// goes down with its partner, and its own event may be under way still.
    async fn bring_down(
        &self,
        session: &Session,
        cause: HangupCause,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        match self.hangup(&session.id, cause, deadline).await {
            Err(failure) if failure.reason() == Reason::SessionEnded => {}
            other => return other.map(|_| ()),
        }
        let node = self.fleet.node(&session.node)?;
        let down = self.watch_effect(&node, &session.id, |sight| {
            (!sight.session.is_live()).then_some(())
        });
        await_effect(&node, session, "uuid_kill", down, deadline).await
    }

    /// The leg with which a session of the call is bridged, else the only other live leg.
    ///
    /// # Errors
    /// CALL_NOT_FOUND; SESSION_NOT_FOUND when the call has no such session; SESSION_STATE when it
    /// is not clear who the peer is.
    pub fn peer(&self, call: &CallId, id: &SessionId) -> Result<Arc<Session>, Failure> {
        let call = self.call(call)?;
        let Some(session) = call.sessions.iter().find(|session| session.id == *id) else {
            let session = self
                .session(id)
                .map_err(|failure| failure.with("call_id", &call.id))?;
            let message = format!(
                "session {id} is in call {}, not in {}",
                session.call, call.id
            );
            return Err(Failure::new(Reason::SessionState, message)
                .session(id)
                .node(&session.node)
                .with("call_id", &session.call));
        };
        if let Some(peer) = &session.peer {
            return self.session(peer);
        }
        let mut others = call
            .sessions
            .iter()
            .filter(|other| other.id != *id && other.is_live());
        match (others.next(), others.next()) {
            (Some(only), None) => Ok(Arc::clone(only)),
            (None, _) => Err(wrong_state(session, "is the only live leg of its call")),
            (Some(_), Some(_)) => Err(wrong_state(
                session,
                "is not bridged, and its call has several other legs",
            )),
        }
    }
}

/// An api command whose only argument is a session.
fn on_session(command: &str, id: &SessionId) -> Result<ApiCommand, Failure> {
    ApiCommand::new(command, id.as_str())
        .map_err(|error| Failure::invalid("session_id", error.to_string()))
}
