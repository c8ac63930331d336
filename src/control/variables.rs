//! Channel variables.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::{Control, accepted, api};
use crate::domain::{Deadline, Failure, Reason, SessionId};
use crate::esl::quote::{
    ApiCommand, check_variable_name, uuid_setvar, uuid_setvar_expanding, uuid_unsetvar,
};
use crate::esl::{Event, Outcome};
use crate::tracker::Session;

/// What precedes a variable's name in events (`switch_channel_event_set_extended_data` in
/// FreeSWITCH's `switch_channel.c`).
const PREFIX: &str = "variable_";
/// A leg whose end was seen tells its last variables soon, or its link was lost in between.
const LAST_EVENT_PATIENCE: Duration = Duration::from_secs(5);

// === impl Control ===

impl Control {
    /// `uuid_dump ... json`; of a session that has ended, the variables of its last event.
    ///
    /// # Errors
    /// Those of every verb; SESSION_ENDED when that event was never seen.
    pub async fn all_variables(
        &self,
        id: &SessionId,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let session = self.session(id)?;
        if !session.is_live() {
            return self.last_variables(&session, deadline).await;
        }
        let node = self.fleet.node(&session.node)?;
        let reply = node.send(api(&dump(id)?), Some(id), deadline).await?;
        match accepted(&reply, "uuid_dump", &session) {
            Ok(Outcome::Data(_)) => {}
            Ok(other) => return Err(nonsense(&other.to_string()).session(id)),
            // It went down meanwhile, which its events tell in a moment.
            Err(failure) if failure.reason() == Reason::SessionEnded => {
                return self.last_variables(&session, deadline).await;
            }
            Err(failure) => return Err(failure),
        }
        let dump = Event::parse_json(&reply.answer())
            .map_err(|error| nonsense(&error.to_string()).session(id))?;
        Ok(variables_of(&dump))
    }

    /// Those of a session's last event, which comes a moment after the one that tells its end.
    async fn last_variables(
        &self,
        session: &Session,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut last = self.tracker.watch(&session.node, &session.id, |sight| {
            let session = sight.session;
            let is_last = session.final_event.is_some() || session.synthetic_end;
            is_last.then(|| session.final_event.as_ref().map(variables_of))
        });
        let soon = deadline.min(Deadline::after(LAST_EVENT_PATIENCE));
        match soon.bound(last.seen()).await {
            Some(Ok(Some(variables))) => Ok(variables),
            _ => {
                let id = &session.id;
                let message = format!(
                    "session {id} has ended, and the event with its variables was not seen"
                );
                let failure = Failure::new(Reason::SessionEnded, message);
                Err(failure.session(id).node(&session.node))
            }
        }
    }

    /// As [`Control::all_variables`], but only these; those that are not set are left out.
    ///
    /// # Errors
    /// Those of every verb.
    pub async fn variables(
        &self,
        id: &SessionId,
        names: &[String],
        deadline: Deadline,
    ) -> Result<BTreeMap<String, String>, Failure> {
        for (at, name) in names.iter().enumerate() {
            check_variable_name(name)
                .map_err(|error| Failure::invalid(format!("names[{at}]"), error.to_string()))?;
        }
        let all = self.all_variables(id, deadline).await?;
        // FreeSWITCH looks variables up without regard to case.
        let find = |name: &String| {
            let value = all.get(name).or_else(|| {
                all.iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            });
            value.map(|value| (name.clone(), value.clone()))
        };
        Ok(names.iter().filter_map(find).collect())
    }

    /// `uuid_setvar` for each; proof: the replies. Nothing is set unless all can be.
    ///
    /// # Errors
    /// INVALID_ARGUMENT names what FreeSWITCH cannot be given.
    pub async fn set_variables(
        &self,
        id: &SessionId,
        variables: &BTreeMap<String, String>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let node = self.session(id)?.node.clone();
        for (name, value) in variables {
            self.check_mentions(value)?;
            self.caller
                .may_set(&node, name, value)
                .map_err(|failure| failure.session(id))?;
        }
        let setvar = match self.caller.may_expand(&node) {
            true => uuid_setvar_expanding,
            false => uuid_setvar,
        };
        let render = |(name, value): (&String, &String)| {
            setvar(id, name, value).map_err(|error| {
                Failure::invalid(format!("variables[{name:?}]"), error.to_string())
            })
        };
        self.change_variables(
            id,
            variables.iter().map(render).collect::<Result<_, _>>()?,
            deadline,
        )
        .await
    }

    /// `uuid_setvar` without a value for each; proof: the replies.
    ///
    /// # Errors
    /// INVALID_ARGUMENT names what cannot be a variable.
    pub async fn unset_variables(
        &self,
        id: &SessionId,
        names: &[String],
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let node = self.session(id)?.node.clone();
        for name in names {
            self.caller
                .may_set(&node, name, "")
                .map_err(|failure| failure.session(id))?;
        }
        let render = |(at, name): (usize, &String)| {
            uuid_unsetvar(id, name)
                .map_err(|error| Failure::invalid(format!("names[{at}]"), error.to_string()))
        };
        self.change_variables(
            id,
            names
                .iter()
                .enumerate()
                .map(render)
                .collect::<Result<_, _>>()?,
            deadline,
        )
        .await
    }

    /// The commands go out together, in order, over the session's link; behind them the question
    /// what the variables are then, since no event tells of `uuid_setvar`.
    async fn change_variables(
        &self,
        id: &SessionId,
        commands: Vec<ApiCommand>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (session, node) = self.live_session(id)?;
        let replies = commands
            .iter()
            .map(|command| node.send(api(command), Some(id), deadline));
        let asked = dump(id)?;
        let (replies, told) = tokio::join!(
            try_join_all(replies),
            node.send(api(&asked), Some(id), deadline)
        );
        // Without an answer the variables are known when the next event tells them.
        if let Ok(told) = told
            && let Ok(told) = Event::parse_json(&told.answer())
        {
            self.tracker.learn_variables(id, &told);
        }
        for reply in replies? {
            if let Err(refusal) = accepted(&reply, "uuid_setvar", &session) {
                return Err(self.explained(&node, &session, refusal, deadline).await);
            }
        }
        Ok(())
    }
}

/// As JSON: in the plain form FreeSWITCH does not encode a percent sign before two digits, so that
/// `%41` could not be told from `A`.
fn dump(id: &SessionId) -> Result<ApiCommand, Failure> {
    ApiCommand::new("uuid_dump", &format!("{id} json"))
        .map_err(|error| Failure::invalid("session_id", error.to_string()))
}

fn variables_of(event: &Event) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value, _) in event.headers().iter_text() {
        if let Some(name) = name.strip_prefix(PREFIX) {
            variables
                .entry(name.to_owned())
                .or_insert_with(|| value.into_owned());
        }
    }
    variables
}

fn nonsense(what: &str) -> Failure {
    Failure::new(
        Reason::ProtocolError,
        format!("the answer to uuid_dump makes no sense: {what}"),
    )
}
