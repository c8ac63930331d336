//! Where a node's events go.

use std::borrow::Cow;
use std::sync::Arc;

use super::Sinks;
use super::node::Node;
use crate::domain::{HangupCause, JobId, SessionId};
use crate::esl::{Event, EventSink};
use crate::events::{Entry, Record};
use crate::tracker::Session;

/// Takes the events of one node on its event link's task: to the job, the tracker and the journal,
/// in this order, so that the journal's end never includes what the tracker does not. Those who
/// watch a session are told last: then the journal's end is the very event that they see.
pub(super) struct NodeSink {
    pub(super) node: Arc<Node>,
    pub(super) sinks: Sinks,
    /// `Core-UUID` of the event before.
    core: Vec<u8>,
}

// === impl NodeSink ===

impl EventSink for NodeSink {
    fn event(&mut self, event: Event) {
        // Before anything of another FreeSWITCH is taken in.
        if let Some(core) = event.headers().raw("Core-UUID")
            && *core != *self.core
        {
            self.core = core.to_vec();
            self.meet(&String::from_utf8_lossy(core));
        }
        let mut job = None;
        match event.headers().raw("Event-Name") {
            Some(b"BACKGROUND_JOB") => {
                job = event
                    .text("Job-UUID")
                    .and_then(|id| id.parse::<JobId>().ok());
                if let Some(id) = &job {
                    let arguments = event.text("Job-Command-Arg");
                    let output = event.body().clone();
                    self.sinks.jobs.answered(id, arguments.as_deref(), output);
                }
            }
            Some(b"MODULE_LOAD" | b"MODULE_UNLOAD") => self.node.forget_applications(),
            Some(b"HEARTBEAT") => {
                let live = self.sinks.tracker.live_count(self.node.id());
                self.node.heartbeat(&event, live);
            }
            Some(b"CHANNEL_CREATE") => self.node.session_began(),
            _ => {}
        }
        let tracker = &self.sinks.tracker;
        let applied = tracker.take(self.node.id(), &event);
        let session = applied.as_ref().map(|applied| &*applied.session);
        self.append(event.clone(), session, job, false);
        if let Some(applied) = &applied {
            tracker.announce(applied, &event);
        }
    }
}

impl NodeSink {
    pub(super) fn new(node: &Arc<Node>, sinks: &Sinks) -> Self {
        Self {
            node: Arc::clone(node),
            sinks: sinks.clone(),
            core: Vec::new(),
        }
    }

    /// Takes note of which FreeSWITCH speaks. One that was started anew has lost all its sessions
    /// and jobs. Both the events and the sync come here; the first of them does it.
    pub(super) fn meet(&self, core: &str) {
        // Listed before, so that none is in it that began on the new one: until the core is known,
        // no event of it has been taken in.
        let lost = self.sinks.tracker.live_on(self.node.id());
        if !self.node.is_new_core(core) {
            return;
        }
        tracing::warn!("FreeSWITCH was restarted; its sessions and jobs are gone");
        self.sinks.jobs.node_restarted(self.node.id());
        for session in lost {
            self.end(
                &session.id,
                Some(HangupCause::Crash),
                "FreeSWITCH restarted",
            );
        }
    }

    /// Ends a session that FreeSWITCH no longer has, unless its own events have told so meanwhile.
    pub(super) fn end(&self, id: &SessionId, cause: Option<HangupCause>, why: &'static str) {
        if let Some(session) = self.sinks.tracker.end_synthetic(id, cause) {
            self.synthetic_end(&session, why);
        }
    }

    /// Tells clients of an end that the gateway concluded.
    fn synthetic_end(&self, session: &Session, why: &'static str) {
        let cause = session.hangup.and_then(|hangup| hangup.cause);
        let headers = [
            ("Event-Name", Cow::Borrowed("CHANNEL_HANGUP_COMPLETE")),
            ("Core-UUID", Cow::Owned(self.node.status().core_uuid)),
            ("Unique-ID", Cow::Owned(session.id.to_string())),
            ("Channel-State", Cow::Borrowed(session.state.name())),
            (
                "Channel-Call-State",
                Cow::Borrowed(session.call_state.name()),
            ),
            ("Channel-Name", Cow::Borrowed(session.channel_name.as_str())),
            ("Channel-Call-UUID", Cow::Owned(session.call.to_string())),
            (
                "Hangup-Cause",
                Cow::Borrowed(cause.map_or("NONE", |cause| cause.name())),
            ),
            ("Switchgate-Synthetic", Cow::Borrowed(why)),
        ];
        match Event::from_headers(headers) {
            Ok(event) => self.append(event, Some(session), None, true),
            Err(error) => tracing::error!(%error, "synthetic event is malformed"),
        }
    }

    fn append(&self, event: Event, session: Option<&Session>, job: Option<JobId>, synthetic: bool) {
        self.sinks.journal.append(Entry::Event(Record {
            node: self.node.id().clone(),
            event,
            session: session.map(|session| session.id.clone()),
            call: session.map(|session| session.call.clone()),
            job,
            synthetic,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::esl::{ConnectionConfig, Connector, Credentials, Limits, TcpDialer};
    use crate::events::{Journal, JournalConfig};
    use crate::fleet::NodeSpec;
    use crate::jobs::{Jobs, JobsConfig};
    use crate::shutdown::Drain;
    use crate::tracker::{Labels, Tracker, TrackerConfig};

    fn sink() -> NodeSink {
        let silence = Duration::from_secs(1);
        let spec = NodeSpec {
            id: "a".parse().unwrap(),
            connector: Connector {
                address: "nowhere:1".to_owned(),
                credentials: Credentials {
                    user: None,
                    password: "secret".to_owned().into(),
                },
                timeout: silence,
                limits: Limits::default(),
                dialer: Arc::new(TcpDialer { silence }),
            },
            labels: Labels::default(),
            command_links: 1,
            link: ConnectionConfig::default(),
            backoff: (silence, silence),
        };
        let drain = Drain::new();
        let sinks = Sinks {
            tracker: Tracker::start(TrackerConfig::default(), &drain),
            jobs: Jobs::start(JobsConfig::default(), &drain),
            journal: Arc::new(Journal::new(JournalConfig::default())),
        };
        NodeSink::new(&Arc::new(Node::new(&spec)), &sinks)
    }

    fn create(core: &'static str, session: &'static str) -> Event {
        let headers = [
            ("Event-Name", "CHANNEL_CREATE"),
            ("Core-UUID", core),
            ("Unique-ID", session),
            ("Channel-State", "CS_INIT"),
        ];
        Event::from_headers(headers.map(|(name, value)| (name, Cow::Borrowed(value)))).unwrap()
    }

    #[tokio::test]
    async fn sessions_that_begin_on_a_restarted_freeswitch_live() {
        let mut sink = sink();
        sink.event(create("core-1", "old"));
        sink.event(create("core-2", "new"));
        // The sync asks later and finds nothing to end.
        sink.meet("core-2");
        let lives = |id: &str| {
            let session = sink.sinks.tracker.session(&id.parse().unwrap());
            session.is_some_and(|session| session.is_live())
        };
        assert_eq!((lives("old"), lives("new")), (false, true));
        assert_eq!(sink.node.status().core_uuid, "core-2");
    }
}
