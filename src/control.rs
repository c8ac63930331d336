//! Verbs: each is a command and the event that proves its effect.

mod amd;
mod append;
mod applications;
mod bridge;
mod bypass;
mod dtmf;
mod effect;
mod execute;
mod jobs;
mod legs;
mod media;
mod nodes;
mod once;
mod originate;
mod playback;
mod progress;
mod publish;
mod raw;
mod recording;
mod refusal;
mod schedule;
mod scope;
mod signalling;
mod transfer;
mod variables;
mod verb;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use amd::{Amd, AmdDetection};
pub use bridge::Peer;
pub use bypass::BypassMode;
pub use dtmf::{Collect, Collected};
pub use execute::{Execute, ExecuteWait, Executed};
pub use jobs::JobRequest;
pub use media::MuteDirection;
pub use nodes::node_spec;
pub use once::{Once, OnceConfig};
pub use originate::{CallIds, Originate, OriginateWait, Originated};
pub use playback::{Legs, Playback, Seek};
pub use progress::{Outcome, Placing, Progress};
pub use publish::{Publication, Published};
pub use recording::Recording;
pub use scope::JobChanges;
pub use transfer::Extension;

use crate::access::Caller;
use crate::domain::{Failure, JobId, Reason, SessionId};
use crate::esl::Command;
use crate::events::{Cursor, Journal, Wants};
use crate::fleet::{Fleet, LinkRecipe, Node};
use crate::jobs::Jobs;
use crate::shutdown::Drain;
use crate::tracker::{Session, Tracker};
use refusal::accepted;

/// Longest time in which FreeSWITCH has to take a job; its work does not count.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A session when something was seen of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The session as it was then.
    pub session: Arc<Session>,
    /// Cursor of the last event that `session` includes: who follows from there misses nothing.
    pub cursor: Cursor,
}

/// Everything that the verbs need, acting for one caller: what the caller may not see is not there.
/// Nobody outside gets at the parts, so nobody forgets to ask. Clones share them.
#[derive(Debug, Clone)]
pub struct Control {
    caller: Caller,
    fleet: Arc<Fleet>,
    links: Arc<LinkRecipe>,
    tracker: Arc<Tracker>,
    jobs: Arc<Jobs>,
    journal: Arc<Journal>,
    wants: Arc<Wants>,
    drain: Drain,
    cut: CancellationToken,
    job_timeout: Duration,
    trace_variables: Arc<[String]>,
}

/// What a control works with, for whoever wires it and for tests that look behind the API. It acts
/// for the gateway itself.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The nodes.
    pub fleet: Arc<Fleet>,
    /// How the links of a node are made that is added.
    pub links: Arc<LinkRecipe>,
    /// Sessions and calls.
    pub tracker: Arc<Tracker>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Events.
    pub journal: Arc<Journal>,
    /// What FreeSWITCH is to send.
    pub wants: Arc<Wants>,
    /// Starts the tasks that run jobs.
    pub drain: Drain,
    /// Triggered when the gateway stops and its grace period is over: nobody waits any longer.
    pub cut: CancellationToken,
    /// Time-out of a job that has none of its own.
    pub job_timeout: Duration,
    /// Variables of a placed call that hold its trace, while there are traces.
    pub trace_variables: Arc<[String]>,
}

// === impl Parts ===

impl Parts {
    /// The verbs over these parts, for the gateway itself.
    pub fn control(&self) -> Control {
        Control {
            caller: Caller::gateway(),
            fleet: Arc::clone(&self.fleet),
            links: Arc::clone(&self.links),
            tracker: Arc::clone(&self.tracker),
            jobs: Arc::clone(&self.jobs),
            journal: Arc::clone(&self.journal),
            wants: Arc::clone(&self.wants),
            drain: self.drain.clone(),
            cut: self.cut.clone(),
            job_timeout: self.job_timeout,
            trace_variables: Arc::clone(&self.trace_variables),
        }
    }

    /// Starts a job, as [`Control::launch_job`].
    ///
    /// # Errors
    /// As there.
    pub fn launch_job(&self, request: JobRequest) -> Result<JobId, Failure> {
        self.control().launch_job(request)
    }
}

// === impl Control ===

impl Control {
    /// Turns what a watch sees into what a caller is told. Asked on the event task, where the
    /// journal ends with the event that is seen.
    fn witness(&self) -> impl Fn(&Arc<Session>) -> Seen + Send + use<> {
        let journal = Arc::clone(&self.journal);
        move |session| Seen {
            session: Arc::clone(session),
            cursor: journal.cursor(),
        }
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::esl::{ConnectionConfig, Event, Limits, TcpDialer};
    use crate::events::{Entry, EventSet, HistoryConfig, JournalConfig, Record};
    use crate::fleet::Sinks;
    use crate::jobs::JobsConfig;
    use crate::tracker::TrackerConfig;

    fn control() -> Parts {
        let drain = Drain::new();
        let second = Duration::from_secs(1);
        let journal = Journal::start(JournalConfig::default(), HistoryConfig::default(), &drain);
        let sinks = Sinks {
            tracker: Tracker::start(TrackerConfig::default(), &drain),
            jobs: Jobs::start(JobsConfig::default(), &drain),
            wants: Wants::new(&EventSet::default(), second, &journal),
            journal,
        };
        Parts {
            fleet: Fleet::start(Vec::new(), &sinks, &drain),
            links: Arc::new(LinkRecipe {
                timeout: second,
                limits: Limits::default(),
                dialer: Arc::new(TcpDialer { silence: second }),
                link: ConnectionConfig::default(),
                backoff: (second, second),
                query_timeout: second,
                command_links: 1,
            }),
            tracker: sinks.tracker,
            jobs: sinks.jobs,
            journal: sinks.journal,
            wants: sinks.wants,
            drain,
            cut: CancellationToken::new(),
            job_timeout: Duration::from_secs(1),
            trace_variables: Arc::default(),
        }
    }

    fn event(name: &'static str) -> Event {
        let headers = [
            ("Event-Name", name),
            ("Unique-ID", "x"),
            ("Channel-State", "CS_EXECUTE"),
        ];
        Event::from_headers(headers.map(|(name, value)| (name, Cow::Borrowed(value)))).unwrap()
    }

    #[tokio::test]
    async fn no_event_is_missed_behind_the_cursor_of_what_was_seen() {
        let control = control();
        let (node, id) = ("a".parse().unwrap(), "x".parse().unwrap());
        let tell = |event: Event| {
            control.tracker.apply(&node, &event);
            control.journal.append(Entry::Event(Record {
                node: node.clone(),
                event,
                session: None,
                call: None,
                job: None,
                synthetic: false,
                owners: Default::default(),
            }));
        };
        tell(event("CHANNEL_CREATE"));
        let witness = control.control().witness();
        let mut parked = control.tracker.watch(&node, &id, move |sight| {
            sight.session.parked.then(|| witness(sight.session))
        });
        tell(event("CHANNEL_PARK"));
        tell(event("CHANNEL_UNPARK"));
        let seen = parked.seen().await.unwrap();
        // The session does not show the second event, so that has to come behind the cursor.
        assert!(seen.session.parked);
        assert_eq!(seen.cursor.position, 1);
    }
}
