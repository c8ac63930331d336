//! Where a node's events go.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::Sinks;
use super::node::{Node, NodeStatus};
use super::synthetic::{self, Why};
use crate::domain::{HangupCause, JobId, SessionId};
use crate::esl::{Event, EventError, EventSink};
use crate::events::{Entry, Gap, GapReason, Record};
use crate::tracker::{Correction, Refreshed, Session};

/// Takes the events of one node on its event link's task: to the job, the tracker and the journal,
/// in this order, so that the journal's end never includes what the tracker does not. Those who
/// watch a session are told last: then the journal's end is the very event that they see.
///
/// What the sync learned by asking goes the same way, on its own task. Both take turns
/// ([`Node::turn`]), so that the journal has the order in which the tracker was changed.
#[derive(Debug)]
pub(super) struct NodeSink {
    pub(super) node: Arc<Node>,
    pub(super) sinks: Sinks,
    /// `Core-UUID` of the event before.
    core: Vec<u8>,
}

// === impl NodeSink ===

impl EventSink for NodeSink {
    fn event(&mut self, event: Event) {
        self.node.counts.events.one();
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
                    let output = Bytes::copy_from_slice(event.body());
                    self.sinks.jobs.answered(id, arguments.as_deref(), output);
                }
            }
            Some(b"MODULE_LOAD" | b"MODULE_UNLOAD") => self.node.forget_applications(),
            Some(b"HEARTBEAT") => {
                let live = self.sinks.tracker.live_count(self.node.id());
                self.node.heartbeat(&event, live);
            }
            Some(b"CHANNEL_CREATE") => self.node.session_began(),
            Some(b"CUSTOM") => self.node.strays.heard(&event),
            _ => {}
        }
        let tracker = &self.sinks.tracker;
        let _turn = self.node.turn();
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
    ///
    /// All sessions are ended at once, on the event task if that comes first: 10,000 took 2.5 s in a
    /// debug build on a busy machine, during which nothing else of this node is taken in.
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
            self.end(&session.id, Some(HangupCause::Crash), Why::Restarted);
        }
    }

    /// Takes in a session that was found by asking; says whether it was news.
    pub(super) fn adopt(&self, dump: &Event, why: Why) -> bool {
        let _turn = self.node.turn();
        let Some(correction) = self.sinks.tracker.adopt(self.node.id(), dump) else {
            return false;
        };
        self.tell(&correction, synthetic::begun(dump, &correction, why));
        true
    }

    /// Takes in what FreeSWITCH says of a session that was put into a call.
    pub(super) fn put_into_call(&self, dump: &Event) {
        let event = match synthetic::appended(dump) {
            Ok(event) => event,
            Err(error) => return tracing::error!(%error, "synthetic event is malformed"),
        };
        let _turn = self.node.turn();
        // It may have ended meanwhile, which its own events tell.
        if let Some(applied) = self.sinks.tracker.take_call(self.node.id(), dump) {
            self.append(event.clone(), Some(&applied.session), None, true);
            self.sinks.tracker.announce(&applied, &event);
        }
    }

    /// Corrects a session by what asking for it showed.
    pub(super) fn correct(&self, dump: &Event, why: Why) -> Refreshed {
        let _turn = self.node.turn();
        let refreshed = self.sinks.tracker.refresh(self.node.id(), dump);
        if let Refreshed::Corrected(correction) = &refreshed {
            self.tell(correction, synthetic::changed(dump, correction, why));
            self.tell_parted(correction, why);
        }
        refreshed
    }

    /// Ends a session that FreeSWITCH no longer has, unless its own events have told so meanwhile;
    /// says whether it did.
    pub(super) fn end(&self, id: &SessionId, cause: Option<HangupCause>, why: Why) -> bool {
        let core = self.node.status().core_uuid;
        let _turn = self.node.turn();
        let Some(correction) = self.sinks.tracker.end_synthetic(self.node.id(), id, cause) else {
            return false;
        };
        let event = synthetic::ended(&correction.session, &core, why);
        self.tell(&correction, event.map(|event| vec![event]));
        self.tell_parted(&correction, why);
        true
    }

    /// Changes the node's status and tells of a state that is new. The journal has the states in
    /// the order in which they were.
    pub(super) fn publish(&self, change: impl FnOnce(&mut NodeStatus)) {
        let _turn = self.node.turn();
        if let Some(state) = self.node.update(change) {
            self.sinks.journal.append(Entry::NodeState {
                node: self.node.id().clone(),
                state,
            });
        }
    }

    /// Says that events are missing, where the next ones of the journal follow.
    pub(super) fn gap(&self, reason: GapReason, began: SystemTime) {
        self.node.counts.gap(reason);
        self.sinks.journal.append(Entry::Gap(Gap {
            node: Some(self.node.id().clone()),
            count: 0,
            reason,
            began,
            ended: Some(SystemTime::now()),
        }));
    }

    fn tell_parted(&self, correction: &Correction, why: Why) {
        if let Some(parted) = &correction.parted {
            let core = self.node.status().core_uuid;
            match synthetic::parted(parted, &correction.session, &core, why) {
                Ok(event) => self.tell_one(parted, event),
                Err(error) => tracing::error!(%error, "synthetic event is malformed"),
            }
        }
    }

    fn tell(&self, correction: &Correction, events: Result<Vec<Event>, EventError>) {
        match events {
            Ok(events) => events
                .into_iter()
                .for_each(|event| self.tell_one(&correction.session, event)),
            Err(error) => tracing::error!(%error, "synthetic event is malformed"),
        }
    }

    fn tell_one(&self, session: &Arc<Session>, event: Event) {
        self.append(event.clone(), Some(session), None, true);
        self.sinks.tracker.show(session, &event);
    }

    fn append(&self, event: Event, session: Option<&Session>, job: Option<JobId>, synthetic: bool) {
        if synthetic {
            self.node.counts.synthetic_events.one();
        }
        self.sinks.journal.append(Entry::Event(Record {
            node: self.node.id().clone(),
            event,
            session: session.map(|session| session.id.clone()),
            call: session.map(|session| session.call.clone()),
            job,
            synthetic,
            owners: session
                .map(|session| session.owners.clone())
                .unwrap_or_default(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;
    use crate::domain::NodeState;
    use crate::events::{EventSet, HistoryConfig, Journal, JournalConfig, Wants};
    use crate::fleet::fixtures::spec;
    use crate::jobs::{Jobs, JobsConfig};
    use crate::shutdown::Drain;
    use crate::tracker::{Tracker, TrackerConfig};

    fn sink() -> NodeSink {
        let drain = Drain::new();
        let journal = Journal::start(JournalConfig::default(), HistoryConfig::default(), &drain);
        let sinks = Sinks {
            tracker: Tracker::start(TrackerConfig::default(), &drain),
            jobs: Jobs::start(JobsConfig::default(), &drain),
            wants: Wants::new(&EventSet::default(), Duration::from_secs(1), &journal),
            journal,
        };
        NodeSink::new(&Arc::new(Node::new(&spec("a"))), &sinks)
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

    #[tokio::test]
    async fn a_node_that_is_drained_while_it_comes_into_service_gets_no_work() {
        let sink = sink();
        for round in 0..500 {
            let is_drained = round % 2 == 0;
            sink.publish(|status| status.state = NodeState::Syncing);
            let start = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    sink.publish(|status| status.state = sink.node.in_service());
                });
                start.wait();
                sink.node.set_drained(is_drained);
                sink.publish(|status| {
                    if status.state != NodeState::Syncing {
                        status.state = sink.node.in_service();
                    }
                });
            });
            let expected = match is_drained {
                true => NodeState::Draining,
                false => NodeState::Ready,
            };
            assert_eq!(sink.node.status().state, expected);
        }
    }

    #[tokio::test]
    async fn a_list_of_applications_that_a_module_has_overtaken_is_not_kept() {
        let mut sink = sink();
        let node = Arc::clone(&sink.node);
        let old = Arc::new(["park".to_owned()].into());
        let before = node.applications();
        // Between the question and its answer.
        let load = [("Event-Name", "MODULE_LOAD"), ("Core-UUID", "core")];
        let load = load.map(|(name, value)| (name, Cow::Borrowed(value)));
        sink.event(Event::from_headers(load).unwrap());
        node.learn_applications(&old, &before);
        assert!(node.applications().known.is_none());
        node.learn_applications(&old, &node.applications());
        assert_eq!(node.applications().known, Some(old));
    }
}
