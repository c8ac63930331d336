//! Putting a session into a call.

use super::{Control, Seen, accepted, api, ended};
use crate::domain::{CallId, Deadline, Failure, Reason, SessionId};
use crate::esl::quote::{ApiCommand, uuid_setvar};
use crate::esl::{Event, Outcome};
use crate::tracker::Call;

// === impl Control ===

impl Control {
    /// `uuid_setvar` of the tracking variable, then `uuid_dump`, since FreeSWITCH fires no event
    /// for a variable; proof: the replies. The dump tells what the channel says of its call from
    /// then on, and by its time stamp which events are older.
    ///
    /// # Errors
    /// CALL_NOT_FOUND; SESSION_ENDED when the session or the call has ended.
    pub async fn append_session(
        &self,
        call: &CallId,
        id: &SessionId,
        deadline: Deadline,
    ) -> Result<(Call, Seen), Failure> {
        self.live_call(call)?;
        let (session, node) = self.live_session(id)?;
        let variable = self.tracker.call_variable();
        let set = uuid_setvar(id, variable, call.as_str())
            .map_err(|error| Failure::invalid("call_id", error.to_string()))?;
        let ask = ApiCommand::new("uuid_dump", id.as_str())
            .map_err(|error| Failure::invalid("session_id", error.to_string()))?;
        // Together, in order, over the session's link.
        let (set, dump) = futures_util::future::join(
            node.send(api(&set), Some(id), deadline),
            node.send(api(&ask), Some(id), deadline),
        )
        .await;
        let (set, dump) = (set?, dump?);
        let taken = accepted(&set, "uuid_setvar", &session)
            .and_then(|_| accepted(&dump, "uuid_dump", &session));
        match taken {
            Ok(Outcome::Data(_)) => {}
            Ok(_) => return Err(ended(&session)),
            Err(refusal) => return Err(self.explained(&node, &session, refusal, deadline).await),
        }
        let dump = Event::parse(dump.answer()).map_err(|error| {
            let message = format!("the answer to uuid_dump makes no sense: {error}");
            Failure::new(Reason::ProtocolError, message).session(id)
        })?;
        self.fleet.put_into_call(&node, &dump);
        let seen = self.look(id)?;
        Ok((self.call(&seen.session.call)?, seen))
    }

    /// The call, which must not have ended.
    fn live_call(&self, id: &CallId) -> Result<Call, Failure> {
        let call = self.call(id)?;
        if !call.is_live() {
            let message = format!("call {id} has ended");
            return Err(Failure::new(Reason::SessionEnded, message).with("call_id", id));
        }
        Ok(call)
    }
}
