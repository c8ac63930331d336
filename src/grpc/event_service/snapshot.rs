//! What there is, told in parts.

use std::collections::HashSet;
use std::sync::Arc;

use prost::Message as _;

use super::super::Services;
use super::super::convert::{to_call, to_node, to_node_state, to_session};
use super::lease::Lease;
use super::shared::Streamed;
use crate::domain::Failure;
use crate::fleet::{Capture, Node, NodeStatus};
use crate::pb;
use crate::pb::subscribe_response::Message;
use crate::tracker::Session;

/// Most sessions or calls of one part.
const MAX_ITEMS: usize = 256;
/// Bytes of one part, unless one item alone has more.
const MAX_BYTES: usize = 512 * 1024;

/// What of everything is wanted; each empty set wants all.
#[derive(Debug, Default)]
pub(super) struct Scope {
    nodes: HashSet<String>,
    sessions: HashSet<String>,
    calls: HashSet<String>,
}

/// A snapshot that is told part by part, as its reader takes it. The messages are made only then;
/// until then it holds no more than what the tracker held when it was captured, and not for long.
pub(super) struct SnapshotParts {
    services: Services,
    capture: Lease<Capture>,
    scope: Scope,
    stage: Stage,
    end: pb::SnapshotEnd,
}

/// What is told next, and from which index on.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Nodes,
    Sessions(usize),
    Calls(usize),
    End,
    Told,
}

// === impl Scope ===

impl Scope {
    pub(super) fn of(filter: &pb::EventFilter) -> Self {
        let set = |ids: &[String]| ids.iter().cloned().collect();
        Self {
            nodes: set(&filter.node_ids),
            sessions: set(&filter.session_ids),
            calls: set(&filter.call_ids),
        }
    }

    fn wants_node(&self, node: &str) -> bool {
        wants(&self.nodes, node)
    }

    fn wants_session(&self, session: &Session) -> bool {
        self.wants_node(session.node.as_str())
            && wants(&self.sessions, session.id.as_str())
            && wants(&self.calls, session.call.as_str())
    }
}

fn wants(set: &HashSet<String>, id: &str) -> bool {
    set.is_empty() || set.contains(id)
}

// === impl SnapshotParts ===

impl SnapshotParts {
    pub(super) fn new(services: &Services, capture: Arc<Capture>, scope: Scope) -> Self {
        Self {
            services: services.clone(),
            capture: Lease::new(capture, &services.drain),
            scope,
            stage: Stage::Nodes,
            end: pb::SnapshotEnd::default(),
        }
    }

    /// Whether all was told.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.stage, Stage::Told)
    }

    /// The next part; the end behind the last one.
    ///
    /// # Errors
    /// SLOW_CONSUMER when it took too long.
    pub(super) fn next(&mut self) -> Result<Streamed, Failure> {
        let capture = self.capture.get()?;
        let mut part = pb::Snapshot::default();
        if let Stage::Nodes = self.stage {
            part.nodes = self.nodes(&capture);
            self.stage = Stage::Sessions(0);
        }
        let mut room = MAX_BYTES.saturating_sub(part.encoded_len());
        if let Stage::Sessions(from) = self.stage {
            let wanted = |session: &Arc<Session>| self.scope.wants_session(session);
            let (sessions, next) = take(&capture.sessions, from, &mut room, |session| {
                wanted(session).then(|| to_session(session))
            });
            part.sessions = sessions;
            self.stage = next.map_or(Stage::Calls(0), Stage::Sessions);
        }
        if let Stage::Calls(from) = self.stage
            && part.sessions.is_empty()
        {
            // A call is wanted with all its sessions when one of them is.
            let (calls, next) = take(&capture.calls, from, &mut room, |call| {
                let mut sessions = call.sessions.iter();
                sessions
                    .any(|session| self.scope.wants_session(session))
                    .then(|| to_call(call))
            });
            part.calls = calls;
            self.stage = next.map_or(Stage::End, Stage::Calls);
        }
        self.end.nodes += count(&part.nodes);
        self.end.sessions += count(&part.sessions);
        self.end.calls += count(&part.calls);
        let is_empty = part.encoded_len() == 0;
        let message = match self.stage {
            Stage::End | Stage::Told if is_empty => {
                self.stage = Stage::Told;
                Message::SnapshotEnd(self.end)
            }
            _ => Message::Snapshot(part),
        };
        Ok(Streamed::other(capture.cursor, message))
    }

    fn nodes(&self, capture: &Capture) -> Vec<pb::Node> {
        let nodes = capture.nodes.iter();
        nodes
            .filter(|(node, _)| self.scope.wants_node(node.id().as_str()))
            .map(|(node, status)| self.node(node, status, capture))
            .collect()
    }

    /// The node in the state that it had; its figures, of which no event tells, are those of now.
    fn node(&self, node: &Node, status: &NodeStatus, capture: &Capture) -> pb::Node {
        let mut told = to_node(node, &self.services.control);
        told.state = to_node_state(status.state).into();
        if self.services.control.is_tenants() {
            return told;
        }
        told.state_detail.clone_from(&status.detail);
        told.core_uuid.clone_from(&status.core_uuid);
        told.version.clone_from(&status.version);
        told.connects = status.connects;
        let sessions = capture.sessions.iter();
        let live = sessions.filter(|session| session.node == *node.id() && session.is_live());
        told.tracked_sessions = u32::try_from(live.count()).unwrap_or(u32::MAX);
        told
    }
}

/// Takes items from an index on, as many as there is room for but one at least; gives back where to
/// go on, if there are more.
fn take<T, M: prost::Message>(
    items: &[T],
    from: usize,
    room: &mut usize,
    convert: impl Fn(&T) -> Option<M>,
) -> (Vec<M>, Option<usize>) {
    let mut taken = Vec::new();
    for (at, item) in items.iter().enumerate().skip(from) {
        let Some(message) = convert(item) else {
            continue;
        };
        let bytes = message.encoded_len();
        if !taken.is_empty() && (taken.len() == MAX_ITEMS || bytes > *room) {
            return (taken, Some(at));
        }
        *room = room.saturating_sub(bytes);
        taken.push(message);
    }
    (taken, None)
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_together_they_are_all() {
        let items: Vec<usize> = (0..1000).collect();
        for (bytes, expected) in [(1, MAX_ITEMS), (100_000, 5), (MAX_BYTES * 2, 1)] {
            let convert = |item: &usize| {
                // Every other one is wanted.
                item.is_multiple_of(2).then(|| pb::Node {
                    node_id: item.to_string(),
                    state_detail: "x".repeat(bytes),
                    ..pb::Node::default()
                })
            };
            let (mut from, mut all) = (Some(0), Vec::new());
            while let Some(at) = from {
                let (part, next) = take(&items, at, &mut MAX_BYTES.clone(), convert);
                if next.is_some() {
                    assert_eq!(part.len(), expected);
                }
                all.extend(part.into_iter().map(|node| node.node_id));
                from = next;
            }
            let wanted: Vec<_> = items.iter().step_by(2).map(ToString::to_string).collect();
            assert_eq!(all, wanted);
        }
    }
}
