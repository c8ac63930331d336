//! Executing an application on a leg.

use super::{Control, Seen};
use crate::chance;
use crate::domain::{Deadline, Failure, SessionId};
use crate::esl::quote::{sendmsg_execute, sendmsg_execute_expanding};
use crate::esl::{Command, Event};
use crate::tracker::Sighting;

/// When Execute returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExecuteWait {
    /// When the application has ended.
    Completed,
    /// When it has begun.
    Started,
    /// When FreeSWITCH has taken the command.
    Accepted,
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Execute {
    /// The session.
    pub session: SessionId,
    /// The application.
    pub application: String,
    /// Its arguments.
    pub arguments: String,
    /// How often.
    pub loops: u32,
    /// When to return.
    pub wait: ExecuteWait,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The session when the condition was seen.
    pub seen: Seen,
    /// FreeSWITCH's `Application-Response`.
    pub response: String,
}

// === impl Control ===

impl Control {
    /// `sendmsg` execute; proof: CHANNEL_EXECUTE or CHANNEL_EXECUTE_COMPLETE with the
    /// `Application-UUID` that was sent. Applications of one session queue up (`event-lock`).
    ///
    /// # Errors
    /// UNKNOWN_APPLICATION when the node does not have it.
    pub async fn execute(
        &self,
        request: &Execute,
        deadline: Deadline,
    ) -> Result<Executed, Failure> {
        self.run_application(request, true, deadline).await
    }

    /// As [`Control::execute`], for a verb whose application no client named.
    pub(super) async fn execute_own(
        &self,
        request: &Execute,
        deadline: Deadline,
    ) -> Result<Executed, Failure> {
        self.run_application(request, false, deadline).await
    }

    async fn run_application(
        &self,
        request: &Execute,
        is_named: bool,
        deadline: Deadline,
    ) -> Result<Executed, Failure> {
        // FreeSWITCH reads it as a signed number, and a negative one as for ever.
        if i32::try_from(request.loops).is_err() {
            return Err(Failure::invalid("loops", "is above 2147483647"));
        }
        let (session, node) = self.live_session(&request.session)?;
        if is_named {
            let Execute {
                application,
                arguments,
                ..
            } = request;
            self.check_mentions(arguments)?;
            self.check_partner(&session, arguments)?;
            self.caller
                .may_execute(node.id(), application, arguments)
                .map_err(|failure| failure.session(&session.id))?;
        }
        let ticket = chance::uuid();
        let loops = (request.loops > 1).then_some(request.loops);
        let rendered = match is_named && self.caller.may_expand(node.id()) {
            true => sendmsg_execute_expanding,
            false => sendmsg_execute,
        };
        let text = rendered(
            &session.id,
            &request.application,
            &request.arguments,
            &ticket,
            true,
            loops,
        )
        .map_err(|error| refused(&request.application, &error))?;
        let application = &request.application;
        let known = match is_named {
            true => {
                self.check_application(&node, application, "application", deadline)
                    .await
            }
            false => {
                self.check_own_application(&node, application, deadline)
                    .await
            }
        };
        known.map_err(|failure| failure.session(&session.id))?;
        let wait = request.wait;
        let ticket = ticket.to_string();
        let witness = self.witness();
        let mut rounds = Rounds::new(request.loops);
        let watch = self.watch_execution(&node, &session.id, move |sight| {
            let event = sight.event?;
            if event.headers().raw("Application-UUID") != Some(ticket.as_bytes()) {
                return None;
            }
            let response = match (event.headers().raw("Event-Name")?, wait) {
                (b"CHANNEL_EXECUTE", ExecuteWait::Started) => String::new(),
                (b"CHANNEL_EXECUTE", _) => {
                    rounds.began(event);
                    return None;
                }
                (b"CHANNEL_EXECUTE_COMPLETE", _) if rounds.is_last(event) => event
                    .text("Application-Response")
                    .map(|text| text.into_owned())
                    .unwrap_or_default(),
                _ => return None,
            };
            Some(Executed {
                seen: witness(sight.session),
                response,
            })
        });
        let command = Command::rendered(text);
        if request.wait == ExecuteWait::Accepted {
            let reply = node.send(command, Some(&session.id), deadline).await?;
            if let Err(refusal) = super::accepted(&reply, &request.application, &session) {
                return Err(self.explained(&node, &session, refusal, deadline).await);
            }
            return Ok(Executed {
                seen: self.look(&session.id)?,
                response: String::new(),
            });
        }
        self.effect(
            &node,
            &session,
            &request.application,
            command,
            watch,
            deadline,
        )
        .await
    }

    /// An application may end the leg itself (`hangup`), and an application's end is told after
    /// that of its leg; so only the very last event of the leg ends the watch.
    pub(super) fn watch_execution<T: Send + 'static>(
        &self,
        node: &crate::fleet::Node,
        id: &SessionId,
        mut seen: impl FnMut(&Sighting<'_>) -> Option<T> + Send + 'static,
    ) -> super::effect::EffectWatch<T> {
        self.tracker
            .watch(node.id(), id, move |sighting| match seen(sighting) {
                Some(effect) => Some(Ok(effect)),
                None if sighting.session.final_event.is_none()
                    && !sighting.session.synthetic_end =>
                {
                    None
                }
                None => Some(Err(super::ended(sighting.session))),
            })
    }
}

/// Counts the rounds of a looped application. FreeSWITCH goes on no further after a round that took
/// less than half a second (`switch_ivr_parse_event` in `switch_ivr.c`).
struct Rounds {
    left: u32,
    began_at: Option<u64>,
}

// === impl Rounds ===

impl Rounds {
    const SHORTEST_MICROS: u64 = 500_000;

    fn new(loops: u32) -> Self {
        Self {
            left: loops.max(1),
            began_at: None,
        }
    }

    fn began(&mut self, event: &Event) {
        self.began_at = event.number("Event-Date-Timestamp");
    }

    fn is_last(&mut self, event: &Event) -> bool {
        self.left -= 1;
        let ended_at = event.number("Event-Date-Timestamp");
        let took = ended_at
            .zip(self.began_at)
            .map(|(ended, began)| ended.saturating_sub(began));
        self.left == 0 || took.is_some_and(|took| took < Self::SHORTEST_MICROS)
    }
}

fn refused(application: &str, error: &crate::esl::quote::Unquotable) -> Failure {
    let field = match crate::esl::quote::check_application_name(application) {
        Ok(()) => "arguments",
        Err(_) => "application",
    };
    Failure::invalid(field, error.to_string())
}
