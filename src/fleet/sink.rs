//! Where a node's events go.

use std::borrow::Cow;
use std::sync::Arc;

use super::Sinks;
use super::node::Node;
use crate::domain::JobId;
use crate::esl::{Event, EventSink};
use crate::events::{Entry, Record};
use crate::jobs::End;
use crate::tracker::Session;

/// Takes the events of one node on its event link's task: to the job, the tracker and the journal,
/// in this order, so that the journal's end never includes what the tracker does not.
pub(super) struct NodeSink {
    pub(super) node: Arc<Node>,
    pub(super) sinks: Sinks,
}

// === impl NodeSink ===

impl EventSink for NodeSink {
    fn event(&mut self, event: Event) {
        let mut job = None;
        match event.headers().raw("Event-Name") {
            Some(b"BACKGROUND_JOB") => {
                job = event
                    .text("Job-UUID")
                    .and_then(|id| id.parse::<JobId>().ok());
                if let Some(id) = &job {
                    self.sinks
                        .jobs
                        .finish(id, End::Answered(event.body().clone()));
                }
            }
            Some(b"MODULE_LOAD" | b"MODULE_UNLOAD") => self.node.forget_applications(),
            Some(b"HEARTBEAT") => self.node.heartbeat(&event),
            _ => {}
        }
        let session = self
            .sinks
            .tracker
            .apply(self.node.id(), &event)
            .map(|applied| applied.session);
        self.append(event, session.as_deref(), job, false);
    }
}

impl NodeSink {
    /// Tells clients of an end that the gateway concluded.
    pub(super) fn synthetic_end(&self, session: &Session, why: &'static str) {
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
