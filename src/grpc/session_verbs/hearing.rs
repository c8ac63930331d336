//! Following one session through the journal, and what could not be heard of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::Services;
use super::super::convert::to_gap;
use crate::domain::{Failure, NodeId, NodeState, SessionId};
use crate::events::{
    Cursor, Entry, EventFilter, EventSet, FilterSpec, Gap, GapReason, Item, Record, SlowPolicy,
    Start, Subscription,
};
use crate::pb;

/// How often to see whether a session of which nothing is heard is still known.
const SILENCE: Duration = Duration::from_secs(5);

/// One session's events, and whether any of them are missing.
pub(super) struct Hearing {
    subscription: Subscription,
    node: NodeId,
    /// Events that are missing, until what the session became meanwhile was read from FreeSWITCH.
    gap: Option<Gap>,
    /// FreeSWITCH was not asked for some of what is needed.
    unasked: Option<Gap>,
    /// The sessions of the node are being read.
    is_reading: bool,
    /// The subscription has said that it stands.
    has_begun: bool,
}

/// What was heard.
pub(super) enum Heard {
    /// Events of the session, each with the cursor behind it.
    Events(Vec<(Cursor, Arc<Entry>)>),
    /// Events are missing from now on, since the link was lost.
    Lost,
    /// Events were left out up to now, since whoever listens was too slow.
    Skipped,
    /// The session is again as FreeSWITCH has it.
    Back,
    /// Nothing for a while.
    Silence,
}

// === impl Hearing ===

impl Hearing {
    /// Begins behind `start`, for somebody who needs these events beside the base. Ask for the
    /// session's state afterwards, so that nothing falls between.
    pub(super) fn begin(
        services: &Services,
        session: &SessionId,
        start: Start,
        needs: &EventSet,
    ) -> Result<Self, Failure> {
        let filter = EventFilter::from(FilterSpec {
            sessions: vec![session.clone()],
            ..FilterSpec::default()
        })
        .needing(needs.clone());
        let subscription = services.control.subscribe(
            filter,
            start,
            // Told as a gap, which whoever follows one session has to deal with anyway.
            SlowPolicy::Gap,
            services.subscriber_bytes,
            SILENCE,
        )?;
        let node = services.control.session(session)?.node.clone();
        // Of a node that was removed nothing is missing and nothing more comes; what is known of
        // its sessions stays readable.
        let state = match services.control.node(&node) {
            Ok(node) => node.status().state,
            Err(_) => NodeState::Removed,
        };
        let mut hearing = Self {
            subscription,
            node,
            gap: None,
            unasked: None,
            is_reading: state == NodeState::Syncing,
            has_begun: false,
        };
        if matches!(state, NodeState::Connecting | NodeState::Down) {
            hearing.lose();
        }
        Ok(hearing)
    }

    /// What comes next of the session. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let item = self.subscription.next().await?;
            if let Some(heard) = self.take(item) {
                return Ok(heard);
            }
        }
    }

    /// What is missing, until it is over.
    pub(super) fn gap(&self) -> Option<pb::Gap> {
        let gap = self.gap.as_ref().or(self.unasked.as_ref())?;
        Some(pb::Gap {
            cursor: self.cursor().to_string(),
            ..to_gap(gap)
        })
    }

    /// Whether events did not come that should have.
    pub(super) fn has_missed(&self) -> bool {
        self.gap.is_some()
    }

    /// What was missing has been told.
    pub(super) fn gap_is_over(&mut self) {
        self.gap = None;
    }

    /// Behind everything that was heard.
    pub(super) fn cursor(&self) -> Cursor {
        self.subscription.cursor()
    }

    fn take(&mut self, item: Item) -> Option<Heard> {
        match item {
            Item::Events(entries) => Some(Heard::Events(entries)),
            Item::Checkpoint => {
                let is_first = !std::mem::replace(&mut self.has_begun, true);
                (!is_first).then_some(Heard::Silence)
            }
            // What is needed can still come.
            Item::Gap(gap) if gap.reason == GapReason::NotSubscribed => {
                self.unasked = Some(gap);
                None
            }
            Item::Gap(gap) => {
                self.gap = Some(gap);
                Some(Heard::Skipped)
            }
            Item::Other(entry) => self.take_other(&entry),
        }
    }

    fn take_other(&mut self, entry: &Entry) -> Option<Heard> {
        match entry {
            // The link is back; what was missed is read next.
            Entry::Gap(gap) if gap.node.as_ref() == Some(&self.node) => {
                self.gap = Some(gap.clone());
                self.is_reading = true;
                None
            }
            Entry::NodeState { node, state } if *node == self.node => match state {
                NodeState::Down => {
                    self.lose();
                    Some(Heard::Lost)
                }
                NodeState::Ready | NodeState::Draining if self.is_reading => {
                    self.is_reading = false;
                    Some(Heard::Back)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn lose(&mut self) {
        self.is_reading = false;
        self.gap = Some(Gap {
            node: Some(self.node.clone()),
            count: 0,
            reason: GapReason::LinkLost,
            began: SystemTime::now(),
            ended: None,
        });
    }
}

/// The event in an entry of the journal.
pub(super) fn record(entry: &Entry) -> Option<&Record> {
    match entry {
        Entry::Event(record) => Some(record),
        Entry::Gap(_) | Entry::NodeState { .. } | Entry::Asked(_) => None,
    }
}

/// Whether nothing more comes of a session: FreeSWITCH's last event, or the end that the gateway
/// concluded. The tracker knows of an end before the event of it can be read, so it cannot be asked.
pub(super) fn is_last(record: &Record) -> bool {
    let name = record.event.headers().raw("Event-Name");
    name == Some(b"CHANNEL_DESTROY")
        || (record.synthetic && name == Some(b"CHANNEL_HANGUP_COMPLETE"))
}
