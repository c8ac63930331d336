//! All nodes, sessions and calls as of one position of the journal.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::time::Instant;

use super::node::{Node, NodeStatus};
use super::{Fleet, Member};
use crate::events::Cursor;
use crate::tracker::{Call, Session};

/// What there was at one position of the journal: it includes all events before it and none behind.
#[derive(Debug)]
pub struct Capture {
    /// The position.
    pub cursor: Cursor,
    /// The nodes by name, and what was published of each. One that is being removed is among them
    /// until the journal tells that it is gone.
    pub nodes: Vec<(Arc<Node>, NodeStatus)>,
    /// The sessions, oldest first.
    pub sessions: Vec<Arc<Session>>,
    /// The calls, oldest first.
    pub calls: Vec<Call>,
}

/// The last capture and when it was begun, for those who come at the same time.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<Option<(Instant, Weak<Capture>)>>);

// === impl Fleet ===

impl Fleet {
    /// Captures everything. All nodes' events wait meanwhile, for 0.9 ms with 10,000 sessions when
    /// nothing disturbs it; so of those who come at the same time, all that wait for a capture share the next.
    pub fn capture(&self) -> Arc<Capture> {
        let came_at = Instant::now();
        let mut latest = self
            .captured
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let newer = latest.as_ref().filter(|(began_at, _)| *began_at > came_at);
        if let Some(capture) = newer.and_then(|(_, capture)| capture.upgrade()) {
            return capture;
        }
        let began_at = Instant::now();
        let capture = Arc::new(self.take_capture());
        *latest = Some((began_at, Arc::downgrade(&capture)));
        capture
    }

    /// Whatever changes the tracker and tells the journal does so in its node's turn, or with the
    /// list of nodes locked. Gaps alone are told outside of it, and change nothing.
    fn take_capture(&self) -> Capture {
        let (cursor, nodes, tracked) = {
            let members = self.read();
            // By name, and so in the same order for all; whoever has a turn takes no other and
            // never asks for the list.
            let nodes = || members.values().map(|member: &Member| &member.node);
            let _turns: Vec<_> = nodes().map(|node| node.turn()).collect();
            (
                self.sinks.journal.cursor(),
                nodes()
                    .map(|node| (Arc::clone(node), node.status()))
                    .collect(),
                self.sinks.tracker.capture(),
            )
        };
        let (sessions, calls) = tracked.in_order();
        Capture {
            cursor,
            nodes,
            sessions,
            calls,
        }
    }
}

#[cfg(test)]
mod tests;
