//! Verbs: each is a command and the event that proves its effect.

mod applications;
mod bridge;
mod effect;
mod execute;
mod jobs;
mod legs;
mod once;
mod originate;
mod variables;

use std::sync::Arc;
use std::time::Duration;

pub use bridge::Peer;
pub use execute::{Execute, ExecuteWait, Executed};
pub use jobs::JobRequest;
pub use once::{Once, OnceConfig};
pub use originate::{Originate, OriginateWait, Originated};

use crate::domain::{Failure, Reason, SessionId};
use crate::esl::{Command, Outcome, Reply};
use crate::events::Journal;
use crate::fleet::{Fleet, Node};
use crate::jobs::Jobs;
use crate::shutdown::Drain;
use crate::tracker::{Session, Tracker};

/// Longest time in which FreeSWITCH has to take a job; its work does not count.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that the verbs need. Clones share it.
#[derive(Debug, Clone)]
pub struct Control {
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// Sessions and calls.
    pub tracker: Arc<Tracker>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Events.
    pub journal: Arc<Journal>,
    /// Starts the tasks that run jobs.
    pub drain: Drain,
    /// Time-out of a job that has none of its own.
    pub job_timeout: Duration,
}

// === impl Control ===

impl Control {
    /// The session.
    ///
    /// # Errors
    /// SESSION_NOT_FOUND when there is none.
    pub fn session(&self, id: &SessionId) -> Result<Arc<Session>, Failure> {
        self.tracker
            .session(id)
            .ok_or_else(|| Failure::session_not_found(id))
    }

    /// The session, which must live, and its node.
    ///
    /// # Errors
    /// SESSION_NOT_FOUND, or SESSION_ENDED with its cause.
    pub fn live_session(&self, id: &SessionId) -> Result<(Arc<Session>, Arc<Node>), Failure> {
        let session = self.session(id)?;
        if !session.is_live() {
            return Err(ended(&session));
        }
        let node = self.fleet.node(&session.node)?;
        Ok((session, node))
    }
}

/// The session has ended.
pub(crate) fn ended(session: &Session) -> Failure {
    let failure = Failure::new(
        Reason::SessionEnded,
        format!("session {} has ended", session.id),
    )
    .session(&session.id)
    .node(&session.node);
    match session.hangup.and_then(|hangup| hangup.cause) {
        Some(cause) => failure.cause(cause),
        None => failure,
    }
}

/// The session cannot do it now.
pub(crate) fn wrong_state(session: &Session, why: &str) -> Failure {
    Failure::new(
        Reason::SessionState,
        format!("session {} {why}", session.id),
    )
    .session(&session.id)
    .node(&session.node)
    .with("state", session.state)
    .with("call_state", session.call_state)
}

/// A command in the rendering of `esl::quote`.
pub(crate) fn api(command: &crate::esl::quote::ApiCommand) -> Command {
    Command::rendered(command.api())
}

/// Turns FreeSWITCH's refusal of a command on a session into a failure.
pub(crate) fn accepted(reply: &Reply, what: &str, session: &Session) -> Result<Outcome, Failure> {
    let outcome = reply.outcome();
    let text = match &outcome {
        Outcome::Error(text) => text,
        Outcome::Usage(text) => text,
        Outcome::Ok(_) | Outcome::Data(_) | Outcome::NoReply => return Ok(outcome),
    };
    // `-ERR No such channel!` of the uuid_* apis, `-ERR invalid session id` of sendmsg.
    let lower = text.to_ascii_lowercase();
    let failure = if lower.starts_with("no such channel") || lower.starts_with("invalid session id")
    {
        ended(session)
    } else {
        let message = format!("FreeSWITCH refused {what}: {}", reply.text().trim_end());
        Failure::new(Reason::CommandRejected, message)
            .session(&session.id)
            .node(&session.node)
    };
    Err(failure.reply(&reply.text()))
}
